"""Rows prepared once for all trainings: shrunk pictures and tokens in files of a cache.

An entry of the cache is a folder named after the origin of its contents: the rows, the processor's settings and the
code's version. It is written under a temporary name and renamed, holds the checksum of each of its files, and is never
changed. Damaged entries are made anew. Entries that are unused for long or exceed the size limit are dropped, unless a
process has them open.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import mmap
import os
import re
import shutil
import time
import weakref
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL
import pyarrow as pa
import tokenizers
import transformers
from filelock import FileLock, Timeout
from PIL import Image, features
from tqdm import tqdm

from fgmfn.data.pictures import Pictures, decode, origin
from fgmfn.data.rows import Rows, identity, refuse_broken
from fgmfn.errors import DataError
from fgmfn.inputs import Inputs
from fgmfn.processing import FgmfnProcessor

log = logging.getLogger(__name__)

SEAL, PIXELS, INDEX, WORDS = "whole.json", "pixels.bin", "index.npz", "words.arrow"
AT_ONCE = 64
"""Pictures that are read at a time and then shrunk by several threads."""
FAULT = 1 << 16
"""Bytes that Linux maps at once around a page fault."""
GIGABYTE, DAY_S = 10**9, 86_400.0
_CHECKED: set[tuple[object, ...]] = set()
"""Entries that this process has verified, with the state of their files at that time."""
NAME, LEFT = re.compile(r"[0-9a-f]{24}"), re.compile(r"\.([0-9a-f]{24})\..*")
"""Names of entries, and of those being written or dropped; all other files in the folder are left alone."""


@dataclass(frozen=True)
class Entry:
    """Description of one entry of the cache."""

    folder: Path
    what: str
    size_bytes: int
    used_at: float
    """Seconds since the epoch."""


class Hold:
    """An open entry of the cache; it is not dropped while this object exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        opened = os.open(folder, os.O_RDONLY)
        weakref.finalize(self, os.close, opened)
        fcntl.flock(opened, fcntl.LOCK_SH)

    def __reduce__(self) -> tuple[type[Hold], tuple[Path]]:
        return Hold, (self.folder,)


@dataclass(frozen=True)
class Cache:
    """The cache of prepared rows on this machine.

    Args:
        folder: of the entries.
        most_bytes: size limit; the least recently used entries beyond it are dropped.
        most_s: entries that are unused for this long are dropped.
        code: version of the code that prepares rows; part of every entry's name.
    """

    folder: Path
    most_bytes: float
    most_s: float
    code: str

    def hold(self, parts: dict[str, Any], what: str, write: Callable[[Path], None]) -> Hold:
        """Open an entry; make it if it does not exist.

        Several processes may request the same entry: the first makes it, the others wait.

        Args:
            parts: what the entry depends on, apart from the code.
            what: readable name of the entry.
            write: writes its files into a folder.

        Raises:
            OSError: The folder cannot be written.
        """
        key = hashlib.sha256(json.dumps({**parts, "code": self.code}, sort_keys=True).encode()).hexdigest()[:24]
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = self.folder / key
        with FileLock(self.folder / f"{key}.lock"):
            if not _is_whole(folder):
                for left in (folder, *self.folder.glob(f".{key}.*")):  # damaged, or of a process that was killed
                    if left.exists():
                        log.warning("%s: not whole; it is made anew", left)
                        _drop(left)
                beside = self.folder / f".{key}.{os.getpid()}"
                beside.mkdir()
                try:
                    write(beside)
                    _seal(beside, what)
                except BaseException:
                    shutil.rmtree(beside, ignore_errors=True)
                    raise
                beside.rename(folder)
                log.info("%s: prepared in %s (%.2f GB)", what, folder, _size(folder) / GIGABYTE)
            held = Hold(folder)
        os.utime(folder)
        self.tidy()
        return held

    def entries(self) -> list[Entry]:
        """Return all entries, the least recently used first."""
        found = []
        for folder in filter(NAME.fullmatch, _names(self.folder)):
            with suppress(OSError):  # dropped meanwhile
                place = self.folder / folder
                found.append(Entry(place, _what(place), _size(place), place.stat().st_mtime))
        return sorted(found, key=lambda entry: entry.used_at)

    def tidy(self, *, everything: bool = False) -> list[Entry]:
        """Drop entries beyond the limits, or all, and return them. Entries that a process has open stay."""
        entries = self.entries()
        too_much, dropped = sum(entry.size_bytes for entry in entries) - self.most_bytes, []
        for entry in entries:
            if everything or too_much > 0 or time.time() - entry.used_at > self.most_s:
                if not self._drop_unless_open(entry.folder):
                    continue
                too_much -= entry.size_bytes
                dropped.append(entry)
        for name in _names(self.folder):
            if left := LEFT.fullmatch(name):
                with suppress(Timeout, OSError), FileLock(self.folder / f"{left[1]}.lock", timeout=0):
                    shutil.rmtree(self.folder / name)  # its writer was killed, or it would hold the lock
        return dropped

    def _drop_unless_open(self, folder: Path) -> bool:
        with suppress(OSError, Timeout), FileLock(self.folder / f"{folder.name}.lock", timeout=0):
            opened = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _drop(folder)
            finally:
                os.close(opened)
            return True
        return False


