"""The source `folder`: ads from what `yt-dlp --write-info-json --write-comments` leaves on a disk.

`ID.mp4|webm|mkv` lies beside `ID.info.json`, which may be gzipped, at the top or in a sub-folder that names the
category. Every file that looks like a video or an info.json ends as an ad or as a drop with its reason; all other files
are ignored, but for unfinished downloads without a video, and sound where an info.json has no video.

Names are compared in Unicode's composed form (NFC): a disk or an archive may have changed how an accent is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from data_catalog.tables.drops import Drop
from flows.crawl.fields import VIDEO_ID, clean_text, instant, video_id_of
from flows.crawl.folder.info_json import InfoJsonError, categories_of, load_info, parse_ad, parse_comments
from flows.crawl.records import FoundAd, UnchangedAd, pseudonym
from flows.errors import DecoderLostError, FrameError, SourceError
from flows.frames.isolation import call_isolated
from flows.frames.video import size_shown
from flows.stages import SOURCE

MEDIA_SUFFIXES = (".mp4", ".webm", ".mkv")
SOUND_SUFFIXES = (".m4a", ".opus", ".ogg", ".oga", ".mp3", ".aac", ".weba", ".mka", ".flac", ".wav")
INFO_SUFFIXES = (".info.json", ".info.json.gz")
LAYOUT = (
    "expected ID.mp4, ID.webm or ID.mkv beside ID.info.json, as `yt-dlp --write-info-json --write-comments` "
    "leaves them, at the top or in a sub-folder that names the category"
)
UNCATEGORISED = "uncategorised"
# part of every stamp: raise it when this reader takes other things from the same files
_READER = 3
# yt-dlp: `NAME.fFORMAT.mp4` until formats are merged, which needs ffmpeg; it takes some characters out of their ids
_FORMAT = re.compile(r"\.f(?=([^\s,/+\[\]()]+)$)")
# yt-dlp: what a conversion reads or writes until it is over
_INTERMEDIATE = (".temp", ".uncut", ".orig")
# yt-dlp: a download until it is over, its fragments, and how far it is
_UNFINISHED = re.compile(r"\.(?:part(?:-frag\d+(?:\.part)?)?|ytdl)$", re.IGNORECASE)
_CHOICE = "of several files that with pictures, then a whole one before a single format, then the one with more pixels"
_PROBE_TIMEOUT_S = 60.0


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
    ads, drops = list_ads(root)
    reader = _Reader(root, author_key, dict(categories or {}), category, known or {})
    return chain(drops, chain.from_iterable(map(reader.read, ads)))


@dataclass(frozen=True)
class AdFiles:
    """The files of one ad, as paths below the root: an info.json, or a video, or both."""

    name: str
    """The name that they share, composed."""
    videos: tuple[PurePosixPath, ...]
    """Of several, one is used: see `_CHOICE`."""
    info: PurePosixPath | None
    other_infos: tuple[PurePosixPath, ...] = ()
    """Further files of that name, gzipped or not: the first that can be read is used."""

    @property
    def paths(self) -> tuple[PurePosixPath, ...]:
        """The videos and the info.json, in this order."""
        return (*self.videos, self.info) if self.info else self.videos

    @property
    def named_id(self) -> str | None:
        """The id that the files' name gives, if it can be one."""
        return video_id_of(self.name)


def list_ads(root: Path) -> tuple[list[AdFiles], list[Drop]]:
    """Find the ads below `root`, sorted by path, and drops for files that look like one and cannot be used.

    Raises:
        SourceError: the folder is missing, cannot be read, or holds nothing of the expected layout.
    """
    listing = _walk(root)
    ads, unused = _bring_together(sorted(listing.files))
    drops = [*listing.drops, *unused]
    if not ads and not drops:
        raise SourceError(f"{root}: no ads here; {LAYOUT}")
    return ads, drops


