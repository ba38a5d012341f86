"""`rotomdb-aof check`, `stat`, `history` and `follow`: what a log says, without changing it."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rotomdb.errors import AofCommandError, AofError, FileFormatError
from rotomdb.formats.aof.annotations import parse_timestamp
from rotomdb.formats.aof.examination import Examination, examine
from rotomdb.formats.aof.items import LogItems
from rotomdb.formats.aof.replay import has_rdb_preamble
from rotomdb.formats.passing import passing
from rotomdb.formats.rdb.check import check_rdb
from rotomdb.storage.disk import Disk
from rotomdb.storage.log_location import Source, find_log
from rotomdb.storage.manifest_file import read_manifest
from rotomdb.storage.point_in_time import Item, preamble_end, walk
from rotomdb.storage.way_on import command
from rotomdb.tools.library_trial import LibraryTrial
from rotomdb.tools.paths import LOG
from rotomdb.tools.sources import reporting
from rotomdb.tools.terminal import PROBLEMS, SOUND, Advance, progress, table
from rotomdb.tools.values import json_text, shown

if TYPE_CHECKING:
    from rotomdb.tools.replaying import Refusals

WORDS_SHOWN = 12
WORD_WIDTH = 60
FOLLOW_INTERVAL_S = 0.2
PREFIXES_MAX = 50_000


def line_of(words: list[bytes]) -> str:
    """A command for the eye."""
    kept = [quoted(word) for word in words[:WORDS_SHOWN]]
    return " ".join(kept) + (f" … ({len(words) - WORDS_SHOWN} more)" if len(words) > WORDS_SHOWN else "")


def quoted(word: bytes) -> str:
    text = shown(word)
    text = text if len(text) <= WORD_WIDTH else f"{text[: WORD_WIDTH - 1]}…"
    return text if text and " " not in text and '"' not in text else json.dumps(text, ensure_ascii=False)


def clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""


@click.command()
@click.option("--deep", is_flag=True, help="Also replay every command into an engine: needs memory for the data set.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("log", type=LOG)
def check(deep: bool, as_json: bool, log: Path) -> None:
    """Verify a log: manifest, files, structure, checksums, and that a server knows each command in the form that it has;
    with --deep also that every command can be replayed.

    Tells a tail that a crash has torn (it would be cut when a server starts) from damage in the middle.

    \b
    Examples:
      rotomdb-aof check /var/lib/rotomdb
      rotomdb-aof check --deep --json appendonly.aof | jq .keys
    """
    from rotomdb.tools.replaying import Refusals, known_commands

    disk = Disk()
    commands = known_commands()
    result: dict[str, Any] = {"log": str(log), "sound": True, "files": [], "problems": []}
    with reporting():
        source = find_log(disk, log)
        for number, path in enumerate(source.paths):
            with disk.mapped(path) as data, progress(f"checking {path.name}", len(data)) as advance:
                check_file(data, path, number == len(source.paths) - 1, result, Refusals(commands), advance)
        if deep and not result["problems"]:
            replay_for_check(disk, log, result)
    result["sound"] = not result["problems"]
    if as_json:
        click.echo(json.dumps(result))
    else:
        print_check(result)
    sys.exit(SOUND if result["sound"] else PROBLEMS)


def check_file(
    data: memoryview, path: Path, last: bool, result: dict[str, Any], refusals: Refusals, advance: Advance
) -> None:
    row: dict[str, Any] = {"file": path.name, "size": len(data), "preamble_bytes": 0, "covered_bytes": 0, "torn": None}
    result["files"].append(row)

    def problem(offset: int, reason: str, **more: Any) -> None:
        result["problems"].append({"file": path.name, "offset": offset, "reason": reason, **more})

    if has_rdb_preamble(data):
        try:
            row["preamble_bytes"] = check_rdb(data, str(path), on_progress=advance, take_library=LibraryTrial()).end
        except FileFormatError as error:
            problem(error.offset, error.reason)
            return
    found = examine(data, row["preamble_bytes"], on_progress=advance, judge=refusals.judge)
    row["covered_bytes"] = found.covered
    for damage in found.damages:
        problem(damage.start, damage.reason, end=damage.end)
    for at, refused in refusals.outside(found):
        problem(at, f"a server refuses it: {refused}", refused=True)
    if found.torn:
        row["torn"] = {"usable": found.usable, "cut": len(data) - found.usable, "reason": found.torn}
        problem(found.usable, f"torn end: {found.torn}" if last else f"torn, and other files follow: {found.torn}")


def replay_for_check(disk: Disk, log: Path, result: dict[str, Any]) -> None:
    from rotomdb.tools.replaying import replay_log

    with ExitStack() as stack:
        bars: dict[str, Advance] = {}

        def on_progress(name: str, offset: int, size: int) -> None:
            if name not in bars:
                bars[name] = stack.enter_context(progress(f"replaying {name}", size))
            bars[name](offset)

        try:
            replayed = replay_log(disk, log, on_progress=on_progress, functions=True)
        except AofCommandError as refused:
            result["problems"].append({
                "file": Path(refused.path).name, "offset": refused.offset, "reason": f"a server refuses it: {refused.reason}",
                "refused": True, "deep": True,
            })  # fmt: skip
            return
    for row, (_, report) in zip(result["files"], replayed.files, strict=True):
        row["commands"] = report.commands
    result["keys"] = replayed.engine.total_keys()
    for words, error in replayed.failures:
        result["problems"].append(
            {"file": str(log), "offset": None, "reason": f"{line_of(words)}: {error}", "fails": True}
        )


def print_check(result: dict[str, Any]) -> None:
    for row in result["files"]:
        commands = row["size"] - row["preamble_bytes"]
        share = f", {row['covered_bytes'] / commands:.0%} of the log covered by checksums" if commands else ""
        count = f", {row['commands']} commands" if "commands" in row else ""
        preamble = f", {row['preamble_bytes']} of them an RDB" if row["preamble_bytes"] else ""
        click.echo(f"{row['file']}: {row['size']} bytes{preamble}{count}{share}")
    for one in result["problems"]:
        where = "" if one["offset"] is None else f"offset {one['offset']}: "
        click.echo(f"{one['file']}: {where}{one['reason']}")
    if result["sound"]:
        keys = f"; it gives {result['keys']} keys" if "keys" in result else ""
        click.echo(f"{result['log']}: sound{keys}")
    elif all(one["reason"].startswith("torn end") for one in result["problems"]):
        click.echo(
            f"{result['log']}: a crash has torn its end; a server heals that when it starts, and so does: rotomdb-aof fix"
        )
    elif all("fails" in one for one in result["problems"]):
        click.echo(f"{result['log']}: a server loads it, without what these commands once did")
    elif all("refused" in one for one in result["problems"]):
        click.echo(f"{result['log']}: a server refuses it. To see what can be kept: {salvaging(result)}")
    else:
        click.echo(f"{result['log']}: damaged. To see what can be saved: {salvaging(result)}")


def salvaging(result: dict[str, Any]) -> str:
    deep = ["--deep"] if any("deep" in one for one in result["problems"]) else []
    return command("rotomdb-aof", "salvage", *deep, result["log"])


def commands_of(disk: Disk, source: Source) -> Iterator[tuple[int, Item]]:
    """Every command with the number of its file."""
    return ((number, item) for number, item in walk(disk, source) if item.words)


@click.command()
@click.option("--top", type=click.IntRange(min=1), default=15, show_default=True, help="How many rows of each table.")
@click.option("--separator", default=":", show_default=True, help="Where a prefix of keys ends.")
@click.option(
    "--every", type=click.IntRange(min=1), default=60, show_default=True, metavar="SECONDS", help="Steps of time."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("log", type=LOG)
def stat(top: int, separator: str, every: int, as_json: bool, log: Path) -> None:
    """Where the writes come from: commands, keys and prefixes by number and bytes, over time.

    Times need a log written with aof-timestamp-enabled yes. An RDB base counts as a file, its keys are no writes.

    \b
    Examples:
      rotomdb-aof stat appendonlydir
      rotomdb-aof stat --json appendonlydir | jq '.prefixes[0]'
    """
    from rotomdb.tools.log_keys import keys_of

    disk = Disk()
    commands: dict[str, list[int]] = {}
    prefixes: dict[bytes | None, list[int]] = {}
    keys: Counter[bytes] = Counter()
    sizes: Counter[bytes] = Counter()
    times: dict[int, list[int]] = {}
    total = [0, 0]
    mark = separator.encode()
    with reporting():
        for _, item in commands_of(disk, find_log(disk, log)):
            size = item.end - item.at
            add(commands, item.words[0].upper().decode("latin-1"), size)
            total[0] += 1
            total[1] += size
            if item.time:
                add(times, item.time - item.time % every, size)
            for key in keys_of(item.words):
                prefix: bytes | None = key[: key.find(mark) + len(mark)] if mark in key else b""
                if prefix not in prefixes and len(prefixes) >= PREFIXES_MAX:
                    prefix = None
                add(prefixes, prefix, size)
                if key in keys or len(keys) < PREFIXES_MAX:
                    keys[key] += 1
                    sizes[key] += size
    names = {"(other prefixes)" if p is None else shown(p) or "(no prefix)": row for p, row in prefixes.items()}
    result = {
        "log": str(log), "commands": total[0], "bytes": total[1], "by_command": ordered(commands), "prefixes": ordered(names),
        "keys": [{"key": json_text(key), "commands": n, "bytes": sizes[key]} for key, n in keys.most_common(max(top, 100))],
        "times": [{"from": start, "commands": row[0], "bytes": row[1]} for start, row in sorted(times.items())],
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{log}: {total[0]:,} commands, {total[1]:,} bytes")
    for title, name in (("command", "by_command"), ("prefix", "prefixes")):
        rows = result[name]
        assert isinstance(rows, list)
        table((title, "commands", "bytes"), [(r["name"], f"{r['commands']:,}", f"{r['bytes']:,}") for r in rows[:top]])
    table(("key", "commands", "bytes"), [(shown(k), f"{n:,}", f"{sizes[k]:,}") for k, n in keys.most_common(top)])
    if times:
        table(
            ("from", "commands", "bytes"),
            [(clock(t), f"{r[0]:,}", f"{r[1]:,}") for t, r in sorted(times.items())[-top:]],
        )


def add(rows: dict[Any, list[int]], name: Any, size: int) -> None:
    row = rows.setdefault(name, [0, 0])
    row[0] += 1
    row[1] += size


def ordered(rows: dict[str, list[int]]) -> list[dict[str, Any]]:
    return [{"name": n, "commands": r[0], "bytes": r[1]} for n, r in sorted(rows.items(), key=lambda item: -item[1][1])]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--db", type=click.IntRange(min=0), help="Only in this database.")
@click.argument("log", type=LOG)
@click.argument("key")
def history(as_json: bool, db: int | None, log: Path, key: str) -> None:
    """Every write to KEY that the log still holds, with its time, file and offset.

    FLUSHALL, FLUSHDB and SWAPDB count as writes to every key. What was before the base is not in the log.

    \b
    Examples:
      rotomdb-aof history appendonlydir user:1000
      rotomdb-aof history --json appendonlydir user:1000 | jq .command
    """
    from rotomdb.tools.log_keys import TOUCH_ALL, keys_of

    wanted = key.encode("utf-8", "surrogateescape")
    disk = Disk()
    found = 0
    with reporting():
        source = find_log(disk, log)
        for number, item in commands_of(disk, source):
            touches_all = item.words[0].upper() in TOUCH_ALL
            if not touches_all and (db not in (None, item.database) or wanted not in keys_of(item.words)):
                continue
            found += 1
            path = source.paths[number].name
            if as_json:
                command = [json_text(word) for word in item.words]
                row = {
                    "time": item.time or None, "db": item.database, "file": path, "offset": item.at, "command": command,
                }  # fmt: skip
                click.echo(json.dumps(row, ensure_ascii=False))
            else:
                click.echo(f"{clock(item.time) or '-':19}  {path}:{item.at}  db {item.database}  {line_of(item.words)}")
    if not found and not as_json:
        click.echo(f"{log}: the log holds no write to {shown(wanted)}")


@click.command()
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many commands of what is there already.",
)
@click.option("--once", is_flag=True, help="Do not wait for more.")
@click.argument("log", type=LOG)
def follow(lines: int, once: bool, log: Path) -> None:
    """Print commands as they are appended, decoded: tail -f for a log. Goes along when a rewrite begins a new file.

    \b
    Examples:
      rotomdb-aof follow /var/lib/rotomdb
      rotomdb-aof follow -n 100 appendonly.aof | grep DEL
    """
    disk = Disk()
    with reporting():
        source = find_log(disk, log)
        path = source.paths[-1]
        offset, seconds = show_last(disk, path, lines)
        while not once:
            time.sleep(FOLLOW_INTERVAL_S)
            offset, seconds = show_new(disk, path, offset, seconds)
            newer = newest(disk, source)
            if newer != path:
                show_new(disk, path, offset, seconds)
                click.echo(f"--- {newer.name}", err=True)
                path, offset = newer, 0
            elif disk.size(path) < offset:
                click.echo(f"--- {path.name} was cut or replaced", err=True)
                offset = 0


def newest(disk: Disk, source: Source) -> Path:
    if source.manifest is None:
        return source.paths[-1]
    names = [
        name for name in disk.names(source.directory) if name.endswith(".manifest") and not name.startswith("temp-")
    ]
    manifest = read_manifest(disk, source.directory / names[0]) if names else source.manifest
    return source.directory / manifest.files[-1].name if manifest.files else source.paths[-1]


def show_last(disk: Disk, path: Path, lines: int) -> tuple[int, int]:
    """The last commands of what is there; returns where they end, and the time."""
    last: deque[tuple[int, list[bytes]]] = deque(maxlen=lines)
    with disk.mapped(path) as data:
        start = preamble_end(data, path)
        found: Examination = examine(data, start)
        seconds = 0
        items = LogItems(data, start, found.usable, passing(data))
        try:
            while (item := items.take()) is not None:
                if isinstance(item, bytes):
                    seconds = parse_timestamp(item) or seconds
                else:
                    last.append((seconds, item))
            end = items.sound
        except (EOFError, ValueError) as error:
            raise AofError(str(path), items.offset, str(error)) from None
        finally:
            items.close()
    for when, words in last:
        show(when, words)
    return end, seconds


def show(seconds: int, words: list[bytes]) -> None:
    click.echo(f"{clock(seconds)}  {line_of(words)}" if seconds else line_of(words))
    sys.stdout.flush()


def show_new(disk: Disk, path: Path, offset: int, seconds: int) -> tuple[int, int]:
    """What was appended since; an unfinished command or transaction waits for the next look."""
    if not disk.exists(path) or disk.size(path) <= offset:
        return offset, seconds
    with disk.mapped(path) as data:
        items = LogItems(data, offset)
        unit: list[list[bytes]] = []
        try:
            while (item := items.take()) is not None:
                if isinstance(item, bytes):
                    seconds = parse_timestamp(item) or seconds
                else:
                    unit.append(item)
                if not items.in_transaction:
                    for words in unit:
                        show(seconds, words)
                    unit.clear()
        except EOFError:
            pass
        except ValueError as error:
            raise AofError(str(path), items.offset, str(error)) from None
        finally:
            offset = items.sound
            items.close()
    return offset, seconds
