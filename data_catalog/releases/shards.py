"""A split's rows as Parquet files that any tool reads, and the census of those rows.

Image bytes are stored as they are, in row groups small enough that one picture is cheap to reach. What
the rows *are* is independent of how they lie: `row_set_hash` is the same for any order, file layout,
date and machine.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_catalog.errors import ReleaseError
from data_catalog.schemas import LABELS, RELEASE_SCHEMA, SPLITS
from data_catalog.storage import Place, arrow_filesystem
from data_catalog.tables.pending import rebatched

RowBatches = pa.Table | Iterable[pa.RecordBatch]

SHARD_BYTES = 500_000_000
ROW_GROUP_ROWS = 25
"""Rows in a row group, all of which are copied to read one of their pictures: see `benchmarks/row_groups.py`."""

_EXAMPLES = 5
_HF_DTYPES = {"double": "float64", "float": "float32"}  # all other types have Arrow's names there too
_NEVER_NULL = ("text", "label", "video_id", "frame_id", "draw")
HASH_VERSION = 2
"""Version of the row-set hash that is made now."""
_FIRST_IDENTITY = ("frame_id", "draw", "label", "text", "timestamp_s", "image", "category", "mean_score")
_IDENTITIES = {1: _FIRST_IDENTITY, 2: (*_FIRST_IDENTITY, "video_id", "mean_low", "mean_high", "n_words")}
"""Columns that the row-set hash covers, by its version: now all of them. Of the image it is the bytes, as its name
follows from the frame."""
_FIRST_SCHEMA = pa.schema([column for column in RELEASE_SCHEMA if column.name not in ("mean_low", "mean_high")])
"""Columns of the first releases."""
_PLAIN_COLUMNS = ["image.path", *(name for name in RELEASE_SCHEMA.names if name != "image")]


def hf_dtype(type_: pa.DataType) -> str:
    """The name that the `datasets` library has for a type."""
    return _HF_DTYPES.get(str(type_), str(type_))


def _features() -> dict[str, Any]:
    """The columns as the `datasets` library names them."""
    values = {column.name: {"dtype": hf_dtype(column.type), "_type": "Value"} for column in RELEASE_SCHEMA}
    return values | {
        "image": {"_type": "Image"},
        "label": {"names": list(LABELS), "_type": "ClassLabel"},
    }


STORED_SCHEMA = RELEASE_SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": _features()}})})
"""`RELEASE_SCHEMA` with the metadata from which `datasets.load_dataset` sees images and class labels."""


@dataclass
class Census:
    """Count of one split's rows: totals, identities, a digest per row, and what is wrong with them."""

    split: str
    hash_version: int = HASH_VERSION
    rows: int = 0
    rows_by_label: Counter[str] = field(default_factory=Counter)
    ads_by_label: dict[str, set[str]] = field(default_factory=lambda: {label: set() for label in LABELS})
    frames_by_label: dict[str, set[str]] = field(default_factory=lambda: {label: set() for label in LABELS})
    digests: list[bytes] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    """The sha256 of each frame's picture."""
    draws: set[tuple[str, int]] = field(default_factory=set)
    drawn_again: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)

    @property
    def ads(self) -> set[str]:
        """The distinct ads behind the rows."""
        return set().union(*self.ads_by_label.values())

    @property
    def frames(self) -> set[str]:
        """The distinct frames behind the rows."""
        return set().union(*self.frames_by_label.values())

    def counts(self) -> dict[str, Any]:
        """The counts as `manifest.json` holds them."""
        return {
            "rows": self.rows,
            "ads": len(self.ads),
            "frames": len(self.frames),
            "by_label": {label: self.rows_by_label[label] for label in LABELS},
            "ads_by_label": {label: len(self.ads_by_label[label]) for label in LABELS},
            "frames_by_label": {label: len(self.frames_by_label[label]) for label in LABELS},
        }

    def take(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Count a batch's rows and hand it on."""
        for row, picture in rows_with_pictures(batch):
            self._take_row(row, picture)
        return batch

    def _take_row(self, row: dict[str, Any], picture: pa.Buffer | None) -> None:
        self.rows += 1
        frame = str(row["frame_id"])
        empty = [name for name in _NEVER_NULL if row[name] is None] + ["image.bytes"] * (picture is None)
        if empty or picture is None:
            self.invalid.append(f"{frame}: no {', '.join(empty)}")
            return
        if not 0 <= row["label"] < len(LABELS):
            self.invalid.append(f"{frame}: label {row['label']}, expected 0 to {len(LABELS) - 1}")
            return
        label = LABELS[row["label"]]
        self.rows_by_label[label] += 1
        self.ads_by_label[label].add(row["video_id"])
        self.frames_by_label[label].add(frame)
        self.draws.add((frame, row["draw"]))
        if row["draw"]:
            self.drawn_again.append(frame)
        picture_sha256 = hashlib.sha256(picture).hexdigest()
        self.digests.append(_row_digest(self.split, row, picture_sha256, self.hash_version))
        if self.pictures.setdefault(frame, picture_sha256) != picture_sha256:
            self.invalid.append(f"{frame}: another picture than in its first row")

    def problems(self) -> list[str]:
        """Rule violations, each with its first cases."""
        problems = []
        if self.invalid:
            problems.append(f"{self.split}: rows that are incomplete or out of range: {_some(self.invalid)}")
        contradicted = sorted(set.intersection(*self.ads_by_label.values()))
        if contradicted:
            problems.append(f"{self.split}: {_some(contradicted)} carry both labels")
        if twice := len(self.digests) - len(self.draws):
            problems.append(f"{self.split}: {twice} rows repeat another's frame and draw")
        if self.split != "train" and self.drawn_again:
            again = _some(sorted(set(self.drawn_again)))
            problems.append(f"{self.split}: {again} drawn again; only training rows may repeat")
        return problems


def straddling(censuses: Iterable[Census]) -> list[str]:
    """Say which ads lie in more than one split."""
    homes: dict[str, list[str]] = {}
    for census in censuses:
        for ad in census.ads:
            homes.setdefault(ad, []).append(census.split)
    return [
        f"ad {ad} is in more than one split: {', '.join(splits)}"
        for ad, splits in sorted(homes.items())
        if len(splits) > 1
    ]


def write_split(
    folder: Path,
    split: str,
    rows: RowBatches,
    *,
    shard_bytes: int = SHARD_BYTES,
    row_group_rows: int = ROW_GROUP_ROWS,
) -> tuple[dict[str, int], Census]:
    """Write one split as `<split>-00000-of-0000N.parquet`; memory holds one row group at a time.

    Args:
        folder: an existing folder.
        split: the split's name.
        rows: rows of `RELEASE_SCHEMA`, in batches of any size.
        shard_bytes: a file that has reached this size is followed by the next one.
        row_group_rows: rows in one row group.

    Returns:
        The rows in each file by file name, and the census of all rows. A split without rows has no
        file: `datasets` refuses to load one that is there and empty.
    """
    census = Census(split)
    groups = (census.take(group) for group in _row_groups(split, rows, row_group_rows))
    group = next(groups, None)
    shards: list[tuple[Path, int]] = []
    while group is not None:
        part = folder / f"{split}-{len(shards):05d}.parquet"
        n_rows = 0
        with _open_writer(part) as writer:
            written = 0
            while group is not None and written < shard_bytes:
                writer.write_batch(group)
                n_rows += group.num_rows
                written += group.nbytes
                group = next(groups, None)
        shards.append((part, n_rows))
    named = {f"{path.stem}-of-{len(shards):05d}.parquet": (path, n_rows) for path, n_rows in shards}
    for name, (path, _) in named.items():
        path.rename(folder / name)
    return {name: n_rows for name, (_, n_rows) in named.items()}, census


def read_shard(path: Place, *, pictures: bool = True) -> Iterator[pa.RecordBatch]:
    """Read a release's file batch by batch, a row group at a time; columns that came later are null.

    Args:
        path: the file.
        pictures: False leaves the column `image` out, and reads none.
    """
    wanted = RELEASE_SCHEMA if pictures else RELEASE_SCHEMA.remove(RELEASE_SCHEMA.get_field_index("image"))
    with pq.ParquetFile(path.name, filesystem=arrow_filesystem(path.parent)) as parquet:
        names = parquet.schema_arrow.names
        _check_schema(
            str(path), parquet.schema_arrow, _FIRST_SCHEMA if names == _FIRST_SCHEMA.names else RELEASE_SCHEMA
        )
        columns = [name for name in wanted.names if name in names]
        for number in range(parquet.num_row_groups):  # iter_batches would keep the whole file in memory
            rows = [wanted.empty_table(), parquet.read_row_group(number, columns)]
            yield from pa.concat_tables(rows, promote_options="default").to_batches()


def row_set_hash(splits: Mapping[str, RowBatches]) -> str:
    """Name a set of rows: the same for any order, file layout, date and machine."""
    censuses = [Census(split) for split in splits]
    for census in censuses:
        rows = splits[census.split]
        for batch in rows.to_batches() if isinstance(rows, pa.Table) else rows:
            _check_schema(census.split, batch.schema)
            census.take(batch)
    return hash_of(censuses)


def hash_version_of(manifest: Mapping[str, Any]) -> int:
    """Version of a release's row-set hash; the first releases do not name it.

    Raises:
        ReleaseError: it is one of a later program.
    """
    version = manifest.get("row_set_hash_version", 1)
    if version not in _IDENTITIES:
        raise ReleaseError(
            f"release {manifest['version']}: its row-set hash is of version {version!r}; this program knows "
            f"{', '.join(map(str, _IDENTITIES))}"
        )
    return int(version)


def hash_of(censuses: Iterable[Census]) -> str:
    """The row-set hash of counted splits: over the sorted digests of their rows."""
    return _hash_of_digests(digest for census in censuses for digest in census.digests)


def planned_row_set_hash(rows: Iterable[tuple[str, Mapping[str, Any], str]]) -> str:
    """The row-set hash of rows that are not written yet, without reading a picture.

    Args:
        rows: the split, the columns of `RELEASE_SCHEMA` but for `image`, and the sha256 of the image bytes.
    """
    return _hash_of_digests(_row_digest(split, row, picture_sha256) for split, row, picture_sha256 in rows)


def split_of(file_name: str) -> str | None:
    """The split whose rows a file holds, by its name; None for no data file."""
    split, _, number = Path(file_name).name.partition("-")
    return split if split in SPLITS and number.endswith(".parquet") else None


def rows_with_pictures(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], pa.Buffer | None]]:
    """Every row's narrow columns, and its image bytes without copying them."""
    pictures = pc.struct_field(batch.column("image"), "bytes")
    narrow = batch.drop_columns(["image"]).to_pylist()
    for row, picture in zip(narrow, pictures, strict=True):
        yield row, picture.as_buffer() if picture.is_valid else None


