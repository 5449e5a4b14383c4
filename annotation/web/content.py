"""The content of an entry: the ad's title, its kept frames, their words, its video, and the sampled comments.

A round keeps ids alone. What stands behind them is read from the catalog when it is shown, so that what was
forgotten there is gone here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from annotation.web.films import COLUMNS, Film, film_roots, find_film, web_address
from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, PurgedError
from data_catalog.printing import picture_kind
from data_catalog.tables.snapshot import Snapshot

_PICTURES_BYTES = 256 * 1024 * 1024
"""Pictures kept in memory: those of the ads that were asked for last."""
_ENTRIES = 512
"""Entries kept in memory, for as long as the tables they were read from do not change."""


@dataclass(frozen=True)
class FrameView:
    """One frame with its words."""

    frame_id: str
    number: int
    """1 for the first that is shown."""
    timestamp_s: float
    width: int
    height: int
    words: str
    url: str


@dataclass(frozen=True)
class WordsView:
    """Words, and the frames on which just these stand."""

    numbers: tuple[int, ...]
    """1 for the first frame that is shown."""
    text: str


@dataclass(frozen=True)
class Content:
    """The content behind an entry's ids, as the catalog has it now."""

    title: str
    category: str
    frames: tuple[FrameView, ...]
    comments: tuple[str, ...]
    n_comments: int
    """Comments that the catalog has of the ad."""
    missing: int
    """Frames and comments that are no longer in the catalog."""
    film: Film | None
    address: str
    """Of the ad's page on the web; empty where it has none."""
    video_url: str = ""
    """Address of the video on this server."""

    @property
    def words(self) -> list[WordsView]:
        """The words of all frames, those that are the same together."""
        numbers: dict[str, list[int]] = {}
        texts: dict[str, str] = {}
        for frame in self.frames:
            same = " ".join(frame.words.casefold().split())
            numbers.setdefault(same, []).append(frame.number)
            texts.setdefault(same, frame.words)
        return [WordsView(tuple(found), texts[same]) for same, found in numbers.items()]


@dataclass(frozen=True)
class Picture:
    """The bytes of one frame."""

    data: bytes
    sha256: str

    @property
    def media_type(self) -> str | None:
        """By its first bytes; what is no picture is never sent as one."""
        kind = picture_kind(self.data)
        return kind and f"image/{kind}"