class _Reader:
    """Turns the files of ads into ads, and remembers which file took which id."""

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

    def read(self, files: AdFiles) -> Iterator[FoundAd | UnchangedAd | Drop]:
        """The ad of these files, and a drop for each that is not used: of several videos, or if the id is taken."""
        files, broken = self._with_readable_info(files)
        yield from broken
        try:
            found, video = self._find(files)
        except InfoJsonError as error:
            yield _file_drop(files.info or files.paths[0], error.reason, str(error), files.named_id)
            return
        except OSError as error:
            culprit = next((path for path in files.paths if str(self.root / path) == error.filename), files.paths[0])
            yield _file_drop(culprit, "unreadable", _why(error), files.named_id)
            return
        video_id = found.ad.video_id if isinstance(found, FoundAd) else found.video_id
        path = video or files.paths[0]
        used = self.taken.setdefault(video_id, path)
        if used is not path:
            for path in files.paths:
                yield _file_drop(path, "repeated_id", f"id {video_id} is taken by {used}", video_id)
            return
        # the bytes of a video are read last, when it is sure that they are wanted
        yield self._with_media(found) if isinstance(found, FoundAd) else found
        for other in files.videos:
            if other is not video:
                yield _file_drop(other, "repeated_id", f"{used} has the same name and is used: {_CHOICE}", video_id)

    def _with_readable_info(self, files: AdFiles) -> tuple[AdFiles, list[Drop]]:
        """The files with one info.json, the first that can be read if any can, and drops for the others."""
        if not files.info or not files.other_infos:
            return files, []
        candidates = (files.info, *files.other_infos)
        faults: dict[PurePosixPath, tuple[str, str]] = {}
        for path in candidates:
            try:
                load_info(self.root / path)
                break
            except InfoJsonError as error:
                faults[path] = error.reason, str(error)
            except OSError as error:
                faults[path] = "unreadable", _why(error)
        used = next((path for path in candidates if path not in faults), files.info)
        repeated = "repeated_id", f"{used} has the same name and is used"
        others = [path for path in candidates if path != used]
        drops = [_file_drop(path, *faults.get(path, repeated), files.named_id) for path in others]
        return replace(files, info=used, other_infos=()), drops

    def _find(self, files: AdFiles) -> tuple[FoundAd | UnchangedAd, PurePosixPath | None]:
        """The ad, and the video that is used of those that it has."""
        stats = {path: (self.root / path).stat() for path in files.paths}

        def stamp(video: PurePosixPath | None) -> str:
            """Names the files as they are, that which is used first."""
            ordered = sorted(files.paths, key=lambda path: path is not video)
            each = [f"{path} {stats[path].st_size} {stats[path].st_mtime_ns}" for path in ordered]
            return " | ".join([*each, self.settings_stamp])

        for video in files.videos or (None,):
            if unchanged := self.id_of_stamp.get(stamp(video)):
                return UnchangedAd(unchanged), video
        info: dict[str, Any] = load_info(self.root / files.info) if files.info else {}
        video_id = video_id_of(info.get("id")) or files.name
        if not VIDEO_ID.fullmatch(video_id):
            detail = f"no usable id in the info.json, and the name {clean_text(video_id)!r} is none either"
            raise InfoJsonError("unusable_id", detail)
        video = choose_video(self.root, files)
        described_by = stats[files.info or files.videos[0]]
        fetched_at = instant(info.get("epoch")) or datetime.fromtimestamp(described_by.st_mtime, UTC)
        ad = parse_ad(
            info,
            video_id=video_id,
            category=category_of(files, (video_id, *categories_of(info)), self.categories, self.category),
            author_key=self.author_key,
            media_path=str(video) if video else None,
            files_stamp=stamp(video),
            fetched_at=fetched_at,
        )
        return FoundAd(ad, *parse_comments(info, video_id, author_key=self.author_key, fetched_at=fetched_at)), video

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


def choose_video(root: Path, files: AdFiles) -> PurePosixPath | None:
    """The video to use, by `_CHOICE`; what is equal by that is taken in the order of `MEDIA_SUFFIXES`."""
    if len(files.videos) < 2:
        return next(iter(files.videos), None)

    def worth(path: PurePosixPath) -> tuple[bool, bool, int, int, str]:
        pixels = _pixels(root / path)
        is_format = _composed(path.stem) != files.name
        return not pixels, is_format, -pixels, MEDIA_SUFFIXES.index(path.suffix.lower()), str(path)

    return min(files.videos, key=worth)


def _pixels(path: Path) -> int:
    try:
        width, height = call_isolated(_PROBE_TIMEOUT_S, size_shown, path)
    except (FrameError, DecoderLostError):
        return 0
    return width * height


