"""Pages made of the tables of directives: `--help` and docs/configuration.md."""

from __future__ import annotations

from rotomdb.server.config import ALIASES, DIRECTIVES
from rotomdb.server.directive_values import format_value
from rotomdb.server.directives import Directive, Kind

USAGE = """\
Usage: rotomdb-server [FILE | -] [--directive value ...]

A Redis-compatible server that keeps its data safe on disk. Without any configuration it listens on port 6379 and logs
every write to appendonlydir/ in the current directory (appendonly yes, appendfsync everysec).

  FILE                 a redis.conf, or a .toml file with the same directives
  -                    read the configuration from standard input
  --directive value    override a directive, for example: --port 7777 --appendfsync always
  -v, --version        show the version
  -h, --help           show this page

Examples:
  rotomdb-server
  rotomdb-server /etc/redis/redis.conf --port 7777
  echo "appendfsync always" | rotomdb-server - --dir /var/lib/rotomdb

Directives and their defaults:
"""


def help_page() -> str:
    lines = [USAGE]
    for row in DIRECTIVES.values():
        lines.append(f"  --{row.name} {shown_default(row)}\n        {row.doc} [{shown_kind(row)}]\n")
    return "".join(lines)


def shown_default(row: Directive) -> str:
    return format_value(row, row.default) or '""'


def shown_kind(row: Directive) -> str:
    return "|".join(row.choices) if row.kind is Kind.ENUM else row.kind.value


def counts() -> str:
    """How many of the directives do something."""
    words = [row.honoured.partition(":")[0] for row in DIRECTIVES.values()]
    return ", ".join(f"{words.count(word)} {word}" for word in ("real", "no effect", "off only"))


def configuration_page() -> str:
    """docs/configuration.md, from the table of directives."""
    lines = [
        "# Configuration\n\nGenerated from the tables `rotomdb/server/directives_*.py` by "
        "`python -m rotomdb.server.main --configuration-page`; a test fails when it is stale.\n\n"
        f"{len(DIRECTIVES)} directives, and {len(ALIASES)} other names of them. The column *here* says of each whether it does "
        "something: **real** ones do; of those without effect every value is accepted, with a line in the log; where it says "
        "*off only*, a value that asks for what is not here keeps the server from starting.\n\n"
        f"{counts()}\n\n"
        "| directive | default | values | at run time | here | what it does |\n| --- | --- | --- | --- | --- | --- |\n"
    ]
    for row in DIRECTIVES.values():
        mutable = "yes" if row.mutable else "no"
        kind = shown_kind(row).replace("|", "\\|")
        lines.append(f"| `{row.name}` | `{shown_default(row)}` | {kind} | {mutable} | {row.honoured} | {row.doc} |\n")
    return "".join(lines)
