"""The working tables of one catalog folder: merge, replace, and read pending, current and dropped rows.

    catalog = Catalog("./catalog")
    for ads in catalog.pending("frames", upstream="ads", stage="frames", fingerprint=fingerprint, size=64):
        rows, drops = ...
        catalog.commit("frames", rows, stage="frames", drops=drops, done=keys)

Every write is one atomic commit of a Delta Lake table, made by `Catalog` alone; unfinished writes of a killed
process are invisible to readers, and the next run repeats them. A catalog object holds no state but its
place, so threads may share it and processes (spawned, not forked) may open it at the same time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data_catalog.errors import CatalogError, PurgedError
from data_catalog.schemas import TABLES, Table
from data_catalog.storage import Place, place_of
from data_catalog.tables.changes import (
    Key,
    by_group,
    by_key,
    key_table,
    refuse_keys_elsewhere,
    same_rows,
    stored_keys,
)
from data_catalog.tables.conforming import conform, last_of_each_key
from data_catalog.tables.delta import Change, DeltaStore
from data_catalog.tables.drops import Drop, drop_rows, settle
from data_catalog.tables.duck import connect_duckdb, within_memory
from data_catalog.tables.forgotten import Forgotten
from data_catalog.tables.pending import Pending, current_rows, join_column, pending_rows
from data_catalog.tables.purging import Purged, purge
from data_catalog.tables.snapshot import Commit, Snapshot, TableInfo, reading

__all__ = ["Catalog", "Commit", "Drop", "TableInfo", "spec_of"]

_QUERY_MEMORY = "400MB"


class Catalog:
    """Tables below a local folder (made on first write) or an object store's url.

    Args:
        root: folder, or `s3://bucket/prefix`.
        storage_options: credentials and settings of the object store, as deltalake takes them; by default those of
            the environment, `AWS_ACCESS_KEY_ID` and the like.
        file_locks: let writers on a local folder wait for each other. Turn it off where the file system
            cannot lock; writers then find each other's commits and try again, as on an object store.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        storage_options: dict[str, str] | None = None,
        file_locks: bool = True,
    ) -> None:
        self.place = place_of(root, storage_options)
        self.root = str(self.place)
        self._file_locks = file_locks
        self.moment: datetime | Mapping[str, int] | None = None
        """State that it is opened as of: a time, or a version of each table; None for the newest state."""
        self.release: str | None = None
        """The release whose tables these are, if it is opened as of a release."""

    def __repr__(self) -> str:
        return f"Catalog({self.root!r})"

    def reach(self) -> None:
        """Check that its place can be reached, before a server is started or a table is opened.

        Raises:
            StorageError: it is a bucket that is not there, or may not be read.
        """
        self.place.is_dir()

    @property
    def releases_dir(self) -> Place:
        """Folder of the releases."""
        return self.place / "releases"

    @property
    def models_dir(self) -> Place:
        """Folder of the trained models, in folders by release."""
        return self.place / "models"

    def as_of(self, when: datetime | Mapping[str, int], *, release: str | None = None) -> Catalog:
        """The same catalog as it was: every read is of that time, and nothing can be written.

        Args:
            when: a time, or a version of each table; of tables that are not named there was none.
            release: the release that was made from these versions.
        """
        earlier = copy(self)
        earlier.moment, earlier.release = when, release
        return earlier

    # Writing

    def merge(self, table: str, rows: pa.Table) -> int:
        """Write rows by key: a new key is inserted, a known one takes the new row. Last of a key wins.

        Returns:
            How many keys were written.
        """
        spec = spec_of(table)
        fresh = _fresh(spec, rows)
        if fresh.num_rows:
            change = by_key(spec, fresh)
            self._store(spec).change(lambda snapshot: change)
        return fresh.num_rows

    def replace(self, table: str, rows: pa.Table) -> bool:
        """Make the table equal to `rows` in one commit.

        Rows that are equal but for `at` are left as they are, and nothing is committed.

        Returns:
            True if something changed.
        """
        spec = spec_of(table)
        return self._replace(spec, Change(_fresh(spec, rows), None))

    def replace_groups(self, table: str, rows: pa.Table, *, column: str, values: Iterable[str]) -> int:
        """Make what the table holds for some values of a column exactly `rows`, in one commit.

        Written for many groups at once, such as all comments of some hundred ads: what it costs grows with the
        rows that are written and replaced; of the other rows only the key and the column are read.

        Args:
            table: name of the table.
            rows: the groups' rows, the last of a key wins.
            column: a column of strings, none of which may be null in `rows`.
            values: groups that `rows` speaks for: those that have no row in it lose the rows that they have.
                The groups of the rows themselves are among them without being named.

        Returns:
            How many rows were written.

        Raises:
            CatalogError: a row's key stands in a group that is not replaced.
        """
        spec = spec_of(table)
        fresh = _fresh(spec, rows)
        change = by_group(spec, fresh, column, values)

        def decide(snapshot: Snapshot) -> Change | None:
            refuse_keys_elsewhere(spec, snapshot, change, column)
            return _unless_empty(snapshot, change)

        self._store(spec).change(decide)
        return fresh.num_rows

    def delete_groups(self, table: str, *, column: str, values: Iterable[str]) -> int:
        """Delete every row with one of these values in a column of strings; returns how many there were."""
        spec = spec_of(table)
        change = by_group(spec, spec.schema.empty_table(), column, values)
        return self._take_away(spec, change, lambda snapshot: snapshot.count(change.named_rows()))

    def delete(self, table: str, keys: Iterable[Key]) -> int:
        """Delete the rows with these keys (tuples if a key has several columns), if there are any."""
        spec = spec_of(table)
        change = Change(spec.schema.empty_table(), key_table(spec, keys))
        return self._take_away(spec, change, lambda snapshot: len(stored_keys(spec, snapshot, change)))

    def commit(
        self,
        table: str,
        rows: pa.Table,
        *,
        stage: str,
        drops: Sequence[Drop] = (),
        done: Iterable[str] = (),
        upstream: str | None = None,
    ) -> int:
        """Write one batch of a stage: its rows, its drops, and the removal of earlier drops.

        The drops go first. A process killed between the two commits leaves keys without row or drop, which
        the next run finds pending.

        Args:
            table: the stage's table.
            rows: rows that the batch made.
            stage: name under which the stage keeps its drops.
            drops: upstream keys that did not qualify or failed; `attempts` counts up where the same content
                failed under the same settings before.
            done: upstream keys that the batch settled; an earlier drop of one that is not dropped again goes.
            upstream: table that `done` and the drops' keys are of. Given, everything that `table` holds for
                these keys becomes exactly `rows`: what older settings or content had left there goes too.

        Returns:
            How many rows were written.
        """
        spec = spec_of(table)
        _refuse_other_stages(stage, drops)
        fresh = _fresh(spec, rows)
        settled = list(dict.fromkeys([*done, *(drop.key for drop in drops)]))
        origin = join_column(spec, spec_of(upstream)) if upstream else None
        change = by_group(spec, fresh, origin, settled) if origin else by_key(spec, fresh)

        if settled:
            self._store(TABLES["drops"]).change(lambda snapshot: settle(snapshot, stage, drops, settled))
        if fresh.num_rows or origin:
            self._store(spec).change(lambda snapshot: _unless_empty(snapshot, change))
        return fresh.num_rows

    def remove_orphans(self, stage: str, tables: Sequence[str], *, upstream: str) -> int:
        """Remove a stage's rows and drops whose upstream row is gone: one commit for each table that has any.

        Args:
            stage: name under which the stage keeps its drops.
            tables: tables that the stage makes row by row; others are left alone.
            upstream: table that the stage works from.

        Returns:
            How many rows and drops were removed.
        """
        [key] = spec_of(upstream).key
        of_drops = "video_id" if key == "video_id" else "key"  # a drop of an ad's single frame names its ad
        # before upstream: of what another process adds meanwhile, the upstream row is there first
        drops = self.read("drops", ["key", "video_id"], where=pc.field("stage") == stage)
        mine = {
            name: self.read(name, [key]) for name in tables if {key, "fingerprint"} <= {*spec_of(name).schema.names}
        }
        held = self.read(upstream, [key])[key].combine_chunks()

        def gone(rows: pa.Table, column: str, wanted: str) -> list[Any]:
            return rows.filter(pc.invert(pc.is_in(rows[column], value_set=held)))[wanted].unique().to_pylist()

        removed = 0
        if keys := gone(drops, of_drops, "key"):
            removed += self.delete("drops", [(stage, orphan) for orphan in keys])
        for name, rows in mine.items():
            if keys := gone(rows, key, key):
                removed += self.delete_groups(name, column=key, values=keys)
        return removed

    def replace_drops(self, stage: str, drops: Sequence[Drop]) -> bool:
        """Make the stage's drops exactly these, in one commit; True if something changed."""
        _refuse_other_stages(stage, drops)
        return self._replace(TABLES["drops"], by_group(TABLES["drops"], drop_rows(drops), "stage", [stage]))

    # Reading

    def read(
        self, table: str, columns: Sequence[str] | None = None, where: str | ds.Expression | None = None
    ) -> pa.Table:
        """Read rows in storage order; an empty table with its columns before the first write.

        Args:
            table: name of the table.
            columns: names of the columns wanted; all of them if None.
            where: rows wanted, as SQL (`"label = 'positive'"`) or as a pyarrow expression.
        """
        names = _columns(spec_of(table), columns)

        def read_from(snapshot: Snapshot) -> pa.Table:
            return snapshot.read_sql(names, where) if isinstance(where, str) else snapshot.read(names, where)

        try:
            return read_from(self.snapshot(table))
        except PurgedError:
            return read_from(self.snapshot(table))

    def values(self, table: str, column: str, where: str | ds.Expression | None = None) -> list[Any]:
        """Read one column as Python values, in storage order."""
        found: list[Any] = self.read(table, [column], where)[column].to_pylist()
        return found

    def query(self, query: str, *, tables: Sequence[str], params: Mapping[str, object]) -> pa.Table:
        """Rows of one query over tables, worked through in little memory, however large these are.

        Args:
            query: in SQL; each of `tables` goes by its name, and $name stands for one of `params`.
            tables: names of the tables that it reads.
            params: values.
        """
        snapshots = {table: self.snapshot(table) for table in tables}

        def asked(connection: duckdb.DuckDBPyConnection) -> pa.Table:
            for table, snapshot in snapshots.items():
                connection.register(table, snapshot.dataset)
            return connection.sql(query, params=dict(params)).to_arrow_table()

        with reading(f"{self.root}/tables"):
            try:
                with within_memory(_QUERY_MEMORY) as connection:
                    return asked(connection)
            except duckdb.OutOfMemoryException:  # not all of its work can be put aside
                with connect_duckdb() as connection:
                    return asked(connection)

    def count(self, table: str) -> int:
        """Count the table's rows, from its log alone."""
        return self.snapshot(table).count()

    def pending(
        self,
        table: str,
        *,
        upstream: str,
        stage: str,
        fingerprint: str,
        size: int,
        columns: Sequence[str] | None = None,
        max_attempts: int = 3,
    ) -> Pending:
        """Iterate over the upstream rows that have no current row in `table` and no drop that stands.

        An upstream row is done when `table` has a row of it with this fingerprint and with the revision that
        the upstream row has now, or when the stage dropped it under both: `filtered`, or `failed` as often
        as `max_attempts`. For frames of ads, one current frame makes the ad done.

        Args:
            table: the stage's table.
            upstream: table that the stage works from.
            stage: name under which the stage keeps its drops.
            fingerprint: settings and engine version of this run.
            size: rows per batch.
            columns: upstream columns wanted; all of them if None.
            max_attempts: how often a failed key is tried in all, over several runs.

        Returns:
            An iterator of tables; its `rows` says how many rows it will yield in all.
        """
        if size < 1:
            raise CatalogError(f"pending({table!r}): size {size}; expected at least 1 row per batch")
        source = self.snapshot(upstream)
        names = _columns(source.table, columns)
        numbers = pending_rows(
            self.snapshot(table),
            source,
            self.snapshot("drops"),
            stage=stage,
            fingerprint=fingerprint,
            max_attempts=max_attempts,
        )
        return Pending(source, numbers, size=size, columns=names)

    def current(self, table: str, *, upstream: str, fingerprint: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of `table` that were made with this fingerprint from upstream's present content."""
        snapshot = self.snapshot(table)
        names = _columns(snapshot.table, columns)
        numbers = current_rows(snapshot, self.snapshot(upstream), fingerprint=fingerprint)
        empty = pa.schema([snapshot.table.schema.field(name) for name in names]).empty_table()
        return pa.concat_tables([empty, *snapshot.rows_at(numbers, names)])

    def snapshot(self, table: str) -> Snapshot:
        """Open one table's newest version, or the one of `as_of`, to read from it more than once."""
        spec = spec_of(table)
        if isinstance(self.moment, Mapping) and table not in self.moment:
            return Snapshot.of_no_table(spec, f"{self.root}/tables/{table}")
        return self._store(spec).snapshot()

    def state(self, table: str) -> str:
        """Name of the table's present rows, from its log alone: where two are equal, the rows are.

        Delta never changes a file, and names each for itself.
        """
        return _digest(sorted(self.snapshot(table).files()))

    def drops_state(self, stage: str) -> str:
        """Name of a stage's present drops: where two are equal, the drops are."""
        return _digest(sorted(map(repr, self.read("drops", where=pc.field("stage") == stage).to_pylist())))

    def forgotten(self) -> Forgotten:
        """Ads and authors that were removed on request and that no crawl may bring back."""
        held = self.read("forgotten", ["digest", "kind"]).to_pylist()
        digests = {kind: frozenset(row["digest"] for row in held if row["kind"] == kind) for kind in ("ad", "author")}
        return Forgotten(ads=digests["ad"], authors=digests["author"])

    # Looking at the tables themselves

    def tables(self) -> list[TableInfo]:
        """Every table that exists, in the order of `TABLES`."""
        snapshots = [self.snapshot(name) for name in TABLES]
        return [snapshot.info() for snapshot in snapshots if snapshot.exists]

    def versions(self) -> dict[str, int]:
        """The version of every table that exists."""
        return {info.name: info.version for info in self.tables()}

    def history(self, table: str) -> list[Commit]:
        """The table's commits, newest first."""
        return self._store(spec_of(table)).history()

    def purge(self, table: str) -> Purged | None:
        """Remove the table's history and keep only its newest version; None if there is no table."""
        return purge(self._store(spec_of(table)))

    def _take_away(self, spec: Table, change: Change, count: Callable[[Snapshot], int]) -> int:
        """Commit a change without rows if it names any that are stored; returns how many these are."""
        found = 0

        def decide(snapshot: Snapshot) -> Change | None:
            nonlocal found
            found = count(snapshot)
            return change if found else None

        self._store(spec).change(decide)
        return found

    def _replace(self, spec: Table, change: Change) -> bool:
        """Commit a change, unless the rows that it names are equal to its own but for `at`."""

        def decide(snapshot: Snapshot) -> Change | None:
            return None if same_rows(snapshot.read(where=change.named_rows()), change.rows) else change

        return self._store(spec).change(decide)

    def _store(self, spec: Table) -> DeltaStore:
        lock = self.place / ".locks" / f"{spec.name}.lock"
        as_of = self.moment.get(spec.name, -1) if isinstance(self.moment, Mapping) else self.moment
        return DeltaStore(spec, self.place / "tables" / spec.name, lock=lock if self._file_locks else None, as_of=as_of)


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass")).hexdigest()


def _fresh(spec: Table, rows: pa.Table) -> pa.Table:
    """Rows as the table holds them, each key once."""
    return last_of_each_key(spec, conform(spec, rows))


def _unless_empty(snapshot: Snapshot, change: Change) -> Change | None:
    """Return the change, unless it has no rows and names no stored row."""
    return change if change.rows.num_rows or snapshot.count(change.named_rows()) else None


def _refuse_other_stages(stage: str, drops: Sequence[Drop]) -> None:
    others = [drop for drop in drops if drop.stage != stage]
    if others:
        raise CatalogError(f"stage {stage!r} cannot write a drop of stage {others[0].stage!r}: {others[0]}")


def spec_of(table: str) -> Table:
    """The contract of a table.

    Raises:
        CatalogError: there is no such table; the message names those there are.
    """
    if table not in TABLES:
        raise CatalogError(f"there is no table {table!r}; tables are {', '.join(TABLES)}")
    return TABLES[table]


def _columns(spec: Table, asked: Sequence[str] | None) -> list[str]:
    unknown = [name for name in asked or () if name not in spec.schema.names]
    if unknown:
        raise CatalogError(f"{spec.name} has no column {unknown[0]!r}; it has {', '.join(spec.schema.names)}")
    return spec.schema.names if asked is None else list(asked)
