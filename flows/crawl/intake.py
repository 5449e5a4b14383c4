"""What a source found goes into `ads` and `comments`; what it could not use goes into `drops`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.drops import drop_rows
from data_catalog.schemas import TABLES
from flows.counts import StageCount
from flows.crawl.ads import COMMENT_STAGE, STAGE, FoundAd, UnchangedAd
from flows.errors import SourceError

KEY_FILE = "author.key"
BATCH_COMMENTS = 50_000
"""Comments in memory before they are written."""


def take_in(
    catalog: Catalog,
    results: Iterable[FoundAd | UnchangedAd | Drop],
    *,
    advance: Callable[[float], None] = lambda ads: None,
) -> StageCount:
    """Write a source's results as they come, a batch of ads at a time; returns the number of new or changed ads."""
    count = StageCount(STAGE, "new or changed ads")
    batch: list[FoundAd] = []
    drops: list[Drop] = []
    fresh: set[str] = set()
    comment_drops: list[Drop] = []
    for result in results:
        if isinstance(result, Drop):
            drops.append(result)
            continue
        advance(1)
        if isinstance(result, UnchangedAd):
            continue
        batch.append(result)
        fresh.add(result.ad.video_id)
        comment_drops += result.drops
        if sum(len(found.comments) for found in batch) >= BATCH_COMMENTS:
            _write(catalog, batch)
            batch = []
    _write(catalog, batch)
    catalog.replace_drops(STAGE, drops)
    _renew_comment_drops(catalog, fresh, comment_drops)
    count.add(StageCount.of(STAGE, count.unit, rows_in=len(fresh), rows_out=len(fresh), drops=[*drops, *comment_drops]))
    return count


def author_key(catalog: Catalog, given: str | None) -> bytes:
    """The key of the authors' hashes: the one given, else the catalog's own, drawn when first needed.

    Raises:
        SourceError: the catalog is not a local folder and no key is given.
    """
    if given is not None:
        return given.encode()
    if not catalog.is_local:
        raise SourceError(f"{catalog.root}: set privacy.author_key, a catalog on an object store keeps none")
    path = Path(catalog.root) / KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # exclusive creation: of two first runs side by side, one draws the key and both use it
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_text("ascii").encode()


def _write(catalog: Catalog, batch: list[FoundAd]) -> None:
    """Comments first: an ad's row says that its files are done, so it comes last."""
    if not batch:
        return
    comments = pa.Table.from_pylist(
        [asdict(comment) for found in batch for comment in found.comments], schema=TABLES["comments"].schema
    )
    ids = pa.array([found.ad.video_id for found in batch], pa.string())
    catalog.merge("comments", comments)
    held = catalog.values("comments", "comment_id", where=pc.field("video_id").isin(ids))
    gone = set(held).difference(comments["comment_id"].to_pylist())
    catalog.delete("comments", gone)
    catalog.merge("ads", pa.Table.from_pylist([asdict(found.ad) for found in batch], schema=TABLES["ads"].schema))


def _renew_comment_drops(catalog: Catalog, fresh: set[str], drops: list[Drop]) -> None:
    """Replace the comment drops of the ads that were read; the other ads keep theirs."""
    held = catalog.read("drops", where=pc.field("stage") == COMMENT_STAGE)
    of_others = held.filter(pc.invert(pc.is_in(held["video_id"], pa.array(fresh, pa.string()))))
    catalog.replace("drops", pa.concat_tables([of_others, drop_rows(drops)]), where={"stage": COMMENT_STAGE})
