"""Declarations of commands: what native code knows of them is what Python says."""

from __future__ import annotations

import re
from pathlib import Path

import rotomdb.commands
from rotomdb.commands.properties import Property
from rotomdb.commands.registry import Flag

NUMBERS = Path(rotomdb.commands.__file__).with_name("properties.pxd")


def test_flags_and_properties_have_the_same_numbers_in_native_code() -> None:
    native = {name: int(value) for name, value in re.findall(r"^    (\w+) = (\d+)$", NUMBERS.read_text(), re.MULTILINE)}
    assert native
    python = {f"FLAG_{flag.name}": flag.value for flag in Flag} | {each.name: each.value for each in Property}
    assert native.items() <= python.items()
