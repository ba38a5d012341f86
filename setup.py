"""Build of the native engine: every .pyx below rotomdb/ becomes one extension module.

Switches (environment):
    ROTOMDB_DEBUG=1      -O0 -g and C assertions
    ROTOMDB_SANITIZE=1   AddressSanitizer and UndefinedBehaviorSanitizer (run with LD_PRELOAD=libasan, see tests/sanitize.sh);
                         =decoders: of what takes foreign bytes apart only, which takes a third of the time
    ROTOMDB_NATIVE=later nothing native now: `make` installs so, and then builds in place on every core, once instead of twice
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
debug = os.environ.get("ROTOMDB_DEBUG") == "1"
sanitize = os.environ.get("ROTOMDB_SANITIZE", "")

compile_args = ["-O0", "-g", "-UNDEBUG"] if debug else ["-O3", "-fno-semantic-interposition"]
compile_args += ["-fno-strict-aliasing", "-Wno-unreachable-code", "-Wno-unused-function"]
link_args: list[str] = []
if sanitize:
    flags = ["-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-omit-frame-pointer"]
    compile_args = ["-O1", "-g", "-fno-strict-aliasing", *flags]
    link_args = flags


# Whatever reads or rewrites bytes that a file, a payload or a client brought along.
DECODERS = {
    "rotomdb/commands": ("permissions",),
    "rotomdb/engine": (
        "bitmaps", "glob", "hyperloglog", "id_map", "intset", "listpack", "lists", "number", "quicklist", "stream",
    ),
    "rotomdb/formats/aof": ("items", "redis_check"),
    "rotomdb/formats/rdb": (
        "decoder", "lzf", "old_packs", "primitives", "records", "resync", "selection", "stream_tail", "streams", "values", "walker",
        "ziplist",
    ),
    "rotomdb/formats/resp": ("request",),
    "rotomdb/formats/sinks": (
        "check", "command_writer", "commands", "csv", "digest", "json", "json_text", "objects", "python", "records", "restore", "sink", "summary", "text",
        "value_text",
    ),
    "rotomdb/scripting": ("conversion", "json_library", "msgpack_library", "struct_library"),
}  # fmt: skip
sources = sorted((ROOT / "rotomdb").rglob("*.pyx"))
if os.environ.get("ROTOMDB_NATIVE") == "later":
    sources = []
elif sanitize == "decoders":
    sources = [ROOT / folder / f"{name}.pyx" for folder, names in DECODERS.items() for name in names]


def extension(source: Path) -> Extension:
    relative = source.relative_to(ROOT)
    return Extension(
        ".".join(relative.with_suffix("").parts),
        [str(relative)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        include_dirs=["rotomdb/engine", "rotomdb/server", "rotomdb/scripting"],
        depends=[
            "rotomdb/engine/platform.h",
            "rotomdb/server/poller.h",
            "rotomdb/server/crash_signals.h",
            "rotomdb/scripting/lua_api.h",
        ],
    )


setup(
    ext_modules=cythonize(
        [extension(source) for source in sources],
        language_level=3,
        nthreads=os.cpu_count() or 1,
        compiler_directives={
            # Indexes of Python's sequences are checked, in every build (Cython's default). What foreign bytes say is checked
            # where it enters, once, by cursor_take and the validators of packed values: no directive could do that in C.
            # Divisions are C's: divisors are constants, or tested where they stand.
            "cdivision": True,
            "embedsignature": True,
            "binding": False,
        },
    ),
)
