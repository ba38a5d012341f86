"""What the log says at the start, in Redis's words where scripts look for them: versions, mode, advice about the system."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from rotomdb import __version__
from rotomdb.server.config import Config
from rotomdb.server.logger import Logger
from rotomdb.storage.rdb import REDIS_VERSION

LOGO = r"""
   ______      rotomdb {version} (64 bit), compatible with Redis {redis}
  / ,--. \
 | | () | |    Running in standalone mode
 |  `--'  |    Port: {port}
  \______/     PID: {pid}

"""


def announce_start(config: Config, log: Logger) -> None:
    """Who this is. It comes before the server is one, so that the role is C, as in Redis."""
    log.pid = 0
    log("notice", "oO0OoO0OoO0Oo rotomdb is starting oO0OoO0OoO0Oo")
    log(
        "notice",
        f"rotomdb version={__version__}, redis={REDIS_VERSION}, bits=64, commit=00000000, modified=0, pid={os.getpid()}, "
        "just started",
    )
    if config.path is None and not config.given:
        log(
            "warning",
            "Warning: no config file specified, using the default config. In order to specify a config file use "
            f"{Path(sys.argv[0]).name} /path/to/redis.conf",
        )
    else:
        log("notice", "Configuration loaded")
    log.pid = os.getpid()
    log("notice", "monotonic clock: POSIX clock_gettime")


def announce_mode(config: Config, log: Logger) -> None:
    """The drawing where somebody looks on, else a line."""
    if config["always-show-logo"] or (not config["logfile"] and log.also is None and sys.stdout.isatty()):
        log.write(
            LOGO.format(
                version=__version__, redis=REDIS_VERSION, port=config["port"] or config["tls-port"], pid=os.getpid()
            )
        )
    else:
        log("notice", f"Running mode=standalone, port={config['port'] or config['tls-port']}.")


def announce_ready(config: Config, log: Logger) -> None:
    if config["port"]:
        log("notice", "Ready to accept connections tcp")
    if config["tls-port"]:
        log("notice", "Ready to accept connections tls")
    if config["unixsocket"]:
        log("notice", f"The server is now ready to accept connections at {config['unixsocket']}")


def system_value(path: str) -> int | None:
    """A number that the kernel shows; None where it does not."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path(path).read_text())
    return None


def warn_of_backlog(config: Config, log: Logger) -> None:
    longest = system_value("/proc/sys/net/core/somaxconn")
    if longest is not None and 0 < longest < config["tcp-backlog"]:
        log(
            "warning",
            f"WARNING: The TCP backlog setting of {config['tcp-backlog']} cannot be enforced because "
            f"/proc/sys/net/core/somaxconn is set to the lower value of {longest}.",
        )


def warn_of_overcommit(log: Logger) -> None:
    if system_value("/proc/sys/vm/overcommit_memory") in (0, 2):
        log(
            "warning",
            "WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail under low "
            "memory condition. To fix this issue add 'vm.overcommit_memory = 1' to /etc/sysctl.conf and then reboot or run "
            "the command 'sysctl vm.overcommit_memory=1' for this to take effect.",
        )
