"""From a snapshot to a DataFrame, step by step: which kinds of keys are there, what do they take, what is about to expire?

python examples/snapshot_to_dataframe.py dump.rdb        # needs: pip install 'rotomdb[parquet]' pandas
"""

# %% Read the keys. Values are decoded only where they are asked for.
from __future__ import annotations

import sys

import pandas

import rotomdb.rdb

path = sys.argv[1] if len(sys.argv) > 1 else "dump.rdb"
rows = []
with rotomdb.rdb.open(path) as snapshot:
    for entry in snapshot:
        rows.append(
            {
                "db": entry.db,
                "key": entry.key.decode("utf-8", "backslashreplace"),
                "prefix": entry.key.partition(b":")[0].decode("utf-8", "backslashreplace"),
                "type": entry.type,
                "encoding": entry.encoding,
                "expires": pandas.to_datetime(entry.expire_ms, unit="ms", utc=True) if entry.expire_ms else pandas.NaT,
                "length": len(entry.value) if isinstance(entry.value, bytes | list | set | dict) else None,
            }
        )
frame = pandas.DataFrame(rows)

# %% How many keys of which type, and how long they are.
print(frame.groupby("type")["length"].describe()[["count", "mean", "max"]])

# %% Which prefixes there are.
print(frame["prefix"].value_counts().head(10))

# %% What expires next.
print(frame.dropna(subset="expires").sort_values("expires").head(10)[["key", "expires"]])
