"""Purge a table's history: what only older versions held is removed from data and log.

Delta keeps the data of older versions, and a log whose entries name the rows that a commit took away and the
smallest and largest key of every file. Its own cleaning spares what is younger than some weeks, and what no version
names. A purge therefore makes one commit that says nothing but that it is one, a checkpoint of the table as it is
at that commit, and removes every file that neither needs. The table is whole at every moment in between: one that
was killed is finished by the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from data_catalog.errors import CatalogError
from data_catalog.storage import refusal
from data_catalog.tables.delta import DeltaStore
from data_catalog.tables.snapshot import PURGE, brief

_LOG = "_delta_log/"
_ENTRY = re.compile(r"_delta_log/(\d{20})\.(json|crc|checkpoint(\.[\w-]+)*\.parquet)")
_POINTER = "_delta_log/_last_checkpoint"
_LONGEST_WRITE = timedelta(hours=1)
"""Without locks a file that no version names may be one that another writer is about to commit, if it is younger."""


@dataclass(frozen=True)
class Purged:
    """Files that a purge removed from one table's folder."""

    table: str
    version: int
    """The oldest version that can be read now."""
    data_files: int
    log_files: int
    left: int = 0
    """Files that may be another writer's of this moment; only where writers cannot lock."""


def purge(store: DeltaStore) -> Purged | None:
    """Remove all versions of the table but the newest; None if there is no table.

    Raises:
        CatalogError: another writer's commit came in between, or a file cannot be removed.
    """
    with store.writing():
        delta = store.open()
        if delta is None:
            return None
        files = store.filesystem()
        try:
            if not _is_purged(delta, files):
                with store.writing_files():
                    _begin_history_anew(delta)
            return _remove_the_past(store, delta, files)
        except CommitFailedError as error:
            raise CatalogError(
                f"{store.location}: another writer was faster ({brief(error)}); its history was not purged, run again"
            ) from error
        except (DeltaError, OSError) as error:
            raise refusal(store.location, error) or CatalogError(
                f"{store.location}: not all of its history could be removed ({brief(error)}). The table is whole; "
                "check the write permission of its files and run again"
            ) from error


def _is_purged(delta: DeltaTable, files: pafs.FileSystem) -> bool:
    """Tell whether nothing was committed since the last purge, and its checkpoint was written."""
    newest = delta.history(1)
    checkpoint = f"{_LOG}{delta.version():020d}.checkpoint.parquet"
    return PURGE in (newest[0] if newest else {}) and files.get_file_info(checkpoint).type == pafs.FileType.File


def _begin_history_anew(delta: DeltaTable) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    delta.alter.set_table_description(
        f"What this table held before {now} and no longer holds cannot be read any more: its history was purged.",
        commit_properties=CommitProperties(custom_metadata={PURGE: now}),
    )
    delta.create_checkpoint()


def _remove_the_past(store: DeltaStore, delta: DeltaTable, files: pafs.FileSystem) -> Purged:
    live = set(pa.table(delta.get_add_actions())["path"].to_pylist())
    young = datetime.now(UTC) - _LONGEST_WRITE
    in_data = in_log = left = 0
    listed: list[Any] = files.get_file_info(pafs.FileSelector("", recursive=True))
    for file in listed:
        if file.type != pafs.FileType.File or file.path in live or _is_of_now(file.path, delta.version()):
            continue
        if not store.locks and file.mtime > young:
            left += 1
            continue
        files.delete_file(file.path)
        in_log += file.path.startswith(_LOG)
        in_data += not file.path.startswith(_LOG)
    return Purged(store.table.name, delta.version(), in_data, in_log, left)


def _is_of_now(path: str, version: int) -> bool:
    """Tell whether a file belongs to the log from this version on."""
    entry = _ENTRY.fullmatch(path)
    return path == _POINTER or (entry is not None and int(entry.group(1)) >= version)