def cache_folder(given: Path | None) -> Path:
    """Return the given folder, else `$FGMFN_CACHE`, else `fgmfn` in the user's cache."""
    own = os.environ.get("FGMFN_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fgmfn"
    return (given or Path(own or user)).expanduser()


def _drop(folder: Path) -> None:
    """Remove an entry; it is renamed first, so that a half-removed one is never found."""
    if not folder.name.startswith("."):
        folder = folder.rename(folder.with_name(f".{folder.name}.{os.getpid()}.dropped"))
    shutil.rmtree(folder)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _what(folder: Path) -> str:
    try:
        return str(json.loads((folder / SEAL).read_text("utf-8"))["what"])
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _seal(folder: Path, what: str) -> None:
    files = {file.name: [file.stat().st_size, _checksum(file)] for file in sorted(folder.iterdir())}
    (folder / SEAL).write_text(json.dumps({"what": what, "files": files}), "utf-8")


def _is_whole(folder: Path) -> bool:
    """Verify an entry, once per process: 1 GB takes less than half a second, and is in memory afterwards."""
    try:
        files = json.loads((folder / SEAL).read_text("utf-8"))["files"]
        if any((folder / name).stat().st_size != size for name, (size, _) in files.items()):
            return False
        known = _known(folder, files)
        if known not in _CHECKED:
            if any(_checksum(folder / name) != checksum for name, (_, checksum) in files.items()):
                return False
            _CHECKED.add(known)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _known(folder: Path, files: Iterable[str]) -> tuple[object, ...]:
    stats = [(folder / name).stat() for name in files]
    return str(folder), *((stat.st_ino, stat.st_mtime_ns) for stat in stats)


def _checksum(file: Path) -> int:
    checksum = 0
    with file.open("rb") as content:
        while block := content.read(1 << 22):
            checksum = zlib.crc32(block, checksum)
    return checksum


# --- pictures ---


class ShrunkPictures(Protocol):
    """Pictures of rows at the size that squares are cut from."""

    def read(self, row: int) -> tuple[Image.Image, int]:
        """Return a row's picture and the identity of its encoded bytes.

        Raises:
            DataError: It is missing or cannot be decoded.
        """
        ...


@dataclass(frozen=True)
class FreshPictures:
    """Pictures that are decoded each time."""

    rows: Rows
    pictures: Pictures
    processor: FgmfnProcessor
    zoom: float

    def read(self, row: int) -> tuple[Image.Image, int]:
        """Decode and shrink a row's picture."""
        content = self.pictures.read(row)
        return self.processor.shrunk(decode(content, self.rows.where(row)), self.zoom), identity(content)


class CachedPictures:
    """Pictures of an entry of the cache; only what was just read is in memory."""

    def __init__(self, held: Hold) -> None:
        self._held, folder = held, held.folder
        with (folder / PIXELS).open("rb") as pixels:
            empty = pixels.seek(0, os.SEEK_END) == 0
            self._pixels = b"" if empty else mmap.mmap(pixels.fileno(), 0, access=mmap.ACCESS_READ)
        with np.load(folder / INDEX, allow_pickle=False) as index:
            self._picture, self._identity = index["picture"], index["identity"]
            self._size, self._start = index["size"], index["start"]

    @property
    def key(self) -> str:
        """Name of the entry."""
        return self._held.folder.name

    def __reduce__(self) -> tuple[type[CachedPictures], tuple[Hold]]:
        return CachedPictures, (self._held,)

    def read(self, row: int) -> tuple[Image.Image, int]:
        """Copy a row's picture out of the file."""
        number = self._picture[row]
        width, height = (int(length) for length in self._size[number])
        start, length = int(self._start[number]), 3 * width * height
        image = Image.frombuffer("RGB", (width, height), self._pixels[start : start + length], "raw", "RGB", 0, 1)
        if isinstance(self._pixels, mmap.mmap):
            # The pages stay in the system's cache; they need not count as this process's memory.
            first, last = start - start % FAULT, start + length + -(start + length) % FAULT
            self._pixels.madvise(mmap.MADV_DONTNEED, first, min(last, len(self._pixels)) - first)
        return image, int(self._identity[number])


def prepare_pictures(
    cache: Cache, rows: Rows, processor: FgmfnProcessor, zoom: float, name: str, *, progress: bool = True
) -> CachedPictures | None:
    """Open a split's pictures in the cache; if they are not there, decode and shrink each distinct picture into it.

    Args:
        cache: of the pictures.
        rows: the split.
        processor: shrinks the pictures.
        zoom: of the augmentation.
        name: of the rows, for people.
        progress: show a bar on standard error, if that is a terminal.

    Returns:
        None if these pictures have no origin for the entry's name.

    Raises:
        DataError: Pictures are missing or are not pictures; the message names them by file and row.
        OSError: The cache cannot be written.
    """
    named = rows.digests or origin(rows.pictures)
    if processor.fit is None or named is None or rows.pictures is None:
        return None
    parts = {
        "kind": "pictures",
        "pictures": named,
        "fit": [processor.fit, processor.image_size, processor.crop_share, processor.interpolation, zoom],
        "libraries": [PIL.__version__, *map(str, map(features.version, ("jpg", "libjpeg_turbo", "webp", "zlib")))],
    }
    what = f"pictures of {name}, {processor.fit} at {processor.image_size} pixels"
    write = partial(
        _write_pictures, rows=rows, pictures=rows.pictures, processor=processor, zoom=zoom, progress=progress
    )
    held = cache.hold(parts, what, write)
    if rows.digests is None and origin(rows.pictures) != named:
        raise DataError(f"{rows.where(0)}: a file was changed since the data were opened; begin again")
    return CachedPictures(held)


def _write_pictures(
    folder: Path, rows: Rows, pictures: Pictures, processor: FgmfnProcessor, zoom: float, *, progress: bool
) -> None:
    numbers: dict[bytes, int] = {}
    picture, identities, sizes, starts = list[int](), list[int](), list[tuple[int, int]](), [0]
    bad: dict[int, str] = {}
    """Faults by picture."""

    def shrink(found: tuple[int, bytes]) -> Image.Image | str:
        try:
            return processor.shrunk(decode(found[1], ""), zoom)
        except DataError as error:
            return str(error)

    def lines() -> list[str]:
        return [f"{rows.where(row)}{bad[number]}" for row, number in enumerate(picture) if number in bad]

    bar = tqdm(total=len(rows), desc="pictures", unit="row", leave=False, disable=None if progress else True)
    with bar, (folder / PIXELS).open("wb") as file, ThreadPoolExecutor(os.cpu_count()) as threads:
        for first in range(0, len(rows), AT_ONCE):
            some, fresh = range(len(rows))[first : first + AT_ONCE], list[tuple[int, bytes]]()
            for row in some:
                try:
                    content = pictures.read(row)
                except DataError as error:
                    bad[len(numbers)] = f": {error}"
                    content = b""
                digest = hashlib.blake2b(content or str(row).encode(), digest_size=16)
                if content and rows.digests and digest.hexdigest() != rows.digests[row]:
                    raise DataError(f"{rows.where(row)}: the file was changed since the data were opened; begin again")
                if digest.digest() not in numbers:
                    fresh += [(len(numbers), content)] if content else []
                    numbers[digest.digest()] = len(numbers)
                    identities.append(identity(content))
                picture.append(numbers[digest.digest()])
            for (number, _), image in zip(fresh, threads.map(shrink, fresh), strict=True):
                if isinstance(image, str):
                    bad[number] = image
                else:
                    sizes.append(image.size)
                    starts.append(starts[-1] + file.write(image.tobytes()))
            bar.update(len(some))
            if bad:
                refuse_broken(lines(), ended=False)
    refuse_broken(lines())
    np.savez(folder / INDEX, picture=picture, identity=identities, size=sizes, start=starts)


# --- words ---


class CachedWords(Sequence[dict[str, Any]]):
    """Text fields of rows in an entry of the cache."""

    def __init__(self, held: Hold) -> None:
        self._held = held
        with pa.memory_map(str(held.folder / WORDS)) as file:
            table = pa.ipc.open_file(file).read_all()
        self._rows = table.num_rows
        self._columns: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name in table.column_names:
            column: Any = table[name].combine_chunks()  # one chunk, as written
            self._columns[name] = (column.offsets.to_numpy(), column.values.to_numpy())

    @property
    def key(self) -> str:
        """Name of the entry."""
        return self._held.folder.name

    def __reduce__(self) -> tuple[type[CachedWords], tuple[Hold]]:
        return CachedWords, (self._held,)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: Any) -> Any:
        return {name: values[offsets[row] : offsets[row + 1]] for name, (offsets, values) in self._columns.items()}


