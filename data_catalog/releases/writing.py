"""Write a release beside the others and rename it into place."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data_catalog.errors import ReleaseError
from data_catalog.releases.lineage import VERSION
from data_catalog.releases.shards import (
    HASH_VERSION,
    ROW_GROUP_ROWS,
    SHARD_BYTES,
    Census,
    RowBatches,
    hash_of,
    write_split,
)
from data_catalog.releases.verification import (
    FORMAT,
    MANIFEST,
    PICTURES,
    WRITTEN_FIELDS,
    Manifest,
    digest_file,
    manifest_sha256,
    read_manifest,
    verify_release,
)
from data_catalog.schemas import LABELS, SPLITS

Documents = Mapping[str, str | bytes]

_DRAFT = ".writing-"


def write_release(
    releases_dir: str | os.PathLike[str],
    version: str,
    splits: Mapping[str, RowBatches],
    manifest: Mapping[str, Any],
    documents: Documents | Callable[[Manifest], Documents] | None = None,
    *,
    expected_row_set_hash: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    row_group_rows: int = ROW_GROUP_ROWS,
) -> Path:
    """Write a release, verify it, and move it into place in one step.

    Args:
        releases_dir: the folder that holds all releases; made if missing.
        version: the new folder's name, as `next_version` gives it.
        splits: rows of `RELEASE_SCHEMA` by split; one that has no rows has no file.
        manifest: what the caller knows of the release: `synthetic` (required), `created_at` (now, if it is
            not given), `settings`, `seed`, `engines`, `table_versions`, `parent`, `funnel`.
        documents: further files by name, or a function that makes them from the manifest, which then
            names the data files with their sha256 and counts.
        expected_row_set_hash: hash of the rows that were planned; other rows are refused.
        shard_bytes: a data file that has reached this size is followed by the next one.
        row_group_rows: rows in one row group.

    Returns:
        The release's folder.

    Raises:
        ReleaseError: the version exists, another process is writing, or the rows break a release's rules.
            Nothing is left behind.
    """
    root = Path(releases_dir)
    _check_request(root, version, splits, manifest)
    target = root / version
    with _only_writer(root):
        if target.exists():
            raise ReleaseError(
                f"{target}: this release exists, and a release is never overwritten; take another version"
            )
        draft = root / f"{_DRAFT}{version}-{uuid.uuid4().hex[:8]}"
        try:
            for leftover in root.glob(f"{_DRAFT}*"):  # of killed writers: a live one would hold the lock
                shutil.rmtree(leftover)
            _fill(draft, version, splits, manifest, documents, shard_bytes, row_group_rows)
            written = read_manifest(draft)["row_set_hash"]
            if expected_row_set_hash not in (None, written):
                raise ReleaseError(
                    f"release {version} was not written: its rows ({written}) are not those that were planned "
                    f"({expected_row_set_hash}); the tables changed meanwhile, run the build again"
                )
            if problems := verify_release(draft):
                raise ReleaseError(f"release {version} was not written: " + "; ".join(problems))
            _sync(draft)
            draft.rename(target)
            _sync_path(root)
        except OSError as error:
            raise ReleaseError(f"release {version} was not written: {error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # gone already, unless something was raised
    return target


def _check_request(root: Path, version: str, splits: Mapping[str, RowBatches], manifest: Mapping[str, Any]) -> None:
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{root}: version {version!r} is not a date such as 2026.11.24 or 2026.11.24.1")
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise ReleaseError(f"release {version}: unknown split {', '.join(unknown)}; expected {', '.join(SPLITS)}")
    if taken := sorted(set(manifest) & set(WRITTEN_FIELDS)):
        raise ReleaseError(f"release {version}: the manifest's {', '.join(taken)} is counted here, not given")
    if not isinstance(manifest.get("synthetic"), bool):
        raise ReleaseError(f"release {version}: the manifest must say whether its ads are synthetic (true or false)")
    try:
        json.dumps(dict(manifest))
    except (TypeError, ValueError) as error:
        raise ReleaseError(f"release {version}: the manifest holds what JSON cannot: {error}") from error


def _fill(
    draft: Path,
    version: str,
    splits: Mapping[str, RowBatches],
    given: Mapping[str, Any],
    documents: Documents | Callable[[Manifest], Documents] | None,
    shard_bytes: int,
    row_group_rows: int,
) -> None:
    """Write everything that a release holds into a new folder, the manifest last."""
    data = draft / "data"
    data.mkdir(parents=True)
    files: dict[str, dict[str, Any]] = {}
    censuses: list[Census] = []
    for split in SPLITS:
        rows_by_file, census = write_split(
            data, split, splits.get(split, ()), shard_bytes=shard_bytes, row_group_rows=row_group_rows
        )
        censuses.append(census)
        files |= {f"data/{name}": {**digest_file(data / name), "rows": rows} for name, rows in rows_by_file.items()}
    if not censuses[SPLITS.index("train")].rows:
        raise ReleaseError(f"release {version}: no training rows")

    pictures = {frame: sha256 for census in censuses for frame, sha256 in census.pictures.items()}
    (draft / PICTURES).write_text(json.dumps(pictures, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    files[PICTURES] = digest_file(draft / PICTURES)
    manifest: Manifest = {
        "format": FORMAT,
        "version": version,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **json.loads(json.dumps(dict(given))),  # as it will be read back: keys are strings, tuples are lists
        "class_names": list(LABELS),
        "splits": {census.split: census.counts() for census in censuses},
        "files": files,
        "row_set_hash": hash_of(censuses),
        "row_set_hash_version": HASH_VERSION,
    }
    for name, content in (documents(manifest) if callable(documents) else documents or {}).items():
        if Path(name).name != name or name in (MANIFEST, PICTURES):
            raise ReleaseError(f"release {version}: a document must be a plain file name, not {name!r}")
        (draft / name).write_bytes(content.encode() if isinstance(content, str) else content)
        files[name] = digest_file(draft / name)
    manifest["manifest_sha256"] = manifest_sha256(manifest)
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    """Let one process write at a time; the system frees the lock of a process that was killed."""
    lock = FileLock(root / ".lock", timeout=0)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ReleaseError(f"{root}: another process is writing a release; start again when it has ended") from error
    except OSError as error:
        raise ReleaseError(f"{root}: cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _sync(folder: Path) -> None:
    """Have everything under a folder on the disk before its name appears."""
    for path in [*folder.rglob("*"), folder]:
        _sync_path(path)


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
