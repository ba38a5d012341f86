"""Configuration: one table of directives feeds files, the command line, CONFIG, `--help` and the docs.

Sources, later ones winning: defaults, a redis.conf file (or standard input, or a TOML file), `--directive value` words.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotomdb.errors import ConfigError
from rotomdb.server.event_classes import classes_text, parse_classes
from rotomdb.server.foreign_directives import FOREIGN
from rotomdb.storage.request import split_arguments

UNITS = {
    "": 1, "b": 1, "k": 1000, "kb": 1024, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30, "t": 10**12,
    "tb": 1 << 40,
}  # fmt: skip
INCLUDE_DEPTH_MAX = 16


class Kind(enum.Enum):
    """What a directive's words mean."""

    BOOL = "yes|no"
    INT = "number"
    MEMORY = "bytes (kb, mb, gb)"
    STRING = "text"
    ENUM = "one of"
    SAVE = "seconds changes ..."
    WORDS = "words"
    OCTAL = "octal number"
    BUFFER_LIMITS = "class hard soft seconds ..."
    EVENTS = "letters"
    SHARE = "bytes or percent"


@dataclass(frozen=True)
class Directive:
    """A row of the table. `low` and `high` bound numbers, both inclusive."""

    name: str
    kind: Kind
    default: Any
    doc: str
    mutable: bool = True
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = (1 << 63) - 1
    secret: bool = False


def yes(name: str, default: bool, doc: str, mutable: bool = True) -> Directive:
    return Directive(name, Kind.BOOL, default, doc, mutable)


def number(
    name: str, default: int, doc: str, low: int = 0, high: int = (1 << 63) - 1, mutable: bool = True
) -> Directive:
    return Directive(name, Kind.INT, default, doc, mutable, low=low, high=high)


def memory(name: str, default: int, doc: str, low: int = 0) -> Directive:
    return Directive(name, Kind.MEMORY, default, doc, low=low)


def text(name: str, default: str, doc: str, mutable: bool = True, secret: bool = False) -> Directive:
    return Directive(name, Kind.STRING, default, doc, mutable, secret=secret)


def choice(name: str, default: str, choices: str, doc: str, mutable: bool = True) -> Directive:
    return Directive(name, Kind.ENUM, default, doc, mutable, tuple(choices.split()))


INT_MAX = (1 << 31) - 1
DEFAULT_SAVE_POINTS = ((3600, 1), (300, 100), (60, 10000))
DEFAULT_BUFFER_LIMITS = {"normal": (0, 0, 0), "slave": (268435456, 67108864, 60), "pubsub": (33554432, 8388608, 60)}