def prepare_words(
    cache: Cache,
    rows: Rows,
    processor: FgmfnProcessor,
    inputs: Inputs,
    name: str,
    encode: Callable[[], list[dict[str, Any]]],
) -> CachedWords | None:
    """Open a split's tokens in the cache; if they are not there, write the result of `encode` into it.

    Returns:
        None if their origin gives no name: a model's own fields come from its code, or the tokenizer has no
            description of itself.

    Raises:
        OSError: The cache cannot be written.
    """
    backend = getattr(processor.tokenizer, "backend_tokenizer", None)
    if backend is None or inputs.extras or not (inputs.sentences or inputs.targets):
        return None
    description = json.loads(backend.to_str())
    for state in ("truncation", "padding"):  # of the last call
        description.pop(state, None)
    parts = {
        "kind": "words",
        "rows": [rows.text, rows.target, rows.span, rows.has_targets],
        "tokenizer": [type(processor.tokenizer).__name__, description, processor.tokenizer.special_tokens_map],
        "limits": [processor.max_tokens, processor.max_target_tokens],
        "inputs": [inputs.fields, inputs.pair, inputs.marked],
        "libraries": [transformers.__version__, tokenizers.__version__],
    }

    def write(folder: Path) -> None:
        examples = encode()
        fields = list(examples[0]) if examples else []
        table = pa.table({name: pa.array([example[name] for example in examples], LISTS) for name in fields})
        with pa.OSFile(str(folder / WORDS), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    return CachedWords(cache.hold(parts, f"words of {name}", write))


LISTS = pa.list_(pa.int64())
