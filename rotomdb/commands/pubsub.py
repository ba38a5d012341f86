"""Publishing messages and listening to them."""

from __future__ import annotations

from rotomdb.commands.dispatch import Context
from rotomdb.commands.host import connection_of
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import FAST, LOADING, NOSCRIPT, PUBSUB, STALE, Bytes, command, container
from rotomdb.commands.reply import NO_REPLY, InTurn, PushReply, Status

GROUP = "pubsub"
FLAGS = PUBSUB | NOSCRIPT | LOADING | STALE
CHANNEL, PATTERN, SHARD = "channel", "pattern", "shard"


def subscribe(ctx: Context, kind: str, word: bytes, names: tuple[bytes, ...]) -> object:
    client, pubsub = connection_of(ctx), ctx.server.pubsub
    return told(ctx, [PushReply([word, name, pubsub.subscribe(client, kind, name)]) for name in names])


def unsubscribe(ctx: Context, kind: str, word: bytes, names: tuple[bytes, ...]) -> object:
    """Without names: from all; the reply says so also where there was none."""
    client, pubsub = connection_of(ctx), ctx.server.pubsub
    names = names or tuple(pubsub.of(client).names[kind])
    if not names:
        return told(ctx, [PushReply([word, None, pubsub.of(client).count(kind)])])
    return told(ctx, [PushReply([word, name, pubsub.unsubscribe(client, kind, name)]) for name in names])


def told(ctx: Context, pushes: list[PushReply]) -> object:
    """Answer with one push for each name: they come whatever CLIENT REPLY says, and in EXEC in the place of a reply."""
    if ctx.in_exec:
        return InTurn(pushes)
    for push in pushes:
        connection_of(ctx).push(push)
    return NO_REPLY


@command(
    "SUBSCRIBE",
    since="2.0.0",
    flags=FLAGS,
    properties=Property.WHILE_SUBSCRIBED,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    syntax="channel...",
    channels="1..-1 subscribe",
)
def subscribe_(ctx: Context, *channels: Bytes) -> object:
    """Listens for messages published to channels."""
    return subscribe(ctx, CHANNEL, b"subscribe", channels)


@command(
    "PSUBSCRIBE",
    since="2.0.0",
    flags=FLAGS,
    properties=Property.WHILE_SUBSCRIBED,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    syntax="<pattern:pattern>...",
    channels="1..-1 subscribe pattern",
)
def psubscribe(ctx: Context, *patterns: Bytes) -> object:
    """Listens for messages published to channels that match one or more patterns."""
    return subscribe(ctx, PATTERN, b"psubscribe", patterns)


@command(
    "SSUBSCRIBE",
    since="7.0.0",
    flags=FLAGS,
    properties=Property.WHILE_SUBSCRIBED,
    group=GROUP,
    arity=-2,
    complexity="O(N)",
    keys="1..-1 not_key",
    syntax="shardchannel...",
    channels="1..-1 subscribe",
)
def ssubscribe(ctx: Context, *shardchannels: Bytes) -> object:
    """Listens for messages published to shard channels."""
    return subscribe(ctx, SHARD, b"ssubscribe", shardchannels)


@command(
    "UNSUBSCRIBE",
    since="2.0.0",
    flags=FLAGS,
    properties=Property.WHILE_SUBSCRIBED,
    group=GROUP,
    complexity="O(N)",
    syntax="[channel...]",
)
def unsubscribe_(ctx: Context, *channels: Bytes) -> object:
    """Stops listening to messages posted to channels."""
    return unsubscribe(ctx, CHANNEL, b"unsubscribe", channels)


@command(
    "PUNSUBSCRIBE",
    since="2.0.0",
    flags=FLAGS,
    properties=Property.WHILE_SUBSCRIBED,
    group=GROUP,
    complexity="O(N)",
    syntax="[pattern:pattern...]",
)
def punsubscribe(ctx: Context, *patterns: Bytes) -> object:
    """Stops listening to messages published to channels that match one or more patterns."""
    return unsubscribe(ctx, PATTERN, b"punsubscribe", patterns)


