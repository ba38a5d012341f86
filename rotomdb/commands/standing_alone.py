"""Commands of cluster and modules, and FAILOVER, as a server answers them that has none of these."""

from __future__ import annotations

from rotomdb.commands.arguments import parse_int
from rotomdb.commands.connection import no_cluster
from rotomdb.commands.dispatch import Context
from rotomdb.commands.errors import NOT_AN_INTEGER, syntax_error
from rotomdb.commands.registry import (
    ADMIN,
    LOADING,
    NO_ASYNC_LOADING,
    NO_FLAGS,
    NOSCRIPT,
    STALE,
    Bytes,
    Flag,
    command,
    container,
)
from rotomdb.commands.reply import Status
from rotomdb.errors import CommandError

MODULE_FLAGS = ADMIN | NOSCRIPT | NO_ASYNC_LOADING


@command(
    "FAILOVER",
    since="6.2.0",
    flags=ADMIN | NOSCRIPT | STALE,
    group="server",
    arity=-1,
    syntax="[TO target=<host port:integer [FORCE]>] [ABORT] [TIMEOUT milliseconds:integer]",
)
def failover(ctx: Context, *words: Bytes) -> object:
    """Starts a coordinated failover from a server to one of its replicas."""
    options = [word.upper() for word in words]
    if options == [b"ABORT"]:
        raise CommandError("ERR No failover in progress.")
    at = 0
    while at < len(options):
        left = len(options) - at - 1
        if options[at] == b"TIMEOUT" and left >= 1:
            if parse_int(words[at + 1], NOT_AN_INTEGER) <= 0:
                raise CommandError("ERR FAILOVER timeout must be greater than 0")
            at += 2
        elif options[at] == b"TO" and left >= 2:
            parse_int(words[at + 2], NOT_AN_INTEGER)
            at += 3
        elif options[at] == b"FORCE":
            at += 1
        else:
            raise syntax_error()
    raise CommandError("ERR FAILOVER requires connected replicas.")


# Cluster

container("CLUSTER", since="3.0.0", group="cluster", summary="A container for Redis Cluster commands")
CHANGES, ASKS = ADMIN | STALE | NO_ASYNC_LOADING, STALE
ROWS: tuple[tuple[str, str, int, Flag, str, str, str], ...] = (
    ("ADDSLOTS", "3.0.0", -3, CHANGES, "slot:integer...", "", "Assigns new hash slots to a node."),
    ("ADDSLOTSRANGE", "7.0.0", -4, CHANGES, "start-slot_end-slot=<start-slot:integer end-slot:integer>...", "",
     "Assigns new hash slot ranges to a node."),
    ("BUMPEPOCH", "3.0.0", 2, CHANGES, "", "nondeterministic_output", "Advances the cluster config epoch."),
    ("COUNT-FAILURE-REPORTS", "3.0.0", 3, ADMIN | STALE, "node-id", "nondeterministic_output",
     "Returns the number of active failure reports for a node."),
    ("COUNTKEYSINSLOT", "3.0.0", 3, ASKS, "slot:integer", "", "Returns the number of keys in a hash slot."),
    ("DELSLOTS", "3.0.0", -3, CHANGES, "slot:integer...", "", "Sets hash slots as unbound for a node."),
    ("DELSLOTSRANGE", "7.0.0", -4, CHANGES, "start-slot_end-slot=<start-slot:integer end-slot:integer>...", "",
     "Sets hash slot ranges as unbound for a node."),
    ("FAILOVER", "3.0.0", -2, CHANGES, "[options=(FORCE | TAKEOVER)]", "", "Forces a replica to fail over its master."),
    ("FLUSHSLOTS", "3.0.0", 2, CHANGES, "", "", "Deletes all slot information from a node."),
    ("FORGET", "3.0.0", 3, CHANGES, "node-id", "", "Removes a node from the nodes table."),
    ("GETKEYSINSLOT", "3.0.0", 4, ASKS, "slot:integer count:integer", "nondeterministic_output",
     "Returns the key names in a hash slot."),
    ("HELP", "5.0.0", 2, LOADING | STALE, "", "", "Returns helpful text about the different subcommands."),
    ("INFO", "3.0.0", 2, ASKS, "", "nondeterministic_output", "Returns information about the state of a node."),
    ("KEYSLOT", "3.0.0", 3, ASKS, "key:string", "", "Returns the hash slot for a key."),
    ("LINKS", "7.0.0", 2, ASKS, "", "nondeterministic_output", "Returns a list of all TCP links to and from peer nodes."),
    ("MEET", "3.0.0", -4, CHANGES, "ip port:integer [cluster_bus_port:integer]", "", "Forces a node to handshake with another."),
    ("MYID", "3.0.0", 2, ASKS, "", "", "Returns the ID of a node."),
    ("NODES", "3.0.0", 2, ASKS, "", "nondeterministic_output", "Returns the cluster configuration for a node."),
    ("REPLICAS", "5.0.0", 3, ADMIN | STALE, "node-id", "nondeterministic_output", "Lists the replica nodes of a master node."),
    ("REPLICATE", "3.0.0", 3, CHANGES, "node-id", "", "Configures a node as replica of a master node."),
    ("RESET", "3.0.0", -2, ADMIN | NOSCRIPT | STALE, "[hard_soft=(HARD | SOFT)]", "", "Resets a node."),
    ("SAVECONFIG", "3.0.0", 2, CHANGES, "", "", "Forces a node to save the cluster configuration to disk."),
    ("SET-CONFIG-EPOCH", "3.0.0", 3, CHANGES, "config-epoch:integer", "", "Sets the configuration epoch for a new node."),
    ("SETSLOT", "3.0.0", -4, CHANGES,
     "slot:integer subcommand=(IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE)", "",
     "Binds a hash slot to a node."),
    ("SHARDS", "7.0.0", 2, ASKS, "", "nondeterministic_output", "Returns the mapping of cluster slots to shards."),
    ("SLAVES", "3.0.0", 3, ADMIN | STALE, "node-id", "nondeterministic_output", "Lists the replica nodes of a master node."),
    ("SLOTS", "3.0.0", 2, ASKS, "", "nondeterministic_output", "Returns the mapping of cluster slots to nodes."),
)  # fmt: skip


