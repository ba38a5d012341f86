"""Runs rotomdb/tools/rdb.py from a checkout, without an installation."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rotomdb.tools.rdb import main

if __name__ == "__main__":
    main()
