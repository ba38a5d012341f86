"""`rotomdb-server`: command line, banner and start."""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from rotomdb import __version__
from rotomdb.errors import ConfigError, FileFormatError, ManifestError, RotomError
from rotomdb.server.announcing import announce_mode, announce_ready, announce_start, warn_of_backlog, warn_of_overcommit
from rotomdb.server.config import Config
from rotomdb.server.config_file import load_file, load_text, load_words
from rotomdb.server.configuration_page import configuration_page, help_page
from rotomdb.server.logger import Logger
from rotomdb.server.process import (
    OWN_DESCRIPTORS,
    apply_oom_scores,
    daemonize,
    descriptors_for,
    disable_huge_pages,
    processors,
    run_on,
    show_process_title,
    stop_for_upstart,
    supervisor,
    take_process,
    tell_systemd,
)
from rotomdb.storage.disk import Disk
from rotomdb.storage.rdb import REDIS_VERSION
from rotomdb.storage.way_on import Place, ways_on


def read_config(words: list[str]) -> Config:
    """Configuration from the command line's words: a file, standard input, overrides. Raises ConfigError."""
    config = Config()
    words = list(words)
    if words and not words[0].startswith("-"):
        load_file(config, Path(words.pop(0)))
    at = [i for i in (0, len(words) - 1) if words and words[i] == "-"]  # first, or behind overrides, as Redis takes it
    if at:
        words.pop(at[0])
        load_text(config, sys.stdin.buffer.read(), "standard input")
    load_words(config, words)
    config.check_users()
    return config


def enter_directory(config: Config) -> None:
    """Go to `dir`, which is absolute from now on. Raises ConfigError."""
    path = config["dir"]
    try:
        os.chdir(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"'dir {path}': Can't chdir to '{path}': {reason}") from None
    config.values["dir"] = str(Path.cwd())


def show_config_error(error: ConfigError) -> None:
    """In Redis's form, and with the name of the file behind it."""
    lines = [f"\n*** FATAL CONFIG FILE ERROR (rotomdb {__version__}, Redis {REDIS_VERSION}) ***"]
    if error.line:
        lines += [f"Reading the configuration file, at line {error.line}", f">>> '{error.text}'"]
    lines.append(error.reason)
    if error.source:
        lines.append(f"({error.source}:{error.line})")
    sys.stderr.write("\n".join(lines).encode("utf-8", "backslashreplace").decode() + "\n")


def prepare_process(config: Config, log: Logger) -> None:
    """Bring the process in line with the configuration, as far as the system lets us."""
    possible = descriptors_for(config["maxclients"])
    if possible < config["maxclients"]:
        log(
            "warning",
            f"Current maximum open files is {possible + OWN_DESCRIPTORS}. maxclients has been reduced to {possible} to "
            "compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.",
        )
        config.values["maxclients"] = possible
    if config["disable-thp"]:
        disable_huge_pages()
    for name in ("bio-cpulist", "aof-rewrite-cpulist", "bgsave-cpulist"):
        if processors(config[name]) is None:
            log("warning", f"'{name}' has no effect: it is no list of processors")
    if not run_on(config["server-cpulist"]):
        log("warning", "'server-cpulist' has no effect: it is no list of processors that are here")
    take_process()
    show_process_title(config)
    try:
        apply_oom_scores(config)
    except OSError as error:
        log("warning", f"Unable to write oom_score_adj: {error.strerror}")


def main() -> None:
    words = sys.argv[1:]
    if words in (["-v"], ["--version"]):
        print(f"rotomdb-server v={__version__} redis={REDIS_VERSION} python={platform.python_version()} bits=64")
        return
    if words in (["-h"], ["--help"]):
        print(help_page(), end="")
        return
    if words[:1] in (["--test-memory"], ["--check-system"]):
        sys.exit(f"{words[0]} is not part of rotomdb-server; redis-server {' '.join(words)} does it")
    if words == ["--configuration-page"]:
        print(configuration_page(), end="")
        return
    try:
        config = read_config(words)
        enter_directory(config)
    except ConfigError as error:
        show_config_error(error)
        sys.exit(1)
    if supervisor(config) == "upstart":
        stop_for_upstart()
    if config["daemonize"] and supervisor(config) == "no":
        daemonize()
    sys.exit(serve(config))


def system_log(config: Config) -> Callable[[str, str], None]:
    """What a line of the log goes to besides its own place."""
    import syslog

    syslog.openlog(
        config["syslog-ident"],
        syslog.LOG_PID | syslog.LOG_NDELAY,
        getattr(syslog, f"LOG_{config['syslog-facility'].upper()}"),
    )
    levels = {"debug": syslog.LOG_DEBUG, "verbose": syslog.LOG_INFO, "notice": syslog.LOG_NOTICE}
    return lambda level, message: syslog.syslog(levels.get(level, syslog.LOG_WARNING), message)


def serve(config: Config, disk: Disk | None = None) -> int:
    """Run a server to its end; returns the exit status. `disk`: one that misbehaves, in tests."""
    from rotomdb.engine.memory import tune_allocator
    from rotomdb.server.server import Server

    tune_allocator()
    server = Server(config, disk=disk)
    log = server.log
    if config["syslog-enabled"]:
        log.also = system_log(config)
    announce_start(config, log)
    for warning in config.warnings:
        log("warning", warning)
    server.crashes.install()
    prepare_process(config, log)
    if not config["port"] and not config["tls-port"] and not config["unixsocket"]:
        log("warning", "Configured to not listen anywhere, exiting.")
        return 1
    tell_systemd(config, "STATUS=Loading data...\n")
    server.install_signals()
    announce_mode(config, log)
    warn_of_backlog(config, log)
    warn_of_overcommit(log)
    try:
        if not server.start():
            return server.exit_status
    except RotomError as error:
        of_a_file = isinstance(error, FileFormatError | ManifestError)
        log("warning", f"{'Fatal error loading the DB, check server logs. Exiting. ' if of_a_file else ''}{error}")
        persistence = server.persistence
        options = persistence.aof.options
        for way in ways_on(error, Place(options.directory, options.log_place, persistence.snapshot_path)):
            log("warning", f"hint: {way}")
        return 1
    except OSError as error:
        log("warning", f"{error}")
        return 1
    # What exists now lives as long as the server: keep the collector, and so a forked child, off its pages.
    gc.collect()
    gc.freeze()
    announce_ready(config, log)
    tell_systemd(config, "STATUS=Ready to accept connections\nREADY=1\n")
    try:
        return server.run()
    except Exception as error:
        server.crashes.unhandled(error)
    finally:
        tell_systemd(config, "STOPPING=1\n")


if __name__ == "__main__":
    main()