DIRECTIVES: dict[str, Directive] = {
    row.name: row
    for row in (
        # Network
        Directive("bind", Kind.WORDS, ("*", "-::*"), "Addresses to listen on; `-` before one: skip it when unavailable.", False),
        number("port", 6379, "TCP port; 0 listens on no TCP port.", 0, 65535, mutable=False),
        number("tcp-backlog", 511, "Length of the queue of connections to accept.", mutable=False),
        yes("protected-mode", True, "Without a password, serve only this machine."),
        text("unixsocket", "", "Path of a unix socket to listen on.", mutable=False),
        Directive("unixsocketperm", Kind.OCTAL, 0, "Permissions of the unix socket.", False, high=0o777),
        number("timeout", 0, "Close connections idle for so many seconds; 0: never.", high=INT_MAX),
        number("tcp-keepalive", 300, "Seconds between TCP keep-alive probes; 0: none.", high=INT_MAX),
        number("maxclients", 10000, "Connections served at once.", 1, INT_MAX),
        memory("proto-max-bulk-len", 512 << 20, "Longest argument of a request.", 1 << 20),
        memory("client-query-buffer-limit", 1 << 30, "Longest unfinished request.", 1 << 20),
        Directive("client-output-buffer-limit", Kind.BUFFER_LIMITS, DEFAULT_BUFFER_LIMITS,
                  "Close clients that do not read their replies: hard bytes, soft bytes, soft seconds."),
        text("requirepass", "", "Password of the default user.", secret=True),
        # General
        number("databases", 16, "Number of databases.", 1, 1 << 20, mutable=False),
        number("hz", 10, "Background tasks run so many times a second.", 1, 500),
        yes("dynamic-hz", True, "Raise hz with many clients."),
        yes("daemonize", False, "Run in the background.", mutable=False),
        text("pidfile", "", "File to write the process id to.", mutable=False),
        choice("loglevel", "notice", "debug verbose notice warning nothing", "What the log contains."),
        text("logfile", "", "Log file; empty: standard output.", mutable=False),
        yes("crash-log-enabled", True, "Write a report into the log when the server crashes."),
        yes("always-show-logo", False, "Print the banner even when the log is not a terminal.", mutable=False),
        text("dir", "./", "Directory of all data files."),
        number("shutdown-timeout", 10, "Seconds to wait for lagging replicas at shutdown."),
        choice("shutdown-on-sigterm", "default", "default save nosave now force", "What SIGTERM does."),
        choice("shutdown-on-sigint", "default", "default save nosave now force", "What SIGINT does."),
        choice("enable-debug-command", "yes", "yes no local", "Whether DEBUG is served.", mutable=False),
        yes("disable-thp", True, "Turn transparent huge pages off for this process.", mutable=False),
        # Snapshots
        Directive("save", Kind.SAVE, DEFAULT_SAVE_POINTS, "Save points: after so many seconds with so many changes."),
        text("dbfilename", "dump.rdb", "Name of the snapshot in dir."),
        yes("rdbcompression", True, "Compress strings in snapshots (LZF)."),
        yes("rdbchecksum", True, "Write and verify the CRC64 of snapshots."),
        yes("rdb-save-incremental-fsync", True, "Sync a snapshot every 4 MB while it is written."),
        yes("rdb-verify-after-save", False, "Read every snapshot back before it replaces the one before."),
        yes("stop-writes-on-bgsave-error", True, "Refuse writes while snapshots fail."),
        number("key-load-delay", 0, "Microseconds to wait after each key that is loaded (for tests).", -INT_MAX, INT_MAX),
        number("rdb-key-save-delay", 0, "Microseconds to wait after each key of a snapshot (for tests).", -INT_MAX),
        # Append-only file
        yes("appendonly", True, "Log every write (Redis's default is no)."),
        choice("appendfsync", "everysec", "always everysec no", "When logged writes reach the disk."),
        text("appendfilename", "appendonly.aof", "Name, or prefix of the names, of the log files.", mutable=False),
        text("appenddirname", "appendonlydir", "Directory of the log files inside dir.", mutable=False),
        choice("aof-layout", "multi", "multi single", "Directory with manifest (Redis 7) or one file (Redis 6).", mutable=False),
        yes("aof-checksum", True, "Write #CRC64 annotations into the log, and verify them when loading."),
        yes("aof-timestamp-enabled", False, "Write #TS annotations into the log."),
        yes("no-appendfsync-on-rewrite", False, "Do not sync the log while a child writes to the disk."),
        yes("aof-load-truncated", True, "Cut a torn end of the log at start-up, keeping what was cut beside it."),
        choice("aof-load-corrupt", "ask-fail", "ask-fail quarantine",
               "Damage inside the log at start-up: refuse and say what to do, or go on without it and keep it beside."),
        memory("aof-load-corrupt-tail-max-size", 0, "Bytes at the end of the log that may hold anything and are cut."),
        choice("aof-disk-error-action", "stop-writes", "stop-writes exit",
               "With `appendfsync always`, when the log cannot be written: refuse writes until it can, or end."),
        choice("load-from", "auto", "auto aof rdb", "Where log and snapshot differ: what provably holds more, or the one named.", mutable=False),
        text("backup-dir", "backups", "Where BACKUP puts backups; relative: inside dir."),
        number("backup-keep", 0, "Backups to keep, the oldest go; 0: all."),
        number("backup-keep-days", 0, "Days that backups are kept; 0: for ever."),
        memory("disk-reserve", 4 << 20, "Bytes kept free for the log's last writes on a full disk; 0: none."),
        memory("disk-free-warning", 256 << 20, "Warn when the disk has less room than this."),
        yes("aof-use-rdb-preamble", True, "Write the base of a rewritten log as RDB."),
        yes("aof-rewrite-incremental-fsync", True, "Sync a rewrite every 4 MB while it is written."),
        yes("aof-disable-auto-gc", False, "Keep superseded log files."),
        number("auto-aof-rewrite-percentage", 100, "Rewrite the log when it has grown by so much; 0: never.", high=INT_MAX),
        memory("auto-aof-rewrite-min-size", 64 << 20, "Smallest log that is rewritten automatically."),
        # Encodings
        number("hash-max-listpack-entries", 512, "Fields that a packed hash may have.", high=INT_MAX),
        number("hash-max-listpack-value", 64, "Longest field or value of a packed hash.", high=INT_MAX),
        number("set-max-intset-entries", 512, "Members that a packed set of integers may have.", high=INT_MAX),
        number("set-max-listpack-entries", 128, "Members that a packed set may have.", high=INT_MAX),
        number("set-max-listpack-value", 64, "Longest member of a packed set.", high=INT_MAX),
        number("zset-max-listpack-entries", 128, "Members that a packed sorted set may have.", high=INT_MAX),
        number("zset-max-listpack-value", 64, "Longest member of a packed sorted set.", high=INT_MAX),
        number("list-max-listpack-size", -2, "Elements per list node, or -1 to -5 for 4 to 64 KB.", -5, INT_MAX),
        memory("stream-node-max-bytes", 4096, "Bytes that a stream node may have; 0: no limit."),
        number("stream-node-max-entries", 100, "Entries that a stream node may have; 0: no limit."),
        number("list-compress-depth", 0, "Accepted; list nodes are not compressed in memory.", high=INT_MAX),
        number("hll-sparse-max-bytes", 3000, "Longest sparse HyperLogLog; a longer one becomes dense."),
        # Observation
        number("latency-monitor-threshold", 0, "Record events that take so many ms; 0: none."),
        yes("latency-tracking", True, "Keep a histogram of how long each command takes."),
        Directive("latency-tracking-info-percentiles", Kind.WORDS, ("50", "99", "99.9"), "Percentiles in INFO latencystats."),
        number("tracking-table-max-keys", 1_000_000, "Keys remembered for client-side caching; 0: no limit."),
        Directive("notify-keyspace-events", Kind.EVENTS, "", "Keyspace events to publish: K, E and classes of g$lshzxetdnm; A."),
        number("slowlog-log-slower-than", 10000, "Microseconds from which a command is logged; negative: none.", -INT_MAX),
        number("slowlog-max-len", 128, "Entries that the slow log keeps.", high=INT_MAX),
        # Expiry
        number("active-expire-effort", 1, "How hard to look for expired keys.", 1, 10),
        memory("maxmemory", 0, "Bytes that the data may take; 0: no limit."),
        number("maxmemory-samples", 5, "Keys looked at for each eviction.", 1, 64),
        number("maxmemory-eviction-tenacity", 10, "How long a command may evict: 0 briefly, 100 until it fits.", 0, 100),
        Directive("maxmemory-clients", Kind.SHARE, "0", "Bytes that all connections may take, or a share of maxmemory in %."),
        number("lfu-log-factor", 10, "How slowly the counter of LFU policies grows.", high=INT_MAX),
        number("lfu-decay-time", 1, "Minutes after which it falls by one; 0: never.", high=INT_MAX),
        yes("lazyfree-lazy-user-flush", False, "FLUSHALL and FLUSHDB free in the background unless SYNC is given."),
        yes("lazyfree-lazy-user-del", True, "Accepted: large values are always freed bit by bit."),
        yes("lazyfree-lazy-server-del", True, "Accepted: large values are always freed bit by bit."),
        yes("lazyfree-lazy-expire", True, "Accepted: large values are always freed bit by bit."),
        yes("lazyfree-lazy-eviction", True, "Accepted: large values are always freed bit by bit."),
        choice("maxmemory-policy", "noeviction",
               "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction",
               "Which keys give way when maxmemory is reached."),
    )
}  # fmt: skip

