"""The draw: filters, a seeded random choice within each category, and the chosen candidates as rows of `ads`."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, time
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from data_catalog.tables.forgotten import Forgotten
from flows.crawl.data_api.faults import FaultError
from flows.crawl.data_api.parsing import SOURCE, VIDEO_PARTS, VideoFacts, read_ad, read_video, read_videos
from flows.settings.crawl import CrawlSettings, FilterSettings
from flows.stages import DRAW, VIDEOS

log = logging.getLogger("ytb_ads")

_IDS_PER_CALL = 50


@dataclass(frozen=True)
class Candidate:
    """A video that a category's listings found."""

    category: str
    facts: VideoFacts
    query: str | None = None

    @property
    def key(self) -> str:
        """Key of its drop: one video may be a candidate of several categories."""
        return f"{self.category}/{self.facts.video_id}"


@dataclass
class Draw:
    """Result of the draw of one category."""

    category: str
    wanted: int
    n_candidates: int = 0
    n_held: int = 0
    """Ads that the category has already; they stay whatever the draw says now."""
    chosen: list[Candidate] = field(default_factory=list)
    """New ads, in the order of the draw."""
    drops: list[Drop] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    """Reasons of candidates that were drawn once and turned out to be unusable."""

    @property
    def short_by(self) -> int:
        """Ads that are wanted and that no candidate is left for."""
        return max(0, self.wanted - self.n_held - len(self.chosen))

    def shortfall(self) -> str:
        """The reasons for missing ads, in a sentence; empty when none is missing."""
        if not self.short_by:
            return ""
        reasons = self.rejected + self.lost
        why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        rest = f"of {self.n_candidates} candidates: {why}" if why else f"only {self.n_candidates} candidates were found"
        return f"{self.category}: {self.short_by} of {self.wanted} ads short ({rest})"


def rank(seed: int, category: str, video_id: str) -> str:
    """Place of a candidate in the draw: uniform, and the same whatever else is a candidate."""
    return hashlib.sha256(f"{seed} {category} {video_id}".encode()).hexdigest()


def draw(
    category: str,
    candidates: Iterable[Candidate],
    *,
    wanted: int,
    seed: int,
    filters: FilterSettings,
    held: Mapping[str, str],
    lost: Mapping[str, str],
) -> Draw:
    """Draw a category's ads.

    Args:
        category: its name.
        candidates: all that its listings found.
        wanted: ads wanted.
        seed: another seed draws other ads.
        filters: what a candidate must be.
        held: category of every ad there is, by video id.
        lost: reason by video id of ads that were drawn before and turned out to be unusable.
    """
    drawn = Draw(category, wanted, n_held=sum(1 for of in held.values() if of == category))
    qualified: list[Candidate] = []
    for candidate in candidates:
        video_id = candidate.facts.video_id
        drawn.n_candidates += 1
        if held.get(video_id) == category:
            continue
        if video_id in lost:
            drawn.lost[lost[video_id]] += 1
        elif video_id in held:
            _reject(drawn, candidate, "in_another_category", held[video_id])
        elif problem := judge(candidate.facts, filters):
            _reject(drawn, candidate, *problem)
        else:
            qualified.append(candidate)
    qualified.sort(key=lambda candidate: rank(seed, category, candidate.facts.video_id))
    vacant = max(0, wanted - drawn.n_held)
    drawn.chosen = qualified[:vacant]
    for candidate in qualified[vacant:]:
        _reject(drawn, candidate, "not_drawn", f"{wanted} are wanted")
    return drawn


