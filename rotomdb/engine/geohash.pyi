from rotomdb.engine.keyspace import Keyspace

Position = tuple[float, float]

LIMITS: Position

def encode(longitude: float, latitude: float) -> int: ...
def decode(score: float) -> Position: ...
def text_of(longitude: float, latitude: float) -> bytes: ...
def distance(lon1: float, lat1: float, lon2: float, lat2: float) -> float: ...

class Shape:
    def __init__(
        self,
        longitude: float,
        latitude: float,
        radius: float = 0.0,
        width: float = 0.0,
        height: float = 0.0,
        box: bool = False,
    ) -> None: ...

def search(db: Keyspace, key: bytes, shape: Shape, limit: int = 0) -> list[tuple[bytes, float, float, Position]]: ...
