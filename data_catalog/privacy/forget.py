"""Remove ads and authors from a catalog: all their rows, drops and media, and the tables' history.

Rows are removed first, derived rows before the ad itself; then every table's history is purged. Each step finds
the remaining work by itself, so you finish a killed run by running it again. Releases are never changed: the
result names those that still contain an ad, and people have to delete them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.privacy.references import (
    HoldingRelease,
    drops_of_ads,
    drops_of_comments,
    media_of,
    named_in,
    releases_with,
)
from data_catalog.schemas import TABLES
from data_catalog.storage import Place, working_folder
from data_catalog.tables.forgotten import digest_of_ad
from data_catalog.tables.purging import Purged

_HASHED_COLUMNS = [
    (table.name, column)
    for table in TABLES.values()
    for column in ("channel_hash", "query")
    if column in table.schema.names
]
"""Columns beside `comments.author_hash` that may hold a person's keyed hash: that of the person's own channel."""
_ADS_AT_ONCE = 2_000
_ROUNDS = 3


@dataclass(frozen=True)
class Removal:
    """Removed rows by table, and media files by their path below the catalog."""

    rows: Mapping[str, int] = field(default_factory=dict)
    media: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.media)

    def __add__(self, other: Removal) -> Removal:
        return Removal(dict(Counter(self.rows) + Counter(other.rows)), (*self.media, *other.media))


@dataclass(frozen=True)
class Forgetting:
    """Result of forgetting one ad or one author."""

    kind: Literal["ad", "author"]
    digest: str
    removed: Removal
    emptied: Mapping[str, int]
    """Values taken out of rows that stay, by `table.column`."""
    purged: tuple[Purged, ...]
    named_in: Mapping[str, int]
    """Rows of others whose texts name the id, by `table.column`; they stay as they are."""
    releases: tuple[HoldingRelease, ...]


def forget_ad(catalog: Catalog, video_id: str) -> Forgetting:
    """Remove an ad everywhere but from releases, from the history of every table too, and remember its digest.

    If it is stopped, the digest is remembered and the next build goes on with the rest.

    Raises:
        CatalogError: a crawl or a build keeps writing it, or a file cannot be removed; what is gone is gone.
    """
    digest = digest_of_ad(video_id)
    _remember(catalog, "ad", digest)
    with _noted():
        return Forgetting(
            "ad",
            digest,
            removed=_until_nothing_is_left(lambda: remove_ads(catalog, [video_id])),
            emptied={},
            purged=tuple(purge_history(catalog)),
            named_in=named_in(catalog, video_id),
            releases=tuple(releases_with(catalog, [video_id])),
        )


def forget_author(catalog: Catalog, author_hash: str) -> Forgetting:
    """Remove an author's comments and what was made of them, from the history of every table too.

    Replies of others stay. The sentiment of the ads concerned goes, and the next build computes it anew. Where the
    person has a channel among the ads, its ads stay and no longer say whose they are.

    Args:
        catalog: where.
        author_hash: the keyed hash that the column `author_hash` of `comments` holds.

    Raises:
        CatalogError: a crawl or a build keeps writing them, or a file cannot be removed; what is gone is gone.
    """
    _remember(catalog, "author", author_hash)
    with _noted():
        return Forgetting(
            "author",
            author_hash,
            emptied=_empty(catalog, author_hash),
            removed=_until_nothing_is_left(lambda: _remove_author(catalog, author_hash)),
            purged=tuple(purge_history(catalog)),
            named_in=named_in(catalog, author_hash),
            releases=(),
        )


def unfinished(catalog: Catalog) -> tuple[list[str], list[str]]:
    """Ads, and hashes of authors, that are remembered as forgotten and of which something is still held.

    A forgetting that was stopped, by a full disk for example, leaves such.
    """
    forgotten = catalog.forgotten()
    ads = [ad for ad in catalog.values("ads", "video_id") if forgotten.has_ad(ad)] if forgotten.ads else []
    by_them = pc.field("author_hash").isin(pa.array(sorted(forgotten.authors), pa.string()))
    authors = sorted(set(catalog.values("comments", "author_hash", where=by_them))) if forgotten.authors else []
    return ads, authors


def unpurged(catalog: Catalog) -> list[str]:
    """Tables that still have versions from before the last forgetting, which was stopped before it purged them."""
    last = max(catalog.values("forgotten", "at"), default=None)
    if last is None:
        return []
    commits = {name: catalog.history(name) for name in TABLES if name != "forgotten"}
    return [name for name, found in commits.items() if len(found) > 1 and found[-1].at < last]


def remove_ads(
    catalog: Catalog, video_ids: Iterable[str], *, keep_tables: Collection[str] = (), keep_drops: Collection[str] = ()
) -> Removal:
    """Remove ads everywhere but from releases and from the history of the tables; nothing is remembered of them.

    The tables are whole after every commit. `purge_history` is to follow when the last ad is removed.

    Args:
        catalog: where.
        video_ids: the ads.
        keep_tables: tables whose rows stay.
        keep_drops: stages whose drops stay.
    """
    ids = list(dict.fromkeys(video_ids))
    removed = Removal()
    for first in range(0, len(ids), _ADS_AT_ONCE):
        some = frozenset(ids[first : first + _ADS_AT_ONCE])
        removed += _remove_some(catalog, some, keep_tables, keep_drops)
    return removed


def ad_held(catalog: Catalog, video_id: str) -> Removal:
    """The rows and files that `forget_ad` would remove."""
    of_ad = pc.field("video_id") == video_id
    rows = {"drops": len(drops_of_ads(catalog, [video_id]))}
    rows |= {name: catalog.snapshot(name).count(of_ad) for name in _tables_of_ads()}
    in_groups = pc.field("group_id").isin(pa.array(_groups_of(catalog, [video_id]), pa.string()))
    rows["reuploads"] = catalog.snapshot("reuploads").count(in_groups)
    rows["likenesses"] = len(_compared_with(catalog, [video_id]))
    return Removal(_some(rows), _below(catalog, media_of(catalog, [video_id])))


def author_held(catalog: Catalog, author_hash: str) -> Removal:
    """The comments that `forget_author` would remove; what was made of them goes with them."""
    return Removal(_some({"comments": catalog.snapshot("comments").count(pc.field("author_hash") == author_hash)}))


def purge_history(catalog: Catalog, tables: Iterable[str] | None = None) -> list[Purged]:
    """Leave nothing of these tables but their newest version: of all of them, but for `forgotten` itself."""
    names = [name for name in TABLES if name != "forgotten"] if tables is None else list(tables)
    return [purged for name in names if (purged := catalog.purge(name))]


@contextmanager
def _noted() -> Iterator[None]:
    """Say of an error that what was to be forgotten is noted already."""
    try:
        yield
    except CatalogError as error:
        raise CatalogError(
            f"{error}. It is noted as forgotten, and some of it may still be held: run this again, or build, "
            "which removes the rest"
        ) from error


def _remember(catalog: Catalog, kind: Literal["ad", "author"], digest: str) -> None:
    if digest not in catalog.values("forgotten", "digest"):
        row = {"digest": digest, "kind": kind, "at": datetime.now(UTC)}
        catalog.merge("forgotten", pa.Table.from_pylist([row], schema=TABLES["forgotten"].schema))


def _until_nothing_is_left(remove: Callable[[], Removal]) -> Removal:
    """Remove until a round finds nothing: a stage that runs beside this may have had rows in its hands."""
    removed = Removal()
    for _ in range(_ROUNDS):
        found = remove()
        if not found:
            return removed
        removed += found
    raise CatalogError(
        "rows were written again while they were being removed; end the crawl or build that runs on this catalog, "
        "then run this again: it goes on where it was"
    )


def _tables_of_ads() -> list[str]:
    """Tables of rows about one ad, `ads` last: what a killed run left of an ad is found by its row there."""
    about_ads = [name for name, table in TABLES.items() if "video_id" in table.schema.names]
    return [*(name for name in about_ads if name not in ("ads", "drops")), "ads"]


def _remove_some(
    catalog: Catalog, ids: frozenset[str], keep_tables: Collection[str], keep_drops: Collection[str]
) -> Removal:
    drops = [drop for drop in drops_of_ads(catalog, ids) if drop[0] not in keep_drops]
    rows = {"drops": catalog.delete("drops", drops)}
    media = media_of(catalog, ids)
    for path in media:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CatalogError(f"{path}: cannot be removed ({error.strerror}); remove it and run this again") from error
    rows["reuploads"] = catalog.delete_groups("reuploads", column="group_id", values=_groups_of(catalog, ids))
    if "ads" not in keep_tables:
        compared = _compared_with(catalog, ids)
        rows["likenesses"] = catalog.delete_groups("likenesses", column="video_id", values=compared)
    for name in _tables_of_ads():
        if name in keep_tables:
            continue
        rows[name] = rows.get(name, 0) + catalog.delete_groups(name, column="video_id", values=ids)
    return Removal(_some(rows), _below(catalog, media))


def _groups_of(catalog: Catalog, ids: Iterable[str]) -> list[str]:
    """Groups of re-uploads that hold these ads: all rows of one name the ad, and the next build makes them anew."""
    of_ads = pc.field("video_id").isin(pa.array(sorted(ids), pa.string()))
    return catalog.values("reuploads", "group_id", where=of_ads & pc.is_valid(pc.field("group_id")))


def _compared_with(catalog: Catalog, ids: Iterable[str]) -> set[str]:
    """These ads and those that name a file of theirs as alike: the next build compares those again."""
    of_ads = pc.field("video_id").isin(pa.array(sorted(ids), pa.string()))
    files = {*catalog.values("ads", "media_sha256", where=of_ads)} - {None}
    rows = catalog.read("likenesses", ["video_id", "alike"]).to_pylist()
    return {row["video_id"] for row in rows if row["video_id"] in ids or not files.isdisjoint(row["alike"])}


def _remove_author(catalog: Catalog, author_hash: str) -> Removal:
    """The comments go last: a killed run finds by them what else is to go."""
    held: dict[str, list[Any]] = catalog.read(
        "comments", ["comment_id", "video_id"], where=pc.field("author_hash") == author_hash
    ).to_pydict()
    comment_ids, video_ids = set(held["comment_id"]), set(held["video_id"])
    sums = [table for table in TABLES.values() if table.sums_up == "comments"]
    # an ad without a sum has a drop of the stage instead: that is made anew, too
    without = pc.field("stage").isin([table.stage for table in sums]) & pc.field("key").isin(
        pa.array(sorted(video_ids), pa.string())
    )
    unsummed = catalog.read("drops", ["stage", "key"], without).to_pylist()
    drops = [
        *drops_of_comments(catalog, comment_ids | {author_hash}),
        *((drop["stage"], drop["key"]) for drop in unsummed),
    ]
    rows = {"drops": catalog.delete("drops", drops)}
    for table in TABLES.values():
        if "comment_id" in table.schema.names and table.name != "comments":
            rows[table.name] = catalog.delete_groups(table.name, column="comment_id", values=comment_ids)
    for table in sums:
        rows[table.name] = catalog.delete_groups(table.name, column="video_id", values=video_ids)
    rows["comments"] = catalog.delete_groups("comments", column="author_hash", values=[author_hash])
    return Removal(_some(rows))


def _empty(catalog: Catalog, author_hash: str) -> dict[str, int]:
    emptied = {}
    for table, column in _HASHED_COLUMNS:
        # a list of somebody's uploads is kept as `channel:HASH`
        rows = catalog.read(table, where=pc.field(column).isin([author_hash, f"channel:{author_hash}"]))
        nothing = pa.nulls(rows.num_rows, pa.string())
        without = rows.set_column(rows.schema.get_field_index(column), column, nothing)
        emptied[f"{table}.{column}"] = catalog.merge(table, without)
    return _some(emptied)


def _below(catalog: Catalog, paths: Iterable[Place]) -> tuple[str, ...]:
    root, here = str(catalog.place), str(working_folder(catalog.place))
    return tuple(str(path).removeprefix(f"{root}/").removeprefix(f"{here}/") for path in paths)


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}
