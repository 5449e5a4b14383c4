"""Ads named on a command line as files, folders and addresses, each ad once."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from data_catalog.tables.drops import Drop
from flows.crawl.fields import clean_text, text_of, video_id_of
from flows.crawl.folder.folder import INFO_SUFFIXES, UNCATEGORISED, AdFiles, category_of, choose_video, list_ads
from flows.crawl.folder.info_json import InfoJsonError, categories_of, load_info
from flows.errors import SourceError
from flows.settings import SourceSettings
from flows.stages import FRAMES, MEDIA, SOURCE, FileReason, FrameReason, MediaReason

_YOUTUBE = ("youtube.com", "youtube-nocookie.com", "youtu.be")


@dataclass(frozen=True)
class GivenAd:
    """One ad that was named, or lies in a folder that was."""

    name: str
    """Its path or address as it was named; text that UTF-8 can carry."""
    root: Path | None
    """The folder that its files are below; None for an address."""
    files: AdFiles
    """Its video and info.json; of an address the id alone."""

    def stamp(self) -> str:
        """Names the state of its files: their sizes and times. Empty of an address, and where they cannot be read."""
        if self.root is None:
            return ""
        try:
            found = [(path, (self.root / path).stat()) for path in self.files.paths]
        except OSError:
            return ""
        return " | ".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found)


@dataclass(frozen=True)
class KnownAd:
    """Facts of an ad that are known before it is decoded."""

    video_id: str
    """As a build would know it, or else the file's name: it seeds the moments of the frames."""
    category: str
    title: str | None
    video: Path | None
    """Its file; None for an address."""


def is_address(argument: str) -> bool:
    """Tell whether an argument is an address rather than a path."""
    return "://" in argument


def find_ads(arguments: Sequence[str], site: str) -> Iterator[GivenAd | Drop]:
    """List the ads of files, folders and addresses in the order in which they are named, each file once.

    A folder is read as `ytb-ads build --source folder:DIR` reads it. What cannot be one is a drop, with the path as it
    was named as its key.

    Args:
        arguments: paths and addresses.
        site: address of the site whose watch pages are known.
    """
    seen: set[Path | str] = set()
    for argument in arguments:
        for found in _find(argument, site):
            if isinstance(found, Drop):
                yield found
                continue
            same = found.files.name if found.root is None else _real(found.root / found.files.paths[0])
            if same not in seen:
                seen.add(same)
                yield found


def _real(path: Path) -> Path | str:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        return path


def _find(argument: str, site: str) -> Iterator[GivenAd | Drop]:
    name = clean_text(argument)
    if is_address(argument):
        video_id = _id_in(argument, site)
        if video_id is None:
            yield MEDIA.drop(name, None, MediaReason.UNUSABLE_ID, "not the address of a video on YouTube")
        else:
            yield GivenAd(name, None, AdFiles(video_id, (), None))
    elif name != argument:
        yield SOURCE.drop(name, None, FileReason.UNUSABLE_NAME, "the name is not UTF-8")
    elif os.path.isdir(argument):  # noqa: PTH112 - of any text, where Path raises for some
        yield from _in_folder(Path(argument))
    else:
        yield _single(Path(argument))


def _in_folder(folder: Path) -> Iterator[GivenAd | Drop]:
    try:
        ads, drops = list_ads(folder)
    except SourceError as error:
        yield FRAMES.drop(str(folder), None, FrameReason.NO_VIDEO, str(error))
        return
    for drop in drops:
        yield SOURCE.drop(str(folder / drop.key), drop.video_id, drop.reason, drop.detail)
    for files in ads:
        name = str(folder / files.paths[0])
        if files.videos:
            yield GivenAd(name, folder, files)
        else:
            yield FRAMES.drop(name, files.named_id, FrameReason.NO_VIDEO, "an info.json without a video beside it")


def _single(path: Path) -> GivenAd:
    infos = [path.with_name(path.stem + suffix) for suffix in INFO_SUFFIXES] if path.name else []
    found = [PurePosixPath(info.name) for info in infos if info.is_file()]
    files = AdFiles(name_of(path.name), (PurePosixPath(path.name),), next(iter(found), None), tuple(found[1:]))
    return GivenAd(str(path), path.parent, files)


def name_of(file: str) -> str:
    """An ad's name by that of its video file, composed as in a folder; its id where no info.json says another one."""
    return unicodedata.normalize("NFC", PurePosixPath(file).stem)


def _id_in(address: str, site: str) -> str | None:
    """The id in a watch address of YouTube or of the site that the settings name."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").lower()
        is_site = parts.netloc == urlsplit(site).netloc
    except ValueError:
        return None
    is_youtube = any(host == known or host.endswith(f".{known}") for known in _YOUTUBE)
    if parts.scheme not in ("http", "https") or not (is_site or is_youtube):
        return None
    named = parse_qs(parts.query).get("v") or [parts.path.rstrip("/").rpartition("/")[2]]
    video_id = video_id_of(named[0])
    return video_id if video_id and len(video_id) == 11 else None


def know_ad(given: GivenAd, settings: SourceSettings) -> KnownAd:
    """Read the info.json beside a video, if there is one that can be read, and choose among several videos."""
    files = given.files
    if given.root is None:
        category = settings.categories.get(files.name) or settings.category or UNCATEGORISED
        return KnownAd(files.name, category, None, None)
    info: dict[str, Any] = {}
    for path in filter(None, (files.info, *files.other_infos)):
        try:
            info = load_info(given.root / path)
            break
        except (InfoJsonError, OSError):
            continue  # the video has an answer all the same: only the moments follow from the id
    video_id = video_id_of(info.get("id")) or files.name
    video = choose_video(given.root, files)
    known_as = (video_id, *categories_of(info))
    return KnownAd(
        video_id,
        category_of(files, known_as, settings.categories, settings.category),
        text_of(info.get("title")),
        given.root / video if video else None,
    )
