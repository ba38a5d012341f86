"""Libraries of functions, as a data set holds them beside its keys: their sources."""

from __future__ import annotations

from collections.abc import Iterator


class CarriedLibraries:
    """Sources that nobody runs here, kept for the next file. Where functions run, `scripting/libraries.py` is in its place.

    Attributes:
        replaces: What is added takes the place of a library of the same name.
    """

    runs = False

    def __init__(self) -> None:
        self.replaces = False
        self.sources: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    def add(self, source: bytes, *, limited: bool = False) -> None:
        """One that a file holds. Raises CommandError where it cannot be run.

        Args:
            limited: Also where it takes too long: it may never end.
        """
        self.sources.append(source)

    def clear(self) -> None:
        self.sources = []

    def put_aside(self) -> object:
        """Hand over what is there, and hold nothing; `put_back` takes it."""
        aside, self.sources = self.sources, []
        return aside

    def put_back(self, aside: object) -> None:
        assert isinstance(aside, list)
        self.sources = aside
