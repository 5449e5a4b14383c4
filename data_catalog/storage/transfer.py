"""Transfer files between this machine and a catalog; folders appear at their place only when they are complete.

On a local catalog most of this does nothing, as the files are already in place.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_catalog.errors import StorageError
from data_catalog.storage.locks import Held, lock
from data_catalog.storage.places import Place, StorePath

DRAFT = ".writing-"
"""Prefix of the name of a folder that is being written; on a store, of the marker object."""


def working_folder(place: Place) -> Path:
    """The local folder in which the files of a place are worked on: that place, or one in the user's cache."""
    if isinstance(place, Path):
        return place
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ytb-ads"
    name = hashlib.sha256(place.root.encode()).hexdigest()[:16]
    return cache.joinpath(name, *place.key.parts)


@contextmanager
def local_copy(file: Place) -> Iterator[Path]:
    """A file as one of this machine's, for as long as it is needed.

    Raises:
        FileNotFoundError: there is none.
    """
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="ytb-ads-") as folder:
        copy = Path(folder) / file.name
        fetch(file, copy)
        yield copy


def fetch(file: Place, to: Path) -> None:
    """Have a file here, whole or not at all.

    Raises:
        FileNotFoundError: there is none.
    """
    if file == to:
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f".{to.name}-{uuid.uuid4().hex[:8]}")
    try:
        if isinstance(file, Path):
            shutil.copyfile(file, part)
        else:
            with part.open("wb") as out:
                out.writelines(file.chunks())
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def fetch_folder(folder: Place, last: str) -> Path:
    """The folder in which a whole folder of a catalog can be worked on, fetched there if it is not yet.

    Args:
        folder: a folder of the catalog.
        last: name of the file whose presence says that it is whole.
    """
    here = working_folder(folder)
    if here != folder and (folder / last).is_file() and not (here / last).is_file():
        for name in sorted(file_names(folder), key=lambda name: (name == last, name)):
            fetch(folder / name, here / name)
    return here


def deliver(file: Path, to: Place) -> None:
    """Move a file that was made in a working folder to its place, in place of what is there."""
    if isinstance(to, StorePath):
        to.upload(file)
        file.unlink()
    elif file != to:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, to)


def deliver_folder(folder: Path, to: Place, last: str, *, skip: Iterable[str] = ()) -> None:
    """Copy a working folder to its place, unless a whole one is there; the file that says that it is whole comes last.

    Args:
        folder: a working folder.
        to: its place.
        last: name of that file.
        skip: names of files and folders in it that stay.
    """
    if not isinstance(to, StorePath):  # it was made in its place
        return
    skipped = {*skip, last}
    with lock(to.parent / f".{to.name}.lock", wait=True) as held:
        if (to / last).is_file():
            return
        for name in [*(name for name in file_names(folder) if Path(name).parts[0] not in skipped), last]:
            held.check()
            (to / name).upload(folder / name)


def drafts(root: Place) -> list[Place]:
    """Folders that a killed writer left half written."""
    found = root.glob(f"{DRAFT}*")
    if isinstance(root, Path):
        return [*found]
    return [folder for mark in found if (folder := root / mark.name.removeprefix(DRAFT)).is_dir()]


def clear_drafts(root: Place) -> None:
    """Remove what killed writers left, here and at the place; only for whoever holds the lock of those that write."""
    for leftover in working_folder(root).glob(f"{DRAFT}*"):
        shutil.rmtree(leftover)
    if isinstance(root, StorePath):
        for mark in root.glob(f"{DRAFT}*"):
            folder = root / mark.name.removeprefix(DRAFT)
            if not (folder / _mark_says(mark)).is_file():
                for path in folder.rglob("*"):
                    path.unlink(missing_ok=True)
            mark.unlink(missing_ok=True)


def publish(draft: Path, target: Place, last: str, held: Held) -> None:
    """Have a whole folder appear at a place where there is none: renamed, or uploaded with one file last.

    Args:
        draft: a folder in the working folder of `target`'s parent.
        target: its place.
        last: name of the file without which no reader of an object store sees the others.
        held: the lock of those that write there.

    Raises:
        FileExistsError: there is one already.
        StorageError: another process took over.
    """
    if isinstance(target, Path):
        for path in [*draft.rglob("*"), draft]:
            _sync(path)
        draft.rename(target)
        _sync(target.parent)
        return
    mark = target.parent / f"{DRAFT}{target.name}"
    held.check()
    mark.write_text(last)
    for name in sorted(file_names(draft), key=lambda name: (name == last, name)):
        held.check()  # whoever took over begins with removing what is here
        if not _create(draft / name, target / name):
            raise FileExistsError(f"{target / name}: is there already, so another process writes this release")
    with suppress(StorageError):  # what it marks is whole; the next writer removes it
        mark.unlink(missing_ok=True)


def folders_of(root: Place, last: str) -> list[Place]:
    """The whole folders at a place; on an object store those that have the file that came last."""
    if isinstance(root, Path):
        return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    depth = len(root.key.parts) + 2
    return [path.parent for path in root.rglob(last) if len(path.key.parts) == depth]


def file_names(folder: Place) -> list[str]:
    """Names of all files below a folder, relative to it; of what is no folder, links and pipes too."""
    if isinstance(folder, Path):
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*")]


def size_of(file: Place) -> int | None:
    """The bytes of a file; None where there is none."""
    if isinstance(file, Path):
        return file.stat().st_size if file.is_file() else None
    found = file.head()
    return int(found["size"]) if found else None


def digest(file: Place) -> tuple[str, int]:
    """The sha256 of a file's bytes, and how many there are."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest(), opened.tell()
    sha256, size_bytes = hashlib.sha256(), 0
    for chunk in file.chunks():
        sha256.update(chunk)
        size_bytes += len(chunk)
    return sha256.hexdigest(), size_bytes


def _mark_says(mark: StorePath) -> str:
    try:
        return mark.read_text()
    except FileNotFoundError:
        return "nothing"


def _create(file: Path, to: StorePath) -> bool:
    """Upload a file that must not be there yet; whether it was not."""
    if not file.stat().st_size:
        return to.put(b"") is not None
    with file.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    # not closed here: an error that is raised still refers to the bytes
    return to.put(memoryview(mapped)) is not None


def _sync(path: Path) -> None:
    """Have a file or a folder's names on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
