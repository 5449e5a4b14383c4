"""Check rows against a table's contract: its columns, its types, a key in every row, each key once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from data_catalog.errors import CatalogError
from data_catalog.schemas import Table

_SAME_VALUES = (
    (pat.is_string, pat.is_large_string, pat.is_string_view),
    (pat.is_binary, pat.is_large_binary, pat.is_binary_view),
    (pat.is_integer,),
)
"""Kinds of types that hold the same values."""


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """Return `rows` with exactly the table's columns and types, or say what does not fit.

    Only casts that keep the value are made (int64 to int32 where it fits, large_string to string);
    text is never parsed into numbers nor numbers printed into text.

    Raises:
        CatalogError: names the table, the column and, where one row is at fault, the row.
    """
    missing = [name for name in table.schema.names if name not in rows.column_names]
    unknown = [name for name in rows.column_names if name not in table.schema.names]
    if missing or unknown or len(set(rows.column_names)) != rows.num_columns:
        raise CatalogError(
            f"{table.name}: rows do not have the table's columns: missing {missing}, unknown {unknown}; "
            f"expected each of {table.schema.names} once"
        )
    columns = [_cast(table, field, rows.column(field.name)) for field in table.schema]
    conformed = pa.table(columns, schema=table.schema)
    for name in table.key:
        _refuse_null_key(table, name, conformed.column(name))
    return conformed


def last_of_each_key(table: Table, rows: pa.Table) -> pa.Table:
    """Keep the last row of every key, in the order in which those rows came."""
    numbered = rows.select(list(table.key)).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    last = numbered.group_by(list(table.key)).aggregate([("row", "max")]).column("row_max")
    return rows if len(last) == rows.num_rows else rows.take(last.sort())


def _cast(table: Table, field: pa.Field[Any], column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    if column.type.equals(field.type):
        return column
    if not _same_kind(column.type, field.type):
        raise CatalogError(
            f"{table.name}.{field.name}: rows hold {column.type}, the table holds {field.type}; "
            f"first value {_shown(column)}"
        )
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        row = _first_row_refused(column, field.type)
        raise CatalogError(
            f"{table.name}.{field.name}, row {row}: {_shown(column.slice(row, 1))} does not fit {field.type} ({error})"
        ) from error


def _same_kind(given: pa.DataType, wanted: pa.DataType) -> bool:
    if pat.is_null(given):
        return True
    if pat.is_timestamp(wanted):
        # a time without its zone could be anyone's local time
        return pat.is_timestamp(given) and given.tz is not None
    if pat.is_floating(wanted):
        return pat.is_floating(given) or pat.is_integer(given)
    if pat.is_list(wanted):
        listed = pat.is_list(given) or pat.is_large_list(given)
        return listed and _same_kind(given.field(0).type, wanted.field(0).type)
    if pat.is_struct(wanted):
        return pat.is_struct(given) and [f.name for f in given] == [f.name for f in wanted]
    for kinds in _SAME_VALUES:
        if any(is_kind(wanted) for is_kind in kinds):
            return any(is_kind(given) for is_kind in kinds)
    return given.equals(wanted)


def _first_row_refused(column: pa.ChunkedArray[Any], wanted: pa.DataType) -> int:
    for row in range(len(column)):
        try:
            column.slice(row, 1).cast(wanted)
        except pa.ArrowException:
            return row
    return 0


def _refuse_null_key(table: Table, name: str, column: pa.ChunkedArray[Any]) -> None:
    if column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise CatalogError(f"{table.name}.{name}, row {row}: the key is null; every row needs its {name}")


def _shown(column: pa.ChunkedArray[Any]) -> str:
    shown = repr(column[0].as_py()) if len(column) else "none"
    return shown if len(shown) <= 80 else shown[:79] + "…"
