"""Build of the native kernel: every .pyx below rotomdb/ becomes one extension module.

Switches (environment):
    ROTOMDB_DEBUG=1      -O0 -g and C assertions
    ROTOMDB_SANITIZE=1   AddressSanitizer and UndefinedBehaviorSanitizer (run with LD_PRELOAD=libasan, see CONTRIBUTING)
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
debug = os.environ.get("ROTOMDB_DEBUG") == "1"
sanitize = os.environ.get("ROTOMDB_SANITIZE") == "1"

compile_args = ["-O0", "-g", "-UNDEBUG"] if debug else ["-O3", "-fno-semantic-interposition"]
compile_args += ["-fno-strict-aliasing", "-Wno-unreachable-code", "-Wno-unused-function"]
link_args: list[str] = []
if sanitize:
    flags = ["-fsanitize=address,undefined", "-fno-sanitize=alignment", "-fno-omit-frame-pointer"]
    compile_args = ["-O1", "-g", "-fno-strict-aliasing", *flags]
    link_args = flags


def extension(source: Path) -> Extension:
    relative = source.relative_to(ROOT)
    return Extension(
        ".".join(relative.with_suffix("").parts),
        [str(relative)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        include_dirs=["rotomdb/engine", "rotomdb/server"],
        depends=["rotomdb/engine/platform.h", "rotomdb/server/poller.h", "rotomdb/server/crash_signals.h"],
    )


setup(
    ext_modules=cythonize(
        [extension(source) for source in sorted((ROOT / "rotomdb").rglob("*.pyx"))],
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
