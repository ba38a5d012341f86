"""Where the Lua 5.1 is that the package lupa brings along: a shared object with the whole C interface."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def path_of_lua() -> bytes:
    """The file. Raises ImportError where there is none."""
    package = importlib.util.find_spec("lupa")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        for path in sorted(Path(folder).glob("lua51*.so")):
            return bytes(path)
    raise ImportError("scripts need the package lupa with its module lua51: pip install 'lupa>=2.6,<3'")
