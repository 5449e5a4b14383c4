"""The source `folder`: ads from what `yt-dlp --write-info-json --write-comments` leaves on a disk.

`ID.mp4|webm|mkv` lies beside `ID.info.json`, at the top or in a sub-folder that names the category. Every file
that looks like a video or an info.json ends as an ad or as a drop with its reason; whatever else lies there is
not ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from data_catalog.schemas import DropKind
from data_catalog.tables.drops import Drop
from flows.crawl.fields import VIDEO_ID, clean_text
from flows.crawl.folder.info_json import (
    InfoJsonError,
    Metadata,
    load_info,
    read_comments,
    read_metadata,
)
from flows.crawl.folder.listing import FilePair, file_drop, list_pairs, why
from flows.crawl.records import Ad, FoundAd, UnchangedAd, pseudonym

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
    return reader.read_all(pairs, drops)


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

    def read_all(self, pairs: list[FilePair], drops: list[Drop]) -> Iterator[FoundAd | UnchangedAd | Drop]:
        yield from drops
        for pair in pairs:
            yield from self._read(pair)

    def _read(self, pair: FilePair) -> Iterator[FoundAd | UnchangedAd | Drop]:
        """The one ad of this pair; a drop if it cannot be used, one for each file if its id is taken."""
        try:
            found = self._find(pair)
        except InfoJsonError as error:
            path = pair.info or pair.paths[0]
            kind: DropKind = "filtered" if error.final else "failed"
            yield file_drop(path, error.reason, str(error), kind=kind, video_id=_named(pair))
            return
        except OSError as error:
            culprit = self._culprit(pair, error)
            yield file_drop(culprit, "unreadable", why(error), kind="failed", video_id=_named(pair))
            return
        video_id = found.ad.video_id if isinstance(found, FoundAd) else found.video_id
        used = self.taken.setdefault(video_id, pair.paths[0])
        if used is pair.paths[0]:
            # the bytes of a video are read last, when it is sure that they are wanted
            yield self._with_media(found) if isinstance(found, FoundAd) else found
            return
        for path in pair.paths:
            yield file_drop(path, "repeated_id", f"id {video_id} is taken by {used}", video_id=video_id)

    def _find(self, pair: FilePair) -> FoundAd | UnchangedAd:
        stamp = self._stamp(pair)
        unchanged = self.id_of_stamp.get(stamp)
        return UnchangedAd(unchanged) if unchanged else self._parse(pair, stamp)

    def _parse(self, pair: FilePair, stamp: str) -> FoundAd:
        info: dict[str, Any] = load_info(self.root / pair.info) if pair.info else {}
        metadata = read_metadata(info)
        video_id = metadata.video_id or pair.stem
        if not VIDEO_ID.fullmatch(video_id):
            detail = f"no usable id in the info.json, and the name {clean_text(video_id)!r} is none either"
            raise InfoJsonError("unusable_id", detail)
        fetched_at = metadata.fetched_at or self._modified(pair)
        comments, drops = read_comments(info, video_id, author_key=self.author_key, fetched_at=fetched_at)
        ad = Ad(
            video_id=video_id,
            title=metadata.title,
            description=metadata.description,
            category=self._category(video_id, pair, metadata),
            query=None,
            source="folder",
            url=metadata.url,
            channel_hash=pseudonym(self.author_key, metadata.channel),
            duration_s=metadata.duration_s,
            width=metadata.width,
            height=metadata.height,
            language=metadata.language,
            published_at=metadata.published_at,
            view_count=metadata.view_count,
            like_count=metadata.like_count,
            comment_count=metadata.comment_count,
            synthetic=metadata.synthetic,
            media_path=str(pair.media) if pair.media else None,
            media_status="present" if pair.media else "missing",
            media_sha256=None,
            media_size_bytes=None,
            media_tool=None,
            files_stamp=stamp,
            fetched_at=fetched_at,
        )
        return FoundAd(ad, comments, drops)

    def _with_media(self, found: FoundAd) -> FoundAd | Drop:
        if found.ad.media_path is None:
            return found
        path = PurePosixPath(found.ad.media_path)
        try:
            with (self.root / path).open("rb") as media:
                digest = hashlib.file_digest(media, "sha256").hexdigest()
                size_bytes = media.tell()
        except OSError as error:
            return file_drop(path, "unreadable", why(error), kind="failed", video_id=found.ad.video_id)
        return replace(found, ad=replace(found.ad, media_sha256=digest, media_size_bytes=size_bytes))

    def _category(self, video_id: str, pair: FilePair, metadata: Metadata) -> str:
        parts = pair.paths[0].parts
        folder = parts[0] if len(parts) > 1 else None
        names = (video_id, folder, *metadata.categories)
        mapped = next((self.categories[name] for name in names if name in self.categories), None)
        return clean_text(mapped or folder or self.category or UNCATEGORISED)

    def _stamp(self, pair: FilePair) -> str:
        stats = [(path, (self.root / path).stat()) for path in pair.paths]
        parts = [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats]
        return " | ".join([*parts, self.settings_stamp])

    def _modified(self, pair: FilePair) -> datetime:
        path = self.root / (pair.info or pair.paths[0])
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def _culprit(self, pair: FilePair, error: OSError) -> PurePosixPath:
        return next((path for path in pair.paths if str(self.root / path) == error.filename), pair.paths[0])


def _named(pair: FilePair) -> str | None:
    """The id that the files' name gives, if it can be one."""
    return pair.stem if VIDEO_ID.fullmatch(pair.stem) else None
