"""What a write takes the place of: rows named by key or by a column's value, and whether anything differs."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data_catalog.delta import Change
from data_catalog.errors import CatalogError
from data_catalog.schemas import Table
from data_catalog.snapshot import Snapshot

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
    return asked & set(keys_of(spec, snapshot.read(list(spec.key), named_rows(change))))


def by_value(spec: Table, rows: pa.Table, where: Mapping[str, str]) -> Change:
    """The rows take the place of those where columns hold these values, and must hold them too."""
    for column, value in where.items():
        if column not in spec.schema.names:
            raise CatalogError(f"{spec.name} has no column {column!r}; it has {', '.join(spec.schema.names)}")
        others = [held for held in rows.column(column).to_pylist() if held != value]
        if others:
            raise CatalogError(
                f"{spec.name}: a row with {column} {others[0]!r} cannot replace those with {column} {value!r}"
            )
    return Change(rows, pa.table({column: [value] for column, value in where.items()}) if where else None)


def by_origin(spec: Table, rows: pa.Table, origin: str, settled: Iterable[str]) -> Change:
    """The rows take the place of everything that was made of their upstream rows, and of the settled ones."""
    origins = rows.column(origin).to_pylist()
    if None in origins:
        raise CatalogError(f"{spec.name}.{origin}, row {origins.index(None)}: is null; name the upstream row")
    return Change(rows, pa.table({origin: pa.array(dict.fromkeys([*settled, *origins]), pa.string())}))


def named_rows(change: Change) -> ds.Expression | None:
    """Condition of the stored rows that the change names; with several columns it may let others through."""
    if change.instead_of is None:
        return None
    columns = zip(change.instead_of.column_names, change.instead_of.columns, strict=True)
    conditions = [pc.field(name).isin(values.combine_chunks()) for name, values in columns]
    return functools.reduce(operator.and_, conditions)


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables hold equal rows in any order, whatever their `at` says."""
    if one.num_rows != other.num_rows:
        return False
    names = ", ".join(f'"{name}"' for name in one.column_names if name != "at")
    with duckdb.connect(":memory:") as connection:
        connection.register("one", one)
        connection.register("other", other)
        query = f"SELECT {names} FROM one EXCEPT ALL SELECT {names} FROM other LIMIT 1"  # noqa: S608 - our columns
        return connection.execute(query).fetchone() is None
