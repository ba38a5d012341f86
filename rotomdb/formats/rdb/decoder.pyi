from rotomdb.engine.keyspace import Keyspace
from rotomdb.formats.rdb.records import RdbRecords

class RdbDecoder(RdbRecords):
    keys_loaded: int
    keys_expired: int
    keys_empty: int
    expires_seen: int
    def load_keys(self, db: Keyspace, expire_before_ms: int, limit: int) -> int: ...
    def restore_value(self, db: Keyspace, key: bytes) -> bool: ...