def declare_cluster(name: str, since: str, arity: int, flags: Flag, syntax: str, tips: str, summary: str) -> None:
    """Register a subcommand of CLUSTER, which says what all of them say."""

    def refuse(ctx: Context, *words: Bytes) -> object:
        raise no_cluster()

    refuse.__doc__ = summary
    command(
        f"CLUSTER|{name}",
        since=since,
        flags=flags,
        group="cluster",
        arity=arity,
        syntax=syntax,
        tips=tips,
        categories="",
    )(refuse)


for row in ROWS:
    declare_cluster(*row)

# Modules

container("MODULE", since="4.0.0", group="server", summary="A container for module commands", flags=NO_FLAGS)


@command("MODULE|LIST", since="4.0.0", flags=ADMIN | NOSCRIPT, group="server", tips="nondeterministic_output_order")
def module_list(ctx: Context) -> list[object]:
    """Returns all loaded modules."""
    return []


@command("MODULE|LOAD", since="4.0.0", flags=MODULE_FLAGS, group="server", syntax="path [arg...]")
def module_load(ctx: Context, path: Bytes, *arguments: Bytes) -> object:
    """Loads a module."""
    raise no_modules()


@command(
    "MODULE|LOADEX",
    since="7.0.0",
    flags=MODULE_FLAGS,
    group="server",
    syntax="path [CONFIG... configs=<name value>...] [ARGS args=<arg>...]",
)
def module_loadex(ctx: Context, path: Bytes, *arguments: Bytes) -> object:
    """Loads a module using extended parameters."""
    raise no_modules()


def no_modules() -> CommandError:
    return CommandError("ERR Error loading the extension: modules cannot be loaded")


@command("MODULE|UNLOAD", since="4.0.0", flags=MODULE_FLAGS, group="server")
def module_unload(ctx: Context, name: Bytes) -> object:
    """Unloads a module."""
    raise CommandError("ERR Error unloading module: no such module with that name")


@command("MODULE|HELP", since="5.0.0", flags=LOADING | STALE, group="server")
def module_help(ctx: Context) -> list[Status]:
    """Returns helpful text about the different subcommands."""
    return [Status(line) for line in (
        b"MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        b"LIST", b"    Return a list of loaded modules.",
        b"LOAD <path> [<arg> ...]", b"    Load a module library from <path>, passing to it any optional arguments.",
        b"LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        b"    Load a module library from <path>, while passing it module configurations and optional arguments.",
        b"UNLOAD <name>", b"    Unload a module.",
        b"HELP", b"    Prints this help.",
    )]  # fmt: skip
