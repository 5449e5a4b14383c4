"""Rows of a table from dictionaries; what is left out is null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from data_catalog import TABLES


def rows(table: str, *values: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(values), schema=TABLES[table].schema)


def strings(column: pa.ChunkedArray[Any]) -> list[str]:
    """A column's values, none of which may be null."""
    return [str(value) for value in column.to_pylist() if value is not None]