ALIASES = {
    "hash-max-ziplist-entries": "hash-max-listpack-entries", "hash-max-ziplist-value": "hash-max-listpack-value",
    "zset-max-ziplist-entries": "zset-max-listpack-entries", "zset-max-ziplist-value": "zset-max-listpack-value",
    "list-max-ziplist-size": "list-max-listpack-size",
}  # fmt: skip


def parse_memory(word: str) -> int:
    """`64mb` as bytes. Raises ValueError."""
    digits = word.rstrip("bkmgtBKMGT")
    unit = word[len(digits) :].lower()
    if not digits.isdigit() or unit not in UNITS:
        raise ValueError("argument must be a memory value")
    return int(digits) * UNITS[unit]


def parse_value(directive: Directive, words: list[str]) -> Any:
    """The value that the words give. Raises ValueError with Redis's reason."""
    if directive.kind is Kind.SAVE:
        return parse_save_points(words)
    if directive.kind is Kind.WORDS:
        return tuple(word for group in words for word in group.split())
    if directive.kind is Kind.BUFFER_LIMITS:
        return parse_buffer_limits(words)
    if len(words) != 1:
        raise ValueError("wrong number of arguments")
    word = words[0]
    if directive.kind is Kind.EVENTS:
        return parse_classes(word)
    if directive.kind is Kind.SHARE:
        share = word.endswith("%") and word[:-1].isdigit() and int(word[:-1]) <= 100
        return word if share else str(parse_memory(word))
    if directive.kind is Kind.BOOL:
        if word.lower() not in ("yes", "no"):
            raise ValueError("argument must be 'yes' or 'no'")
        return word.lower() == "yes"
    if directive.kind is Kind.ENUM:
        if word.lower() not in directive.choices:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(directive.choices)}")
        return word.lower()
    if directive.kind is Kind.STRING:
        return word
    if directive.kind is Kind.MEMORY:
        value = parse_memory(word)
    else:
        try:
            value = int(word, 8 if directive.kind is Kind.OCTAL else 10)
        except ValueError:
            raise ValueError("argument couldn't be parsed into an integer") from None
    if not directive.low <= value <= directive.high:
        raise ValueError(f"argument must be between {directive.low} and {directive.high} inclusive")
    return value


