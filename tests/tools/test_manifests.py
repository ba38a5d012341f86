"""A manifest that is damaged, and directories beside the log: server and tools say the same, and what they advise works."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rotomdb.storage.propagation import encode_command
from tests.processes import RotomServer
from tests.tools.running import Ended, forked

Start = Callable[..., RotomServer]
MANIFEST = b"file appendonly.aof.1.base.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
DAMAGES = {
    "zeros": (bytes(len(MANIFEST)), "nothing but zeros"),
    "empty": (b"", "Found an empty AOF manifest"),
    "cut inside a line": (MANIFEST[:70], "its end is cut off"),
    "cut between lines": (MANIFEST[:44], "its end is lost"),
    "zeros at its end": (MANIFEST[:60] + bytes(28), "it holds zeros, from offset 60 on"),
    "binary": (b"\xde\xad\xbe\xef\n" * 4, "it holds binary data"),
    "html": (b"<html><body>504</body></html>\n", "a page of HTML"),
}


def data_directory(place: Path, manifest: bytes = MANIFEST) -> Path:
    log = place / "appendonlydir"
    log.mkdir(parents=True)
    (log / "appendonly.aof.1.base.aof").write_bytes(encode_command(b"SET", b"base", b"1"))
    (log / "appendonly.aof.1.incr.aof").write_bytes(encode_command(b"SET", b"increment", b"2"))
    (log / "appendonly.aof.manifest").write_bytes(manifest)
    return place


def words_of(hint: str) -> list[str]:
    return hint.removeprefix("hint: ").split()


def hint_in(text: str) -> str:
    return next(line[line.index("hint: ") :] for line in text.splitlines() if "hint: " in line)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_is_named_the_same_by_all_tools_and_rebuilt_as_they_advise(
    damage: str, tmp_path: Path
) -> None:
    content, said = DAMAGES[damage]
    place = data_directory(tmp_path / "data", content)
    manifest = place / "appendonlydir" / "appendonly.aof.manifest"
    for tool, words in (("aof_check", ()), ("aof", ("check",)), ("aof", ("salvage",)), ("aof", ("stat",))):
        ended = forked(tool, *words, place)
        assert ended.status == 1
        text = ended.output + ended.errors
        assert said in text
        assert hint_in(text) == f"hint: rotomdb-aof rebuild-manifest {manifest.parent}"
    assert manifest.read_bytes() == content
    done = forked("aof", *words_of(hint_in(text))[1:])
    assert (done.status, manifest.read_bytes()) == (0, MANIFEST)
    assert manifest.with_name(f"{manifest.name}.before-rebuild").read_bytes() == content
    assert forked("aof_check", place).status == 0


@pytest.mark.parametrize("damage", ["zeros", "cut between lines"])
def test_the_server_refuses_a_damaged_manifest_and_its_advice_brings_the_data_back(
    damage: str, rotom: Start, tmp_path: Path
) -> None:
    content, said = DAMAGES[damage]
    place = data_directory(tmp_path / "data", content)
    with pytest.raises(RuntimeError, match=said) as refused:
        rotom("--save", "", directory=place)
    assert forked("aof", *words_of(hint_in(str(refused.value)))[1:]).status == 0
    server = rotom("--save", "", directory=place)
    with server.client() as client:
        assert sorted(client.keys()) == [b"base", b"increment"]


def test_rebuild_manifest_takes_a_data_directory_and_names_what_is_gone(tmp_path: Path) -> None:
    place = data_directory(tmp_path / "data")
    (place / "appendonlydir" / "appendonly.aof.1.base.aof").unlink()
    ended = forked("aof", "rebuild-manifest", "--dry-run", place)
    assert ended.status == 0
    assert "appendonly.aof.1.base.aof: named by the old manifest, and not there" in ended.errors


def sound(ended: Ended, text: str) -> None:
    assert (ended.status, text in ended.output) == (0, True), ended


@pytest.mark.parametrize("beside", ["copy", "link", "foreign manifest", "foreign files", "temporary manifest"])
def test_what_lies_beside_the_log_confuses_no_tool(beside: str, tmp_path: Path) -> None:
    place = data_directory(tmp_path / "data")
    log = place / "appendonlydir"
    if beside == "copy":
        shutil.copytree(log, place / "appendonlydir.bak")
        (place / "appendonlydir.bak" / "appendonly.aof.1.incr.aof").write_bytes(b"nonsense")
    elif beside == "link":
        log.rename(place / "elsewhere")
        log.symlink_to("elsewhere")
    elif beside == "foreign manifest":
        (log / "other.aof.manifest").write_bytes(b"nonsense")
    elif beside == "foreign files":
        (log / "notes.txt").write_text("kept by the operator\n")
        (log / "other.aof.7.incr.aof").write_bytes(b"nonsense")
    else:
        (log / "temp-appendonly.aof.manifest").write_bytes(MANIFEST[:5])
    sound(forked("aof_check", place), "All AOF files and manifest are valid")
    sound(forked("aof", "check", place), "sound")
    sound(forked("aof", "salvage", place), "appendonly.aof.1.incr.aof: sound")
    sound(forked("aof", "rebuild-manifest", "--dry-run", place), MANIFEST.decode())
    sound(forked("rdb", "dump", "-f", "ndjson", place), '"increment"')


def test_several_logs_of_other_names_are_refused_with_their_paths(tmp_path: Path) -> None:
    data_directory(tmp_path / "one")
    data_directory(tmp_path / "two")
    (tmp_path / "one" / "appendonlydir").rename(tmp_path / "first")
    (tmp_path / "two" / "appendonlydir").rename(tmp_path / "second")
    for tool, words in (("aof_check", ()), ("aof", ("check",))):
        ended = forked(tool, *words, tmp_path)
        assert ended.status == 1
        assert f"{tmp_path / 'first'}, {tmp_path / 'second'}" in ended.output + ended.errors
