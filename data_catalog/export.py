"""Rows of a table or of a query as a file: Parquet, CSV, or JSON lines."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.inspect import connect, query_of, refuse_equal_names, select, wrong_query
from data_catalog.schemas import RELEASE, TABLES

_ROWS_AT_ONCE = 1000
_ROWS_WITH_PICTURES = 100

Batches = Iterator[pa.RecordBatch]


def export_rows(
    catalog: Catalog, asked: str, target: Path, advance: Callable[[float], object] = lambda rows: None
) -> int:
    """Write the rows of a table, or of a query in SQL, to a file; nothing is left of one that was not finished.

    Parquet keeps types and the meaning of columns. CSV and JSON lines have texts and numbers: times in ISO 8601, bytes
    in base64, and in CSV lists and structures as JSON.

    Args:
        catalog: where the rows are, now or as of a time.
        asked: name of a table or view, or a query.
        target: the file; its ending says the format.
        advance: called with the number of rows of each batch that is written.

    Returns:
        How many rows were written.

    Raises:
        CatalogError: the ending is none of the three, the query is wrong, or the file cannot be written.
    """
    if re.match(r"\w+:/", str(target)):
        raise CatalogError(f"{target}: rows are exported to a file on this machine; name one, and upload it")
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise CatalogError(f"{target}: the ending says the format; give one of {', '.join(_WRITERS)}")
    with connect(catalog) as connection:
        try:
            found = select(connection, query_of(asked))
            refuse_equal_names(found.columns)
            wide = any("BLOB" in str(column) for column in found.types)
            reader = found.to_arrow_reader(_ROWS_WITH_PICTURES if wide else _ROWS_AT_ONCE)
            with finished_or_not_there(target) as path:
                return write(path, _with_meanings(reader.schema, asked), _counted(reader, advance))
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise wrong_query(catalog, error) from error


def _counted(reader: pa.RecordBatchReader, advance: Callable[[float], object]) -> Batches:
    for batch in reader:
        yield batch
        advance(batch.num_rows)


def _with_meanings(schema: pa.Schema, asked: str) -> pa.Schema:
    """The schema with what is known of the columns, where a whole table is exported."""
    if len(asked.split()) > 1:
        return schema
    known = {**TABLES, RELEASE.name: RELEASE}.get(asked.strip().lower(), RELEASE).schema
    return pa.schema([known.field(field.name) if field.name in known.names else field for field in schema])


@contextmanager
def finished_or_not_there(target: Path) -> Iterator[Path]:
    """A file to write that takes the target's name in the end; where it is not finished, nothing is left of it.

    Raises:
        CatalogError: it cannot be written.
    """
    path = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield path
        path.replace(target)
    except OSError as error:
        if error.errno is None:  # Arrow's word for a query that fails in the middle of its rows
            raise
        raise CatalogError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing was
            path.unlink(missing_ok=True)


def _write_parquet(path: Path, schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
            rows += batch.num_rows
    return rows


def _write_csv(path: Path, schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(schema.names)
        for row in _rows(batches):
            writer.writerow(
                [
                    json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
                    for value in row.values()
                ]
            )
            rows += 1
    return rows


def _write_json_lines(path: Path, schema: pa.Schema, batches: Batches) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(batches):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            rows += 1
    return rows


def _rows(batches: Batches) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for row in batch.to_pylist():
            yield {name: _told(value) for name, value in row.items()}


def _told(value: Any) -> Any:
    """A value in the types that JSON has, nothing of it lost but the difference between kinds of numbers."""
    if isinstance(value, dict):
        return {name: _told(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_told(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value if isinstance(value, str | int | bool | None) else _number_or_time(value)


def _number_or_time(value: Any) -> Any:
    if isinstance(value, float):
        # JSON has no infinity and no NaN
        return value if value - value == 0 else str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


_WRITERS: dict[str, Callable[[Path, pa.Schema, Batches], int]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
}
