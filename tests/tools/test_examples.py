"""The examples that help texts and pages print run as they are printed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import rotomdb
import rotomdb.rdb
from rotomdb.tools.aof import cli as aof_cli
from rotomdb.tools.aof_check import cli as check_cli
from rotomdb.tools.rdb import cli as rdb_cli
from tests.tools.running import ROOT, forked

TOOLS: dict[str, click.Command] = {"rdb": rdb_cli, "aof": aof_cli, "aof_check": check_cli}
EXAMPLE = re.compile(r"\brotomdb-(rdb|aof-check|aof) (?![A-Z])")
END_OF_COMMAND = {"|", "&&", ";", ">", "||"}
NO_DATA = ("://", " -o dump.csv -")  # nobody listens there; standard input is empty
ENDLESS = re.compile(r"rotomdb-aof follow (?!.*--once)")
NEVER_AT = ("--at ", "backups/", ":18233", ":52077")  # moments, places and backups that this log does not have


def printed() -> Iterator[str]:
    """Every line that shows a tool at work."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line in page.read_text().splitlines():
            if line.startswith(("$ ", "    ")) and EXAMPLE.search(line):
                yield line
    for cli in TOOLS.values():
        commands = cli.commands if isinstance(cli, click.Group) else {}
        for command in (cli, *(commands[name] for name in sorted(commands))):
            for line in (command.help or "").partition("Examples:")[2].splitlines():
                if EXAMPLE.search(line) and "COMPLETE" not in line:
                    yield line


LINES = sorted({line.strip().removeprefix("$ ") for line in printed()})


def words_of(line: str) -> tuple[str, list[str]]:
    """The tool of an example, and what stands behind its name."""
    start = EXAMPLE.search(line)
    assert start is not None
    lexer = shlex.shlex(line[start.end() :], posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [number for number, word in enumerate(words) if word in END_OF_COMMAND]
    return start[1].replace("-", "_"), words[: ends[0]] if ends else words


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name."""
    place = tmp_path_factory.mktemp("model")
    data = place / "var/lib/rotomdb"
    data.mkdir(parents=True)
    with rotomdb.connect(data, aof_timestamp_enabled="yes") as client:
        client.set("user:1000", "Ada")
        client.hset("cart:7", "apples", 3)
        client.delete("cart:7")
        client.flushall()
        client.set("user:17", "Ada")
        client.hset("cart:17", mapping={"apples": 3, "pears": 2})
        client.save()
    shutil.copytree(data, place / "var/lib/redis")
    shutil.copytree(data / "appendonlydir", place / "appendonlydir")
    (place / "dump.rdb").write_bytes((data / "dump.rdb").read_bytes())
    for name in ("yesterday", "today", "big"):
        shutil.copy(place / "dump.rdb", place / f"{name}.rdb")
    for number in (1, 2, 3):
        with rotomdb.rdb.create(place / f"shard{number}.rdb") as writer:
            writer.add(f"key:{number}", "value")
    (place / "broken.rdb").write_bytes((place / "dump.rdb").read_bytes()[:-12])
    incremental = next((data / "appendonlydir").glob("*.incr.aof")).read_bytes()
    for name in ("appendonly.aof", "broken.aof"):
        (place / name).write_bytes(incremental[:-3])
    node = "a" * 40 + " 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-16383\n"
    (place / "nodes.conf").write_text(node + "vars currentEpoch 1 lastVoteEpoch 0\n")
    return place


@pytest.mark.parametrize("line", LINES, ids=[re.sub(r"[^\w.=-]+", " ", line) for line in LINES])
def test_an_example_runs_as_it_is_printed(
    line: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ENDLESS.search(line):
        pytest.skip("it goes on until it is ended")
    place = tmp_path / "place"
    shutil.copytree(model, place)
    monkeypatch.chdir(place)
    tool, words = words_of(line)
    words = [re.sub("^/(?=var/|tmp/)", f"{place}/", word) for word in words]
    (place / "tmp").mkdir()
    if "-o" in words:
        output = Path(words[words.index("-o") + 1])
        if output.is_dir():
            shutil.rmtree(output)
        output.unlink(missing_ok=True)
    if "--truncate-to-timestamp" in words or "--fix" in words:
        words = ["--yes", *words]
    ended = forked(tool, *words)
    assert "Traceback" not in ended.errors
    if any(one in line for one in (*NO_DATA, *NEVER_AT)):
        assert ended.status in (1, 3), ended.errors
    else:
        assert ended.status in (0, 1), ended.errors
        assert "Error" not in ended.errors or ended.status == 1


def shown_with_output() -> Iterator[tuple[str, list[str]]]:
    """The examples of the pages under which their output stands."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
            for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                line, *output = example.splitlines()
                if EXAMPLE.match(line) and output:
                    yield line, [one for one in output if one and one != "..."]


@pytest.mark.parametrize(("line", "output"), list(shown_with_output()), ids=[line for line, _ in shown_with_output()])
def test_what_a_page_shows_is_what_is_printed(
    line: str, output: list[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for its numbers; lines may stand between."""
    monkeypatch.chdir(model)
    tool, words = words_of(line)
    said = iter([re.sub(r"\d+", "0", one) for one in forked(tool, *words).output.splitlines()])
    for wanted in output:
        assert re.sub(r"\d+", "0", wanted) in said, wanted
