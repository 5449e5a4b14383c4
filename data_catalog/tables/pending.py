"""Pending rows: upstream rows without a current row in the stage's table and without a final drop.

The question is answered on narrow columns alone, as row numbers of the upstream table; its files are then
read once, one row group at a time, so memory does not grow with the table even where rows hold pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_catalog.errors import CatalogError
from data_catalog.schemas import Table
from data_catalog.tables.duck import connect_duckdb
from data_catalog.tables.snapshot import Snapshot, reading

# A missing revision counts as the empty one, on both sides of every comparison.
_CURRENT = """
    WITH held AS (SELECT key, coalesce(revision, '') AS revision FROM upstream)
    SELECT mine.row FROM mine
    WHERE mine.fingerprint = $fingerprint AND (mine.key, coalesce(mine.revision, '')) IN (FROM held)
    ORDER BY mine.row
"""
_PENDING = """
    WITH settled AS (
        SELECT key, coalesce(revision, '') AS revision FROM mine WHERE fingerprint = $fingerprint
        UNION ALL
        SELECT key, coalesce(upstream_revision, '') FROM drops
        WHERE stage = $stage AND fingerprint = $fingerprint
            AND (kind = 'filtered' OR attempts >= $max_attempts))
    SELECT upstream.row FROM upstream
    ANTI JOIN settled ON settled.key = upstream.key AND settled.revision = coalesce(upstream.revision, '')
    ORDER BY upstream.row
"""


class Pending(Iterator[pa.Table]):
    """Upstream rows still to do, in storage order, in tables of `size` rows (the last one may be shorter).

    The pass is fixed when it begins: rows that are committed meanwhile neither leave nor enter it, and a
    failed row is met once.
    """

    def __init__(self, upstream: Snapshot, numbers: NDArray[np.int64], *, size: int, columns: Sequence[str] | None):
        self.rows = len(numbers)
        """Number of rows that the whole pass yields."""
        self._batches = rebatched(upstream.rows_at(numbers, columns), size)

    def __next__(self) -> pa.Table:
        return next(self._batches)


def pending_rows(
    mine: Snapshot, upstream: Snapshot, drops: Snapshot, *, stage: str, fingerprint: str, max_attempts: int
) -> NDArray[np.int64]:
    """Row numbers of the upstream rows that are left to do."""
    join_column(mine.table, upstream.table)
    narrow = {
        "mine": _keyed(mine, upstream.table),
        "upstream": _revisions(upstream),
        "drops": drops.read(["stage", "key", "kind", "attempts", "fingerprint", "upstream_revision"]),
    }
    asked = {"stage": stage, "fingerprint": fingerprint, "max_attempts": max_attempts}
    return _row_numbers(upstream.location, _PENDING, narrow, asked)


def current_rows(mine: Snapshot, upstream: Snapshot, *, fingerprint: str) -> NDArray[np.int64]:
    """Row numbers of my rows whose settings and upstream content still hold."""
    narrow = {"mine": _keyed(mine, upstream.table), "upstream": _revisions(upstream)}
    return _row_numbers(mine.location, _CURRENT, narrow, {"fingerprint": fingerprint})


def join_column(mine: Table, upstream: Table) -> str:
    """The column of mine that names the upstream row a row was made from."""
    needed = (*upstream.key, "fingerprint", "upstream_revision")
    missing = [name for name in needed if name not in mine.schema.names]
    if missing or len(upstream.key) != 1:
        raise CatalogError(
            f"{mine.name} is not made row by row from {upstream.name}: it lacks {missing or 'a single key'}; "
            "tables that are made as a whole are written with replace()"
        )
    return upstream.key[0]


def _keyed(mine: Snapshot, upstream: Table) -> pa.Table:
    key = join_column(mine.table, upstream)
    rows = mine.read([key, "fingerprint", "upstream_revision"])
    return _numbered(rows.rename_columns(["key", "fingerprint", "revision"]))


def _revisions(upstream: Snapshot) -> pa.Table:
    key, revision = upstream.table.key[0], upstream.table.revision
    if revision is None:
        rows = upstream.read([key]).append_column("revision", pa.repeat("", upstream.count()))
    else:
        rows = upstream.read([key, revision])
    return _numbered(rows.rename_columns(["key", "revision"]))


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.append_column("row", pa.array(np.arange(rows.num_rows)))


def _row_numbers(location: str, query: str, narrow: dict[str, pa.Table], asked: dict[str, object]) -> NDArray[np.int64]:
    with connect_duckdb() as connection, reading(location):
        for name, rows in narrow.items():
            connection.register(name, rows)
        numbers: NDArray[np.int64] = connection.sql(query, params=asked).fetchnumpy()["row"]
    return numbers


def rebatched(parts: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """Cut and join tables so that each has `size` rows."""
    held: list[pa.Table] = []
    n_held = 0
    for part in parts:
        held.append(part)
        n_held += part.num_rows
        while n_held >= size:
            joined = pa.concat_tables(held)
            yield joined.slice(0, size)
            held = [joined.slice(size)]
            n_held -= size
    if n_held:
        yield pa.concat_tables(held)
