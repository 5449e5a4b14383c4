"""Ingest what a source found: ads into `ads` and `comments`, what cannot be used into `drops`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from data_catalog.storage import create
from flows.crawl.records import Ad, FoundAd, UnchangedAd
from flows.errors import SourceError
from flows.stages import COMMENTS, SOURCE, StageCount

KEY_FILE = "author.key"
BATCH_ADS = 200
BATCH_COMMENTS = 50_000
"""Ads and comments in memory before they are written; a killed run loses no more than this."""


def ingest(
    catalog: Catalog,
    results: Iterable[FoundAd | UnchangedAd | Drop],
    *,
    advance: Callable[[float], None] = lambda ads: None,
) -> StageCount:
    """Write a source's results as they come, a batch of ads at a time; counts the new and changed ads."""
    count = StageCount(SOURCE.name, "new or changed ads")
    file_drops: list[Drop] = []
    batch: list[FoundAd] = []
    n_comments = 0
    forgotten = catalog.forgotten()
    for result in results:
        if isinstance(result, Drop):
            file_drops.append(result)
            continue
        advance(1)
        if isinstance(result, UnchangedAd) or forgotten.has_ad(result.ad.video_id):
            continue
        kept = tuple(comment for comment in result.comments if not forgotten.has_author(comment.author_hash))
        result = replace(result, comments=kept)
        batch.append(result)
        n_comments += len(result.comments)
        if len(batch) >= BATCH_ADS or n_comments >= BATCH_COMMENTS:
            count.add(_write(catalog, batch, count.unit))
            batch, n_comments = [], 0
    count.add(_write(catalog, batch, count.unit))
    if catalog.replace_drops(SOURCE.name, file_drops):
        count.add(StageCount.of(SOURCE.name, count.unit, rows_in=0, rows_out=0, drops=file_drops))
    return count


def author_key(catalog: Catalog, given: str | None) -> bytes:
    """The key of the authors' hashes: the one given, else the catalog's own, drawn when first needed.

    Raises:
        SourceError: its key is gone.
    """
    if given:
        return given.encode()
    path = catalog.place / KEY_FILE
    if not path.exists():
        create(path, secrets.token_hex(32).encode())  # of two first runs side by side one draws it and both use it
    key = path.read_text("ascii").strip()
    if not key:
        raise SourceError(f"{path}: is empty; put the key back, or remove the file and build in a fresh catalog")
    return key.encode()


def _write(catalog: Catalog, batch: list[FoundAd], unit: str) -> StageCount:
    """Comments and their drops first: an ad's row says that its files are done, so it comes last."""
    if not batch:
        return StageCount(SOURCE.name, unit)
    video_ids = pa.array([found.ad.video_id for found in batch], pa.string())
    of_batch = pc.field("video_id").isin(video_ids)
    found_comments = [vars(comment) for found in batch for comment in found.comments]
    comments, of_others = own_comments(catalog, pa.Table.from_pylist(found_comments, schema=TABLES["comments"].schema))
    drops = [*(drop for found in batch for drop in found.drops), *of_others]
    catalog.commit(
        "comments",
        comments,
        stage=COMMENTS.name,
        drops=drops,
        done=catalog.values("drops", "key", where=(pc.field("stage") == COMMENTS.name) & of_batch),
    )
    held = catalog.values("comments", "comment_id", where=of_batch)
    catalog.delete("comments", set(held).difference(comments["comment_id"].to_pylist()))
    ads = _with_known_videos(catalog, [found.ad for found in batch])
    catalog.merge("ads", pa.Table.from_pylist([asdict(ad) for ad in ads], schema=TABLES["ads"].schema))
    return StageCount.of(SOURCE.name, unit, rows_in=len(batch), rows_out=len(batch), drops=drops)


def own_comments(catalog: Catalog, comments: pa.Table) -> tuple[pa.Table, list[Drop]]:
    """The comments, the last of each id, and a drop for each whose id is another ad's: whoever came first keeps it."""
    ids = comments["comment_id"]
    of_ids = pc.field("comment_id").isin(ids.combine_chunks())
    held = catalog.read("comments", ["comment_id", "video_id"], where=of_ids)
    if not held.num_rows and pc.count_distinct(ids).as_py() == comments.num_rows:
        return comments, []
    owners = dict(zip(held["comment_id"].to_pylist(), held["video_id"].to_pylist(), strict=True))
    last: dict[str, int] = {}
    drops: list[Drop] = []
    for row, comment in enumerate(comments.select(["comment_id", "video_id"]).to_pylist()):
        comment_id, video_id = comment["comment_id"], comment["video_id"]
        owner = owners.setdefault(comment_id, video_id)
        if owner == video_id:
            last[comment_id] = row
            continue
        detail = f"comment {comment_id} is already one of {owner}"
        key = f"{video_id}:comments:{comment_id}"
        drops.append(COMMENTS.drop(key, video_id, "comment_of_another_ad", detail))
    return comments.take(pa.array(sorted(last.values()), pa.int64())), drops


def _with_known_videos(catalog: Catalog, ads: list[Ad]) -> list[Ad]:
    """A video that was deleted after sampling is still the one that the stored frames are of."""
    of_ads = pc.field("video_id").isin(pa.array([ad.video_id for ad in ads], pa.string()))
    rows = catalog.read("ads", ["video_id", "media_sha256", "media_size_bytes"], where=of_ads).to_pylist()
    known = {row.pop("video_id"): row for row in rows}
    return [ad if ad.media_status == "present" else replace(ad, **known.get(ad.video_id, {})) for ad in ads]