def judge(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    """The reason for which a video does not qualify, with a detail; None if it does."""
    return next(filter(None, (check(facts, filters) for check in _CHECKS)), None)


def _reject(drawn: Draw, candidate: Candidate, reason: str, detail: str) -> None:
    drawn.rejected[reason] += 1
    drawn.drops.append(DRAW.drop(candidate.key, candidate.facts.video_id, reason, detail))


def _usable(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    if facts.availability != "public":
        return facts.availability, "when it was listed"
    return ("age_restricted", "") if facts.age_restricted else None


def _length(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    if facts.duration_s is None:
        return "no_duration", "the API states none"
    if facts.duration_s < filters.min_duration_s:
        return "too_short", f"{facts.duration_s:g} s; at least {filters.min_duration_s:g} s"
    if facts.duration_s > filters.max_duration_s:
        return "too_long", f"{facts.duration_s:g} s; at most {filters.max_duration_s:g} s"
    return None


def _published(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    at = facts.published_at
    after = datetime.combine(filters.published_after, time(), UTC)
    before = datetime.combine(filters.published_before, time(), UTC) if filters.published_before else None
    if at is None or (at >= after and (before is None or at < before)):
        return None
    return "outside_dates", f"published {at.date()}"


def _language(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    if filters.language is None or facts.language is None:
        return None
    asked, stated = filters.language.lower(), facts.language.lower()
    return None if stated == asked or stated.startswith(f"{asked}-") else ("other_language", facts.language)


def _region(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    region = filters.region
    if region is None:
        return None
    if facts.allowed_regions is not None and region not in facts.allowed_regions:
        return "region_blocked", f"{region} is not among the countries that may see it"
    if region in (facts.blocked_regions or ()):
        return "region_blocked", f"blocked in {region}"
    return None


def _comments(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    if facts.comment_count is None:
        return ("comments_disabled", "the API states no number of comments") if filters.min_comments else None
    if facts.comment_count < filters.min_comments:
        return "too_few_comments", f"{facts.comment_count}; at least {filters.min_comments}"
    return None


def _placement(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    asked = filters.paid_product_placement
    if asked is None or bool(facts.paid_product_placement) == asked:
        return None
    return "paid_placement" if facts.paid_product_placement else "no_paid_placement", ""


_CHECKS = (_usable, _length, _published, _language, _region, _comments, _placement)


class Videos(Protocol):
    """The call that describing drawn ads needs of a client of the Data API."""

    def videos(self, ids: list[str], parts: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class CategoryFiller:
    """Fills categories with ads: draws them, describes them afresh, and draws again for those that are gone."""

    catalog: Catalog
    youtube: Videos
    settings: CrawlSettings
    author_key: bytes
    now: Callable[[], datetime]
    forgotten: Forgotten
    advance: Callable[[float], None] = lambda ads: None

    def fill_all(self, candidates: Mapping[str, Sequence[Candidate]], unusable: Mapping[str, str]) -> list[Draw]:
        """Fill the categories whose candidates are all listed; the others wait for theirs.

        Args:
            candidates: of each of those categories.
            unusable: reason by id of ads that turned out to be unusable; those found now are added.

        Raises:
            CrawlPausedError: the quota is spent; what was written is kept.
        """
        unusable = dict(unusable)
        draws = []
        for category in self.settings.categories:
            if category not in candidates:
                continue
            try:
                draws.append(self._fill(category, candidates[category], unusable))
            except FaultError as error:
                log.warning("%s: not all of its ads could be described, a later run goes on: %s", category, error)
        # candidates of a category that still waits have no drop: nothing is decided on them
        self.catalog.replace_drops(DRAW.name, [drop for drawn in draws for drop in drawn.drops])
        return draws

    def _fill(self, category: str, candidates: Sequence[Candidate], unusable: dict[str, str]) -> Draw:
        """Write ads until the category is full or its candidates are used up; those that are gone go to `unusable`."""
        candidates = [candidate for candidate in candidates if not self.forgotten.has_ad(candidate.facts.video_id)]
        while True:
            drawn = draw(
                category,
                candidates,
                wanted=self.settings.categories[category].count,
                seed=self.settings.seed,
                filters=self.settings.filters,
                held=_held(self.catalog),
                lost=unusable,
            )
            if not drawn.chosen:
                return drawn
            for first in range(0, len(drawn.chosen), _IDS_PER_CALL):
                unusable.update(self._describe(drawn.chosen[first : first + _IDS_PER_CALL]))

    def _describe(self, chosen: list[Candidate]) -> dict[str, str]:
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
        drops = [VIDEOS.drop(id_, id_, reason, "when it was drawn") for id_, reason in gone.items()]
        rows = pa.Table.from_pylist([asdict(ad) for ad in ads], schema=TABLES["ads"].schema)
        self.catalog.commit("ads", rows, stage=VIDEOS.name, drops=drops, done=ids)
        self.advance(len(ads))
        return gone


def _held(catalog: Catalog) -> dict[str, str]:
    rows = catalog.read("ads", ["video_id", "category"], where=pc.field("source") == SOURCE).to_pylist()
    return {row["video_id"]: row["category"] for row in rows}
