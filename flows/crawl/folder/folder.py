"""The source `folder`: ads from what `yt-dlp --write-info-json --write-comments` leaves on a disk.

`ID.mp4|webm|mkv` lies beside `ID.info.json`, at the top or in a sub-folder that names the category. Every file
that looks like a video or an info.json ends as an ad or as a drop with its reason; all other files are ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from data_catalog.tables.drops import Drop
from flows.crawl.fields import VIDEO_ID, clean_text, instant, video_id_of
from flows.crawl.folder.info_json import InfoJsonError, categories_of, load_info, parse_ad, parse_comments
from flows.crawl.records import FoundAd, UnchangedAd, pseudonym
from flows.errors import SourceError
from flows.stages import SOURCE

MEDIA_SUFFIXES = (".mp4", ".webm", ".mkv")
INFO_SUFFIX = ".info.json"
LAYOUT = (
    "expected ID.mp4, ID.webm or ID.mkv beside ID.info.json, as `yt-dlp --write-info-json --write-comments` "
    "leaves them, at the top or in a sub-folder that names the category"
)
UNCATEGORISED = "uncategorised"
# part of every stamp: raise it when this reader takes other things from the same files
_READER = 1


def scan_folder(
    root: Path,
    *,
    author_key: bytes,
    categories: Mapping[str, str] | None = None,
    category: str | None = None,
    known: Mapping[str, str] | None = None,
) -> Iterator[FoundAd | UnchangedAd | Drop]:
    """Read a folder of downloaded ads, one ad in memory at a time.

    Args:
        root: the folder.
        author_key: key of the hash that stands in for channels and authors.
        categories: category by video id, by sub-folder name, or by the category that the video itself states.
        category: category of ads that neither the mapping nor a sub-folder names.
        known: `files_stamp` by video id as the catalog holds them; ads with an equal stamp are not read.

    Returns:
        `FoundAd` for new and changed ads, `UnchangedAd` for the others, `Drop` for files that are no ad.

    Raises:
        SourceError: the folder is missing, cannot be read, or holds nothing of the expected layout.
    """
    pairs, drops = list_pairs(root)
    reader = _Reader(root, author_key, dict(categories or {}), category, known or {})
    return chain(drops, chain.from_iterable(map(reader.read, pairs)))


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

    @property
    def named_id(self) -> str | None:
        """The id that the files' name gives, if it can be one."""
        return video_id_of(self.stem)


def list_pairs(root: Path) -> tuple[list[FilePair], list[Drop]]:
    """Find the ads below `root`, sorted by path, and drops for files that look like one and cannot be used.

    Raises:
        SourceError: the folder is missing, cannot be read, or holds nothing of the expected layout.
    """
    listing = _walk(root)
    pairs, repeated = _bring_together(sorted(listing.files))
    if not pairs and not listing.drops:
        raise SourceError(f"{root}: no ads here; {LAYOUT}")
    return pairs, [*listing.drops, *repeated]


