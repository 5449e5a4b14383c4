"""Which candidates become ads: the filters, then a seeded random draw within each category."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from data_catalog.tables.drops import Drop
from flows.crawl.data_api.parsing import VideoFacts
from flows.crawl.settings import FilterSettings

STAGE = "draw"
"""Stage of the drops of candidates that did not become ads."""

NOT_DRAWN = "not_drawn"


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
    """What the draw of one category came to."""

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
        """Why the category falls short, in a sentence; empty when it does not."""
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
        _reject(drawn, candidate, NOT_DRAWN, f"{wanted} are wanted")
    return drawn


def judge(facts: VideoFacts, filters: FilterSettings) -> tuple[str, str] | None:
    """Say why a video is no ad that is wanted, as reason and detail; None if it is one."""
    return next(filter(None, (check(facts, filters) for check in _CHECKS)), None)


def _reject(drawn: Draw, candidate: Candidate, reason: str, detail: str) -> None:
    drawn.rejected[reason] += 1
    drawn.drops.append(Drop(STAGE, candidate.key, candidate.facts.video_id, "filtered", reason, detail))


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
