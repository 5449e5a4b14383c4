"""Verify a release: every byte and row compared with its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from data_catalog.errors import ReleaseError
from data_catalog.releases.shards import (
    HASH_VERSION,
    Census,
    hash_of,
    hash_version_of,
    read_shard,
    split_of,
    straddling,
)
from data_catalog.schemas import LABELS, SPLITS
from data_catalog.storage import PathLike, Place, as_place, digest, file_names, refusal

Manifest = dict[str, Any]

MANIFEST = "manifest.json"
PICTURES = "pictures.json"
"""The sha256 of each frame's picture, so that releases are compared without reading any; the first releases lack it."""
FORMAT = 1
WRITTEN_FIELDS = (
    "format",
    "version",
    "class_names",
    "splits",
    "files",
    "row_set_hash",
    "row_set_hash_version",
    "manifest_sha256",
)
"""Manifest fields that writing a release adds; the caller gives the others."""
_LATER_FIELDS = {"row_set_hash_version"}
"""Those that the first releases lack."""


def read_manifest(release: PathLike) -> Manifest:
    """Read a release's manifest.

    Raises:
        ReleaseError: there is none, or it is not a manifest of a format that this version reads.
    """
    path = as_place(release) / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise ReleaseError(
            f"{path}: cannot be read ({error.strerror}); restore it, or move {release} away and build again"
        ) from error
    except ValueError as error:
        raise ReleaseError(f"{path}: is not JSON ({error}); restore the file or build the release again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ReleaseError(f"{path}: not a manifest of format {FORMAT}")
    if missing := [name for name in WRITTEN_FIELDS if name not in {*manifest, *_LATER_FIELDS}]:
        raise ReleaseError(f"{path}: has no {', '.join(missing)}")
    for name in ("splits", "files"):
        part = manifest[name]
        if not isinstance(part, dict) or not all(isinstance(value, dict) for value in part.values()):
            raise ReleaseError(f"{path}: {name} is not a table of names and facts")
    return manifest


def verify_release(release: PathLike) -> list[str]:
    """Read every byte of a release and say all that is wrong with it; an empty list means nothing is."""
    folder = as_place(release)
    try:
        manifest = read_manifest(folder)
        hash_version = hash_version_of(manifest)
    except ReleaseError as error:
        return [str(error)]
    broken, problems = _check_files(folder, manifest["files"])
    problems += _check_manifest(manifest)
    censuses, incomplete, unreadable = _count_rows(folder, manifest["files"], broken, hash_version)
    problems += unreadable
    for split, census in censuses.items():
        problems += census.problems()
        said, found = manifest["splits"].get(split), census.counts()
        if split not in incomplete and said != found:
            problems.append(f"{split}: the manifest counts {said}, the files hold {found}")
    problems += straddling(censuses.values())
    found = {frame: sha256 for census in censuses.values() for frame, sha256 in census.pictures.items()}
    if not incomplete and (named := read_pictures(folder, manifest)) not in (None, found):
        problems.append(f"{PICTURES}: names {len(named or ())} pictures, not those of the {len(found)} frames")
    if not incomplete and hash_of(censuses.values()) != manifest["row_set_hash"]:
        problems.append(f"row_set_hash: the manifest says {manifest['row_set_hash']}, the rows give another")
    return problems


def read_pictures(folder: Place, manifest: Manifest) -> dict[str, str] | None:
    """The sha256 of each frame's picture, as written with the release; None where that is missing or changed."""
    said = manifest["files"].get(PICTURES)
    try:
        content = (folder / PICTURES).read_bytes() if said else b""
    except OSError:
        return None
    if not said or hashlib.sha256(content).hexdigest() != said.get("sha256"):
        return None
    pictures: dict[str, str] = json.loads(content)
    return pictures


def changed_files(release: PathLike) -> list[str]:
    """Compare every byte of a release with its manifest and say what differs, without a look at the rows.

    Raises:
        ReleaseError: the manifest cannot be read.
    """
    manifest = read_manifest(release)
    _, problems = _check_files(as_place(release), manifest["files"])
    return problems + _check_manifest(manifest)


def present_row_set_hash(release: PathLike) -> str:
    """A release's row-set hash as it would be made now: of one with an older hash it is counted from the rows.

    Raises:
        ReleaseError: it cannot be read.
    """
    manifest = read_manifest(release)
    if hash_version_of(manifest) == HASH_VERSION:
        return str(manifest["row_set_hash"])
    censuses, _, problems = _count_rows(as_place(release), manifest["files"], set())
    if problems:
        raise ReleaseError(f"{release}: is damaged ({'; '.join(problems)}); move it away and build again")
    return hash_of(censuses.values())


def digest_file(path: Place) -> dict[str, Any]:
    """A file's sha256 and size, as the manifest holds them."""
    sha256, size_bytes = digest(path)
    return {"sha256": sha256, "size_bytes": size_bytes}


def manifest_sha256(manifest: Manifest) -> str:
    """The sha256 of all that a manifest says, but for this very field."""
    rest = {name: value for name, value in manifest.items() if name != "manifest_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _check_files(folder: Place, files: Mapping[str, Any]) -> tuple[set[str], list[str]]:
    """Compare the files with the manifest: the names of those missing or changed, and every problem."""
    present = {name for name in file_names(folder) if name != MANIFEST}
    problems = [f"{name}: not named in the manifest" for name in sorted(present - files.keys())]
    broken: set[str] = set()
    for name, said in files.items():
        if name not in present:
            problems.append(f"{name}: missing")
        elif (found := digest_file(folder / name)) != {key: said.get(key) for key in found}:
            problems.append(f"{name}: changed, sha256 is {found['sha256']}, expected {said.get('sha256')}")
        else:
            continue
        broken.add(name)
    return broken, problems


def _check_manifest(manifest: Manifest) -> list[str]:
    problems = []
    if manifest["manifest_sha256"] != manifest_sha256(manifest):
        problems.append(f"{MANIFEST}: changed since the release was written")
    if manifest["class_names"] != list(LABELS):
        problems.append(f"{MANIFEST}: class names {manifest['class_names']}, expected {list(LABELS)}")
    return problems


def _count_rows(
    folder: Place, files: Mapping[str, Any], broken: set[str], hash_version: int = HASH_VERSION
) -> tuple[dict[str, Census], set[str], list[str]]:
    """Count the rows of all sound files: by split, the splits that lack some, and every problem."""
    censuses = {split: Census(split, hash_version) for split in SPLITS}
    incomplete = {split for name in broken if (split := split_of(name))}
    problems: list[str] = []
    for name in sorted(files.keys() - broken):
        if (split := split_of(name)) is None:
            continue
        before = censuses[split].rows
        try:
            for batch in read_shard(folder / name):
                censuses[split].take(batch)
        except (ReleaseError, pa.ArrowException, OSError) as error:
            if unreachable := refusal(folder, error):
                raise unreachable from None
            problems.append(f"{name}: cannot be read as rows of a release: {error}")
            incomplete.add(split)
            continue
        if (rows := censuses[split].rows - before) != (said := files[name].get("rows")):
            problems.append(f"{name}: the manifest says {said} rows, the file holds {rows}")
    return censuses, incomplete, problems
