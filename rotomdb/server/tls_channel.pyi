from ssl import SSLContext

class Channel:
    fd: int
    established: bool
    ended: bool
    failed: bool
    left_to_child: bool
    failure: str
    def __init__(self, context: SSLContext, fd: int) -> None: ...
    def end(self) -> None: ...
