"""Releases of a folder: list them, find the newest, and choose the version of the next one.

A release names its parent and the ancestors behind it. No ancestor of a release is newer than it, whatever the clock
said when either was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import UTC, date, datetime
from pathlib import Path
from typing import overload

from data_catalog.errors import ReleaseError
from data_catalog.releases.verification import MANIFEST, Manifest, read_manifest
from data_catalog.storage import PathLike, Place, as_place, folders_of

VERSION = re.compile(r"\d{4}\.\d{2}\.\d{2}(\.[1-9]\d*)?")


def list_releases(releases_dir: PathLike) -> list[Place]:
    """All releases in a folder, lowest version first; the newest is what `newest_release` says."""
    found = [path for path in folders_of(as_place(releases_dir), MANIFEST) if VERSION.fullmatch(path.name)]
    return sorted(found, key=lambda path: _version_key(path.name))


@overload
def newest_release(releases_dir: Path) -> Path: ...
@overload
def newest_release(releases_dir: PathLike) -> Place: ...
def newest_release(releases_dir: PathLike) -> Place:
    """The newest release: no other descends from it, and of several such it was created last.

    Raises:
        ReleaseError: there is no release, or a manifest cannot be read, so that nobody knows.
    """
    if newest := newest_release_if_any(releases_dir):
        return newest
    raise ReleaseError(f"{releases_dir}: holds no release; build one with `ytb-ads build`")


def newest_release_if_any(
    releases_dir: PathLike, having: Callable[[Manifest], bool] = lambda manifest: True
) -> Place | None:
    """The same, of the releases whose manifest is asked for; None where there is none."""
    manifests = read_manifests(releases_dir)
    among = {name for name, manifest in manifests.items() if having(manifest)}
    return as_place(releases_dir) / newest_of(manifests, among) if among else None


def read_manifests(releases_dir: PathLike) -> dict[str, Manifest]:
    """The manifests of all releases by version, but for those that cannot be read and that another descends from.

    Raises:
        ReleaseError: one cannot be read that may be the newest.
    """
    manifests, damaged = survey_releases(releases_dir)
    for name in may_be_newest(manifests, damaged):
        raise damaged[name]
    return manifests


def survey_releases(releases_dir: PathLike) -> tuple[dict[str, Manifest], dict[str, ReleaseError]]:
    """The manifests of all releases by version, and why those of the others cannot be read."""
    manifests: dict[str, Manifest] = {}
    damaged: dict[str, ReleaseError] = {}
    for path in list_releases(releases_dir):
        try:
            manifest = read_manifest(path)
            lineage_of(manifest)
            manifests[path.name] = manifest
        except ReleaseError as error:
            damaged[path.name] = error
    return manifests, damaged


def may_be_newest(manifests: Mapping[str, Manifest], damaged: Iterable[str]) -> list[str]:
    """Those of the releases without a manifest that no other descends from."""
    older = {before for name in manifests for before in _ancestors(name, manifests)}
    return [name for name in damaged if name not in older]


def newest_of(manifests: Mapping[str, Manifest], among: Set[str] | None = None) -> str:
    """The newest of some releases by their manifests; `among` leaves out others that only tell what is older.

    Ancestors that are gone still count, as a release names them all. In a circle, which only a damaged manifest can
    make, nothing is older than anything else.
    """
    among = manifests.keys() if among is None else among
    ancestors = {name: _ancestors(name, manifests) for name in among}
    older = {before for name, found in ancestors.items() for before in found if name not in ancestors.get(before, ())}
    return max(among - older, key=lambda name: (created_at(name, manifests[name]), _version_key(name)))


def lineage_of(manifest: Manifest) -> list[str]:
    """The ancestors that a release names, its parent first; the first releases of all named their parent alone.

    Raises:
        ReleaseError: what the manifest names are no versions.
    """
    parent = manifest.get("parent")
    named = manifest.get("lineage") or ([] if parent is None else [parent])
    if not isinstance(named, list) or not all(isinstance(version, str) for version in named):
        raise ReleaseError(f"release {manifest['version']}: its manifest names {named!r} as its ancestors")
    return named


def line_of(version: str, manifests: Mapping[str, Manifest]) -> list[str]:
    """A release and its ancestors that are there, each before its own ancestors."""
    line = {version: None}
    ahead = [version]
    for name in ahead:
        fresh = [before for before in lineage_of(manifests[name]) if before in manifests and before not in line]
        line |= dict.fromkeys(fresh)
        ahead += fresh
    return list(line)


def versions_given(releases_dir: PathLike, models_dir: PathLike) -> set[str]:
    """Every version that a release has or had, as far as something still names it.

    That is its folder, another release that descends from it, or the folder of the models that were trained on it. Of a
    release of which nothing is left but what was published, nobody here knows.
    """
    models = as_place(models_dir)
    trained_on = {path.name for path in models.iterdir()} if models.is_dir() else set()
    folders = {path.name for path in list_releases(releases_dir)}
    named = {before for manifest in read_manifests(releases_dir).values() for before in lineage_of(manifest)}
    return {version for version in folders | named | trained_on if VERSION.fullmatch(version)}


def find_release(releases_dir: PathLike, version: str) -> Place:
    """The release of that version.

    Raises:
        ReleaseError: there is none; the message names those there are.
    """
    found = {path.name: path for path in list_releases(releases_dir)}
    if version not in found:
        raise ReleaseError(f"{version}: no such release; there are {', '.join(found) or 'none'}")
    return found[version]


def next_version(day: date, given: Iterable[str], parent: str | None = None) -> str:
    """The day as a version, numbered from its second release on: 2026.11.24, then 2026.11.24.1.

    No version of `given` is given again. A parent of a later day, by a clock that was ahead, lends its day: no version
    is lower than its parent's.
    """
    today = max(day.strftime("%Y.%m.%d"), (parent or "")[: len("2026.11.24")])
    numbers = [_version_key(name)[3] for name in given if VERSION.fullmatch(name) and name.startswith(today)]
    return f"{today}.{max(numbers) + 1}" if numbers else today


def _ancestors(name: str, manifests: Mapping[str, Manifest]) -> set[str]:
    """All ancestors that a release and those of them that are there name."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        named = lineage_of(manifests[ahead.pop()])
        fresh = set(named) - found
        found |= fresh
        ahead += fresh & manifests.keys()
    return found


def created_at(name: str, manifest: Manifest) -> datetime:
    """When a release was created, by its manifest.

    Raises:
        ReleaseError: that does not say.
    """
    try:
        at = datetime.fromisoformat(manifest["created_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError(f"release {name}: its manifest does not say when it was created ({error})") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _version_key(version: str) -> tuple[int, int, int, int]:
    year, month, day, *number = (int(part) for part in version.split("."))
    return year, month, day, number[0] if number else 0