def _hash_of_digests(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _row_digest(split: str, row: Mapping[str, Any], picture_sha256: str, hash_version: int = HASH_VERSION) -> bytes:
    columns = _IDENTITIES[hash_version]
    # floats as the shortest text that gives them back: the same on every machine
    identity = [split, *(picture_sha256 if name == "image" else row[name] for name in columns)]
    return hashlib.sha256(json.dumps(identity, separators=(",", ":")).encode()).digest()


def _row_groups(split: str, rows: RowBatches, size: int) -> Iterator[pa.RecordBatch]:
    """Cut and join batches of any size into batches of `size` rows."""

    def checked() -> Iterator[pa.Table]:
        for batch in rows.to_batches(max_chunksize=size) if isinstance(rows, pa.Table) else rows:
            _check_schema(f"split {split!r}", batch.schema)
            yield pa.Table.from_batches([batch])

    for group in rebatched(checked(), size):
        yield group.combine_chunks().to_batches()[0]


def _open_writer(path: Path) -> pq.ParquetWriter:
    options: dict[str, Any] = {
        # pictures are compressed already, and their smallest and largest bytes would only fill the footer. In groups of
        # so few rows a dictionary is one more page to read, and zstd takes longer to begin than to unpack
        "compression": {"image.bytes": "none", **dict.fromkeys(_PLAIN_COLUMNS, "snappy")},
        "use_dictionary": False,
        "write_statistics": _PLAIN_COLUMNS,
    }
    return pq.ParquetWriter(path, STORED_SCHEMA, **options)


def _check_schema(where: str, schema: pa.Schema, expected: pa.Schema = RELEASE_SCHEMA) -> None:
    if schema.equals(expected):
        return
    found = {column.name: str(column.type) for column in schema}
    wanted = {column.name: str(column.type) for column in expected}
    differences = [
        f"{name} is {found.get(name, 'missing')}, expected {wanted.get(name, 'no such column')}"
        for name in [*wanted, *(name for name in found if name not in wanted)]
        if found.get(name) != wanted.get(name)
    ]
    raise ReleaseError(
        f"{where}: not the columns of a release: "
        f"{'; '.join(differences) or 'they are in another order'}. "
        "Give rows of data_catalog.schemas.RELEASE_SCHEMA."
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more
