"""One Delta table: open it, change it by one atomic commit, read it by row number.

Every change is the same commit: *the rows with these values become exactly those rows*. Delta refuses it
when another writer got in between with rows that could be among them, so nothing is lost or doubled; the
change is then decided again on the newer version. On a local folder a file lock makes writers wait for each
other instead.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs
from deltalake import ColumnProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from filelock import FileLock, Timeout

from data_catalog.errors import CatalogError
from data_catalog.schemas import Table
from data_catalog.storage import Place, arrow_filesystem, delta_options, refusal
from data_catalog.tables.panics import may_fail_midway, panics_unheard
from data_catalog.tables.snapshot import PURGE, Commit, Snapshot, brief, damaged, reading

_COMMIT_ATTEMPTS = 12
_LOCK_TIMEOUT_S = 600.0
_FILES_BEFORE_COMPACTION = 100
_COMPACTED_BYTES = 32_000_000
"""Size of the files that compaction makes. A change rewrites every file that holds one of its rows: small enough
that this stays cheap, large enough that a table of millions of rows is a few dozen files."""
_VALUES_IN_A_PREDICATE = 5_000
"""Delta walks a predicate by recursion, some 400 bytes of stack a value: 20,000 overflow a thread of 8 MB."""
_VALUES_WORTH_A_LOOK = 500
"""With more values than these it is looked up first whether any row is named: a long predicate is slow, and it
stays in the log."""
_ROWS_PER_GROUP = {True: 100, False: 20_000}
"""Rows in a row group of wide and of narrow tables: a row group is what a reader holds in memory."""


@dataclass(frozen=True)
class Change:
    """The stored rows that `instead_of` names become exactly `rows`.

    `instead_of` holds values of some columns, each combination once; a stored row is named when its values
    in those columns are among them. None names every stored row.
    """

    rows: pa.Table
    instead_of: pa.Table | None

    def named_rows(self) -> ds.Expression | None:
        """Condition of the stored rows that are named; with several columns it may let others through."""
        if self.instead_of is None:
            return None
        columns = zip(self.instead_of.column_names, self.instead_of.columns, strict=True)
        conditions = [pc.field(name).isin(values.combine_chunks()) for name, values in columns]
        return functools.reduce(operator.and_, conditions)


class DeltaStore:
    """The Delta table of one contract below a root folder or url."""

    def __init__(
        self,
        table: Table,
        place: Place,
        *,
        lock: Place | None,
        as_of: datetime | int | None = None,
    ) -> None:
        """A store.

        Args:
            table: the contract.
            place: folder of the table.
            lock: file that writers lock; None where they cannot. On an object store they never need to.
            as_of: read the version of this number, or the one that was newest at this time; nothing can be written.
        """
        self.table = table
        self.location = str(place)
        self._place = place
        self._lock = lock if isinstance(lock, Path) else None
        self.locks = self._lock is not None
        self._options = delta_options(place)
        self._as_of = as_of

    def snapshot(self) -> Snapshot:
        """Open the newest version, or the one that the store was opened for."""
        delta = self.open()
        if delta is not None and self._as_of is not None:
            delta = self._earlier(delta, self._as_of)
        if delta is None:
            return Snapshot.of_no_table(self.table, self.location)
        with reading(self.location):
            self._refuse_other_schema(delta)
            files = functools.partial(self._files_oldest_first, delta)
            return Snapshot(self.table, self.location, delta, files, self._options)

    def open(self) -> DeltaTable | None:
        """Return the newest version, None before the first write."""
        try:
            return self._open()
        except TableNotFoundError as error:
            # a folder without data is one that a writer is making, or was killed making
            if not any(self._place.glob("*.parquet")):
                return None
            missing = error
        try:
            # data comes after the log: with data there, a log that is missing now is missing for good
            return self._open()
        except TableNotFoundError:
            raise damaged(self.location, missing) from missing

    def _open(self, *, once_more: bool = True) -> DeltaTable:
        try:
            return DeltaTable(self.location, storage_options=self._options)
        except TableNotFoundError:
            raise
        except (DeltaError, OSError, ValueError) as error:
            if not once_more or refusal(self.location, error):
                raise damaged(self.location, error) from error
        # a purge may have taken entries away between the listing and the reading of the log
        time.sleep(0.05)
        return self._open(once_more=False)

    def _earlier(self, newest: DeltaTable, as_of: datetime | int) -> DeltaTable | None:
        """An earlier version; None where there was no table yet.

        Raises:
            CatalogError: that version cannot be read any more, or does not exist.
        """
        commits = self.history()[::-1]
        oldest = commits[0].version
        if isinstance(as_of, int):
            version = as_of
        else:
            # a clock that was set back does not reorder the versions
            times = itertools.accumulate((commit.at for commit in commits), max)
            version = max((c.version for c, at in zip(commits, times, strict=True) if at <= as_of), default=-1)
            if version < 0 and oldest == 0:
                return None
        if not oldest <= version <= newest.version():
            asked = f"version {as_of}" if isinstance(as_of, int) else f"a version of {as_of:%Y-%m-%d %H:%M:%S} UTC"
            purged = " (what lay before was purged)" if oldest else ""
            raise CatalogError(
                f"{self.table.name}: {asked} cannot be read; there are {oldest}{purged} to {newest.version()}: "
                f"`ytb-ads catalog history {self.table.name}`"
            )
        with reading(self.location):
            return DeltaTable(self.location, version=version, storage_options=self._options)

    def history(self) -> list[Commit]:
        """All commits, newest first."""
        delta = self.open()
        with reading(self.location):
            entries = delta.history() if delta else []
        return [
            Commit(
                version=entry["version"],
                at=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                operation="PURGE HISTORY" if PURGE in entry else entry["operation"],
                rows_written=entry.get("operationMetrics", {}).get("num_added_rows"),
                files_removed=entry.get("operationMetrics", {}).get("num_removed_files"),
            )
            for entry in entries
        ]

    def change(self, decide: Callable[[Snapshot], Change | None]) -> bool:
        """Commit what `decide` makes of the newest version; decide again when another writer was faster.

        Returns:
            True if a commit was made, False if `decide` found nothing to change.

        Raises:
            CatalogError: other writers were faster every time, or hold the lock for too long; or the store is open
                for an earlier version.
        """
        if self._as_of is not None:
            raise CatalogError(f"{self.location}: opened as of an earlier time; nothing can be written there")
        for attempt in range(_COMMIT_ATTEMPTS):
            with self.writing():
                snapshot = self.snapshot()
                decided = decide(snapshot)
                if decided is None:
                    return False
                try:
                    with self.writing_files():
                        self._commit(snapshot, decided)
                    return True
                except CommitFailedError as error:
                    conflict = error
                except (DeltaError, OSError, pa.ArrowException) as error:
                    raise _not_written(self.location, error) from error
            time.sleep(random.uniform(0, min(5.0, 0.05 * 2**attempt)))  # noqa: S311 - jitter, no secret
        raise CatalogError(
            f"{self.location}: {_COMMIT_ATTEMPTS} commits in a row met another writer's; nothing of this one "
            f"was written. Run fewer writers on this table at once, or run again. Last: {brief(conflict)}"
        )

    def _commit(self, snapshot: Snapshot, change: Change) -> None:
        properties = _writer_properties(self.table)
        delta = snapshot.delta or self._create()
        # Delta refuses columns described otherwise than when the table was made: its own descriptions stay
        stored = _arrow_schema(delta)
        named, rows = change.instead_of, change.rows.to_reader().cast(stored)
        if self._only_adds(snapshot, change):
            write_deltalake(delta, rows, mode="append", writer_properties=properties)
        else:
            # without a predicate Delta would let another writer's new rows stand beside these
            predicate = f"{self.table.key[0]} IS NOT NULL"
            if named is not None and named.num_rows <= _VALUES_IN_A_PREDICATE:
                # finds its rows by the named columns alone: pictures are read only in the files that hold one
                predicate = _predicate(named)
            elif named is not None:
                rewritten = _rewritten(snapshot.dataset, change.rows, named)
                rows = pa.RecordBatchReader.from_batches(self.table.schema, rewritten).cast(stored)
            write_deltalake(delta, rows, mode="overwrite", predicate=predicate, writer_properties=properties)
        self._compact(delta, properties)

    def _only_adds(self, snapshot: Snapshot, change: Change) -> bool:
        """Tell whether the change may be appended: many values, no stored row among them, and no other writer."""
        named = change.instead_of
        if named is None or named.num_rows <= _VALUES_WORTH_A_LOOK or not self.locks:
            return False
        return snapshot.count(change.named_rows()) == 0

    def _compact(self, delta: DeltaTable, properties: WriterProperties) -> None:
        """Join small files, which slow every reader down; image bytes are not worth moving for that."""
        if self.table.wide:
            return
        sizes: list[Any] = pa.table(delta.get_add_actions())["size_bytes"].to_pylist()
        # of large files there may be any number: to count them would compact at every commit
        if sum(size < _COMPACTED_BYTES // 2 for size in sizes) < _FILES_BEFORE_COMPACTION:
            return
        # when another writer is changing these very files, a later commit compacts them
        with contextlib.suppress(CommitFailedError):
            delta.optimize.compact(target_size=_COMPACTED_BYTES, max_concurrent_tasks=1, writer_properties=properties)

    def _create(self) -> DeltaTable:
        indexed = [n for n in (*self.table.key, "video_id") if n in self.table.schema.names]
        return DeltaTable.create(
            self.location,
            self.table.schema,
            mode="ignore",
            configuration={"delta.dataSkippingStatsColumns": ",".join(dict.fromkeys(indexed))},
            storage_options=self._options,
        )

    def writing_files(self) -> contextlib.AbstractContextManager[None]:
        """Write files; where one ends in the middle, that is an exception and not a report of Rust's as well."""
        return panics_unheard() if may_fail_midway(self.location) else contextlib.nullcontext()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, where writers can lock."""
        if self._lock is None:
            yield
            return
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._lock, timeout=_LOCK_TIMEOUT_S)
            lock.acquire()
        except Timeout as error:
            raise CatalogError(
                f"{self.location}: another process has held {self._lock} for {_LOCK_TIMEOUT_S:.0f} s; "
                "see which one with `fuser` and end it, the lock goes with it"
            ) from error
        except OSError as error:
            raise _not_written(self.location, error) from error
        try:
            yield
        finally:
            lock.release()

    def filesystem(self) -> pafs.FileSystem:
        """The table's folder as Arrow reaches it."""
        return arrow_filesystem(self._place)

    def _files_oldest_first(self, delta: DeltaTable) -> ds.FileSystemDataset:
        dataset = cast(ds.FileSystemDataset, delta.to_pyarrow_dataset(filesystem=self.filesystem()))
        added = pa.table(delta.get_add_actions())
        made_at = added["modification_time"].cast(pa.int64()).to_pylist()
        age = dict(zip(added["path"].to_pylist(), made_at, strict=True))
        oldest_first = sorted(dataset.get_fragments(), key=lambda f: (age[f.path], f.path))
        return ds.FileSystemDataset(oldest_first, dataset.schema, dataset.format, dataset.filesystem)

    def _refuse_other_schema(self, delta: DeltaTable) -> None:
        stored = _arrow_schema(delta)
        if not stored.equals(self.table.schema):
            differing = sorted(
                name
                for name in {*stored.names, *self.table.schema.names}
                if stored.get_field_index(name) < 0
                or self.table.schema.get_field_index(name) < 0
                or stored.field(name).type != self.table.schema.field(name).type
            )
            cure = (
                "Every row of it can be computed again: remove that folder, and build"
                if self.table.computed
                else "Use that version, or start a new catalog folder"
            )
            raise CatalogError(
                f"{self.location}: was written by another version of this program; columns that differ: "
                f"{differing or 'their order'}. {cure}"
            )


