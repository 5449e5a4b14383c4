"""One table's rows of one ad, quickly: the catalog's tables are made for stages that read them whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, PurgedError
from data_catalog.tables.snapshot import Snapshot


class Shelf:
    """Keeps which row belongs to which ad; rows themselves are read when asked for.

    Args:
        catalog: whose table.
        table: its name; it has a column `video_id`.
        refresh_s: seconds after which a look is taken whether the table has changed.
    """

    def __init__(self, catalog: Catalog, table: str, refresh_s: float) -> None:
        self._catalog, self._table, self._refresh_s = catalog, table, refresh_s
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._ads: pa.ChunkedArray[Any] = pa.chunked_array([], pa.string())
        self._looked_at = 0.0

    def rows(self, video_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """The ad's rows in storage order; none of an ad that is not there, or was forgotten."""
        snapshot, ads = self._current()
        try:
            return _rows(snapshot, ads, video_id, columns)
        except (PurgedError, CatalogError):
            # what was forgotten meanwhile took the files away under which it stood
            snapshot, ads = self._current(anew=True)
            return _rows(snapshot, ads, video_id, columns)

    def version(self) -> int:
        """Changes when the table does."""
        snapshot, _ = self._current()
        return snapshot.delta.version() if snapshot.delta is not None else -1

    def _current(self, *, anew: bool = False) -> tuple[Snapshot, pa.ChunkedArray[Any]]:
        with self._lock:
            now = time.monotonic()
            if self._snapshot is None or anew or now - self._looked_at > self._refresh_s:
                newest = self._catalog.snapshot(self._table)
                if self._snapshot is None or anew or _version(newest) != _version(self._snapshot):
                    self._snapshot, self._ads = newest, newest.read(["video_id"])["video_id"]
                self._looked_at = now
            return self._snapshot, self._ads


def _version(snapshot: Snapshot) -> int:
    return snapshot.delta.version() if snapshot.delta is not None else -1


def _rows(snapshot: Snapshot, ads: pa.ChunkedArray[Any], video_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    if not len(ads):
        return []
    found = pc.indices_nonzero(pc.equal(ads, pa.scalar(video_id, pa.string())))
    numbers = [number for number in found.to_pylist() if number is not None]
    return [row for part in snapshot.rows_at(numbers, columns) for row in part.to_pylist()]