def parse_save_points(words: list[str]) -> tuple[tuple[int, int], ...]:
    parts = [part for word in words for part in word.split()]
    if len(parts) % 2 or not all(part.isdigit() for part in parts):
        raise ValueError("Invalid save parameters")
    points = tuple((int(parts[i]), int(parts[i + 1])) for i in range(0, len(parts), 2))
    if any(seconds < 1 for seconds, _ in points):
        raise ValueError("Invalid save parameters")
    return points


def parse_buffer_limits(words: list[str]) -> dict[str, tuple[int, int, int]]:
    parts = [part for word in words for part in word.split()]
    if not parts or len(parts) % 4:
        raise ValueError("Wrong number of arguments in buffer limit configuration.")
    limits = {}
    for i in range(0, len(parts), 4):
        name = {"replica": "slave"}.get(parts[i].lower(), parts[i].lower())
        if name not in DEFAULT_BUFFER_LIMITS:
            raise ValueError("Invalid client class specified in buffer limit configuration.")
        try:
            limits[name] = (parse_memory(parts[i + 1]), parse_memory(parts[i + 2]), int(parts[i + 3]))
        except ValueError:
            raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.") from None
    return limits


def format_value(directive: Directive, value: Any) -> str:
    """The value as CONFIG GET prints it."""
    if directive.kind is Kind.BOOL:
        return "yes" if value else "no"
    if directive.kind is Kind.SAVE:
        return " ".join(f"{seconds} {changes}" for seconds, changes in value)
    if directive.kind is Kind.WORDS:
        return " ".join(value)
    if directive.kind is Kind.EVENTS:
        return classes_text(value)
    if directive.kind is Kind.OCTAL:
        return f"{value:o}"
    if directive.kind is Kind.BUFFER_LIMITS:
        return " ".join(f"{name} {hard} {soft} {seconds}" for name, (hard, soft, seconds) in value.items())
    return str(value)


