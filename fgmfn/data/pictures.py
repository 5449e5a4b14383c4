"""Pictures of rows, each in a row group of a Parquet file or in its own file, read on demand."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from fgmfn.errors import DataError
from fgmfn.images import NO_PICTURE, as_seen

CACHED_ROW_GROUPS = 4


class Pictures(Protocol):
    """Encoded pictures by row number; safe to use in forked and spawned processes."""

    def read(self, row: int) -> bytes:
        """Return the encoded picture of a row.

        Raises:
            DataError: It is missing or cannot be read.
        """
        ...


@dataclass(frozen=True)
class FilePictures:
    """One file per picture under one folder."""

    folder: Path
    files: Sequence[str]

    def read(self, row: int) -> bytes:
        """Return the bytes of the row's file."""
        path = self.folder / self.files[row]
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: the picture cannot be read: {error.strerror}") from error

    def digests(self) -> list[str]:
        """Return a digest of each row's bytes; each file is read once.

        Raises:
            DataError: A file cannot be read.
        """
        rows = {name: row for row, name in enumerate(self.files)}
        bar = tqdm(rows.items(), desc="pictures", unit="file", leave=False, disable=None)
        found = {name: hashlib.blake2b(self.read(row), digest_size=16).hexdigest() for name, row in bar}
        return [found[name] for name in self.files]


@dataclass(frozen=True)
class ChosenPictures:
    """A selection of other pictures."""

    pictures: Pictures
    numbers: Sequence[int]

    def read(self, row: int) -> bytes:
        """Return the picture that was selected for the row."""
        return self.pictures.read(self.numbers[row])


@dataclass(frozen=True)
class GivenPictures:
    """Pictures in memory, losslessly encoded when they are read."""

    images: Sequence[Image.Image]

    def read(self, row: int) -> bytes:
        """Return the row's picture, encoded."""
        encoded = io.BytesIO()
        as_seen(self.images[row]).save(encoded, "BMP")
        return encoded.getvalue()


MISSING_NAMED = 10
"""Most missing pictures that a message names."""


def find_pictures(folder: Path, files: Sequence[str]) -> FilePictures:
    """Open the pictures of a folder; all of them must exist.

    Raises:
        DataError: The folder or pictures are missing (the message names the first), or a name leads out of the folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures")
    inside = folder.resolve()
    wanted = dict.fromkeys(files)
    listing = cache(_pictures_by_name)
    for name in wanted:
        if not name or "\0" in name or not (folder / name).resolve().is_relative_to(inside):
            raise DataError(
                f"picture {name!r}: not the name of a file in {folder}, which must hold all of them (--images, or "
                f"images in [source], names another){_better_name(folder, name, listing)}"
            )
    found = {name: _find(folder, name, listing) for name in wanted}
    missing = [name for name in wanted if found[name] is None]
    if missing:
        more = f" and {len(missing) - MISSING_NAMED} others" if len(missing) > MISSING_NAMED else ""
        raise DataError(
            f"{folder}: {len(missing)} of {len(wanted)} pictures are missing; none is replaced by another: "
            f"{', '.join(missing[:MISSING_NAMED])}{more}{_better_name(folder, missing[0], listing)}"
        )
    return FilePictures(folder, [str(found[name]) for name in files])


def _better_name(folder: Path, name: str, listing: Callable[[Path], dict[str, list[str]]]) -> str:
    """Return a suggestion for a name that no picture of the folder has."""
    if re.match(r"(?i)https?://", name):
        return "; it is a web address: fetch the pictures and name their files"
    plain = name.strip().removeprefix("file://").replace("\\", "/")
    last = plain.rsplit("/", 1)[-1]
    stem = Path(last).stem
    if plain != name and ".." not in plain and os.path.isfile(folder / plain):  # noqa: PTH113
        return f"; {name!r} may be {plain.removeprefix('./')!r}, which is there: write it so"
    for wanted in (plain, last, stem, stem.lstrip("0") or "0", *(stem.zfill(width) for width in range(2, 9))):
        near = listing(folder).get(wanted.casefold(), []) if wanted else []
        if near:
            return f"; {name!r} may be {near[0]!r}, which is there: write it so"
    return ""


def holds_any(folder: Path, files: Iterable[str]) -> bool:
    """Return whether a folder contains any of some pictures, by the rules of `find_pictures`."""
    listing = cache(_pictures_by_name)
    return any(name and "\0" not in name and _find(folder, name, listing) for name in files)


def _find(folder: Path, name: str, listing: Callable[[Path], dict[str, list[str]]]) -> str | None:
    """Return a picture's name, or the one that differs only in case or by an additional suffix.

    Raises:
        DataError: There are several such.
    """
    wanted = Path(name)
    if os.path.isfile(folder / wanted):  # noqa: PTH113  pathlib raises an error for what is too long to be a name
        return name
    alike = listing(folder / wanted.parent).get(wanted.name.casefold(), [])
    if len(alike) > 1:
        raise DataError(f"{folder}: picture {name!r} may be {' or '.join(sorted(alike))}; give its whole name")
    return str(wanted.with_name(alike[0])) if alike else None


def _pictures_by_name(folder: Path) -> dict[str, list[str]]:
    """Return the names of a folder's pictures, by their lower case with and without suffix."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    known = Image.registered_extensions()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in known and path.is_file():
            for key in (path.name.casefold(), path.stem.casefold()):
                found[key].append(path.name)
    return found


