"""What every reader says about the same bytes: a row of the table of verdicts.

A snapshot is what a server finds as dump.rdb, a log is an append directory, or a single file. Each reader gets a copy of its own, so
that what one of them mends is not what the next one reads. A reader answers with one of three words:

    sound     it takes all of it
    torn      it takes what was there before the end that a crash has torn, and says so
    refused   it finds fault with it
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import rotomdb.aof
import rotomdb.rdb
from rotomdb.errors import RotomError
from rotomdb.testing.starting import Start, start
from rotomdb.tools.terminal import UNREADABLE
from tests.tools.running import Ended, forked

SOUND, TORN, REFUSED = "sound", "torn", "refused"
TOOLS = {"rotomdb-aof": "aof", "rotomdb-rdb": "rdb", "rotomdb-aof-check": "aof_check"}
THEN_START = "start with "
STEPS = 3
DATABASES = ("--databases", "128")  # how many there are is no property of a file


@dataclass
class Row:
    """Attributes:
    verdicts: By reader.
    words: What each said, to explain a difference.
    digests: Of what servers loaded, by the way they came by it.
    """

    verdicts: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def put(self, reader: str, verdict: str, words: str = "") -> None:
        self.verdicts[reader], self.words[reader] = verdict, words

    def told(self) -> str:
        return "\n".join(
            f"{reader:22} {verdict:8} {self.words[reader][-400:]}" for reader, verdict in self.verdicts.items()
        )


@contextmanager
def copy_of(directory: Path) -> Iterator[Path]:
    with TemporaryDirectory(prefix="rotomdb-verdicts-") as place:
        yield Path(shutil.copytree(directory, Path(place) / "data", symlinks=True))


def ended(row: Row, reader: str, done: Ended, *, torn: bool = False) -> None:
    assert done.status in (0, 1, UNREADABLE), f"{reader}: {done}"
    assert "Traceback" not in done.errors, f"{reader}: {done}"
    verdict = TORN if torn else REFUSED if done.status else SOUND
    row.put(reader, verdict, done.output + done.errors)


def attempted(row: Row, reader: str, read: Callable[[], object]) -> None:
    try:
        read()
    except RotomError as error:
        row.put(reader, REFUSED, str(error))
    else:
        row.put(reader, SOUND)


def started(row: Row, reader: str, directory: Path, *words: str) -> Start:
    found = start(directory, "--save", "", *DATABASES, *words)
    cut = "AOF loaded anyway because aof-load-truncated is enabled" in found.log
    row.put(reader, REFUSED if not found.loaded else TORN if cut else SOUND, found.log)
    if found.loaded:
        row.digests[reader] = found.digest
    return found


def follow(refused: Start, directory: Path, *arguments: str) -> Start:
    """Run what a refusal advises, word by word, and start again."""
    words = list(arguments)
    for hint in refused.hints:
        program, *rest = shlex.split(hint)
        if program in TOOLS:
            done = forked(TOOLS[program], *rest)
            assert done.status in (0, 1), f"{hint}: {done}"
        elif THEN_START in hint and not hint.startswith("or "):
            words += shlex.split(hint.partition(THEN_START)[2])
    return start(directory, "--save", "", *words)


def snapshot_row(content: bytes) -> Row:
    """Of a file that a server would find as dump.rdb."""
    row = Row()
    with TemporaryDirectory(prefix="rotomdb-verdicts-") as place:
        source = Path(place) / "source"
        source.mkdir()
        (source / "dump.rdb").write_bytes(content)
        with copy_of(source) as data:
            refused = started(row, "server", data)
            if not refused.loaded:
                advised(row, refused, data)
        file = source / "dump.rdb"
        ended(row, "rdb check", forked("rdb", "check", file))
        ended(row, "rdb salvage", forked("rdb", "salvage", file))
        ended(row, "rdb info", forked("rdb", "info", file))
        attempted(row, "library", lambda: read_snapshot(file))
        assert file.read_bytes() == content
    return row


def read_snapshot(file: Path) -> None:
    with rotomdb.rdb.open(file) as snapshot:
        for entry in snapshot:
            _ = entry.value


def advised(row: Row, refused: Start, data: Path, *words: str) -> None:
    """What is advised has to lead to a start, where a way on is advised."""
    tools = [hint for hint in refused.hints if not hint.startswith("put a copy of")]
    if not tools:
        row.put("advice", "none", refused.log)
        return
    after = refused
    for _ in range(STEPS):  # what was behind a damaged manifest may be damaged, too
        after = follow(after, data, *DATABASES, *words)
        if after.loaded:
            break
    row.put("advice", "works" if after.loaded else "fails", "\n".join(refused.hints) + after.log)
    if after.loaded:
        row.digests["advice"] = after.digest


def log_row(source: Path, *words: str) -> Row:
    """Of a data directory with a log; words: of the server."""
    row = Row()
    with copy_of(source) as data:
        refused = started(row, "server", data, *words)
        if not refused.loaded:
            advised(row, refused, data, *words)
    with copy_of(source) as data:
        strict = started(row, "server, strict", data, "--aof-load-truncated", "no", *words)
        if row.verdicts["server"] == TORN and not strict.loaded:
            strict_row = Row()
            advised(strict_row, strict, data, "--aof-load-truncated", "no", *words)
            row.put("advice, strict", strict_row.verdicts["advice"], strict_row.words["advice"])
            row.digests["advice, strict"] = strict_row.digests.get("advice", "")
    with copy_of(source) as data:
        started(row, "quarantine", data, "--aof-load-corrupt", "quarantine", *words)
    with copy_of(source) as data:
        ended(row, "aof-check", forked("aof_check", data))
        checked = forked("aof", "check", "--json", data)
        problems = json.loads(checked.output)["problems"] if checked.output else [{"reason": checked.errors}]
        torn = checked.status == 1 and all(one["reason"].startswith("torn end") for one in problems)
        ended(row, "aof check", checked, torn=torn)
        ended(row, "aof check --deep", forked("aof", "check", "--deep", data))
        ended(row, "aof stat", forked("aof", "stat", data))
        attempted(row, "library", lambda: [None for _ in rotomdb.aof.read(data)])
        healed = data.parent / "healed"
        ended(row, "aof salvage", forked("aof", "salvage", data, "-o", healed))
        if healed.exists():
            started(row, "salvaged", healed, *words)
        if "single" not in words:
            rebuilt = forked("aof", "rebuild-manifest", "--dry-run", data)
            row.put("rebuild-manifest", SOUND if rebuilt.status == 0 else REFUSED, rebuilt.output + rebuilt.errors)
    return row