class AdRows:
    """One table's rows of one ad, quickly: keeps which row belongs to which ad, and reads rows when asked for.

    The catalog's tables are made for stages that read them whole.

    Args:
        catalog: whose table.
        table: its name; it has a column `video_id`.
        refresh_s: seconds after which a look is taken whether the table has changed.
    """

    def __init__(self, catalog: Catalog, table: str, refresh_s: float) -> None:
        self._catalog, self._table, self._refresh_s = catalog, table, refresh_s
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._ads: pa.ChunkedArray[Any] = pa.chunked_array([], pa.string())
        self._looked_at = 0.0

    def rows(self, video_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """The ad's rows in storage order; none of an ad that is not there, or was forgotten."""
        snapshot, ads = self._current()
        try:
            return _rows(snapshot, ads, video_id, columns)
        except (PurgedError, CatalogError):
            # what was forgotten meanwhile took the files away under which it stood
            snapshot, ads = self._current(anew=True)
            return _rows(snapshot, ads, video_id, columns)

    def version(self) -> int:
        """Changes when the table does."""
        return _version_of(self._current()[0])

    def _current(self, *, anew: bool = False) -> tuple[Snapshot, pa.ChunkedArray[Any]]:
        with self._lock:
            now = time.monotonic()
            if self._snapshot is None or anew or now - self._looked_at > self._refresh_s:
                newest = self._catalog.snapshot(self._table)
                if self._snapshot is None or anew or _version_of(newest) != _version_of(self._snapshot):
                    self._snapshot, self._ads = newest, newest.read(["video_id"])["video_id"]
                self._looked_at = now
            return self._snapshot, self._ads


class Contents:
    """Reads entries and pictures from one catalog; threads share it.

    Args:
        catalog: the ads.
        refresh_s: seconds after which a look is taken whether a table has changed.
        videos: folder of the videos of a catalog that was built from one.
    """

    def __init__(self, catalog: Catalog, refresh_s: float, videos: str = "") -> None:
        self._catalog = catalog
        self._roots = film_roots(catalog, videos)
        tables = ("ads", "frames", "texts", "comments")
        self._tables = {table: AdRows(catalog, table, refresh_s) for table in tables}
        self._pictures: OrderedDict[tuple[str, int], dict[str, Picture]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        # six people look at the same ads
        self._kept = lru_cache(maxsize=_ENTRIES)(self._read)

    def of(self, video_id: str, frame_ids: Sequence[str], comment_ids: Sequence[str]) -> Content:
        """The content of these ids, in their order."""
        versions = tuple(rows.version() for rows in self._tables.values())
        return self._kept(video_id, tuple(frame_ids), tuple(comment_ids), versions)

    def _read(
        self, video_id: str, frame_ids: tuple[str, ...], comment_ids: tuple[str, ...], _versions: tuple[int, ...]
    ) -> Content:
        ad = self._ad(video_id)
        columns = ["frame_id", "timestamp_s", "width", "height", "image_sha256"]
        frames = {row["frame_id"]: row for row in self._tables["frames"].rows(video_id, columns)}
        words = {row["frame_id"]: row["text"] for row in self._tables["texts"].rows(video_id, ["frame_id", "text"])}
        said = {
            row["comment_id"]: row["text"] for row in self._tables["comments"].rows(video_id, ["comment_id", "text"])
        }
        kept = [frames[frame_id] for frame_id in frame_ids if frame_id in frames]
        comments = tuple(said[comment_id] or "" for comment_id in comment_ids if comment_id in said)
        return Content(
            title=ad["title"] or "",
            category=ad["category"] or "",
            frames=tuple(
                _frame(row, number, words.get(row["frame_id"]) or "") for number, row in enumerate(kept, start=1)
            ),
            comments=comments,
            n_comments=len(said),
            missing=len(frame_ids) - len(kept) + len(comment_ids) - len(comments),
            film=find_film(ad, self._roots),
            address=web_address(ad["url"]),
        )

    def frames_with(self, text: str) -> set[str]:
        """The frames whose words hold a text, in whatever case."""
        holds = pc.match_substring(ds.field("text"), text, ignore_case=True)
        return {str(each) for each in self._catalog.read("texts", ["frame_id"], holds)["frame_id"].to_pylist()}

    def film(self, video_id: str) -> Film | None:
        """An ad's video file; None where there is none (any more)."""
        return find_film(self._ad(video_id), self._roots)

    def _ad(self, video_id: str) -> Mapping[str, Any]:
        """The ad's row; of one that is gone, without values."""
        columns = ["title", "category", *COLUMNS]
        found = self._tables["ads"].rows(video_id, columns)
        return found[0] if found else dict.fromkeys(columns)

    def picture(self, frame_id: str) -> Picture | None:
        """One frame's bytes; None of a frame that is not there (any more)."""
        video_id = frame_id.rpartition(":")[0]
        key = (video_id, self._tables["frames"].version())
        with self._lock:
            held = self._pictures.get(key)
            if held is not None:
                self._pictures.move_to_end(key)
        if held is None:
            rows = self._tables["frames"].rows(video_id, ["frame_id", "image", "image_sha256"])
            held = {row["frame_id"]: Picture(row["image"]["bytes"] or b"", row["image_sha256"] or "") for row in rows}
            self._keep(key, held)
        return held.get(frame_id)

    def _keep(self, key: tuple[str, int], pictures: dict[str, Picture]) -> None:
        """Keep an ad's pictures in memory; those of an older table, and the ones longest unused, go."""
        with self._lock:
            for old in [each for each in self._pictures if each[1] != key[1]] + [key]:
                self._bytes -= _size(self._pictures.pop(old, {}))
            self._pictures[key] = pictures
            self._bytes += _size(pictures)
            while self._bytes > _PICTURES_BYTES and len(self._pictures) > 1:
                self._bytes -= _size(self._pictures.popitem(last=False)[1])


def _frame(row: dict[str, Any], number: int, words: str) -> FrameView:
    return FrameView(
        frame_id=row["frame_id"],
        number=number,
        timestamp_s=row["timestamp_s"] or 0.0,
        width=row["width"] or 16,
        height=row["height"] or 9,
        words=words,
        # the content's digest in the address: a browser may keep the picture and never ask again
        url=f"/frames/{quote(row['frame_id'], safe='')}?v={(row['image_sha256'] or '')[:16]}",
    )


def _size(pictures: dict[str, Picture]) -> int:
    return sum(len(picture.data) for picture in pictures.values())


def _version_of(snapshot: Snapshot) -> int:
    return snapshot.delta.version() if snapshot.delta is not None else -1


def _rows(snapshot: Snapshot, ads: pa.ChunkedArray[Any], video_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    if not len(ads):
        return []
    found = pc.indices_nonzero(pc.equal(ads, pa.scalar(video_id, pa.string())))
    numbers = [number for number in found.to_pylist() if number is not None]
    return [row for part in snapshot.rows_at(numbers, columns) for row in part.to_pylist()]
