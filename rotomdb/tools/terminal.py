"""Manners of the tools: exit statuses, progress on a terminal only, errors as one line with a hint."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from rotomdb.storage.output import NamedFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SOUND, PROBLEMS, USAGE, UNREADABLE = 0, 1, 2, 3
INTERRUPTED = 130
SIGNALLED = 128  # and the number of the signal, as shells report it
ROWS_MEASURED = 100  # for the widths of a table's columns
PROGRESS_FROM_BYTES = 64 << 20  # smaller files are read in well under a second


def fail(message: str, *, hint: str | None = None, status: int = UNREADABLE) -> NoReturn:
    """One line on standard error, a hint to paste, and the exit status."""
    complain(f"Error: {message}")
    if hint:
        complain(f"hint: {hint}")
    sys.exit(status)


def complain(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # there is nowhere else to say it
        sys.stderr.write(f"{line}\n")


Advance = Callable[[int], None]


@contextlib.contextmanager
def progress(description: str, total_bytes: int) -> Iterator[Advance]:
    """A function that takes the offset reached; draws a bar when there is a terminal and enough to do."""
    if total_bytes < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
        yield lambda offset: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    # Its own file, since it ends when a line is about to be written; rich would send standard output where the bar is.
    own = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        console=Console(file=own, force_terminal=True), transient=True, redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    task = bar.add_task(description, total=total_bytes)
    bar.start()
    running.append(bar.stop)
    try:
        yield lambda offset: bar.update(task, completed=offset)
    finally:
        bar.stop()
        with contextlib.suppress(ValueError):
            running.remove(bar.stop)


running: list[Callable[[], None]] = []  # what takes the bars away that are on the terminal


class StandardStream(NamedFile):
    """Standard output or error. Before anything is written to a terminal a progress bar on it is taken away."""

    def write(self, data: ReadableBuffer) -> int:
        if running and self.isatty():
            for stop in running:
                stop()
            running.clear()
        return super().write(data)


def open_standard_streams() -> None:
    """Give errors of standard output a name, and make the streams usable that were closed when the tool was started."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file that is opened would get the number. Opened the wrong way round, so that its use fails.
            opened = os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = StandardStream(descriptor, f"standard {'output' if descriptor == 1 else 'error'}")
        line_buffering = descriptor == 2 or raw.isatty()
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=line_buffering
        )
        setattr(sys, name, stream)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115


class Terminated(BaseException):
    """SIGTERM or SIGHUP: what is half-made is to be removed on the way out."""


def terminate(number: int, frame: object) -> NoReturn:
    raise Terminated(number)


def guard(command: click.Command) -> NoReturn:
    """Run a tool. Whatever ends it, half-made files are removed, there is one line at most, and a documented status."""
    open_standard_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # ignored: started by nohup
            signal.signal(number, terminate)
    status: object = SOUND
    try:
        try:
            status = command.main(standalone_mode=False)
        except SystemExit as ending:
            status = ending.code
        sys.stdout.flush()
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        status = INTERRUPTED
    except Terminated as error:
        complain("terminated")
        status = SIGNALLED + int(error.args[0])
    except BrokenPipeError:
        pass  # the reader has gone (`| head`): not our failure
    except OSError as error:
        complain(f"Error: {error_text(error)}")
        status = UNREADABLE
    except MemoryError:
        complain("Error: not enough memory")
        status = UNREADABLE
    except RecursionError:
        complain("Error: the input is nested too deeply")
        status = UNREADABLE
    leave(status if isinstance(status, int) else SOUND)


def leave(status: int) -> NoReturn:
    """End the program; what cannot be written any more is dropped without Python's complaints at its end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.close()
    sys.exit(status)


def error_text(error: OSError) -> str:
    """What failed, and why: a name and the system's words for it."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table: with lines and colour on a terminal, plain columns with a tab between them elsewhere."""
    if not sys.stdout.isatty():
        plain_columns(headings, rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left")
    for number, heading in enumerate(headings):
        made.add_column(heading, overflow="fold", justify="left" if number == 0 else "right")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))  # Text: brackets in keys are no markup
    Console().print(made)


def plain_columns(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    for row in itertools.chain((headings,), rows):
        sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
    sys.stdout.write("\n")


def long_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table of any length, whose rows are shown as they come: the first of them decide how wide its columns are."""
    if not sys.stdout.isatty():
        plain_columns(headings, rows)
        return
    from rich.cells import cell_len

    coming = iter(rows)
    first = [tuple(headings), *(tuple(map(str, row)) for row in itertools.islice(coming, ROWS_MEASURED))]
    widths = [max(map(cell_len, column)) for column in zip(*first, strict=True)]
    for row in itertools.chain(first, coming):
        cells = (str(cell) + " " * (width - cell_len(str(cell))) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
