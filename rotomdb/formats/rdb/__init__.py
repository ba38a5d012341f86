"""RDB: its numbers and records, between bytes and a keyspace (decoder, encoder) or bytes and a sink (walker)."""