def _arrow_schema(delta: DeltaTable) -> pa.Schema:
    return pa.schema(cast(pa.Schema, delta.schema().to_arrow()))


def _predicate(named: pa.Table) -> str:
    """Condition of the rows that are named: `(stage = 'a' AND key IN ('x', 'y')) OR ...`."""
    *outer, innermost = named.column_names
    groups: dict[tuple[str, ...], list[str]] = {}
    for *first, last in zip(*(column.to_pylist() for column in named.columns), strict=True):
        groups.setdefault(tuple(first), []).append(_quoted(last))
    conditions = []
    for first, last in groups.items():
        fixed = [f"{name} = {_quoted(value)}" for name, value in zip(outer, first, strict=True)]
        conditions.append(" AND ".join([*fixed, f"{innermost} IN ({', '.join(last)})"]))
    return " OR ".join(f"({condition})" for condition in conditions)


def _rewritten(stored: ds.Dataset, rows: pa.Table, named: pa.Table) -> Iterator[pa.RecordBatch]:
    """The whole table after the change: stored rows that are not named, then the new ones."""
    for batch in stored.to_batches(batch_readahead=1, fragment_readahead=1):
        values = pa.table([batch.column(name) for name in named.column_names], named.column_names)
        numbered = values.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
        kept = numbered.join(named, named.column_names, join_type="left anti").column("row")
        yield batch.take(kept.combine_chunks().sort())
    yield from rows.to_batches()


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _writer_properties(table: Table) -> WriterProperties:
    plain = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
    narrow = ColumnProperties(dictionary_enabled=True, statistics_enabled="CHUNK")
    # nested columns cannot be named here, so they (image bytes among them) take the default: no statistics
    flat = {field.name: narrow for field in table.schema if field.type.num_fields == 0}
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=_ROWS_PER_GROUP[table.wide],
        default_column_properties=plain,
        column_properties=flat,
    )


def _not_written(location: str, error: BaseException) -> CatalogError:
    return refusal(location, error) or CatalogError(
        f"{location}: cannot be written ({brief(error)}); it is as it was. "
        "Check free space, write permission and the file it may name, then run again"
    )
