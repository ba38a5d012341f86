"""Directives of scripts."""

from __future__ import annotations

from rotomdb.server.directives import memory, number, table, yes

NO_OLD_FUNCTIONS = "scripts have none of them"

SCRIPTS = table((
    number("busy-reply-threshold", 5000, "Milliseconds until a script makes the server busy.").also("lua-time-limit"),
    memory("lua-memory-limit", 0, "Bytes that Lua may take for scripts; 0: a quarter of the machine's memory."),
    yes("lua-enable-deprecated-api", False, "Old functions for scripts.").fixed().unlisted().without_effect(NO_OLD_FUNCTIONS),
    yes("lua-enable-insecure-api", False, "Old functions for scripts.").unlisted().without_effect(NO_OLD_FUNCTIONS),
))  # fmt: skip
