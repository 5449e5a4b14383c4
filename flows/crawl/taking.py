"""Drawn candidates become rows of `ads`: draw, describe afresh, and draw again for those that are gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from data_catalog.tables.forgotten import Forgotten
from flows.crawl import draw as drawing
from flows.crawl.candidates import read_candidates
from flows.crawl.data_api.faults import FaultError
from flows.crawl.data_api.parsing import SOURCE, VIDEO_PARTS, read_ad, read_video, read_videos
from flows.crawl.draw import Candidate, Draw, draw
from flows.crawl.settings import CrawlSettings

log = logging.getLogger("ytb_ads")

STAGE = "videos"
"""Stage of the drops of drawn videos that were no longer to be had."""

_IDS_PER_CALL = 50


class Videos(Protocol):
    """The call that taking ads needs of a client of the Data API."""

    def videos(self, ids: list[str], parts: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Taker:
    """Draws the ads of categories and takes them into `ads`."""

    catalog: Catalog
    youtube: Videos
    settings: CrawlSettings
    author_key: bytes
    now: Callable[[], datetime]
    forgotten: Forgotten
    advance: Callable[[float], None] = lambda ads: None

    def take(self, listed: Collection[str], lost: Mapping[str, str]) -> list[Draw]:
        """Fill the categories whose candidates are all listed; the others wait for theirs.

        Args:
            listed: names of those categories.
            lost: reason by id of ads that turned out to be unusable; those found now come on top.

        Raises:
            CrawlPausedError: the quota is spent; what was taken is kept.
        """
        gone = dict(lost)
        draws = []
        for category in self.settings.categories:
            if category not in listed:
                continue
            try:
                draws.append(self.fill(category, gone))
            except FaultError as error:
                log.warning("%s: not all of its ads could be taken, a later run goes on: %s", category, error)
        # candidates of a category that still waits have no drop: nothing is decided on them
        self.catalog.replace_drops(drawing.STAGE, [drop for drawn in draws for drop in drawn.drops])
        return draws

    def fill(self, category: str, lost: dict[str, str]) -> Draw:
        """Take ads until the category is full or its candidates are used up; `lost` grows by those that are gone.

        Raises:
            FaultError: some could not be described; what was taken before is kept.
            CrawlPausedError: the quota is spent; what was taken is kept.
        """
        while True:
            drawn = self.draw(category, lost)
            if not drawn.chosen:
                return drawn
            for some in _by_fifty(drawn.chosen):
                lost.update(self._take(some))

    def draw(self, category: str, lost: Mapping[str, str]) -> Draw:
        """The draw of one category as things stand; nothing is written."""
        candidates = read_candidates(self.catalog, category)
        return draw(
            category,
            [candidate for candidate in candidates if not self.forgotten.has_ad(candidate.facts.video_id)],
            wanted=self.settings.categories[category].count,
            seed=self.settings.seed,
            filters=self.settings.filters,
            held=_held(self.catalog),
            lost=lost,
        )

    def _take(self, chosen: list[Candidate]) -> dict[str, str]:
        """Describe some chosen videos and write their ads; returns the ids that are gone, with the reason."""
        ids = [candidate.facts.video_id for candidate in chosen]
        at = self.now()
        items = read_videos(self.youtube.videos(ids, VIDEO_PARTS), ids)
        ads, gone = [], {}
        for candidate in chosen:
            video_id = candidate.facts.video_id
            facts = read_video(video_id, items.get(video_id))
            if facts.availability != "public":
                gone[video_id] = str(facts.availability)
                continue
            ad = read_ad(
                items[video_id],
                video_id=video_id,
                category=candidate.category,
                query=candidate.query,
                author_key=self.author_key,
                fetched_at=at,
                synthetic=self.settings.is_stand_in,
            )
            ads.append(replace(ad, channel_hash=None) if self.forgotten.has_author(ad.channel_hash) else ad)
        drops = [Drop(STAGE, id_, id_, "filtered", reason, "when it was drawn") for id_, reason in gone.items()]
        rows = pa.Table.from_pylist([asdict(ad) for ad in ads], schema=TABLES["ads"].schema)
        self.catalog.commit("ads", rows, stage=STAGE, drops=drops, done=ids)
        self.advance(len(ads))
        return gone


def _held(catalog: Catalog) -> dict[str, str]:
    rows = catalog.read("ads", ["video_id", "category"], where=pc.field("source") == SOURCE).to_pylist()
    return {row["video_id"]: row["category"] for row in rows}


def _by_fifty(chosen: list[Candidate]) -> Iterator[list[Candidate]]:
    rest = iter(chosen)
    while some := list(islice(rest, _IDS_PER_CALL)):
        yield some
