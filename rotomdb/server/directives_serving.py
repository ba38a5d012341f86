"""Directives of the process, its sockets and clients, and of what it lets be seen: all of them do something, or say why not."""

from __future__ import annotations

import re
from typing import Any

from rotomdb.server.directives import INT_MAX, UINT_MAX, Directive, Kind, choice, memory, number, path, table, text, yes

DEFAULT_BUFFER_LIMITS = {"normal": (0, 0, 0), "slave": (268435456, 67108864, 60), "pubsub": (33554432, 8388608, 60)}
ALLOW = "no yes local"
TITLE_VARIABLES = ("title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file")
SIGNAL_WORDS = "default save nosave now force"
BIND_MAX = 16
HZ_MIN, HZ_MAX = 1, 500
ONE_THREAD = "one thread serves all clients"
LIBC = "memory comes from libc, not from jemalloc"
CHILDREN = "saves and rewrites run in forked children of the server"


def check_title(template: str) -> str:
    shown = template.replace("{title}", "").replace("{server-mode}", "").strip()  # these may be empty
    rest = re.sub("|".join(rf"\{{{name}\}}" for name in TITLE_VARIABLES), "", template)
    bad = not shown or "{" in rest or "}" in rest
    return "template format is invalid or contains unknown variables" if bad else ""


def check_signal_words(words: tuple[str, ...]) -> str:
    both = "save" in words and "nosave" in words
    return "shutdown options SAVE and NOSAVE can't be used simultaneously" if both else ""


def check_bind(addresses: tuple[str, ...]) -> str:
    return "Too many bind addresses specified." if len(addresses) > BIND_MAX else ""


def on_signal(name: str, doc: str) -> Directive:
    return Directive(name, Kind.FLAGS, ("default",), doc, choices=tuple(SIGNAL_WORDS.split()), check=check_signal_words)


def cpus(name: str, *aliases: str) -> Directive:
    return text(name, "", "Processors that may be used: `0-3,8` or `0-7:2`.", mutable=False).also(*aliases)


def check_defragmentation(wanted: Any) -> str:
    return (
        "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc like the one "
        "shipped by default with the Redis source distribution"
        if wanted
        else ""
    )


