"""Memory behind a walk over the bytes of a large file is given back, so that no walk takes as much as the file is large."""

from __future__ import annotations

import mmap
from collections.abc import Callable

LET_GO_BYTES = 4 << 20


def let_go(data: memoryview | bytes, start: int, end: int) -> None:
    """Give a range of a mapped file back to the system; what is asked for again is read again.

    Without that a walk over a file would hold as much memory as the file is large. Only for views of read-only mappings.
    """
    mapping = data.obj if isinstance(data, memoryview) else None
    start, end = start - start % mmap.PAGESIZE, end - end % mmap.PAGESIZE
    if isinstance(mapping, mmap.mmap) and end > start:
        mapping.madvise(mmap.MADV_DONTNEED, start, end - start)


def passing(data: memoryview | bytes, on_progress: Callable[[int], object] | None = None) -> Callable[[int], object]:
    """A progress function for a walk over a mapped file, which lets go of what was passed."""
    held_from = 0

    def advance(offset: int) -> object:
        nonlocal held_from
        if offset < held_from:
            held_from = offset  # it goes over that once more
        elif offset - held_from >= LET_GO_BYTES:
            let_go(data, held_from, offset)
            held_from = offset
        return on_progress(offset) if on_progress is not None else None

    return advance
