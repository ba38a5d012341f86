"""The page of `rotomdb-rdb report`: one file, no network, no libraries."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def render(result: dict[str, Any]) -> str:
    """The page over the result; names of keys are data, never markup."""
    template = files("rotomdb.tools").joinpath("report.html").read_text("utf-8")
    data = json.dumps(result).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return template.replace("/*DATA*/null", data, 1)
