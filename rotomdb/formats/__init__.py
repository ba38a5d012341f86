"""What do the bytes mean? RDB, append-only file and protocol, read and written; knows no files and no sockets."""
