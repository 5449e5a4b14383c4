"""What lies in a folder of downloads: videos and info.json files, brought together ad by ad."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data_catalog.schemas import DropKind
from data_catalog.tables.drops import Drop
from flows.crawl.fields import clean_text
from flows.crawl.records import STAGE
from flows.errors import SourceError

MEDIA_SUFFIXES = (".mp4", ".webm", ".mkv")
INFO_SUFFIX = ".info.json"
LAYOUT = (
    "expected ID.mp4, ID.webm or ID.mkv beside ID.info.json, as `yt-dlp --write-info-json --write-comments` "
    "leaves them, at the top or in a sub-folder that names the category"
)


@dataclass(frozen=True)
class FilePair:
    """The video and the info.json of one ad, as paths below the root; one of them may be absent."""

    media: PurePosixPath | None
    info: PurePosixPath | None

    @property
    def paths(self) -> tuple[PurePosixPath, ...]:
        """Those of the two that are there, the video first."""
        return tuple(path for path in (self.media, self.info) if path)

    @property
    def stem(self) -> str:
        """The name that both share."""
        return _stem(self.paths[0])


@dataclass
class _Listing:
    files: list[PurePosixPath] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)


def list_pairs(root: Path) -> tuple[list[FilePair], list[Drop]]:
    """Find the ads below `root`, sorted by path, and drops for what looks like one and cannot be.

    Raises:
        SourceError: the folder is missing, cannot be read, or holds nothing of the expected layout.
    """
    listing = _walk(root)
    pairs, repeated = _bring_together(sorted(listing.files))
    if not pairs and not listing.drops:
        raise SourceError(f"{root}: no ads here; {LAYOUT}")
    return pairs, [*listing.drops, *repeated]


def file_drop(
    path: PurePosixPath,
    reason: str,
    detail: str,
    *,
    kind: DropKind = "filtered",
    video_id: str | None = None,
) -> Drop:
    """A file that is no ad; its path below the root is the key."""
    key = clean_text(str(path))
    return Drop(stage=STAGE, key=key, video_id=video_id, kind=kind, reason=reason, detail=f"{key}: {detail}")


def why(error: OSError) -> str:
    """The system's words for a fault, without number and path."""
    return error.strerror or str(error)


def _walk(root: Path) -> _Listing:
    try:
        resolved = root.resolve(strict=True)
        folders = [_entries(root)]
    except OSError as error:
        raise SourceError(f"{root}: {why(error)}; {LAYOUT}") from error
    listing = _Listing()
    while folders:
        for entry in folders.pop():
            path = PurePosixPath(Path(entry.path).relative_to(root).as_posix())
            try:
                if below := _visit(entry, path, resolved, listing):
                    folders.append(below)
            except OSError as error:
                listing.drops.append(file_drop(path, "unreadable", why(error), kind="failed"))
    return listing


def _visit(
    entry: os.DirEntry[str], path: PurePosixPath, resolved_root: Path, listing: _Listing
) -> list[os.DirEntry[str]]:
    """List a file, refuse it, or return what lies in a folder."""
    if entry.name.startswith(".") or not (_is_candidate(path) or entry.is_dir()):
        return []
    if entry.is_symlink() and not _stays_inside(Path(entry.path), resolved_root):
        listing.drops.append(file_drop(path, "leaves_folder", "a link to nothing, or to something outside"))
    elif not _is_utf8(str(path)):
        listing.drops.append(file_drop(path, "unusable_name", "the name is not UTF-8"))
    elif entry.is_dir(follow_symlinks=False):
        return _entries(Path(entry.path))
    elif entry.is_file():
        listing.files.append(path)
    elif not entry.is_dir():  # a link to a folder inside is not followed: the folder itself is visited
        listing.drops.append(file_drop(path, "not_a_file", "a device, pipe or socket"))
    return []


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _bring_together(files: Iterable[PurePosixPath]) -> tuple[list[FilePair], list[Drop]]:
    """Pair each video with its info.json: same folder and stem, or a stem that is unique."""
    media: dict[PurePosixPath, PurePosixPath] = {}
    infos: dict[PurePosixPath, PurePosixPath] = {}
    drops = []
    for path in files:
        kind = infos if _is_info(path) else media
        used = kind.setdefault(path.parent / _stem(path), path)
        if used is not path:
            drops.append(file_drop(path, "repeated_id", f"{used} has the same name and is used"))
    _reunite(media, infos)
    places = media.keys() | infos.keys()
    pairs = [FilePair(media.get(place), infos.get(place)) for place in places]
    return sorted(pairs, key=lambda pair: pair.paths), drops


def _reunite(media: dict[PurePosixPath, PurePosixPath], infos: dict[PurePosixPath, PurePosixPath]) -> None:
    """Pair a lone video with a lone info.json elsewhere if nothing else has their name."""
    places: dict[str, list[PurePosixPath]] = defaultdict(list)
    for place in media.keys() | infos.keys():
        places[place.name].append(place)
    for found in places.values():
        lone_media = [place for place in found if place not in infos]
        lone_infos = [place for place in found if place not in media]
        if len(found) == 2 and len(lone_media) == len(lone_infos) == 1:
            infos[lone_media[0]] = infos.pop(lone_infos[0])


def _is_info(path: PurePosixPath) -> bool:
    return path.name.lower().endswith(INFO_SUFFIX)


def _is_candidate(path: PurePosixPath) -> bool:
    return _is_info(path) or path.suffix.lower() in MEDIA_SUFFIXES


def _stem(path: PurePosixPath) -> str:
    return path.name[: -len(INFO_SUFFIX)] if _is_info(path) else path.stem


def _stays_inside(link: Path, resolved_root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(resolved_root)
    except (OSError, RuntimeError):  # dangling, or a loop
        return False


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
