"""Parquet out of a data set: the road to DuckDB, Spark and pandas (optional extra `rotomdb[parquet]`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rotomdb.formats.rdb.reader import Function, KeyRecord
from rotomdb.formats.rdb.selection import Selection
from rotomdb.formats.rdb.value_types import LOGICAL_TYPES
from rotomdb.formats.sinks.memory_model import MODELS, MemorySink
from rotomdb.formats.sinks.value_text import ValueText
from rotomdb.storage.output import writing
from rotomdb.tools.losses import Losses, note_loss
from rotomdb.tools.sources import Opened
from rotomdb.tools.terminal import fail
from rotomdb.tools.values import function_name

BATCH_ROWS = 50_000
BATCH_BYTES = 4 << 20  # of values: what is in memory at a time, and a row group of the file


def write_parquet(source: Opened, output: Path, selection: Selection | None) -> Losses:
    """One row a key: db, key, type, encoding, expires_at, memory_bytes, elements, value. Returns what it is that has no row.

    Strings are in `value` as they are; other values are JSON text there, as `dump` has it. A function library is a row of type
    `function` with its name as the key.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        fail("Parquet needs the pyarrow package", hint="pip install 'rotomdb[parquet]'")
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # the others keep what was large once
    schema = pyarrow.schema([
        ("db", pyarrow.int32()), ("key", pyarrow.binary()), ("type", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
        ("encoding", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())), ("expires_at", pyarrow.timestamp("ms", "UTC")),
        ("memory_bytes", pyarrow.int64()), ("elements", pyarrow.int64()), ("value", pyarrow.binary()),
    ])  # fmt: skip
    sizes: list[tuple[int, int]] = []
    memory = MemorySink(
        MODELS["redis-7.0"], on_key=lambda db, key, type, used, elements, expires: sizes.append((used, elements))
    )
    values = ValueText()
    reader = source.reader()
    losses: Losses = {}
    held = 0
    rows: dict[str, list[Any]] = {name: [] for name in schema.names}
    with (
        writing(output) as out,
        pyarrow.parquet.ParquetWriter(
            out.file,
            schema,
            compression="zstd",
            use_dictionary=["type", "encoding"],
            write_statistics=["db", "key", "expires_at", "memory_bytes", "elements"],
        ) as writer,
    ):

        def hand_on() -> None:
            writer.write_table(pyarrow.table(rows, schema=schema))
            for column in rows.values():
                column.clear()

        for event in source.wanted(reader.records(selection, source.advance), selection):
            row: tuple[Any, ...]
            if isinstance(event, Function):
                row = None, function_name(event.code), "function", None, None, None, None, event.code
            elif isinstance(event, KeyRecord):
                reader.visit(memory)
                reader.visit(values)
                used, elements = sizes.pop()
                kind = LOGICAL_TYPES[event.type]
                row = event.db, event.key, kind, event.type_name, event.expire_ms, used, elements, values.take()
            else:
                note_loss(losses, event)
                continue
            held += len(row[1]) + len(row[-1])
            for name, cell in zip(schema.names, row, strict=True):
                rows[name].append(cell)
            if len(rows["db"]) >= BATCH_ROWS or held >= BATCH_BYTES:
                hand_on()
                held = 0
        if rows["db"]:
            hand_on()
    reader.close()
    return losses