class _Reader:
    """Turns pairs of files into ads, and remembers which file took which id."""

    def __init__(
        self,
        root: Path,
        author_key: bytes,
        categories: dict[str, str],
        category: str | None,
        known: Mapping[str, str],
    ) -> None:
        self.root = root
        self.author_key = author_key
        self.categories = categories
        self.category = category
        self.id_of_stamp = {stamp: video_id for video_id, stamp in known.items()}
        self.taken: dict[str, PurePosixPath] = {}
        # an ad is also read again when a setting that shapes its row has changed
        shaping = [_READER, categories, category, pseudonym(author_key, "stamp")]
        self.settings_stamp = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:12]

    def read(self, pair: FilePair) -> Iterator[FoundAd | UnchangedAd | Drop]:
        """The one ad of this pair; a drop if it cannot be used, one for each file if its id is taken."""
        try:
            found = self._find(pair)
        except InfoJsonError as error:
            yield _file_drop(pair.info or pair.paths[0], error.reason, str(error), pair.named_id)
            return
        except OSError as error:
            culprit = next((path for path in pair.paths if str(self.root / path) == error.filename), pair.paths[0])
            yield _file_drop(culprit, "unreadable", _why(error), pair.named_id)
            return
        video_id = found.ad.video_id if isinstance(found, FoundAd) else found.video_id
        used = self.taken.setdefault(video_id, pair.paths[0])
        if used is pair.paths[0]:
            # the bytes of a video are read last, when it is sure that they are wanted
            yield self._with_media(found) if isinstance(found, FoundAd) else found
            return
        for path in pair.paths:
            yield _file_drop(path, "repeated_id", f"id {video_id} is taken by {used}", video_id)

    def _find(self, pair: FilePair) -> FoundAd | UnchangedAd:
        stats = [(path, (self.root / path).stat()) for path in pair.paths]
        stamp = " | ".join([*(f"{path} {of.st_size} {of.st_mtime_ns}" for path, of in stats), self.settings_stamp])
        if unchanged := self.id_of_stamp.get(stamp):
            return UnchangedAd(unchanged)
        info: dict[str, Any] = load_info(self.root / pair.info) if pair.info else {}
        video_id = video_id_of(info.get("id")) or pair.stem
        if not VIDEO_ID.fullmatch(video_id):
            detail = f"no usable id in the info.json, and the name {clean_text(video_id)!r} is none either"
            raise InfoJsonError("unusable_id", detail)
        # the last of the two is the info.json, where there is one
        fetched_at = instant(info.get("epoch")) or datetime.fromtimestamp(stats[-1][1].st_mtime, UTC)
        ad = parse_ad(
            info,
            video_id=video_id,
            category=self._category(video_id, pair, categories_of(info)),
            author_key=self.author_key,
            media_path=str(pair.media) if pair.media else None,
            files_stamp=stamp,
            fetched_at=fetched_at,
        )
        return FoundAd(ad, *parse_comments(info, video_id, author_key=self.author_key, fetched_at=fetched_at))

    def _with_media(self, found: FoundAd) -> FoundAd | Drop:
        if found.ad.media_path is None:
            return found
        path = PurePosixPath(found.ad.media_path)
        try:
            with (self.root / path).open("rb") as media:
                digest = hashlib.file_digest(media, "sha256").hexdigest()
                size_bytes = media.tell()
        except OSError as error:
            return _file_drop(path, "unreadable", _why(error), found.ad.video_id)
        return replace(found, ad=replace(found.ad, media_sha256=digest, media_size_bytes=size_bytes))

    def _category(self, video_id: str, pair: FilePair, stated: Iterable[str]) -> str:
        parts = pair.paths[0].parts
        folder = parts[0] if len(parts) > 1 else None
        names = (video_id, folder, *stated)
        mapped = next((self.categories[name] for name in names if name in self.categories), None)
        return clean_text(mapped or folder or self.category or UNCATEGORISED)


@dataclass
class _Listing:
    files: list[PurePosixPath] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)


def _file_drop(path: PurePosixPath, reason: str, detail: str, video_id: str | None = None) -> Drop:
    """A file that is no ad; its path below the root is the key."""
    key = clean_text(str(path))
    return SOURCE.drop(key, video_id, reason, f"{key}: {detail}")


def _why(error: OSError) -> str:
    """The system's words for a fault, without number and path."""
    return error.strerror or str(error)


def _walk(root: Path) -> _Listing:
    try:
        resolved = root.resolve(strict=True)
        folders = [_entries(root)]
    except OSError as error:
        raise SourceError(f"{root}: {_why(error)}; {LAYOUT}") from error
    listing = _Listing()
    while folders:
        for entry in folders.pop():
            path = PurePosixPath(Path(entry.path).relative_to(root).as_posix())
            try:
                if below := _visit(entry, path, resolved, listing):
                    folders.append(below)
            except OSError as error:
                listing.drops.append(_file_drop(path, "unreadable", _why(error)))
    return listing


def _visit(
    entry: os.DirEntry[str], path: PurePosixPath, resolved_root: Path, listing: _Listing
) -> list[os.DirEntry[str]]:
    """List a file, refuse it, or return what lies in a folder."""
    if entry.name.startswith(".") or not (_is_candidate(path) or entry.is_dir()):
        return []
    if entry.is_symlink() and not _stays_inside(Path(entry.path), resolved_root):
        listing.drops.append(_file_drop(path, "leaves_folder", "a link to nothing, or to something outside"))
    elif clean_text(str(path)) != str(path):
        listing.drops.append(_file_drop(path, "unusable_name", "the name is not UTF-8"))
    elif entry.is_dir(follow_symlinks=False):
        return _entries(Path(entry.path))
    elif entry.is_file():
        listing.files.append(path)
    elif not entry.is_dir():  # a link to a folder inside is not followed: the folder itself is visited
        listing.drops.append(_file_drop(path, "not_a_file", "a device, pipe or socket"))
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
            drops.append(_file_drop(path, "repeated_id", f"{used} has the same name and is used"))
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
