"""One version of a Delta table: read whole, by condition or by row number, without changing it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from numpy.typing import NDArray

from data_catalog.errors import CatalogError, PurgedError
from data_catalog.schemas import Table
from data_catalog.storage import refusal
from data_catalog.tables.duck import connect_duckdb

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_SYSTEM = re.compile(r"([^:\n\u21b3]+?) \(os error \d+\)")
"""Pattern of an operating system's fault in Rust's messages, which add names of their own."""
PURGE = "ytb_ads.history_purged"
"""Key in the metadata of commits that purge the table's history."""


@dataclass(frozen=True)
class TableInfo:
    """One table at a glance."""

    name: str
    key: tuple[str, ...]
    rows: int
    version: int
    size_bytes: int


@dataclass(frozen=True)
class Commit:
    """One version of a table: when it was made, and how many rows it wrote and took away."""

    version: int
    at: datetime
    operation: str
    rows_written: int | None
    files_removed: int | None


@dataclass(frozen=True)
class Snapshot:
    """One version of a table, its files oldest first; None of a table that does not exist yet."""

    table: Table
    location: str
    delta: DeltaTable | None
    open_dataset: Callable[[], ds.FileSystemDataset | ds.InMemoryDataset] = field(repr=False)
    storage_options: dict[str, str] | None = field(default=None, repr=False)

    @classmethod
    def of_no_table(cls, table: Table, location: str) -> Self:
        """The snapshot of a table that does not exist: no rows."""
        return cls(table, location, None, lambda: ds.dataset(table.schema.empty_table()))

    @cached_property
    def dataset(self) -> ds.FileSystemDataset | ds.InMemoryDataset:
        """Its files to be read with Arrow, which takes 0.2 ms a file to put together; most commits do not need it."""
        with reading(self.location):
            return self.open_dataset()

    @property
    def exists(self) -> bool:
        return self.delta is not None

    def count(self, where: ds.Expression | None = None) -> int:
        """Count the rows, or those that meet a condition, from its columns alone, a row group at a time."""
        if self.delta is None or where is None:
            return self.delta.count() if self.delta else 0
        with self._reading():
            batches = self.dataset.to_batches(columns=[], filter=where, batch_readahead=1, fragment_readahead=1)
            return sum(batch.num_rows for batch in batches)

    def files(self) -> dict[str, int]:
        """Size in bytes of each of its files, by its path below the table's folder."""
        added: list[Any] = pa.table(self.delta.get_add_actions()).to_pylist() if self.delta else []
        return {file["path"]: file["size_bytes"] for file in added}

    def info(self) -> TableInfo:
        version = self.delta.version() if self.delta else -1
        size_bytes = sum(self.files().values())
        return TableInfo(self.table.name, self.table.key, self.count(), version, size_bytes)

    def read(self, columns: Sequence[str] | None = None, where: ds.Expression | None = None) -> pa.Table:
        """Read columns of the rows that `where` keeps, in storage order, into memory."""
        with self._reading():
            names = list(columns) if columns else None
            if where is None:
                return self.dataset.to_table(columns=names)
            # few rows are kept as a rule: what is read ahead would be most of the memory
            return self.dataset.to_table(columns=names, filter=where, batch_readahead=2, fragment_readahead=1)

    def rows_at(
        self, numbers: Sequence[int] | NDArray[np.int64], columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows with these ascending numbers, holding one row group in memory at a time."""
        if not self.exists:
            return
        names = list(columns) if columns else self.table.schema.names
        ahead, first = np.asarray(numbers, np.int64), 0
        with self._reading():
            for fragment in self.dataset.get_fragments():
                for group in fragment.row_groups:
                    if not len(ahead):
                        return
                    end = first + group.num_rows
                    here, ahead = np.split(ahead, [np.searchsorted(ahead, end)])
                    if len(here):
                        part = fragment.subset(row_group_ids=[group.id])
                        rows = part.to_table(schema=self.table.schema, columns=names)
                        yield rows if len(here) == group.num_rows else rows.take(pa.array(here - first))
                    first = end

    def read_sql(self, columns: Sequence[str], where: str) -> pa.Table:
        """Read columns of the rows that a condition in SQL keeps."""
        names = ", ".join(f'"{name}"' for name in columns)
        query = f"SELECT {names} FROM rows WHERE {where}"  # noqa: S608 - the owner's own condition on own data
        with self._reading(), connect_duckdb() as connection:
            connection.register("rows", self.dataset)
            try:
                found = connection.sql(query).to_arrow_table()
            except duckdb.Error as error:
                raise CatalogError(f"{self.table.name}: condition {where!r}: {error}") from error
        return found.cast(pa.schema([self.table.schema.field(name) for name in columns]))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with reading(self.location):
                yield
        except CatalogError as error:
            if self.was_purged():
                raise PurgedError(
                    f"{self.location}: `ytb-ads catalog forget` or a refresh took the version away that was being "
                    "read; what is there now is whole: start again"
                ) from error
            raise

    def was_purged(self) -> bool:
        """Tell whether this version can no longer be read because a purge came after it."""
        if self.delta is None:
            return False
        try:
            newest = DeltaTable(self.location, storage_options=self.storage_options)
            readable = [entry["version"] for entry in newest.history()]
        except (DeltaError, OSError, ValueError):
            return False
        return bool(readable) and min(readable) > self.delta.version()


@contextlib.contextmanager
def reading(location: str) -> Iterator[None]:
    """Say which table could not be read, and what to do, instead of what Arrow or Delta say."""
    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise damaged(location, error) from error


def damaged(location: str, error: BaseException) -> CatalogError:
    """The error of a table that cannot be read."""
    return refusal(location, error) or CatalogError(
        f"{location}: cannot be read ({brief(error)}). Restore this folder from a copy, or move it away and "
        "run the build again: what it held is then made anew"
    )


def brief(error: BaseException) -> str:
    """An error in a line: what the system said, if it is that, or else the first line of what Rust says."""
    said = _COLOUR.sub("", str(error)).strip()
    if of_system := _OF_SYSTEM.search(said):
        return of_system.group(1).strip()
    return said.splitlines()[0][:300] if said else type(error).__name__
