"""Estimates of a crawl, category by category: what is done, what is left, and the numbers that this rests on.

A number is measured on what was crawled so far; while there is too little to measure, it is assumed, and says so.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self

import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from flows.crawl.candidates import (
    MAX_PAGES,
    RESULTS_PER_SEARCH,
    Listing,
    Request,
    is_done,
    read_candidates,
    requests_of,
)
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.draw import Candidate, judge, rank
from flows.crawl.media.store import USUAL_BYTES
from flows.crawl.records import AdToRead, Fetch
from flows.crawl.status import comments_fingerprint, comments_to_read, unusable_ads, videos_to_fetch
from flows.settings import Settings
from flows.stages import FRAMES, LISTINGS

Basis = Literal["known", "measured", "assumed"]
"""`known`: the tables have it; `measured`: on what was crawled so far; `assumed`: nothing to measure yet."""

_IDS_PER_CALL = _IDS_PER_PAGE = 50
_COMMENTS_PER_PAGE = 100
_EMBEDDED = 5
"""Replies that come along with their thread."""
_REQUESTS_PER_VIDEO, _REQUEST_S = 3, 1.0
_BYTES_PER_S = 2e6
"""Of a transfer. It and the requests are a small part of a video's time next to the pause between two."""


@dataclass(frozen=True)
class Sums:
    """Numbers that are added field by field."""

    def __add__(self, other: Self) -> Self:
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in vars(self)})


@dataclass(frozen=True)
class Cost(Sums):
    """Cost of a step: the expected one, and the one if every list is as long as it can be."""

    expected: float = 0
    at_most: float = 0

    def __mul__(self, factor: float) -> Cost:
        return Cost(self.expected * factor, self.at_most * factor)

    def rounded_up(self) -> Cost:
        """Whole calls; what floating point leaves of one is none."""
        return Cost(math.ceil(self.expected - 1e-9), math.ceil(self.at_most - 1e-9))


@dataclass(frozen=True)
class Estimate:
    """A number that costs were worked out with."""

    name: str
    value: float
    basis: Basis
    sample: int = 0
    """Rows that it was counted or measured on."""


@dataclass(frozen=True)
class Done(Sums):
    """Work that is done already, as the tables have it."""

    listings: int = 0
    """Lists read to their end."""
    candidates: int = 0
    qualified: int = 0
    """Candidates that pass the filters and were not found unusable."""
    ads: int = 0
    with_comments: int = 0
    """Ads whose comments were read to the end."""
    with_video: int = 0
    """Ads whose video was fetched, though it may have been deleted since."""


@dataclass(frozen=True)
class Steps(Sums):
    """Work that is left, step by step."""

    searches: Cost = Cost()
    """Calls of `search.list`."""
    listing: Cost = Cost()
    """Units for pages of playlists and channels, and for looking up handles."""
    describing: Cost = Cost()
    """Units for what is listed: a call for each page."""
    taking: Cost = Cost()
    """Units for the drawn ads, 50 a call."""
    comments: Cost = Cost()
    """Units for pages of threads and of replies."""
    videos: Cost = Cost()
    media_s: Cost = Cost()
    """Seconds that fetching the videos takes on all lanes."""
    media_bytes: Cost = Cost()
    units: Cost = Cost()
    """Units of all steps together."""


@dataclass(frozen=True)
class CategoryPlan:
    """One category."""

    category: str
    wanted: int
    """Ads."""
    candidates_wanted: int
    """Candidates that pass the filters, for the draw."""
    done: Done
    left: Steps
    ads_to_take: Cost
    comments: Cost
    """Comments that are still to be read."""
    short_by: int
    """Ads that the lists are not expected to yield."""
    estimates: tuple[Estimate, ...]


