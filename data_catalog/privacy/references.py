"""References to an ad or author outside rows of its own: drops, media, texts of others, releases."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_catalog.catalog import Catalog
from data_catalog.releases import list_releases
from data_catalog.releases.fetching import FETCHED
from data_catalog.schemas import TABLES
from data_catalog.storage import DRAFT, Place, arrow_filesystem, drafts, working_folder

MEDIA_DIR = "media"
"""Folder of the crawled videos below the catalog, as `ID.mp4`."""
UNFINISHED_DIR = ".unfinished"
"""Folder below that of unfinished downloads, as `ID.FORMAT.mp4.part` and the like."""

DropKey = tuple[str, str]

_UNMISTAKABLE = 11
"""An id of this length, that of YouTube's ids, is taken for the ad wherever it occurs in a text."""
_WORD = re.compile(r"[\w-]+")
_DOTTED_WORD = re.compile(r"[\w-]+(?:\.[\w-]+)*")


@dataclass(frozen=True)
class HoldingRelease:
    """A release that contains an ad; `rows` is None where it cannot be read and may."""

    version: str
    path: str
    rows: int | None


def drops_of_ads(catalog: Catalog, video_ids: Collection[str]) -> list[DropKey]:
    """Drops of these ads, and all others whose key or detail names one of them."""
    names = _Names(video_ids)
    return [
        (drop["stage"], drop["key"])
        for drop in catalog.read("drops", ["stage", "key", "video_id", "detail"]).to_pylist()
        if drop["video_id"] in video_ids or names.stand_in(drop["key"]) or names.stand_in(drop["detail"] or "")
    ]


def drops_of_comments(catalog: Catalog, comment_ids: Collection[str]) -> list[DropKey]:
    """Drops whose key or detail names one of these comments; a reply's id begins with its parent's and is another."""

    def names_one(text: str) -> bool:
        return any(word in comment_ids for word in _DOTTED_WORD.findall(text))

    return [
        (drop["stage"], drop["key"])
        for drop in catalog.read("drops", ["stage", "key", "detail"]).to_pylist()
        if names_one(drop["key"]) or names_one(drop["detail"] or "")
    ]


def named_in(catalog: Catalog, name: str) -> dict[str, int]:
    """Rows whose texts name an id, by `table.column`; short ids are words like any other and are not looked for."""
    if len(name) < _UNMISTAKABLE:
        return {}
    columns = [
        (table.name, column.name)
        for table in TABLES.values()
        for column in table.schema
        if column.type == pa.string() and not table.wide and table.name != "forgotten"
    ]
    found = {
        f"{table}.{column}": catalog.snapshot(table).count(pc.match_substring(pc.field(column), name))
        for table, column in columns
    }
    return {place: rows for place, rows in found.items() if rows}


def media_of(catalog: Catalog, video_ids: Collection[str]) -> list[Place]:
    """The files `ID.*` of the media store, whole ones and parts, and what a crawl left of them on this machine."""
    stored = catalog.place / MEDIA_DIR
    folders = dict.fromkeys((stored, working_folder(stored)))
    files = (path for folder in folders for pattern in ("*", f"{UNFINISHED_DIR}/*") for path in folder.glob(pattern))
    named = (path for path in files if path.name.partition(".")[0] in video_ids)
    return sorted((path for path in named if path.is_symlink() or not path.is_dir()), key=str)


def releases_with(catalog: Catalog, video_ids: Collection[str]) -> list[HoldingRelease]:
    """Releases that contain one of these ads, oldest first, and drafts that a killed build left behind."""
    folders: list[Place] = [*list_releases(catalog.releases_dir), *drafts(catalog.releases_dir)]
    if (here := working_folder(catalog.releases_dir)) != catalog.releases_dir:
        # of a catalog in a bucket: what this machine has fetched, and has begun to write
        folders += [*here.glob(f"{FETCHED}/*/*"), *here.glob(f"{DRAFT}*")]
    wanted = pa.array(sorted(video_ids), pa.string())
    counted = [HoldingRelease(folder.name, str(folder), _rows_with(folder, wanted)) for folder in folders]
    return [release for release in counted if release.rows != 0]


def _rows_with(folder: Place, video_ids: pa.Array[pa.StringScalar]) -> int | None:
    rows = 0
    data = folder / "data"
    for file in sorted(path.name for path in data.glob("*.parquet")):
        try:
            column = pq.read_table(file, columns=["video_id"], filesystem=arrow_filesystem(data))["video_id"]
        except (OSError, pa.ArrowException):
            return None
        rows += len(column.filter(pc.is_in(column, value_set=video_ids)))
    return rows


class _Names:
    """Ids of ads to be found in texts: long ones anywhere, short ones only as a word."""

    def __init__(self, ids: Collection[str]) -> None:
        self._short = {name for name in ids if len(name) < _UNMISTAKABLE}
        self._long = set(ids) - self._short
        self._lengths = sorted({len(name) for name in self._long})

    def stand_in(self, text: str) -> bool:
        if self._short and not self._short.isdisjoint(_WORD.findall(text)):
            return True
        return any(
            text[start : start + length] in self._long
            for length in self._lengths
            for start in range(len(text) - length + 1)
        )
