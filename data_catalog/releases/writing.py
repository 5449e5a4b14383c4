"""Write a release beside the others and rename it into place."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from data_catalog.errors import LockHeldError, ReleaseError
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
from data_catalog.storage import (
    DRAFT,
    Held,
    Place,
    clear_drafts,
    lock,
    publish,
    working_folder,
)

Documents = Mapping[str, str | bytes]
Root = TypeVar("Root", Path, Place)
"""A release lies where its folder does: on this machine, or perhaps in a bucket."""


def write_release(
    releases_dir: Root,
    version: str,
    splits: Mapping[str, RowBatches],
    manifest: Mapping[str, Any],
    documents: Documents | Callable[[Manifest], Documents] | None = None,
    *,
    expected_row_set_hash: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    row_group_rows: int = ROW_GROUP_ROWS,
) -> Root:
    """Write a release, verify it, and have it appear in its place in one step.

    On an object store it is written and verified on this machine, then uploaded, its manifest last.

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
        StorageError: the store cannot be used; what is left behind is no release, and the next writer removes it.
    """
    root = releases_dir
    _check_request(root, version, splits, manifest)
    target = root / version
    with _only_writer(root) as held:
        draft = working_folder(root) / f"{DRAFT}{version}-{uuid.uuid4().hex[:8]}"
        if (target / MANIFEST).exists():
            raise ReleaseError(
                f"{target}: this release exists, and a release is never overwritten; take another version"
            )
        try:
            clear_drafts(root)  # of killed writers: a live one would hold the lock
            _fill(draft, version, splits, manifest, documents, shard_bytes, row_group_rows)
            written = read_manifest(draft)["row_set_hash"]
            if expected_row_set_hash not in (None, written):
                raise ReleaseError(
                    f"release {version} was not written: its rows ({written}) are not those that were planned "
                    f"({expected_row_set_hash}); the tables changed meanwhile, run the build again"
                )
            if problems := verify_release(draft):
                raise ReleaseError(f"release {version} was not written: " + "; ".join(problems))
            publish(draft, target, MANIFEST, held)
        except OSError as error:
            raise ReleaseError(f"release {version} was not written: {error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # gone already, unless something was raised
    return target


def _check_request(root: Place, version: str, splits: Mapping[str, RowBatches], manifest: Mapping[str, Any]) -> None:
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
def _only_writer(root: Place) -> Iterator[Held]:
    """Let one process write at a time; the lock of a process that was killed becomes free."""
    with ExitStack() as stack:
        try:
            held = stack.enter_context(lock(root / ".lock"))
        except LockHeldError as error:
            raise ReleaseError(
                f"{root}: another process is writing a release ({error}); start again when it has ended"
            ) from error
        except OSError as error:
            raise ReleaseError(f"{root}: cannot be written: {error}") from error
        yield held