@dataclass
class CategoryInventory:
    """Rows of the tables that belong to one category."""

    candidates: list[Candidate] = field(default_factory=list)
    qualified: list[Candidate] = field(default_factory=list)
    """Those that pass the filters, were not found unusable and are no ads of another category."""
    found_by: Counter[str] = field(default_factory=Counter)
    """Candidates that each listing was the first to find."""
    listings: dict[str, Listing] = field(default_factory=dict)
    ads: list[Mapping[str, Any]] = field(default_factory=list)
    """Rows from YouTube that are not unusable."""
    to_read: list[AdToRead] = field(default_factory=list)
    n_to_fetch: int = 0
    """Ads whose comments were read and whose video is wanted."""

    @property
    def comment_counts(self) -> list[int]:
        """Comments of the qualified candidates."""
        return [candidate.facts.comment_count or 0 for candidate in self.qualified]

    def pages(self, of: Literal["search", "list"]) -> tuple[float, int]:
        """Pages of searches, or of playlists and channels, that were read to their end, and the number of these."""
        read = [one.pages for one in self._begun(of) if one.state in ("complete", "capped")]
        return sum(read), len(read)

    def new_on_pages(self, of: Literal["search", "list"]) -> tuple[float, int]:
        """Candidates that nothing else had found before, and the pages that were read."""
        read = [one for one in self._begun(of) if one.state != "refused"]
        return sum(self.found_by[one.listing_id] for one in read), sum(one.pages for one in read)

    def _begun(self, of: Literal["search", "list"]) -> list[Listing]:
        kinds = ("search",) if of == "search" else ("playlist", "channel")
        return [one for one in self.listings.values() if one.kind in kinds and one.pages > 0]


@dataclass(frozen=True)
class Quantity:
    """A number measured as a total over so many rows, and its assumed value while there are fewer than `least`."""

    name: str
    assumed: float
    least: int
    measure: Callable[[CategoryInventory], tuple[float, int]]

    def estimate(self, own: CategoryInventory, others: Iterable[CategoryInventory]) -> Estimate:
        """The category's own number if there is enough to measure, else that of all of them, else the assumption."""
        for some in ([own], others):
            totals, sizes = zip(*map(self.measure, some), strict=True) if some else ((), ())
            if sum(sizes) >= self.least:
                return Estimate(self.name, sum(totals) / sum(sizes), "measured", sum(sizes))
        return Estimate(self.name, self.assumed, "assumed")


# What is assumed as long as there is nothing to measure; every plan says so. Brands' adverts differ a thousandfold
# in their comments, so that number deserves the least trust.
_QUANTITIES = (
    Quantity("pass_share", 0.3, 50, lambda held: (len(held.qualified), len(held.candidates))),
    Quantity("comments_per_ad", 500, 10, lambda held: (sum(held.comment_counts), len(held.qualified))),
    Quantity("pages_per_search", 10, 3, lambda held: held.pages("search")),
    Quantity("pages_per_list", 4, 3, lambda held: held.pages("list")),
    Quantity("new_per_search_page", 40, 3, lambda held: held.new_on_pages("search")),
    Quantity("new_per_list_page", 50, 3, lambda held: held.new_on_pages("list")),
)
_LEAST_VIDEOS = _LEAST_READINGS = 10
_ASSUMED_REPLY_UNITS = 0.02
"""Units that the replies take for each comment."""


def _comment_pages(comments: int) -> int:
    return max(1, math.ceil(comments / _COMMENTS_PER_PAGE))


