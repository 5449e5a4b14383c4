"""A release of YTB-ADS as a source of data: checked as a whole when it is opened.

A release consists of `manifest.json` and `data/<split>-*.parquet` with the columns image {bytes, path}, text,
label, video_id, frame_id, category (and more, which training does not read). Words and labels stay in memory; a
picture is read from its row group, of about 100 rows, through a memory map.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from fgmfn.data.pictures import ParquetPictures, declared_classes, open_parquet, row_places
from fgmfn.data.rows import NOWHERE, SPLITS, Rows, Source
from fgmfn.errors import ReleaseDataError

COLUMNS = ("text", "label", "video_id", "frame_id", "category")


def find_release(path: Path) -> Path:
    """Return a release folder, or the newest one in a folder of releases.

    The newest is the one without descendants; of several such releases, as in YTB-ADS, the one created last.

    Raises:
        ReleaseDataError: There is none, or the manifest of a release that may be the newest cannot be read.
    """
    if (path / "manifest.json").is_file():
        return path
    inside = [manifest.parent for manifest in path.glob("*/manifest.json") if not manifest.parent.name.startswith(".")]
    if not inside:
        raise ReleaseDataError(
            f"{path}: neither a release folder nor a folder of releases (a release has a manifest.json); "
            f"build one first, or name another folder"
        )
    manifests = _read_manifests(inside)
    ancestors = {name: _ancestors(name, manifests) for name in manifests}
    older = {before for name, found in ancestors.items() for before in found if name not in ancestors.get(before, ())}
    return path / max(manifests.keys() - older, key=lambda name: (_created_at(manifests[name]), _numbers(name)))


def open_release(path: Path) -> Source:
    """Read and check a release, except for its pictures.

    Raises:
        ReleaseDataError: A file is missing or unreadable, a row has no text or an unknown label, a split that
            training needs is empty, or an ad is in two splits.
    """
    manifest = _read_manifest(path)
    files = {split: tuple(sorted((path / "data").glob(f"{split}-*.parquet"))) for split in SPLITS}
    if not files["train"]:
        raise ReleaseDataError(f"{path}: no data/train-*.parquet, so there is nothing to train on")
    class_names = _class_names(path, manifest, [file for split in SPLITS for file in files[split]])
    splits = {split: _read_rows(files[split], class_names) for split in SPLITS}
    _refuse_lost_rows(path, manifest, splits)
    _refuse_straddling_ads(path, splits)
    present = sorted(set(splits["train"].label))
    if len(present) < 2:
        only = class_names[present[0]] if present else "none"
        raise ReleaseDataError(
            f"{path}: the training split has {len(splits['train'])} rows of {len(present)} class ({only}); "
            f"a classifier needs rows of two"
        )
    return Source(
        name=str(manifest.get("version", path.name)),
        path=path,
        row_set_hash=str(manifest["row_set_hash"]),
        synthetic=bool(manifest.get("synthetic", False)),
        class_names=class_names,
        splits=splits,
        row_names=("frame_id", "video_id"),
        dataset=None if manifest.get("synthetic", False) else "ytb_ads",
    )


def _ancestors(name: str, manifests: Mapping[str, dict[str, Any]]) -> set[str]:
    """Return all ancestors of a release, through those that are present; only in a cycle it is its own ancestor."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        manifest = manifests[ahead.pop()]
        fresh = {str(named) for named in manifest.get("lineage") or [manifest.get("parent")] if named} - found
        found |= fresh
        ahead += fresh & manifests.keys()
    return found


