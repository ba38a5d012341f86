"""LATENCY: what took long lately, and how long commands take."""

from __future__ import annotations

import time

from rotomdb.commands.dispatch import Command, Context
from rotomdb.commands.registry import ADMIN, LOADING, NOSCRIPT, STALE, Bytes, command, container
from rotomdb.commands.reply import MapReply, Status, Verbatim
from rotomdb.errors import CommandError

GROUP = "server"
EVER = ADMIN | NOSCRIPT | LOADING | STALE
GRAPH_COLUMNS = 80
GRAPH_STEPS = "_o#"

container("LATENCY", since="2.8.13", group=GROUP, summary="A container for latency diagnostics commands")


@command(
    "LATENCY|LATEST",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
)
def latency_latest(ctx: Context) -> list[list[object]]:
    """Returns the latest latency samples for all events."""
    return [
        [name.encode(), samples[-1][0], samples[-1][1], ctx.server.latency.highest[name]]
        for name, samples in ctx.server.latency.events.items()
        if samples
    ]


@command(
    "LATENCY|HISTORY",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
)
def latency_history(ctx: Context, event: Bytes) -> list[list[int]]:
    """Returns timestamp-latency samples for an event."""
    return [[when, milliseconds] for when, milliseconds in samples_of(ctx, event)]


def samples_of(ctx: Context, event: bytes) -> list[tuple[int, int]]:
    return list(ctx.server.latency.events.get(event.decode("latin-1"), ()))


@command(
    "LATENCY|RESET",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    syntax="[event...]",
    tips="request_policy:all_nodes response_policy:all_succeeded",
)
def latency_reset(ctx: Context, *events: Bytes) -> int:
    """Resets the latency data for one or more events."""
    return ctx.server.latency.reset([event.decode("latin-1") for event in events])


@command(
    "LATENCY|GRAPH",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
)
def latency_graph(ctx: Context, event: Bytes) -> Verbatim:
    """Returns a latency graph for an event."""
    samples = samples_of(ctx, event)
    name = event.decode("latin-1")
    if not samples:
        raise CommandError(f"ERR No samples available for event '{name}'")
    shown = samples[-GRAPH_COLUMNS:]
    high, low = max(ms for _, ms in shown), min(ms for _, ms in shown)
    lines = [f"{name} - high {high} ms, low {low} ms (all time high {ctx.server.latency.highest[name]} ms)", "-" * 80]
    rows = 4
    span = max(high - low, 1)
    heights = [(ms - low) * (rows * len(GRAPH_STEPS) - 1) // span for _, ms in shown]
    for row in reversed(range(rows)):
        lines.append("".join(mark(height - row * len(GRAPH_STEPS)) for height in heights).rstrip())
    lines.append("")
    now = int(time.time())
    ages = [age_text(now - when) for when, _ in shown]
    lines += ["".join(age[i] if i < len(age) else " " for age in ages).rstrip() for i in range(max(map(len, ages)))]
    return Verbatim(("\n".join(lines) + "\n").encode())


def mark(height: int) -> str:
    """The character of one cell of the graph, `height` steps above its bottom."""
    if height < 0:
        return " "
    return GRAPH_STEPS[height] if height < len(GRAPH_STEPS) else "|"


def age_text(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


@command(
    "LATENCY|DOCTOR",
    since="2.8.13",
    flags=EVER,
    group=GROUP,
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
)
def latency_doctor(ctx: Context) -> Verbatim:
    """Returns a human-readable latency analysis report."""
    if ctx.server.config["latency-monitor-threshold"] == 0:
        return Verbatim(
            b"I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this instance. You may use \"CONFIG SET "
            b'latency-monitor-threshold <milliseconds>." in order to enable it.\n'
        )
    lines = []
    for number, (name, samples) in enumerate(ctx.server.latency.events.items(), start=1):
        values = [milliseconds for _, milliseconds in samples]
        average = sum(values) / len(values)
        lines.append(
            f"{number}. {name}: {len(values)} latency spikes (average {average:.0f}ms, worst all time event "
            f"{ctx.server.latency.highest[name]}ms)."
        )
    if not lines:
        return Verbatim(
            b"Dave, no latency spike was observed during the lifetime of this instance, not in the slightest bit. "
            b"I honestly think you ought to sit down calmly, take a stress pill, and think things over.\n"
        )
    head = "Dave, I have observed latency spikes in this instance. You don't mind talking about it, do you Dave?"
    return Verbatim("\n".join([head, "", *lines, ""]).encode())


@command(
    "LATENCY|HISTOGRAM",
    since="7.0.0",
    flags=EVER,
    group=GROUP,
    complexity="O(N)",
    syntax="[command...]",
    tips="nondeterministic_output request_policy:all_nodes response_policy:special",
)
def latency_histogram(ctx: Context, *names: Bytes) -> MapReply:
    """Returns the cumulative distribution of latencies of a subset or all commands."""
    reply = MapReply()
    for entry in chosen(ctx, names):
        histogram = entry.latency_histogram()
        if histogram is not None:
            calls, steps = histogram
            reply += (entry.name.encode(), MapReply([b"calls", calls, b"histogram_usec", MapReply(steps)]))
    return reply


def chosen(ctx: Context, names: tuple[bytes, ...]) -> list[Command]:
    """The commands of those names, a container standing for its subcommands; all of them without names."""
    found: list[Command] = []
    entries = [named(ctx, name) for name in names] if names else list(ctx.dispatcher.commands.values())
    for entry in entries:
        if entry is not None:
            found += [entry, *(entry.subcommands or {}).values()]
    return found


def named(ctx: Context, name: bytes) -> Command | None:
    """The command of that name; `container|subcommand` names one subcommand."""
    container, separator, subcommand = name.partition(b"|")
    entry = ctx.dispatcher.find(container)
    if entry is None or not separator:
        return entry
    return (entry.subcommands or {}).get(subcommand.lower())


@command("LATENCY|HELP", since="2.8.13", flags=LOADING | STALE, group=GROUP)
def latency_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"DOCTOR", b"    Return a human readable latency analysis report.",
        b"GRAPH <event>", b"    Return an ASCII latency graph for the <event> class.",
        b"HISTORY <event>", b"    Return time-latency samples for the <event> class.",
        b"LATEST", b"    Return the latest latency samples for all events.",
        b"RESET [<event> ...]", b"    Reset latency data of one or more <event> classes.",
        b"    (default: reset all data for all event classes)",
        b"HISTOGRAM [COMMAND ...]",
        b"    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