@dataclass
class _ListingPlan:
    """Lists of one category that are still to be read, summed up request by request."""

    numbers: Mapping[str, Estimate]
    qualified: float
    """Candidates that will have passed the filters then, as far as can be told."""
    known: set[str]
    searches: Cost = Cost()
    listing: Cost = Cost()
    describing: Cost = Cost()
    used: dict[str, Estimate] = field(default_factory=dict)

    def add(self, request: Request, listing: Listing | None, *, is_expected: bool) -> None:
        """Count a request that is still to be made, or to be made again."""
        calls, found, used = self._ids(request) if request.kind == "ids" else self._pages(request, listing)
        if not is_expected:
            calls = replace(calls, expected=0)
        self.describing += calls
        if request.kind == "search":
            self.searches += calls
        elif request.kind != "ids":
            self.listing += calls
        if request.kind == "channel" and not request.query.startswith("UC"):  # its handle is looked up
            self.listing += Cost(int(is_expected), 1)
        if is_expected and used:
            self.qualified += found * used[-1].value
            self.used.update((estimate.name, estimate) for estimate in used)

    def _ids(self, request: Request) -> tuple[Cost, float, list[Estimate]]:
        """Calls for the ids that nothing has found yet, the candidates among them, and the share that qualifies."""
        new = set(request.query.split(",")) - self.known
        self.known |= new
        share = self.numbers["pass_share"]
        if share.basis == "assumed":  # whoever writes a list of ids has chosen them
            share = Estimate("pass_share_of_ids", 1.0, "assumed")
        return Cost(bool(new), bool(new)), len(new), [share] if new else []

    def _pages(self, request: Request, listing: Listing | None) -> tuple[Cost, float, list[Estimate]]:
        """Pages that a request still takes, the new candidates on them, and the numbers that this rests on."""
        of = "search" if request.kind == "search" else "list"
        used = [self.numbers[name] for name in (f"pages_per_{of}", f"new_per_{of}_page", "pass_share")]
        longest = RESULTS_PER_SEARCH // _IDS_PER_PAGE if of == "search" else MAX_PAGES[request.kind]
        if listing is not None and listing.state != "open":
            # listed again, as it may have grown: what is on its pages is known, and what is new cannot be told
            pages, found = float(max(1, listing.pages)), 0.0
        else:
            already = listing.pages if listing is not None else 0
            longest = max(1, longest - already)
            pages = used[0].value
            if listing is not None and listing.next_page_token is not None and already:
                pages = max(1.0, pages - already)
            found = pages * used[1].value
        return Cost(pages, max(pages, longest)), found, used


