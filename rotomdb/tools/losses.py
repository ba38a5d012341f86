"""What another form or server cannot hold: counted while it is left out, and said at the end."""

from __future__ import annotations

import json

import click

from rotomdb.formats.rdb.reader import Event, Function, ModuleAux
from rotomdb.formats.rdb.writer import FUNCTION_LIBRARIES, MODULE_DATA
from rotomdb.tools.values import function_name, shown

NAMED = 10
NO_KEYS = (FUNCTION_LIBRARIES, MODULE_DATA)
Losses = dict[
    str, tuple[int, list[bytes]]
]  # of what: how many keys (or libraries, modules), and the names of the first


def note_loss(losses: Losses, event: Event) -> None:
    """Count what is no key and has to be left out."""
    if isinstance(event, Function):
        what, name = FUNCTION_LIBRARIES, function_name(event.code)
    elif isinstance(event, ModuleAux):
        what, name = MODULE_DATA, event.module.encode()
    else:
        return
    count, names = losses.get(what, (0, []))
    losses[what] = count + 1, [*names, name][:NAMED]


def note_losses(losses: Losses, target: str, as_json: bool) -> int:
    """Say what the target cannot hold; returns how many keys (and libraries, modules) that is about."""
    if as_json:
        rows = {what: {"keys": keys, "first": [shown(key) for key in names]} for what, (keys, names) in losses.items()}
        click.echo(json.dumps({"target": target, "lost": rows}))
    for what, (keys, names) in losses.items() if not as_json else ():
        first = ", ".join(shown(key) for key in names)
        of_keys = "" if what in NO_KEYS else f" of {keys} keys"
        more = ", …" if keys > len(names) else ""
        click.echo(f"{target} cannot hold {what}: left out{of_keys} ({first}{more})", err=True)
    return sum(keys for keys, _ in losses.values())
