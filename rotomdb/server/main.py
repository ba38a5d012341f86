"""`rotomdb-server`: command line, banner and start."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import resource
import sys
from pathlib import Path

from rotomdb import __version__
from rotomdb.errors import ConfigError, FileFormatError, ManifestError, RotomError
from rotomdb.server.announcing import announce_mode, announce_ready, announce_start, warn_of_backlog, warn_of_overcommit
from rotomdb.server.config import DIRECTIVES, Config, Directive, Kind, format_value
from rotomdb.server.logger import Logger
from rotomdb.storage.disk import Disk
from rotomdb.storage.rdb import REDIS_VERSION

OWN_DESCRIPTORS = 32  # files and sockets that are no clients

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


def configuration_page() -> str:
    """docs/configuration.md, from the table of directives."""
    lines = [
        "# Configuration\n\nGenerated from the table in `rotomdb/server/config.py` by "
        "`python -m rotomdb.server.main --configuration-page`; a test fails when it is stale.\n\n"
        "| directive | default | values | at run time | what it does |\n| --- | --- | --- | --- | --- |\n"
    ]
    for row in DIRECTIVES.values():
        mutable = "yes" if row.mutable else "no"
        kind = shown_kind(row).replace("|", "\\|")
        lines.append(f"| `{row.name}` | `{shown_default(row)}` | {kind} | {mutable} | {row.doc} |\n")
    return "".join(lines)


def read_config(words: list[str]) -> Config:
    """Configuration from the command line's words. Raises ConfigError."""
    config = Config()
    if words and words[0] != "-" and not words[0].startswith("--"):
        config.load_file(Path(words.pop(0)))
    if "-" in words:  # first, or behind overrides, as Redis takes it
        words.remove("-")
        config.load_text(sys.stdin.read(), "standard input")
        config.save_lines_seen = False
    config.load_words(words)
    return config


def disable_huge_pages() -> None:
    """Huge pages make a fork copy 2 MB where 4 KB were written."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE


def raise_descriptor_limit(config: Config, log: Logger) -> None:
    """Room for maxclients connections and our own files; with less, maxclients is lowered and the log says so."""
    wanted = config["maxclients"] + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft < wanted:
        config.values["maxclients"] = max(soft - OWN_DESCRIPTORS, 1)
        log(
            "warning",
            f"Current maximum open files is {soft}. maxclients has been reduced to {config['maxclients']} to compensate "
            "for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
        )


def enter_directory(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise ConfigError(f"'dir {path}': Can't chdir to '{path}': {error.strerror}") from None


def daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def main() -> None:
    words = sys.argv[1:]
    if words in (["-v"], ["--version"]):
        print(f"rotomdb-server v={__version__} redis={REDIS_VERSION} python={platform.python_version()} bits=64")
        return
    if words in (["-h"], ["--help"]):
        print(help_page(), end="")
        return
    if words == ["--configuration-page"]:
        print(configuration_page(), end="")
        return
    try:
        config = read_config(words)
        enter_directory(config["dir"])
        config.values["dir"] = str(Path.cwd())
    except ConfigError as error:
        sys.stderr.write(f"\n*** FATAL CONFIG FILE ERROR ***\n{error}\n")
        sys.exit(1)
    if config["daemonize"]:
        daemonize()
    sys.exit(serve(config))


def serve(config: Config, disk: Disk | None = None) -> int:
    """Run a server to its end; returns the exit status. `disk`: one that misbehaves, in tests."""
    from rotomdb.engine.memory import tune_allocator
    from rotomdb.server.server import Server

    tune_allocator()
    server = Server(config, disk=disk)
    log = server.log
    announce_start(config, log)
    for warning in config.warnings:
        log("warning", warning)
    server.crashes.install()
    raise_descriptor_limit(config, log)
    if config["disable-thp"]:
        disable_huge_pages()
    server.install_signals()
    announce_mode(config, log)
    warn_of_backlog(config, log)
    log("notice", "Server initialized")
    warn_of_overcommit(log)
    try:
        if not server.start():
            return server.exit_status
    except (FileFormatError, ManifestError) as error:
        log("warning", f"Fatal error loading the DB, check server logs. Exiting. {error}")
        log("warning", "hint: rotomdb-aof-check appendonlydir/appendonly.aof.manifest, or rotomdb-rdb check dump.rdb")
        return 1
    except (RotomError, OSError) as error:
        log("warning", f"{error}")
        return 1
    # What exists now lives as long as the server: keep the collector, and so a forked child, off its pages.
    gc.collect()
    gc.freeze()
    announce_ready(config, log)
    try:
        return server.run()
    except Exception as error:
        server.crashes.unhandled(error)


if __name__ == "__main__":
    main()
