"""A release folder as training data: checked as a whole when opened, its pictures read when they are needed.

What a release is: `manifest.json` beside `data/<split>-*.parquet` with the columns image {bytes, path}, text,
label, video_id, frame_id (and more, which training does not read). Words and labels stay in memory; a picture
is read from its row group, of about 100 rows, through a memory map.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset

from fgmfn.errors import ReleaseDataError
from fgmfn.processing import Augmentation, FgmfnProcessor

SPLITS = ("train", "validation", "test")
COLUMNS = ("text", "label", "video_id", "frame_id")
CACHED_ROW_GROUPS = 4


@dataclass(frozen=True)
class Rows:
    """One split without its pictures: a value per row, and where each row's picture lies."""

    files: tuple[Path, ...]
    text: list[str]
    label: list[int]
    video_id: list[str]
    frame_id: list[str]
    place: list[tuple[int, int, int]]
    """File, row group and row within the group."""

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Release:
    """A release that can be trained on."""

    path: Path
    version: str
    row_set_hash: str
    synthetic: bool
    class_names: tuple[str, ...]
    splits: dict[str, Rows]


def find_release(path: Path) -> Path:
    """Return a release folder, or the newest one in a folder of releases.

    Raises:
        ReleaseDataError: There is neither.
    """
    if (path / "manifest.json").is_file():
        return path
    inside = [manifest.parent for manifest in path.glob("*/manifest.json") if not manifest.parent.name.startswith(".")]
    if not inside:
        raise ReleaseDataError(
            f"{path}: neither a release folder nor a folder of releases (a release has a manifest.json); "
            f"build one first, or name another folder"
        )
    return max(inside, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)])


def open_release(path: Path) -> Release:
    """Read and check a release, its pictures excepted.

    Raises:
        ReleaseDataError: A file is missing or unreadable, a row has no text or an unknown label, a split that
            training needs is empty, or an ad stands in two splits.
    """
    manifest = _read_manifest(path)
    files = {split: tuple(sorted((path / "data").glob(f"{split}-*.parquet"))) for split in SPLITS}
    if not files["train"]:
        raise ReleaseDataError(f"{path}: no data/train-*.parquet, so there is nothing to train on")
    class_names = _class_names(path, manifest, files["train"][0])
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
    return Release(
        path=path,
        version=str(manifest.get("version", path.name)),
        row_set_hash=str(manifest["row_set_hash"]),
        synthetic=bool(manifest.get("synthetic", False)),
        class_names=class_names,
        splits=splits,
    )


def _refuse_lost_rows(path: Path, manifest: dict[str, Any], splits: dict[str, Rows]) -> None:
    """A release that has lost a file must not be scored on what is left."""
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


def _class_names(path: Path, manifest: dict[str, Any], file: Path) -> tuple[str, ...]:
    """Class names from the `huggingface` schema metadata or from the manifest; both must agree."""
    metadata = _open_parquet(file).schema_arrow.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    except ValueError as error:
        raise ReleaseDataError(f"{file}: its huggingface schema metadata is not JSON: {error}") from error
    in_schema = tuple(features.get("label", {}).get("names", ()))
    in_manifest = tuple(manifest.get("class_names", ()))
    if in_schema and in_manifest and in_schema != in_manifest:
        raise ReleaseDataError(f"{file}: classes {list(in_schema)}, but manifest.json says {list(in_manifest)}")
    if not (in_schema or in_manifest):
        raise ReleaseDataError(f"{path}: neither manifest.json nor the Parquet schema names the classes")
    return in_schema or in_manifest