SERVING = table((
    # Network
    Directive("bind", Kind.WORDS, ("*", "-::*"), "Addresses to listen on; `-` before one: skip it when unavailable.",
              check=check_bind),
    text("bind-source-addr", "", "Address that outgoing connections come from.").without_effect(
        "outgoing connections are made by MIGRATE only, which leaves the address to the system"),
    number("port", 6379, "TCP port; 0 listens on no TCP port.", 0, 65535),
    number("tcp-backlog", 511, "Length of the queue of connections to accept.", high=INT_MAX, mutable=False),
    yes("protected-mode", True, "Without a password, serve only this machine."),
    path("unixsocket", "", "Path of a unix socket to listen on.", mutable=False),
    Directive("unixsocketperm", Kind.OCTAL, 0, "Permissions of the unix socket.", False, high=0o777),
    text("unixsocketgroup", "", "Group that the unix socket belongs to.", mutable=False),
    number("socket-mark-id", 0, "Mark (SO_MARK) of the listening sockets; 0: none.", high=UINT_MAX, mutable=False),
    yes("mptcp", False, "Multipath TCP.", mutable=False).refused("multipath TCP is not supported"),
    number("timeout", 0, "Close connections idle for so many seconds; 0: never.", high=INT_MAX),
    number("tcp-keepalive", 300, "Seconds between TCP keep-alive probes; 0: none.", high=INT_MAX),
    number("maxclients", 10000, "Connections served at once.", 1, UINT_MAX),
    number("max-new-connections-per-cycle", 10, "Connections accepted in one turn.", 1, 1000).without_effect(
        "all that wait are accepted, a thousand in one turn"),
    memory("proto-max-bulk-len", 512 << 20, "Longest argument of a request.", 1 << 20),
    memory("client-query-buffer-limit", 1 << 30, "Longest unfinished request.", 1 << 20),
    Directive("client-output-buffer-limit", Kind.BUFFER_LIMITS, DEFAULT_BUFFER_LIMITS,
              "Close clients that do not read their replies: hard bytes, soft bytes, soft seconds."),
    number("io-threads", 1, "Threads that read and write.", 1, 128, mutable=False).without_effect(ONE_THREAD),
    yes("io-threads-do-reads", False, "Read in these threads, too.", mutable=False).without_effect(ONE_THREAD),
    number("events-per-io-thread", 2, "Events that wake another one up.", 0, INT_MAX).unlisted().without_effect(ONE_THREAD),
    number("prefetch-batch-max-size", 16, "Keys looked up ahead together.", 0, 128).without_effect(ONE_THREAD),
    number("lookahead", 16, "Requests parsed ahead of the running one.", 1, INT_MAX).without_effect(
        "all requests that have arrived are parsed"),
    number("client-default-resp", 2, "Protocol of new connections.", 2, 3, mutable=False).unlisted().refused(
        "connections begin with RESP2"),
    # Access
    text("requirepass", "", "Password of the default user.", secret=True),
    path("aclfile", "", "File of users, in place of `user` lines.", mutable=False),
    choice("acl-pubsub-default", "resetchannels", "allchannels resetchannels", "Channels of new users."),
    number("acllog-max-len", 128, "Entries of ACL LOG."),
    choice("enable-debug-command", "no", ALLOW, "Whether DEBUG is served; `local`: to this machine.", mutable=False),
    choice("enable-module-command", "no", ALLOW, "Whether MODULE may load; there are no modules.", mutable=False),
    choice("enable-protected-configs", "no", ALLOW,
           "Whether CONFIG SET may change `dir`, `dbfilename` and `backup-dir`; `local`: from this machine.", mutable=False),
    # Process
    number("databases", 16, "Number of databases.", 1, INT_MAX, mutable=False),
    number("hz", 10, "Background tasks run so many times a second (1 to 500).", 0, INT_MAX).standing_for(
        lambda hz: min(max(hz, HZ_MIN), HZ_MAX)),
    yes("dynamic-hz", True, "Raise hz with many clients."),
    yes("daemonize", False, "Run in the background.", mutable=False),
    choice("supervised", "no", "upstart systemd auto no", "Tell the service manager that the server is ready.", mutable=False),
    path("pidfile", "", "File to write the process id to; with daemonize by default /var/run/redis.pid.", mutable=False),
    yes("set-proc-title", True, "Show what the process does in `ps`.", mutable=False),
    text("proc-title-template", "{title} {listen-addr} {server-mode}", "What it shows.").checked(check_title),
    choice("oom-score-adj", "no", "no yes relative absolute", "Adjust how likely the system kills the process without memory.")
    .standing_for(lambda mode: "yes" if mode == "relative" else mode),
    Directive("oom-score-adj-values", Kind.SCORES, (0, 200, 800), "By how much: as master, as replica, in a child."),
    yes("disable-thp", True, "Turn transparent huge pages off for this process.", mutable=False),
    cpus("server-cpulist", "server_cpulist"),
    cpus("bio-cpulist", "bio_cpulist"),
    cpus("aof-rewrite-cpulist", "aof_rewrite_cpulist"),
    cpus("bgsave-cpulist", "bgsave_cpulist"),
    text("ignore-warnings", "", "Warnings of the system not to stop for.").without_effect(
        "the server does not refuse to start because of the system that it runs on"),
    text("locale-collate", "", "Locale that SORT ALPHA compares by.").without_effect("SORT ALPHA compares bytes"),
    number("shutdown-timeout", 10, "Seconds to wait for lagging replicas at shutdown.", high=INT_MAX).without_effect(
        "there are no replicas to wait for"),
    on_signal("shutdown-on-sigterm", "What SIGTERM does."),
    on_signal("shutdown-on-sigint", "What SIGINT does."),
    yes("crash-log-enabled", True, "Write a report to the log when the process crashes."),
    yes("crash-memcheck-enabled", True, "Test the memory after a crash.").without_effect("memory is not tested after a crash"),
    yes("use-exit-on-panic", False, "End by exit, not by abort, after a panic.").unlisted().without_effect("there are no panics"),
    yes("enable-debug-assert", False, "Check more.").unlisted().fixed().also("debug-assert-enabled").without_effect(
        "such checks are part of debug builds"),
    number("watchdog-period", 0, "Milliseconds after which a stack trace is logged.", high=INT_MAX).unlisted().without_effect(
        "there is no watchdog"),
    # The log
    choice("loglevel", "notice", "debug verbose notice warning nothing", "What the log contains."),
    path("logfile", "", "Log file; empty: standard output.", mutable=False),
    yes("syslog-enabled", False, "Log to the system log, too.", mutable=False),
    text("syslog-ident", "redis", "Name under which it does.", mutable=False),
    choice("syslog-facility", "local0", "user local0 local1 local2 local3 local4 local5 local6 local7", "Where to.", False),
    choice("log-format", "legacy", "legacy logfmt", "Form of a line of the log.").without_effect("the log has Redis's form"),
    choice("log-timestamp-format", "legacy", "legacy iso8601 milliseconds", "Form of its times.").without_effect(
        "the log has Redis's form"),
    yes("always-show-logo", False, "Print the banner even when the log is not a terminal.", mutable=False),
    yes("hide-user-data-from-log", False, "Keep keys and values out of the log."),
    # Observation
    number("latency-monitor-threshold", 0, "Record events that take so many ms; 0: none."),
    yes("latency-tracking", True, "Keep a histogram of how long each command takes."),
    Directive("latency-tracking-info-percentiles", Kind.PERCENTILES, (50.0, 99.0, 99.9), "Percentiles in INFO latencystats."),
    number("tracking-table-max-keys", 1_000_000, "Keys remembered for client-side caching; 0: no limit."),
    Directive("notify-keyspace-events", Kind.EVENTS, "", "Keyspace events to publish: K, E and classes of g$lshzxetdnm; A."),
    number("slowlog-log-slower-than", 10000, "Microseconds from which a command is logged; -1: none.", -1).also(
        "commandlog-execution-slower-than"),
    number("slowlog-max-len", 128, "Entries that the slow log keeps.").also("commandlog-slow-execution-max-len"),
    number("slowlog-entry-max-argc", 32, "Arguments that an entry keeps.", 2, INT_MAX),
    number("slowlog-entry-max-string-len", 128, "Bytes of an argument that an entry keeps.", 1),
    *(row.without_effect("there is no log of large requests and replies") for row in (
        number("commandlog-request-larger-than", 1 << 20, "Bytes from which a request is logged.", -1),
        number("commandlog-large-request-max-len", 128, "Entries kept."),
        number("commandlog-reply-larger-than", 1 << 20, "Bytes from which a reply is logged.", -1),
        number("commandlog-large-reply-max-len", 128, "Entries kept."),
    )),
    text("availability-zone", "", "Zone that INFO names.").without_effect("INFO names no zone"),
    yes("extended-redis-compatibility", False, "Call the server redis.").without_effect("it always calls itself compatible"),
    # Allocator
    yes("jemalloc-bg-thread", True, "Let jemalloc free memory in a thread.").without_effect(LIBC),
    yes("activedefrag", False, "Move values together.").checked(check_defragmentation).refused(LIBC),
    *(row.without_effect(LIBC) for row in (
        memory("active-defrag-ignore-bytes", 100 << 20, "Waste to begin at.", 1),
        number("active-defrag-threshold-lower", 10, "Percent of waste to begin at.", 0, 1000),
        number("active-defrag-threshold-upper", 100, "Percent of waste to try hardest at.", 0, 1000),
        number("active-defrag-cycle-min", 1, "Percent of processor time at the least.", 1, 99),
        number("active-defrag-cycle-max", 25, "Percent of processor time at the most.", 1, 99),
        number("active-defrag-cycle-us", 500, "Microseconds of one cycle.", 0, 100000).unlisted(),
        number("active-defrag-max-scan-fields", 1000, "Fields looked at in one step.", 1),
    )),
))  # fmt: skip
