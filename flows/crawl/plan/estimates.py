"""The numbers that a plan is worked out with: measured on what was crawled so far, else stated assumptions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from flows.crawl.candidates import STAGE as LISTING_STAGE
from flows.crawl.candidates import Listing, read_candidates
from flows.crawl.comment_store import Fetch
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.draw import Candidate, judge
from flows.crawl.media.store import USUAL_BYTES
from flows.crawl.plan.plan import Estimate
from flows.crawl.settings import CommentPageSettings
from flows.crawl.status import CommentWork, comments_to_read, unusable_ads, videos_to_fetch
from flows.crawl.steps import comments_fingerprint
from flows.fingerprints import frames_fingerprint
from flows.settings import Settings

COMMENTS_PER_PAGE = 100

# What is assumed as long as there is nothing to measure; every plan says so. Brands' adverts differ a thousandfold
# in their comments, so that number deserves the least trust.
_ASSUMED = {
    "pass_share": 0.3,
    "pages_per_search": 10.0,
    "pages_per_list": 4.0,
    "new_per_search_page": 40.0,
    "new_per_list_page": 50.0,
    "comments_per_ad": 500.0,
    "reply_units_per_comment": 0.02,
    "bytes_per_video": float(USUAL_BYTES),
}
# Rows that a measured number needs at least.
_LEAST = {
    "pass_share": 50,
    "pages_per_search": 3,
    "pages_per_list": 3,
    "new_per_search_page": 3,
    "new_per_list_page": 3,
    "comments_per_ad": 10,
    "units_per_comment": 10,
    "bytes_per_video": 10,
}
_EMBEDDED = 5
"""Replies that come along with their thread."""


@dataclass(frozen=True)
class Inventory:
    """What the tables hold of a crawl."""

    candidates: Mapping[str, list[Candidate]]
    """By category."""
    qualified: Mapping[str, list[Candidate]]
    """Those that pass the filters, were not found unusable and are no ads of another category."""
    found_by: Mapping[str, int]
    """How many candidates each listing was the first to find."""
    listings: Mapping[str, dict[str, Listing]]
    """By category and id."""
    listing_failures: Mapping[str, int]
    """How often a list could not be read, by the listing's id."""
    lost: Mapping[str, str]
    """Reason by id of ads that there is no use in asking for again."""
    ads: Sequence[Mapping[str, Any]]
    """Rows from YouTube that are not lost."""
    to_read: CommentWork
    to_fetch: Collection[str]
    """Ads whose comments were read and whose video is wanted."""

    def ads_of(self, category: str) -> list[Mapping[str, Any]]:
        """The ads of a category."""
        return [ad for ad in self.ads if ad["category"] == category]


def take_inventory(catalog: Catalog, settings: Settings) -> Inventory:
    """Read what there is; a catalog that does not exist yet holds nothing."""
    max_attempts = settings.runner.max_attempts
    lost = unusable_ads(catalog, max_attempts)
    names = ["video_id", "category", "comment_count", "media_status", "media_sha256", "media_size_bytes"]
    ads = catalog.read("ads", names, where=pc.field("source") == SOURCE).to_pylist()
    category_of = {ad["video_id"]: ad["category"] for ad in ads}
    candidates: dict[str, list[Candidate]] = defaultdict(list)
    qualified: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in read_candidates(catalog):
        category, video_id = candidate.category, candidate.facts.video_id
        candidates[category].append(candidate)
        is_free = video_id not in lost and category_of.get(video_id, category) == category
        if is_free and not judge(candidate.facts, settings.crawl.filters):
            qualified[category].append(candidate)
    listings: dict[str, dict[str, Listing]] = defaultdict(dict)
    for row in catalog.read("listings").to_pylist():
        listings[row["category"]][row["listing_id"]] = Listing(**row)
    failed = (pc.field("stage") == LISTING_STAGE) & (pc.field("kind") == "failed")
    failures = catalog.read("drops", ["key", "attempts"], where=failed).to_pylist()
    return Inventory(
        candidates=candidates,
        qualified=qualified,
        found_by=Counter(catalog.values("candidates", "listing_id")),
        listings=listings,
        listing_failures={drop["key"]: drop["attempts"] for drop in failures},
        lost=lost,
        ads=[ad for ad in ads if ad["video_id"] not in lost],
        to_read=comments_to_read(catalog, comments_fingerprint(settings), max_attempts),
        to_fetch=set(
            videos_to_fetch(catalog, frames_fingerprint=frames_fingerprint(settings), max_attempts=max_attempts)
        ).difference(lost),
    )


@dataclass(frozen=True)
class _Sample:
    total: float
    size: int
    """What the total is divided by, too."""
    rows: int
    """What makes it trustworthy."""


def pass_share(inventory: Inventory, category: str) -> Estimate:
    """Share of the candidates that passes the filters."""
    samples = [
        _Sample(len(inventory.qualified.get(name, ())), len(found), len(found))
        for name, found in inventory.candidates.items()
    ]
    return _estimate("pass_share", list(inventory.candidates), samples, category)


def pages_per_list(inventory: Inventory, category: str, *, search: bool) -> Estimate:
    """Pages of a search, or of a playlist or channel, that was read to its end."""
    ended = {name: _listings(held.values(), search, ended=True) for name, held in inventory.listings.items()}
    samples = [_Sample(sum(one.pages for one in some), len(some), len(some)) for some in ended.values()]
    return _estimate("pages_per_search" if search else "pages_per_list", list(ended), samples, category)


