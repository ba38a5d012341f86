"""The function libraries of a file, tried as a server tries them that loads the file."""

from __future__ import annotations

from rotomdb.engine import Engine


class LibraryTrial:
    """Takes the sources of one file in turn; raises CommandError for one that a server refuses.

    The interpreter is there from the first library on: most files have none. A library that does not come to an end is refused, where a
    server goes on waiting.
    """

    def __init__(self) -> None:
        self.engine: Engine | None = None

    def __call__(self, source: bytes) -> None:
        if self.engine is None:
            from rotomdb.tools.replaying import new_dispatcher

            self.engine = Engine(1)
            new_dispatcher(self.engine, functions=True)
        self.engine.function_libraries.add(source, limited=True)
