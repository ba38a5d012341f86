"""`rotomdb-aof`: everything that can be done with append-only files."""

from __future__ import annotations

import click

from rotomdb import __version__
from rotomdb.tools.aof_inspect import check, follow, history, stat
from rotomdb.tools.aof_manifest import rebuild_manifest
from rotomdb.tools.aof_repair import fix
from rotomdb.tools.aof_restore import restore
from rotomdb.tools.aof_salvage import salvage
from rotomdb.tools.aof_undo import undo
from rotomdb.tools.live import LiveGroup, tls_options
from rotomdb.tools.rdb_convert import convert
from rotomdb.tools.terminal import guard


@click.group(cls=LiveGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-v", "--version", message="rotomdb-aof %(version)s")
@tls_options
def cli() -> None:
    """Inspect, verify, repair and rewind append-only files of any Redis or Valkey version.

    A LOG is a data directory, an append directory, a manifest, or a single file with or without an RDB in front. Nothing is
    changed unless a command says so, and then a copy is kept. (`rotomdb-aof-check` is the drop-in for redis-check-aof.)

    \b
    Examples:
      rotomdb-aof check /var/lib/rotomdb
      rotomdb-aof stat appendonlydir
      rotomdb-aof history appendonlydir user:1000
      rotomdb-aof undo /var/lib/rotomdb --last FLUSHALL -o /tmp/undone
      rotomdb-aof salvage broken.aof -o healed

    \b
    Exit status:
      0  sound, or done
      1  problems were found
      2  wrong usage
      3  something cannot be read or written

    \b
    Completion of commands and options in the shell:
      eval "$(_ROTOMDB_AOF_COMPLETE=bash_source rotomdb-aof)"      (or zsh_source, fish_source)
    """


for command in (check, convert, fix, follow, history, rebuild_manifest, restore, salvage, stat, undo):
    cli.add_command(command)


def main() -> None:
    guard(cli)


if __name__ == "__main__":
    main()