def category_of(files: AdFiles, known_as: Sequence[str], categories: Mapping[str, str], category: str | None) -> str:
    """The category of an ad.

    Args:
        files: the ad's; the sub-folder that they lie in names a category.
        known_as: the ad's id, and the categories that the video itself states.
        categories: category by id, by sub-folder, or by the category that the video states.
        category: of an ad that has none of these.
    """
    parts = files.paths[0].parts
    folder = _composed(parts[0]) if len(parts) > 1 else None
    video_id, *stated = map(_composed, known_as)
    mapped = {_composed(name): to for name, to in categories.items()}
    found = next((mapped[name] for name in (video_id, folder, *stated) if name in mapped), None)
    return clean_text(found or folder or category or UNCATEGORISED)


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


def _bring_together(files: Iterable[PurePosixPath]) -> tuple[list[AdFiles], list[Drop]]:
    """Put together what is of one ad: same folder and name, or a name that is unique; and drops for what is of none."""
    infos: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    videos: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    leftovers: dict[PurePosixPath, list[Drop]] = defaultdict(list)
    sounds: dict[PurePosixPath, list[Drop]] = defaultdict(list)
    drops: list[Drop] = []
    others: list[PurePosixPath] = []
    for path in files:
        if suffix := _info_suffix(path):
            infos[_place(path, path.name[: -len(suffix)])].append(path)
        else:
            others.append(path)
    names = {place.name for place in infos}
    for path in others:
        media = _media_path(path)
        place = _place(path, media.stem)
        if place.name not in names and place.name.lower().endswith(_INTERMEDIATE):
            drops.append(_file_drop(path, "unfinished", "yt-dlp writes or reads this while it converts a download"))
            continue
        if place.name not in names:
            place = _without_format(place, infos)
        if media != path:
            leftovers[place].append(_file_drop(path, "unfinished", "a download that was stopped"))
        elif path.suffix.lower() in SOUND_SUFFIXES:
            sounds[place].append(_file_drop(path, "sound_alone", "sound, and no video beside it"))
        else:
            videos[place].append(path)
    _reunite(videos, infos)
    for place in leftovers.keys() - videos.keys():
        drops += leftovers[place]
    for place in infos.keys() - videos.keys():
        drops += sounds.get(place, [])
    ads = []
    for place in videos.keys() | infos.keys():
        info, *other_infos = infos.get(place, [None])
        ads.append(AdFiles(place.name, tuple(videos.get(place, ())), info, tuple(filter(None, other_infos))))
    return sorted(ads, key=lambda ad: ad.paths), drops


def _place(path: PurePosixPath, name: str) -> PurePosixPath:
    """Folder and name of an ad by one of its files, composed."""
    return PurePosixPath(_composed(str(path.parent)), _composed(name))


def _without_format(place: PurePosixPath, infos: Collection[PurePosixPath]) -> PurePosixPath:
    """The place of the ad that a single format is of; without an info.json there, a format is known by a digit."""
    formats = {
        place.with_name(place.name[: mark.start()]): mark[1]
        for mark in reversed(list(_FORMAT.finditer(place.name)))
        if mark.start()
    }
    numbered = (cut for cut, format_id in formats.items() if re.search(r"\d", format_id))
    return next((cut for cut in formats if cut in infos), next(numbered, place))


def _reunite(videos: dict[PurePosixPath, list[PurePosixPath]], infos: dict[PurePosixPath, list[PurePosixPath]]) -> None:
    """Pair a lone video with a lone info.json elsewhere if nothing else has their name."""
    places: dict[str, list[PurePosixPath]] = defaultdict(list)
    for place in videos.keys() | infos.keys():
        places[place.name].append(place)
    for found in places.values():
        lone_videos = [place for place in found if place not in infos]
        lone_infos = [place for place in found if place not in videos]
        if len(found) == 2 and len(lone_videos) == len(lone_infos) == 1:
            infos[lone_videos[0]] = infos.pop(lone_infos[0])


def _info_suffix(path: PurePosixPath) -> str | None:
    return next((suffix for suffix in INFO_SUFFIXES if path.name.lower().endswith(suffix)), None)


def _is_candidate(path: PurePosixPath) -> bool:
    return _media_path(path).suffix.lower() in (*MEDIA_SUFFIXES, *SOUND_SUFFIXES) or _info_suffix(path) is not None


def _media_path(path: PurePosixPath) -> PurePosixPath:
    """Path of the file once its download is complete."""
    return path.with_name(_UNFINISHED.sub("", path.name))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _stays_inside(link: Path, resolved_root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(resolved_root)
    except (OSError, RuntimeError):  # dangling, or a loop
        return False
