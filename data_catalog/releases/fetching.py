"""Releases and models on this machine: fetched from an object store once, their hashes checked."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from data_catalog.errors import ReleaseError
from data_catalog.releases.verification import MANIFEST, Manifest, digest_file, manifest_sha256, read_manifest
from data_catalog.storage import PathLike, Place, as_place, fetch, working_folder

FETCHED = "fetched"
"""Folder, among the working files of releases, of those that were fetched."""


def fetch_release(release: PathLike) -> Path:
    """The folder of a release on this machine: its own, or one in the user's cache, named by what is in it.

    Two processes may fetch the same release; a killed fetch is continued.

    Raises:
        ReleaseError: the release is not what was written, or there is none.
        StorageError: the store cannot be used.
    """
    place = as_place(release)
    if (here := working_folder(place)) == place:
        return here
    manifest = read_manifest(place)
    sha256 = manifest_sha256(manifest)
    if sha256 != manifest["manifest_sha256"]:
        raise ReleaseError(f"{place}: its {MANIFEST} was changed since the release was written; restore it")
    folder = here.parent / FETCHED / sha256 / place.name
    if not (folder / MANIFEST).is_file():
        _fetch_files(place, folder, manifest)
        fetch(place / MANIFEST, folder / MANIFEST)
    return folder


def _fetch_files(place: Place, folder: Path, manifest: Manifest) -> None:
    for name, said in manifest["files"].items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ReleaseError(f"{place}: its {MANIFEST} names {name!r}, which is no file of a release")
        expected = {"sha256": said.get("sha256"), "size_bytes": said.get("size_bytes")}
        file = folder / name
        if file.is_file() and digest_file(file) == expected:
            continue
        try:
            fetch(place / name, file)
        except FileNotFoundError:
            raise ReleaseError(f"{place}: {name} is missing; restore it, or build another release") from None
        if (found := digest_file(file)) != expected:
            file.unlink()
            raise ReleaseError(
                f"{place}: {name} is not what was written: sha256 {found['sha256']}, expected {said.get('sha256')}; "
                "restore it, or build another release"
            )
