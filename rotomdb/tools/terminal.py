"""Manners of the tools: exit statuses, progress on a terminal only, errors as one line with a hint."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

import click

SOUND, PROBLEMS, USAGE, UNREADABLE = 0, 1, 2, 3
INTERRUPTED = 130
PROGRESS_FROM_BYTES = 64 << 20  # smaller files are read in well under a second


def fail(message: str, *, hint: str | None = None, status: int = UNREADABLE) -> NoReturn:
    """One line on standard error, a hint to paste, and the exit status."""
    sys.stderr.write(f"Error: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    sys.exit(status)


Advance = Callable[[int], None]


@contextlib.contextmanager
def progress(description: str, total_bytes: int) -> Iterator[Advance]:
    """A function that takes the offset reached; draws a bar when there is a terminal and enough to do."""
    if total_bytes < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
        yield lambda offset: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task(description, total=total_bytes)
        yield lambda offset: bar.update(task, completed=offset)


def guard(command: click.Command) -> NoReturn:
    """Run a tool; Ctrl-C and a closed pipe end it quietly."""
    try:
        status = command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone (`| head`): not our failure. Keep Python from complaining about the flush at exit.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        sys.exit(SOUND)
    sys.exit(status if isinstance(status, int) else SOUND)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table: with lines and colour on a terminal, plain columns with a tab between them elsewhere."""
    if not sys.stdout.isatty():
        for row in (headings, *rows):
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        sys.stdout.write("\n")
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