class Config:
    """The values in force. `path` is the file that CONFIG REWRITE writes to."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {name: row.default for name, row in DIRECTIVES.items()}
        self.path: Path | None = None
        self.warnings: list[str] = []
        self.changed: set[str] = set()
        self.save_lines_seen = False

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def apply(self, name: str, words: list[str], where: str) -> None:
        """Set one directive. Raises ConfigError, which names `where`."""
        name = name.lower()
        name = ALIASES.get(name, name)
        if name in FOREIGN:
            self.warnings.append(f"{where}: directive '{name}' is not supported and has no effect")
            return
        directive = DIRECTIVES.get(name)
        if directive is None:
            raise ConfigError(f"{where}: Bad directive or wrong number of arguments: '{name}'")
        try:
            value = parse_value(directive, words)
        except ValueError as error:
            raise ConfigError(f"{where}: '{name} {' '.join(words)}': {error}") from None
        if directive.kind is Kind.SAVE and self.save_lines_seen and value:
            value = self.values["save"] + value  # several `save` lines add up
        if directive.kind is Kind.SAVE:
            self.save_lines_seen = bool(value)
        if directive.kind is Kind.BUFFER_LIMITS:
            value = {**self.values[name], **value}
        self.values[name] = value
        self.changed.add(name)

    def set(self, name: str, word: str) -> Any:
        """CONFIG SET of one directive: the parsed value, not yet in force. Raises ConfigError."""
        name = ALIASES.get(name, name)
        directive = DIRECTIVES.get(name)
        if directive is None:
            raise ConfigError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        if not directive.mutable:
            raise ConfigError(
                f"ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
            )
        try:
            value = parse_value(directive, [word])
        except ValueError as error:
            raise ConfigError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {error}") from None
        return {**self.values[name], **value} if directive.kind is Kind.BUFFER_LIMITS else value

    def get(self, name: str) -> str:
        return format_value(DIRECTIVES[name], self.values[name])

    # Sources

    def load_text(self, content: str, source: str, depth: int = 0) -> None:
        """Lines of a redis.conf. Raises ConfigError with source and line."""
        for line_number, line in enumerate(content.splitlines(), start=1):
            stripped = line.strip()
            if not stripped or stripped.startswith("#"):
                continue
            where = f"{source}:{line_number}"
            words = split_arguments(stripped.encode())
            if words is None:
                raise ConfigError(f"{where}: Unbalanced quotes in configuration line")
            name, *arguments = (word.decode("utf-8", "surrogateescape") for word in words)
            if name.lower() == "include":
                if depth == INCLUDE_DEPTH_MAX:
                    raise ConfigError(f"{where}: includes are nested too deeply")
                for pattern in arguments:
                    self.include(pattern, where, depth + 1)
                continue
            if not arguments:
                raise ConfigError(f"{where}: Bad directive or wrong number of arguments: '{name}'")
            self.apply(name, arguments, where)

    def include(self, pattern: str, where: str, depth: int) -> None:
        path = Path(pattern)
        paths = sorted(path.parent.glob(path.name)) if any(c in pattern for c in "*?[") else [path]
        for included in paths:
            try:
                content = included.read_text("utf-8", "surrogateescape")
            except OSError as error:
                raise ConfigError(f"{where}: can't read included file '{included}': {error.strerror}") from None
            self.load_text(content, str(included), depth)

    def load_toml(self, content: str, source: str) -> None:
        """A TOML table of directives; values are strings, numbers, booleans or lists of them."""
        try:
            table = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{source}: {error}") from None
        for name, value in table.items():
            self.apply(name, list(toml_words(value)), f"{source}: {name}")

    def load_file(self, path: Path) -> None:
        try:
            content = path.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigError(f"{path}: can't open config file: {error.strerror}") from None
        if path.suffix == ".toml":
            self.load_toml(content, str(path))
        else:
            self.load_text(content, str(path))
        self.path = path.resolve()
        self.save_lines_seen = False

    def load_words(self, words: list[str]) -> None:
        """`--directive value ...` words of the command line."""
        at = 0
        while at < len(words):
            if not words[at].startswith("--"):
                raise ConfigError(f"command line: '{words[at]}' is no directive; directives begin with --")
            name = words[at][2:]
            end = at + 1
            while end < len(words) and not words[end].startswith("--"):
                end += 1
            arguments = words[at + 1 : end]
            if not arguments:
                raise ConfigError(f"command line: Bad directive or wrong number of arguments: '{name}'")
            self.apply(name, arguments, "command line")
            at = end

    # CONFIG REWRITE

    def rewritten(self, content: str) -> str:
        """The file's text with the values in force: known lines replaced in place, others kept, changes appended."""
        written: set[str] = set()
        lines: list[str] = []
        for line in content.splitlines():
            words = split_arguments(line.strip().encode()) or []
            name = words[0].decode().lower() if words and not line.lstrip().startswith("#") else ""
            name = ALIASES.get(name, name)
            if name not in DIRECTIVES:
                lines.append(line)
            elif name not in written:
                written.add(name)
                lines += self.config_lines(name)
        missing = [name for name, row in DIRECTIVES.items() if name not in written and self.values[name] != row.default]
        if missing and "# Generated by CONFIG REWRITE" not in lines:
            lines.append("# Generated by CONFIG REWRITE")
        for name in missing:
            lines += self.config_lines(name)
        return "\n".join(lines) + "\n"

    def config_lines(self, name: str) -> Iterator[str]:
        value = self.values[name]
        if name == "save":
            yield from (f"save {seconds} {changes}" for seconds, changes in value) if value else ['save ""']
        elif name == "client-output-buffer-limit":
            yield from (f"{name} {kind} {hard} {soft} {seconds}" for kind, (hard, soft, seconds) in value.items())
        elif DIRECTIVES[name].kind in (Kind.STRING, Kind.EVENTS):
            yield f'{name} "{self.get(name)}"'
        else:
            yield f"{name} {self.get(name)}"


def toml_words(value: object) -> Iterable[str]:
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, list):
        return [word for item in value for word in toml_words(item)]
    return [str(value)]


OnChange = Callable[[Any], None]