def new_per_page(inventory: Inventory, category: str, *, search: bool) -> Estimate:
    """Candidates on a page that nothing else had found before."""
    read = {name: _listings(held.values(), search, ended=False) for name, held in inventory.listings.items()}
    samples = []
    for some in read.values():
        found, pages = sum(inventory.found_by.get(one.listing_id, 0) for one in some), sum(one.pages for one in some)
        samples.append(_Sample(found, pages, pages))
    return _estimate("new_per_search_page" if search else "new_per_list_page", list(read), samples, category)


def comment_counts(inventory: Inventory, category: str) -> tuple[Estimate, list[int]]:
    """Comments of the candidates that a category's ads will be drawn from: their mean, and a number for each."""
    counts = {
        name: [candidate.facts.comment_count or 0 for candidate in found] for name, found in inventory.qualified.items()
    }
    samples = [_Sample(sum(some), len(some), len(some)) for some in counts.values()]
    estimate = _estimate("comments_per_ad", list(counts), samples, category)
    if estimate.basis == "assumed":
        return estimate, [round(estimate.value)]
    own = counts.get(category, [])
    return estimate, own if len(own) >= _LEAST["comments_per_ad"] else [one for some in counts.values() for one in some]


def bytes_per_video(inventory: Inventory, height: int) -> Estimate:
    """Size of a video at the height that is wanted."""
    sizes = [ad["media_size_bytes"] for ad in inventory.ads if ad["media_size_bytes"]]
    if len(sizes) >= _LEAST["bytes_per_video"]:
        return Estimate("bytes_per_video", sum(sizes) / len(sizes), "measured", len(sizes))
    return Estimate("bytes_per_video", _ASSUMED["bytes_per_video"] * (height / 360) ** 2, "assumed")


@dataclass(frozen=True)
class CommentUnits:
    """What reading the comments of an ad costs, by the number of comments that it is said to have."""

    settings: CommentPageSettings
    beyond_first: float | None = None
    """Units a comment on top of the first one of the ad; None where nothing is measured yet."""
    sample: int = 0

    @property
    def estimate(self) -> Estimate:
        """What is to be told about it."""
        if self.beyond_first is not None:
            return Estimate("units_per_comment", self.beyond_first, "measured", self.sample)
        assumed = _ASSUMED["reply_units_per_comment"] if self.settings.replies == "all" else 0.0
        return Estimate("units_per_comment", 1 / COMMENTS_PER_PAGE + assumed, "assumed")

    def expected(self, comments: int) -> float:
        """Units, a page that is not full or was refused among them."""
        within = min(comments, COMMENTS_PER_PAGE * self.settings.max_pages)
        if self.beyond_first is not None:
            units = 1 + self.beyond_first * within
        else:
            replies = _ASSUMED["reply_units_per_comment"] * within if self.settings.replies == "all" else 0.0
            units = _pages(within) + replies
        return min(units, self.at_most(comments))

    def at_most(self, comments: int) -> int:
        """Units if every reply is one of a thread that has just too many of them to come along."""
        threads = min(_pages(comments), self.settings.max_pages)
        if self.settings.replies != "all":
            return threads
        # such a thread is a comment and six replies; from a hundred replies on it takes a page for each hundred
        longest = threads * COMMENTS_PER_PAGE + comments // COMMENTS_PER_PAGE
        return threads + min(comments // (_EMBEDDED + 2), longest)


def comment_units(inventory: Inventory, settings: CommentPageSettings, fingerprint: str) -> CommentUnits:
    """Measure what comments cost on the ads that were read to the end under these settings."""
    stated = {ad["video_id"]: ad["comment_count"] for ad in inventory.ads if ad["comment_count"] is not None}
    read: list[Fetch] = [
        fetch
        for fetch in inventory.to_read.earlier.values()
        if fetch.state == "complete" and fetch.fingerprint == fingerprint and fetch.video_id in stated
    ]
    comments = sum(stated[fetch.video_id] for fetch in read)
    if len(read) < _LEAST["units_per_comment"] or not comments:
        return CommentUnits(settings)
    # Each ad takes a unit however few its comments are. Without taking it apart, the many small ads would make
    # the large ones look dear, and the large ones, which are read first, the small ones cheap.
    beyond = max(0, sum(fetch.units for fetch in read) - len(read))
    return CommentUnits(settings, beyond / comments, len(read))


def _pages(comments: int) -> int:
    return max(1, math.ceil(comments / COMMENTS_PER_PAGE))


def _listings(held: Iterable[Listing], search: bool, *, ended: bool) -> list[Listing]:
    """Listings of searches, or of playlists and channels."""
    states = ("complete", "capped") if ended else ("complete", "capped", "open")
    kinds = ("search",) if search else ("playlist", "channel")
    return [one for one in held if one.kind in kinds and one.state in states and one.pages]


def _estimate(name: str, categories: Sequence[str], samples: Sequence[_Sample], category: str) -> Estimate:
    """The category's own number if there is enough to tell it from, else that of all of them, else the assumption."""
    own = [sample for one, sample in zip(categories, samples, strict=True) if one == category]
    for some in (own, samples):
        rows, size = sum(sample.rows for sample in some), sum(sample.size for sample in some)
        if rows >= _LEAST[name] and size:
            return Estimate(name, sum(sample.total for sample in some) / size, "measured", rows)
    return Estimate(name, _ASSUMED[name], "assumed")
