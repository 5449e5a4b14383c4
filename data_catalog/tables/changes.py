"""Rows that a write replaces, named by key or by a column's value, and whether anything differs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset as ds

from data_catalog.errors import CatalogError
from data_catalog.schemas import Table
from data_catalog.tables.delta import Change
from data_catalog.tables.duck import connect_duckdb
from data_catalog.tables.snapshot import Snapshot

Key = str | tuple[str, ...]


def key_table(spec: Table, keys: Iterable[Key]) -> pa.Table:
    """Keys as rows of the table's key columns, each once."""
    parts = {(key,) if isinstance(key, str) else tuple(key) for key in keys}
    wrong = [key for key in parts if len(key) != len(spec.key)]
    if wrong:
        raise CatalogError(f"{spec.name}: {wrong[0]!r} is no key; expected a value for each of {spec.key}")
    columns = zip(*sorted(parts), strict=True) if parts else [() for _ in spec.key]
    return pa.table([pa.array(column, pa.string()) for column in columns], names=list(spec.key))


def keys_of(spec: Table, rows: pa.Table) -> list[tuple[Any, ...]]:
    """The key of every row."""
    return list(zip(*(rows.column(name).to_pylist() for name in spec.key), strict=True))


def by_key(spec: Table, rows: pa.Table) -> Change:
    """The rows take the place of those with their keys."""
    return Change(rows, rows.select(list(spec.key)))


def stored_keys(spec: Table, snapshot: Snapshot, change: Change) -> set[tuple[Any, ...]]:
    """The keys that the change names and the table holds."""
    asked = set(keys_of(spec, change.instead_of or change.rows))
    return asked & set(keys_of(spec, snapshot.read(list(spec.key), change.named_rows())))


def by_group(spec: Table, rows: pa.Table, column: str, values: Iterable[str]) -> Change:
    """The rows take the place of everything that has their value in a column, or one of `values`."""
    if column not in spec.schema.names or spec.schema.field(column).type != pa.string():
        texts = [field.name for field in spec.schema if field.type == pa.string()]
        raise CatalogError(f"{spec.name} has no column {column!r} of strings; it has {', '.join(texts)}")
    held = rows.column(column).to_pylist()
    if None in held:
        raise CatalogError(f"{spec.name}.{column}, row {held.index(None)}: is null; every row needs its {column}")
    return Change(rows, pa.table({column: pa.array(dict.fromkeys([*values, *held]), pa.string())}))


def refuse_keys_elsewhere(spec: Table, snapshot: Snapshot, change: Change, column: str) -> None:
    """Make sure that no row has the key of one that stays: a key that stands in two groups would stand twice."""
    with_their_key = cast(ds.Expression, by_key(spec, change.rows).named_rows())
    replaced = cast(ds.Expression, change.named_rows())
    others = snapshot.read([*spec.key, column], with_their_key & ~replaced)
    if not others.num_rows:
        return
    homes = dict(zip(keys_of(spec, others), others.column(column).to_pylist(), strict=True))
    rows = zip(keys_of(spec, change.rows), change.rows.column(column).to_pylist(), strict=True)
    for key, value in rows:
        if key in homes:
            raise CatalogError(
                f"{spec.name}: key {key!r} with {column} {value!r} is there already with {column} {homes[key]!r}; "
                "nothing was written. A key belongs to one group: leave the row out, or replace both groups at once"
            )


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Tell whether two tables hold equal rows in any order, whatever their `at` says."""
    if one.num_rows != other.num_rows:
        return False
    names = ", ".join(f'"{name}"' for name in one.column_names if name != "at")
    with connect_duckdb() as connection:
        connection.register("one", one)
        connection.register("other", other)
        query = f"SELECT {names} FROM one EXCEPT ALL SELECT {names} FROM other LIMIT 1"  # noqa: S608 - our columns
        return connection.execute(query).fetchone() is None