def _read_manifests(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the manifests by version, without unreadable ones that another release descends from."""
    manifests: dict[str, dict[str, Any]] = {}
    damaged: dict[str, ReleaseDataError] = {}
    for folder in folders:
        try:
            manifests[folder.name] = _read_manifest(folder)
        except ReleaseDataError as error:
            damaged[folder.name] = error
    older = {before for name in manifests for before in _ancestors(name, manifests)}
    for name in damaged.keys() - older:
        raise damaged[name]
    return manifests


def _created_at(manifest: dict[str, Any]) -> datetime:
    try:
        at = datetime.fromisoformat(manifest["created_at"])
    except (KeyError, TypeError, ValueError):  # of a release by another program
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _refuse_lost_rows(path: Path, manifest: dict[str, Any], splits: dict[str, Rows]) -> None:
    """Refuse a release with missing files: scores on the remaining rows would be wrong."""
    for split, counts in manifest.get("splits", {}).items():
        rows = len(splits.get(split, ()))
        if rows != counts["rows"]:
            raise ReleaseDataError(
                f"{path}: {split} has {rows} rows, its manifest counts {counts['rows']}; a file is missing or damaged"
            )


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReleaseDataError(f"{path}: no manifest.json, so this is not a release folder") from error
    except (OSError, ValueError) as error:
        raise ReleaseDataError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("row_set_hash"), str):
        raise ReleaseDataError(f"{file}: no row_set_hash, which names the rows that a model was trained on")
    return manifest


def _class_names(path: Path, manifest: dict[str, Any], files: Sequence[Path]) -> tuple[str, ...]:
    """Return the class names from the files' `huggingface` schema metadata or the manifest; all must agree."""
    names, said_by = tuple(manifest.get("class_names", ())), "manifest.json"
    for file in files:
        try:
            declared = declared_classes(open_parquet(file))
        except ValueError as error:
            raise ReleaseDataError(f"{file}: its huggingface schema metadata is not JSON: {error}") from error
        if declared and names and declared != names:
            raise ReleaseDataError(f"{file}: classes {list(declared)}, but {said_by} says {list(names)}")
        if not names:
            names, said_by = declared, file.name
    if not names:
        raise ReleaseDataError(f"{path}: neither manifest.json nor the Parquet schema names the classes")
    return names


def _read_rows(files: tuple[Path, ...], class_names: Sequence[str]) -> Rows:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    places: list[tuple[int, int, int]] = []
    for number, file in enumerate(files):
        parquet = open_parquet(file)
        missing = [name for name in (*COLUMNS, "image") if name not in parquet.schema_arrow.names]
        if missing:
            raise ReleaseDataError(f"{file}: no column {', '.join(missing)}; it has {parquet.schema_arrow.names}")
        try:
            table = parquet.read(columns=list(COLUMNS))
        except (OSError, pa.ArrowException) as error:
            raise ReleaseDataError(f"{file}: damaged: {error}") from error
        _check_rows(file, table, class_names)
        for name, values in columns.items():
            values += table[name].to_pylist()
        places += row_places(parquet, number)
    names = columns["frame_id"]
    return Rows(
        name=names,
        group=columns["video_id"],
        text=columns["text"],
        target=[category or "" for category in columns["category"]],  # an ad has no other target
        span=[NOWHERE] * len(names),
        label=columns["label"],
        picture=names,
        pictures=ParquetPictures(files, places, names),
        has_targets=False,
    )


def _check_rows(file: Path, table: pa.Table, class_names: Sequence[str]) -> None:
    for name in COLUMNS[:-1]:
        if table[name].null_count:
            row = table[name].to_pylist().index(None)
            raise ReleaseDataError(f"{file}: row {row} has no {name}")
    if not pa.types.is_integer(table.schema.field("label").type):
        raise ReleaseDataError(f"{file}: column label is {table.schema.field('label').type}, not whole numbers")
    labels: list[Any] = table["label"].to_pylist()
    for row, label in enumerate(labels):
        if not 0 <= label < len(class_names):
            raise ReleaseDataError(
                f"{file}: label {label} in row {row} ({table['frame_id'][row].as_py()}); "
                f"expected 0 to {len(class_names) - 1}: {', '.join(class_names)}"
            )


def _refuse_straddling_ads(path: Path, splits: dict[str, Rows]) -> None:
    home: dict[str, str] = {}
    for split, rows in splits.items():
        for video_id in rows.group:
            if home.setdefault(video_id, split) != split:
                raise ReleaseDataError(
                    f"{path}: ad {video_id} stands in {home[video_id]} and in {split}, so that scores on {split} "
                    f"would measure memory; build the release again"
                )