@command(
    "SUNSUBSCRIBE",
    since="7.0.0",
    flags=FLAGS,
    properties=Property.WHILE_SUBSCRIBED,
    group=GROUP,
    complexity="O(N)",
    keys="1..-1 not_key",
    syntax="[shardchannel...]",
)
def sunsubscribe(ctx: Context, *shardchannels: Bytes) -> object:
    """Stops listening to messages posted to shard channels."""
    return unsubscribe(ctx, SHARD, b"sunsubscribe", shardchannels)


@command(
    "PUBLISH",
    since="2.0.0",
    flags=PUBSUB | LOADING | STALE | FAST,
    properties=Property.MAY_REPLICATE,
    group=GROUP,
    complexity="O(N+M)",
    channels="1 publish",
)
def publish(ctx: Context, channel: Bytes, message: Bytes) -> int:
    """Posts a message to a channel."""
    ctx.dispatcher.stream.feed_replicas(b"PUBLISH", channel, message)
    return ctx.server.pubsub.publish(channel, message)


@command(
    "SPUBLISH",
    since="7.0.0",
    flags=PUBSUB | LOADING | STALE | FAST,
    properties=Property.MAY_REPLICATE,
    group=GROUP,
    complexity="O(N)",
    keys="1 not_key",
    channels="1 publish",
)
def spublish(ctx: Context, shardchannel: Bytes, message: Bytes) -> int:
    """Posts a message to a shard channel."""
    ctx.dispatcher.stream.feed_replicas(b"SPUBLISH", shardchannel, message)
    return ctx.server.pubsub.publish_to_shard(shardchannel, message)


container("PUBSUB", since="2.8.0", group=GROUP, summary="A container for Pub/Sub commands")
ASKING = PUBSUB | LOADING | STALE


@command("PUBSUB|CHANNELS", since="2.8.0", flags=ASKING, group=GROUP, complexity="O(N)", syntax="[pattern:pattern]")
def pubsub_channels(ctx: Context, pattern: Bytes | None = None) -> list[bytes]:
    """Returns the active channels."""
    return ctx.server.pubsub.active(CHANNEL, pattern)


@command(
    "PUBSUB|SHARDCHANNELS", since="7.0.0", flags=ASKING, group=GROUP, complexity="O(N)", syntax="[pattern:pattern]"
)
def pubsub_shardchannels(ctx: Context, pattern: Bytes | None = None) -> list[bytes]:
    """Returns the active shard channels."""
    return ctx.server.pubsub.active(SHARD, pattern)


def counts(ctx: Context, kind: str, names: tuple[bytes, ...]) -> list[object]:
    flat: list[object] = []
    for name in names:
        flat += (name, ctx.server.pubsub.listener_count(kind, name))
    return flat


@command("PUBSUB|NUMSUB", since="2.8.0", flags=ASKING, group=GROUP, complexity="O(N)", syntax="[channel...]")
def pubsub_numsub(ctx: Context, *channels: Bytes) -> list[object]:
    """Returns a count of subscribers to channels."""
    return counts(ctx, CHANNEL, channels)


@command("PUBSUB|SHARDNUMSUB", since="7.0.0", flags=ASKING, group=GROUP, complexity="O(N)", syntax="[shardchannel...]")
def pubsub_shardnumsub(ctx: Context, *shardchannels: Bytes) -> list[object]:
    """Returns the count of subscribers of shard channels."""
    return counts(ctx, SHARD, shardchannels)


@command("PUBSUB|NUMPAT", since="2.8.0", flags=ASKING, group=GROUP)
def pubsub_numpat(ctx: Context) -> int:
    """Returns a count of unique pattern subscriptions."""
    return len(ctx.server.pubsub.listeners[PATTERN])


@command("PUBSUB|HELP", since="6.2.0", flags=LOADING | STALE, group=GROUP, categories="")
def pubsub_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"CHANNELS [<pattern>]", b"    Return the currently active channels matching a <pattern> (default: '*').",
        b"NUMPAT", b"    Return number of subscriptions to patterns.",
        b"NUMSUB [<channel> ...]", b"    Return the number of subscribers for the specified channels.",
        b"SHARDCHANNELS [<pattern>]", b"    Return the currently active shard level channels.",
        b"SHARDNUMSUB [<shardchannel> ...]", b"    Return the number of subscribers for the specified shard channels.",
        b"HELP", b"    Print this help.",
    )]  # fmt: skip
