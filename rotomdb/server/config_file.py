"""Reading configuration: redis.conf lines, includes, TOML, and the words of a command line."""

from __future__ import annotations

import codecs
import glob
import tomllib
from collections.abc import Iterable
from pathlib import Path

from rotomdb.errors import ConfigError
from rotomdb.formats.resp.request import split_arguments
from rotomdb.server.config import BAD_DIRECTIVE, Config
from rotomdb.server.directive_values import quoted

INCLUDE_DEPTH_MAX = 16
COMMAND_LINE = "command line"
BLANK = b" \t\r\n"
BOM = codecs.BOM_UTF8


def text_of(data: bytes) -> str:
    """Bytes as text that gives them back: values may hold any."""
    return data.decode("utf-8", "surrogateescape")


def load_text(config: Config, content: bytes, source: str, depth: int = 0) -> None:
    """Lines of a redis.conf. Raises ConfigError with source and line."""
    for line_number, line in enumerate(content.removeprefix(BOM).split(b"\n"), start=1):
        stripped = line.strip(BLANK)
        if not stripped or stripped.startswith(b"#"):
            continue
        try:
            load_line(config, stripped, depth)
        except ConfigError as error:
            if error.line:  # of an included file, which knows better
                raise
            shown = text_of(without_passwords(stripped)).encode("utf-8", "backslashreplace").decode()
            raise ConfigError(error.reason, source, line_number, shown) from None


def without_passwords(line: bytes) -> bytes:
    """A line as errors show it."""
    words = line.split(b" ")
    if words[0].lower() != b"user":
        return line
    return b" ".join(word[:1] + b"(redacted)" if word[:1] in (b">", b"<") else word for word in words)


def load_line(config: Config, line: bytes, depth: int) -> None:
    if 0 in line:
        raise ConfigError('NUL byte in configuration line; in quotes it is written as "\\x00"')
    words = split_arguments(line)
    if words is None:
        raise ConfigError("Unbalanced quotes in configuration line")
    name, *arguments = (text_of(word) for word in words)
    if name.lower() != "include":
        config.apply(name, arguments)
        return
    if len(arguments) != 1:
        raise ConfigError(BAD_DIRECTIVE)
    if depth == INCLUDE_DEPTH_MAX:
        raise ConfigError("includes are nested too deeply")
    for path in included_files(str(config.started_in / config["dir"] / arguments[0])):
        load_text(config, read(path), str(path), depth + 1)


def included_files(pattern: str) -> list[Path]:
    """Files of an `include`: a pattern may match none, a name must be there."""
    if not glob.has_magic(pattern):
        return [Path(pattern)]
    return [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207 - the pattern may have directories with stars


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"Fatal error, can't open config file '{path}': {reason}") from None


def load_file(config: Config, path: Path) -> None:
    content = read(path)
    if path.suffix == ".toml":
        load_toml(config, content, str(path))
    else:
        load_text(config, content, str(path))
    config.path = path.absolute()


def load_toml(config: Config, content: bytes, source: str) -> None:
    """A TOML table of directives; values are strings, numbers, booleans or lists of them."""
    try:
        table = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: {error}") from None
    for name, value in table.items():
        several = name.lower() == "user" and isinstance(value, list)  # an element is a line
        try:
            for line in value if several else [value]:
                config.apply(
                    name, [word for part in toml_words(line) for word in (part.split() if several else [part])]
                )
        except ConfigError as error:
            raise ConfigError(f"{source}: {name}: {error}") from None


def toml_words(value: object) -> Iterable[str]:
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, list):
        return [part for item in value for word in toml_words(item) for part in (word.split() or [word])]
    return [str(value)]


def command_line_text(words: list[str]) -> bytes:
    """`--directive value ...` words as the lines that they stand for.

    An option takes at least one value, even one that looks like an option; `"--port 7999"` brings its own; `--save` without
    any stands for none.
    """
    lines: list[list[str]] = []
    wants_value = False
    for i, word in enumerate(words):
        if word.startswith("--") and not wants_value:
            lines.append([word[2:]])
            last = i == len(words) - 1
            wants_value = len(word.split()) == 1
            if word.lower() == "--save" and (last or words[i + 1].startswith("--")):
                lines[-1].append('""')
                wants_value = False
            continue
        if not lines:
            lines.append([])
        lines[-1].append(quoted(word.encode("utf-8", "surrogateescape")).decode("ascii"))
        wants_value = False
    return "\n".join(" ".join(line) for line in lines).encode("utf-8", "surrogateescape")


def load_words(config: Config, words: list[str]) -> None:
    """The words of a command line behind the file."""
    load_text(config, command_line_text(words), COMMAND_LINE)
