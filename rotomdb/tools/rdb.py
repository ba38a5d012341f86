"""`rotomdb-rdb`: everything that can be done with an RDB file."""

from __future__ import annotations

import click

from rotomdb import __version__
from rotomdb.tools.live import LiveGroup, tls_options
from rotomdb.tools.rdb_convert import convert, filter_command, split
from rotomdb.tools.rdb_diff import diff
from rotomdb.tools.rdb_dump import dump
from rotomdb.tools.rdb_info import check, info
from rotomdb.tools.rdb_memory import memory, report
from rotomdb.tools.rdb_merge import merge
from rotomdb.tools.rdb_restore import restore
from rotomdb.tools.rdb_salvage import salvage
from rotomdb.tools.terminal import guard


@click.group(cls=LiveGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-v", "--version", message="rotomdb-rdb %(version)s")
@tls_options
def cli() -> None:
    """Inspect, verify, convert, compare and rescue RDB snapshots of any Redis or Valkey version.

    A FILE is an RDB (also .gz or .zst), a DUMP payload, - for standard input, redis://[user:password@]host[:port] for
    the data of a live server, or an append-only file, manifest or data directory, which is replayed first. Input is never
    changed. Memory use does not depend on the size of the file.

    \b
    Examples:
      rotomdb-rdb info dump.rdb
      rotomdb-rdb check dump.rdb && echo sound
      rotomdb-rdb dump dump.rdb --key 'user:*' -f ndjson | jq .value
      rotomdb-rdb memory dump.rdb --top 20

    \b
    Exit status:
      0  sound, or done
      1  problems were found
      2  wrong usage
      3  something cannot be read or written

    \b
    Completion of commands and options in the shell:
      eval "$(_ROTOMDB_RDB_COMPLETE=bash_source rotomdb-rdb)"      (or zsh_source, fish_source)
    """


for command in (check, convert, diff, dump, filter_command, info, memory, merge, report, restore, salvage, split):
    cli.add_command(command)


def main() -> None:
    guard(cli)


if __name__ == "__main__":
    main()
