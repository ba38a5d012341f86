"""`python -m benchmarks [NAME ...] [--rounds N]`: all measurements, or those named."""

from __future__ import annotations

import argparse

from benchmarks import bit_rot, datasets, deletion, inprocess, paths, slow_disk, throughput, tools_memory, workbench
from benchmarks.report import machine

LOG = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0", "--appendfsync")
NAMES = {
    "p1": lambda rounds: throughput.run(rounds, 1, 60_000),
    "p16": lambda rounds: throughput.run(rounds, 16, 400_000),
    "everysec-p1": lambda rounds: throughput.run(rounds, 1, 40_000, *LOG, "everysec"),
    "everysec-p16": lambda rounds: throughput.run(rounds, 16, 200_000, *LOG, "everysec"),
    "always-p1": lambda rounds: throughput.run(rounds, 1, 40_000, *LOG, "always"),
    "always-p16": lambda rounds: throughput.run(rounds, 16, 200_000, *LOG, "always"),
    "paths": paths.run,
    "inprocess": inprocess.run,
    "datasets": datasets.run,
    "aof-load": datasets.load_log,
    "deletion": lambda rounds: deletion.run(),
    "bit-rot": lambda rounds: bit_rot.run(),
    "slow-disk": lambda rounds: slow_disk.run(),
    "workbench": workbench.run,
    "tools-memory": lambda rounds: tools_memory.run(),
    "growth": lambda rounds: datasets.growth(),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    machine()
    for name in options.names or NAMES:
        NAMES[name](options.rounds)


if __name__ == "__main__":
    main()
