"""Runs rotomdb/tools/rdb.py from a checkout, without an installation; a file alone means `dump FILE`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rotomdb.tools.rdb import cli, main

if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and sys.argv[1] not in cli.commands:
        sys.argv.insert(1, "dump")
    main()