class Planner:
    """Plans the categories of one crawl; reads the tables once. A catalog that does not exist yet holds nothing."""

    def __init__(self, catalog: Catalog, settings: Settings, now: datetime) -> None:
        self.settings = settings
        self.now = now
        self._held: dict[str, CategoryInventory] = defaultdict(CategoryInventory)
        max_attempts = settings.runner.max_attempts
        unusable = unusable_ads(catalog, max_attempts)
        names = ["video_id", "category", "comment_count", "media_sha256", "media_size_bytes"]
        ads = catalog.read("ads", names, where=pc.field("source") == SOURCE).to_pylist()
        ads = [ad for ad in ads if ad["video_id"] not in unusable]
        self._category_of: dict[str, str] = {ad["video_id"]: str(ad["category"]) for ad in ads}
        for ad in ads:
            self._held[str(ad["category"])].ads.append(ad)
        for candidate in read_candidates(catalog):
            held, video_id = self._held[candidate.category], candidate.facts.video_id
            held.candidates.append(candidate)
            is_free = self._category_of.get(video_id, candidate.category) == candidate.category
            if is_free and video_id not in unusable and not judge(candidate.facts, settings.crawl.filters):
                held.qualified.append(candidate)
        for row in catalog.read("candidates", ["category", "listing_id"]).to_pylist():
            self._held[row["category"]].found_by[row["listing_id"]] += 1
        for row in catalog.read("listings").to_pylist():
            self._held[row["category"]].listings[row["listing_id"]] = Listing(**row)
        failed = (pc.field("stage") == LISTINGS.name) & (pc.field("kind") == "failed")
        drops = catalog.read("drops", ["key", "attempts"], where=failed).to_pylist()
        self._given_up = {drop["key"] for drop in drops if drop["attempts"] >= max_attempts}
        work = comments_to_read(catalog, comments_fingerprint(settings), max_attempts)
        self._paid = {ad.video_id: work.earlier[ad.video_id].units for ad in work.ads if ad.pages}
        for to_read in work.ads:
            if category := self._category_of.get(to_read.video_id):
                self._held[category].to_read.append(to_read)
        frames = FRAMES.fingerprint(settings)
        for video_id in videos_to_fetch(catalog, frames_fingerprint=frames, max_attempts=max_attempts):
            if category := self._category_of.get(video_id):
                self._held[category].n_to_fetch += 1
        self._per_comment = self._units_per_comment(ads, work.earlier.values())
        sizes = [ad["media_size_bytes"] for ad in ads if ad["media_size_bytes"]]
        self._bytes = Estimate("bytes_per_video", USUAL_BYTES * (settings.media.height / 360) ** 2, "assumed")
        if len(sizes) >= _LEAST_VIDEOS:
            self._bytes = Estimate("bytes_per_video", sum(sizes) / len(sizes), "measured", len(sizes))

    @property
    def seconds_per_video(self) -> float:
        """From one video to the next, over all lanes."""
        media = self.settings.media
        requests_s = _REQUESTS_PER_VIDEO * (media.request_pause_s + _REQUEST_S)
        return (sum(media.pause_s) / 2 + requests_s + self._bytes.value / _BYTES_PER_S) / media.lanes

    def plan_all(self) -> tuple[CategoryPlan, ...]:
        """Plan the categories of the settings, then those that only ads in the tables name.

        Raises:
            CrawlError: a file of ids cannot be read or holds something else.
        """
        configured = self.settings.crawl.categories
        return tuple(map(self._plan, [*configured, *sorted(set(self._category_of.values()) - set(configured))]))

    def _plan(self, name: str) -> CategoryPlan:
        """One category; where the settings no longer name it, its ads are still read and fetched, and none is added."""
        held, crawl = self._held[name], self.settings.crawl
        wanted = crawl.categories[name].count if name in crawl.categories else len(held.ads)
        vacant = max(0, wanted - len(held.ads))
        listing = self._plan_listing(name)
        if not listing.describing.at_most:  # the crawl would list nothing more
            free = [one.facts for one in held.qualified if one.facts.video_id not in self._category_of]
            free.sort(key=lambda facts: rank(crawl.seed, name, facts.video_id))
            drawn = [facts.comment_count or 0 for facts in free[:vacant]]
            to_take, comments = Cost(len(drawn), len(drawn)), Cost(sum(drawn), sum(drawn))
            new_units = sum(map(self._comment_cost, drawn), Cost())
            estimates = [Estimate("comments_per_ad", sum(drawn) / len(drawn), "known", len(drawn))] if drawn else []
        else:
            expected = min(vacant, max(0, round(listing.qualified) - len(held.ads)))
            to_take = Cost(expected, vacant)
            per_ad = listing.numbers["comments_per_ad"]
            counts = self._comment_counts(held, per_ad)
            of_counts = sum(map(self._comment_cost, counts), Cost()) * (1 / len(counts))
            new_units = Cost(expected * of_counts.expected, vacant * of_counts.at_most)
            comments = to_take * per_ad.value
            estimates = [*listing.used.values(), per_ad]
        to_read = [(ad.comment_count or 0, self._paid.get(ad.video_id, 0)) for ad in held.to_read]
        reading = sum((self._comment_cost(count, paid) for count, paid in to_read), new_units).rounded_up()
        lists, describing = listing.listing.rounded_up(), listing.describing.rounded_up()
        taking = (to_take * (1 / _IDS_PER_CALL)).rounded_up()
        n_unfetched = held.n_to_fetch + len(to_read)
        unread = sum(count for count, _ in to_read)
        videos = to_take + Cost(n_unfetched, n_unfetched)
        estimates += [self._per_comment] if reading.at_most else []
        estimates += [self._bytes] if videos.at_most else []
        return CategoryPlan(
            category=name,
            wanted=wanted,
            candidates_wanted=math.ceil(wanted * crawl.candidates_per_ad),
            done=Done(
                listings=sum(1 for one in held.listings.values() if one.state != "open"),
                candidates=len(held.candidates),
                qualified=len(held.qualified),
                ads=len(held.ads),
                with_comments=len(held.ads) - len(to_read),
                with_video=sum(1 for ad in held.ads if ad["media_sha256"]),
            ),
            left=Steps(
                searches=listing.searches.rounded_up(),
                listing=lists,
                describing=describing,
                taking=taking,
                comments=reading,
                units=lists + describing + taking + reading,
                videos=videos,
                media_s=videos * self.seconds_per_video,
                media_bytes=videos * self._bytes.value,
            ),
            ads_to_take=to_take,
            comments=comments + Cost(unread, unread),
            short_by=max(0, wanted - len(held.ads) - round(to_take.expected)),
            estimates=tuple(estimates),
        )

    def _units_per_comment(self, ads: Iterable[Mapping[str, Any]], fetches: Iterable[Fetch]) -> Estimate:
        """Units for a comment, measured on the ads that were read to the end under these settings.

        Each ad takes a unit however few its comments are. Without taking it apart, the many small ads would make the
        large ones look dear, and the large ones, which are read first, the small ones cheap.
        """
        fingerprint = comments_fingerprint(self.settings)
        stated = {ad["video_id"]: ad["comment_count"] for ad in ads if ad["comment_count"] is not None}
        read = [one for one in fetches if one.state == "complete" and one.fingerprint == fingerprint]
        read = [one for one in read if one.video_id in stated]
        comments = sum(stated[one.video_id] for one in read)
        if len(read) < _LEAST_READINGS or not comments:
            replies = _ASSUMED_REPLY_UNITS if self.settings.crawl.comments.replies == "all" else 0.0
            return Estimate("units_per_comment", 1 / _COMMENTS_PER_PAGE + replies, "assumed")
        beyond_first = max(0, sum(one.units for one in read) - len(read)) / comments
        return Estimate("units_per_comment", beyond_first, "measured", len(read))

    def _comment_cost(self, comments: int, paid: int = 0) -> Cost:
        """Units of an ad: the expected ones, and those if every thread has just too many replies to come along."""
        settings = self.settings.crawl.comments
        within = min(comments, _COMMENTS_PER_PAGE * settings.max_pages)
        at_most = threads = min(_comment_pages(comments), settings.max_pages)
        expected = _comment_pages(within) + (_ASSUMED_REPLY_UNITS * within if settings.replies == "all" else 0.0)
        if self._per_comment.basis == "measured":
            expected = 1 + self._per_comment.value * within
        if settings.replies == "all":
            # such a thread is a comment and six replies; from a hundred replies on it takes a page for each hundred
            longest = threads * _COMMENTS_PER_PAGE + comments // _COMMENTS_PER_PAGE
            at_most += min(comments // (_EMBEDDED + 2), longest)
        return Cost(max(1, min(expected, at_most) - paid), max(1, at_most - paid))

    def _plan_listing(self, name: str) -> _ListingPlan:
        """Walk through the requests of a category until the candidates are expected to be enough; `at_most` goes on.

        The halves of a slice are counted once the slice is known to have stopped at YouTube's limit, not before.
        """
        held, crawl, every = self._held[name], self.settings.crawl, list(self._held.values())
        known = {found.facts.video_id for found in held.candidates}
        plan = _ListingPlan({one.name: one.estimate(held, every) for one in _QUANTITIES}, len(held.qualified), known)
        if name not in crawl.categories:
            return plan
        wanted = crawl.categories[name]
        enough = wanted.count * crawl.candidates_per_ad
        queue = deque(requests_of(name, wanted, crawl, self.now))
        while queue and len(held.qualified) < enough:
            request = queue.popleft()
            # thousands of requests have ids that only a hash tells: without a listing there is nothing to look up
            listing = held.listings.get(request.listing_id) if held.listings else None
            given_up = listing is not None and listing.listing_id in self._given_up
            if not given_up and not is_done(request, listing, self.now, crawl.relist_days):
                plan.add(request, listing, is_expected=plan.qualified < enough)
            if listing and listing.state == "capped":
                queue.extend(request.halves())
        return plan

    def _comment_counts(self, held: CategoryInventory, per_ad: Estimate) -> list[int]:
        """Comments of the candidates that the ads will be drawn from, one by one."""
        if per_ad.basis == "assumed":
            return [round(per_ad.value)]
        own = held.comment_counts
        return own if len(own) == per_ad.sample else [n for one in self._held.values() for n in one.comment_counts]