class ParquetPictures:
    """Pictures in a column of Parquet files, `{bytes, path}` or plain bytes; a few row groups stay in memory.

    Args:
        files: the Parquet files.
        places: by row, the number of its file, of its row group, and of the row within the group.
        names: by row, for errors.
        column: name of the column with the pictures.
    """

    def __init__(
        self,
        files: Sequence[Path],
        places: Sequence[tuple[int, int, int]],
        names: Sequence[str],
        column: str = "image",
    ) -> None:
        self._where = (files, places, names, column)
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._open: dict[int, pq.ParquetFile] = {}
        self._groups: OrderedDict[tuple[int, int], pa.ChunkedArray[Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_where": self._where}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._where = state["_where"]
        self._forget()

    def read(self, row: int) -> bytes:
        """Return the encoded picture of a row."""
        files, places, names, _ = self._where
        number, group, within = places[row]
        content = self._row_group(number, group)[within].as_py()
        if not content:
            raise DataError(f"{files[number]}: frame {names[row]} has no picture")
        return content

    def _row_group(self, number: int, group: int) -> pa.ChunkedArray[Any]:
        if self._pid != os.getpid():
            self._forget()
        if (number, group) in self._groups:
            self._groups.move_to_end((number, group))
            return self._groups[number, group]
        files, _, _, column = self._where
        if number not in self._open:
            self._open[number] = open_parquet(files[number])
        try:
            table = self._open[number].read_row_group(group, columns=[column], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{files[number]}: row group {group} is damaged: {error}") from error
        values = table[column]
        self._groups[number, group] = pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values
        while len(self._groups) > CACHED_ROW_GROUPS:
            self._groups.popitem(last=False)
        return self._groups[number, group]


def origin(pictures: Pictures | None) -> str | None:
    """Return an identity of the bytes that pictures are read from; None if they do not come from files.

    Parquet files are read completely, but only once per process while they do not change.
    """
    if isinstance(pictures, ChosenPictures):
        whole = origin(pictures.pictures)
        return None if whole is None else _digest([whole, list(pictures.numbers)])
    if isinstance(pictures, FilePictures):
        return _digest(pictures.digests())
    if isinstance(pictures, ParquetPictures):
        files, places, _, column = pictures._where
        stats = [file.stat() for file in files]
        contents = [_file_digest(file, at.st_size, at.st_mtime_ns) for file, at in zip(files, stats, strict=True)]
        return _digest([contents, list(places), column])
    return None


@cache
def _file_digest(file: Path, size: int, changed_ns: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def open_parquet(file: Path) -> pq.ParquetFile:
    """Open a Parquet file without reading it.

    Raises:
        DataError: It is not a Parquet file.
    """
    try:
        # Pre-buffering uses Arrow's thread pool, which a forked data loader process does not have.
        return pq.ParquetFile(file, memory_map=True, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: cannot be read as Parquet: {error}") from error


def declared_classes(parquet: pq.ParquetFile, column: str = "label") -> tuple[str, ...]:
    """Return a column's class names in the `huggingface` schema metadata, as `datasets` writes them; empty if none.

    Raises:
        ValueError: The metadata is not JSON.
    """
    metadata = parquet.schema_arrow.metadata or {}
    found = json.loads(metadata.get(b"huggingface", b"{}"))
    for name in ("info", "features", column):
        if isinstance(found, list):  # as in the metadata of a dataset card
            found = {one["name"]: one.get("dtype") for one in found if isinstance(one, dict) and "name" in one}
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, dict) and isinstance(older := found.get("class_label"), dict):
        found = older
    names = found.get("names") if isinstance(found, dict) else None
    if isinstance(names, dict) and {*names} == {*map(str, range(len(names)))}:
        names = [names[str(number)] for number in range(len(names))]
    return tuple(map(str, names)) if isinstance(names, list) else ()


def row_places(parquet: pq.ParquetFile, number: int) -> list[tuple[int, int, int]]:
    """Return the place of every row of a file: the file's number, its row group and its row within that."""
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    return [(number, group, row) for group, size in enumerate(sizes) for row in range(size)]


def decode(content: bytes, name: str) -> Image.Image:
    """Decode a picture as a viewer shows it: upright, eight bits per channel, white where it is transparent.

    Raises:
        DataError: The bytes are not a picture, or it is incomplete.
    """
    try:
        return as_seen(Image.open(io.BytesIO(content)))
    except NO_PICTURE as error:
        raise DataError(f"{name}: its picture cannot be decoded: {_why(content, error)}") from error


NARROW = 10
"""Ratio of long to short side from which on a picture shows a model next to nothing."""


def is_narrow(content: bytes) -> bool:
    """Return whether a picture is a narrow strip, by its header; unreadable pictures are refused elsewhere."""
    try:
        short, long = sorted(Image.open(io.BytesIO(content)).size)
    except NO_PICTURE:
        return False
    return long >= NARROW * short


def check_picture(content: bytes) -> str | None:
    """Decode a picture at the smallest size that its format offers; return the reason if `decode` would refuse it."""
    try:
        image = Image.open(io.BytesIO(content))
        image.draft("RGB", (1, 1))
        image.load()
        if image.mode == "F" or image.mode.startswith("I"):
            as_seen(image)
    except NO_PICTURE as error:
        return f": its picture cannot be decoded: {_why(content, error)}"
    return None


def _why(content: bytes, error: Exception) -> str:
    """Return the reason why Pillow does not read these bytes as a picture."""
    if not isinstance(error, UnidentifiedImageError):
        return str(error)
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "it is empty"
    if content[4:8] == b"ftyp":
        return f"it is {content[8:12].decode('latin-1').strip()} (HEIC, a video or the like); convert it to JPEG or PNG"
    if b"<svg" in start:
        return "it is a drawing in SVG; convert it to PNG"
    if start.startswith(b"<"):
        return "it is a page in HTML or XML, as servers send instead of a picture; fetch it again"
    if start.startswith(b"%pdf"):
        return "it is a PDF; convert it to PNG"
    return f"no known format begins with {content[:12]!r}"