def _open_parquet(file: Path) -> pq.ParquetFile:
    try:
        # Reading ahead uses Arrow's thread pool, which a forked data loader process does not have.
        return pq.ParquetFile(file, memory_map=True, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise ReleaseDataError(f"{file}: cannot be read as Parquet: {error}") from error


def _read_rows(files: tuple[Path, ...], class_names: Sequence[str]) -> Rows:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    place: list[tuple[int, int, int]] = []
    for number, file in enumerate(files):
        parquet = _open_parquet(file)
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
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        place += [(number, group, row) for group, size in enumerate(sizes) for row in range(size)]
    return Rows(files, **columns, place=place)


def _check_rows(file: Path, table: pa.Table, class_names: Sequence[str]) -> None:
    for name in COLUMNS:
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
        for video_id in rows.video_id:
            if home.setdefault(video_id, split) != split:
                raise ReleaseDataError(
                    f"{path}: ad {video_id} stands in {home[video_id]} and in {split}, so that scores on {split} "
                    f"would measure memory; build the release again"
                )


class Pictures:
    """Encoded pictures of one split by row number, safe to use in forked and spawned processes."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._files: dict[int, pq.ParquetFile] = {}
        self._groups: OrderedDict[tuple[int, int], pa.ChunkedArray[Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_rows": self._rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._rows = state["_rows"]
        self._forget()

    def read(self, row: int) -> bytes:
        """Return the encoded picture of a row.

        Raises:
            ReleaseDataError: The file is damaged or the row has no picture.
        """
        number, group, within = self._rows.place[row]
        content = self._row_group(number, group)[within].as_py()
        if not content:
            raise ReleaseDataError(f"{self._rows.files[number]}: frame {self._rows.frame_id[row]} has no picture")
        return content

    def _row_group(self, number: int, group: int) -> pa.ChunkedArray[Any]:
        if self._pid != os.getpid():
            self._forget()
        if (number, group) in self._groups:
            self._groups.move_to_end((number, group))
            return self._groups[number, group]
        file = self._rows.files[number]
        if number not in self._files:
            self._files[number] = _open_parquet(file)
        try:
            table = self._files[number].read_row_group(group, columns=["image.bytes"], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise ReleaseDataError(f"{file}: row group {group} is damaged: {error}") from error
        self._groups[number, group] = pc.struct_field(table["image"], "bytes")
        while len(self._groups) > CACHED_ROW_GROUPS:
            self._groups.popitem(last=False)
        return self._groups[number, group]


class SplitDataset(Dataset[dict[str, Any]]):
    """Rows of one split as a model's inputs, not yet padded to a batch.

    Args:
        rows: the split.
        processor: tokenizes the texts once, and every picture each time.
        with_images: False where no model looks at the pictures, which then are not even read.
        augmentation: for training pictures; None crops the centre.
    """

    def __init__(
        self, rows: Rows, processor: FgmfnProcessor, *, with_images: bool, augmentation: Augmentation | None = None
    ) -> None:
        self.rows = rows
        self.epoch = 0
        self._processor = processor
        self._pictures = Pictures(rows) if with_images else None
        self._augmentation = augmentation
        self._tokens = processor.tokenize(rows.text) if len(rows) else {}

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's crops from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        tokens = {name: values[row] for name, values in self._tokens.items()}
        groups = [identity(self.rows.text[row]), identity(self.rows.video_id[row])]
        example: dict[str, Any] = {"tokens": tokens, "label": self.rows.label[row]}
        if self._pictures is not None:
            content = self._pictures.read(row)
            example["pixel_values"] = self._prepare(decode(content, self.rows.frame_id[row]), row)
            groups.append(identity(content))
        return example | {"groups": groups}

    def _prepare(self, image: Image.Image, row: int) -> torch.Tensor:
        if self._augmentation is None:
            prepared = self._processor.image_processor([image], return_tensors="pt")
        else:
            square = self._augmentation(image, epoch=self.epoch, row=row)
            prepared = self._processor.image_processor(
                [square], do_resize=False, do_center_crop=False, return_tensors="pt"
            )
        return prepared["pixel_values"][0]


@dataclass(frozen=True)
class Collator:
    """Pads the rows of a batch to its longest text and stacks the rest."""

    processor: FgmfnProcessor

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask [B, n], labels [B], groups [B, 3] and pixel_values [B, 3, H, W]."""
        batch = dict(self.processor.tokenizer.pad([example["tokens"] for example in examples], return_tensors="pt"))
        batch["labels"] = torch.tensor([example["label"] for example in examples])
        batch["groups"] = torch.tensor([example["groups"] for example in examples])
        if "pixel_values" in examples[0]:
            batch["pixel_values"] = torch.stack([example["pixel_values"] for example in examples])
        return batch


def identity(value: str | bytes) -> int:
    """A 63-bit number that equal texts, ads or pictures share and others do not."""
    content = value.encode() if isinstance(value, str) else value
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


def decode(content: bytes, name: str) -> Image.Image:
    """Decode a picture.

    Raises:
        ReleaseDataError: The bytes are not a picture, or not a whole one.
    """
    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise ReleaseDataError(f"frame {name}: its picture cannot be decoded: {error}") from error
