"""What is left of one category: lists to read, ads to take, comments to read, videos to fetch."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from flows.crawl.comments import AdToRead
from flows.crawl.draw import Candidate, rank
from flows.crawl.plan.estimates import Inventory, bytes_per_video, comment_counts, comment_units
from flows.crawl.plan.listing import ListingPlan, plan_listing
from flows.crawl.plan.plan import CategoryPlan, Cost, Done, Estimate, Steps
from flows.crawl.steps import comments_fingerprint
from flows.settings import Settings

_IDS_PER_CALL = 50
_REQUESTS_PER_VIDEO = 3
_REQUEST_S = 1.0
_BYTES_PER_S = 2e6
"""Of a transfer. It and the requests are a small part of a video's time next to the pause between two."""


class Planner:
    """Plans the categories of one crawl from one inventory."""

    def __init__(self, inventory: Inventory, settings: Settings, now: datetime) -> None:
        self.inventory = inventory
        self.settings = settings
        self.now = now
        fingerprint = comments_fingerprint(settings)
        self._units = comment_units(inventory, settings.crawl.comments, fingerprint)
        self._bytes = bytes_per_video(inventory, settings.media.height)
        self._category_of = {ad["video_id"]: ad["category"] for ad in inventory.ads}

    @property
    def seconds_per_video(self) -> float:
        """From one video to the next, over all lanes."""
        media = self.settings.media
        requests_s = _REQUESTS_PER_VIDEO * (media.request_pause_s + _REQUEST_S)
        transfer_s = self._bytes.value / _BYTES_PER_S
        return (sum(media.pause_s) / 2 + requests_s + transfer_s) / media.lanes

    def category(self, name: str) -> CategoryPlan:
        """A category of the settings.

        Raises:
            CrawlError: its file of ids cannot be read or holds something else.
        """
        crawl = self.settings.crawl
        wanted = crawl.categories[name].count
        listing = plan_listing(name, self.inventory, crawl, self.now, self.settings.runner.max_attempts)
        vacant = max(0, wanted - len(self.inventory.ads_of(name)))
        known = [found.facts.comment_count or 0 for found in self._next_drawn(name)]
        if listing.is_over:
            drawn = known[:vacant]
            to_take = Cost(len(drawn), len(drawn))
            new_units = Cost(sum(map(self._units.expected, drawn)), sum(map(self._units.at_most, drawn)))
            comments = Cost(sum(drawn), sum(drawn))
            estimates = [Estimate("comments_per_ad", sum(drawn) / len(drawn), "known", len(drawn))] if drawn else []
        else:
            expected = min(vacant, max(0, round(listing.qualified) - len(self.inventory.ads_of(name))))
            to_take = Cost(expected, vacant)
            per_ad, counts = comment_counts(self.inventory, name)
            mean_units = sum(map(self._units.expected, counts)) / len(counts)
            most_units = sum(map(self._units.at_most, counts)) / len(counts)
            new_units = Cost(expected * mean_units, vacant * most_units)
            comments = Cost(expected * per_ad.value, vacant * per_ad.value)
            estimates = [*listing.estimates, per_ad]
        return self._plan(name, wanted, listing, to_take, new_units, comments, estimates)

    def stranger(self, name: str) -> CategoryPlan:
        """A category that the settings no longer name: its ads are still read and fetched, none is added."""
        nothing = ListingPlan(Cost(), Cost(), Cost(), 0, 0, ())
        return self._plan(name, len(self.inventory.ads_of(name)), nothing, Cost(), Cost(), Cost(), [])

    def _plan(
        self,
        name: str,
        wanted: int,
        listing: ListingPlan,
        to_take: Cost,
        new_units: Cost,
        comments: Cost,
        estimates: list[Estimate],
    ) -> CategoryPlan:
        to_read = [ad for ad in self.inventory.to_read.ads if self._category_of.get(ad.video_id) == name]
        left = [self._left_of(ad) for ad in to_read]
        fetch = sum(1 for id_ in self.inventory.to_fetch if self._category_of.get(id_) == name) + len(to_read)
        videos = Cost(fetch + to_take.expected, fetch + to_take.at_most)
        units = Cost(
            math.ceil(new_units.expected + sum(cost.expected for cost in left) - 1e-9),
            math.ceil(new_units.at_most + sum(cost.at_most for cost in left) - 1e-9),
        )
        unread = sum(ad.comment_count or 0 for ad in to_read)
        if units.at_most:
            estimates = [*estimates, self._units.estimate]
        if videos.at_most:
            estimates = [*estimates, self._bytes]
        return CategoryPlan(
            category=name,
            wanted=wanted,
            candidates_wanted=math.ceil(wanted * self.settings.crawl.candidates_per_ad),
            done=self._done(name, listing),
            left=Steps(
                searches=listing.searches,
                listing=listing.list_units,
                describing=listing.describing,
                taking=_times(to_take, 1 / _IDS_PER_CALL, math.ceil),
                comments=units,
                videos=videos,
                media_s=_times(videos, self.seconds_per_video),
                media_bytes=_times(videos, self._bytes.value),
            ),
            ads_to_take=to_take,
            comments=Cost(comments.expected + unread, comments.at_most + unread),
            short_by=max(0, wanted - len(self.inventory.ads_of(name)) - round(to_take.expected)),
            estimates=tuple(estimates),
        )

    def _left_of(self, ad: AdToRead) -> Cost:
        """Units that an ad still takes; one that was stopped in the middle has paid for some."""
        count = ad.comment_count or 0
        earlier = self.inventory.to_read.earlier.get(ad.video_id) if ad.pages else None
        paid = earlier.units if earlier else 0
        expected, at_most = self._units.expected(count), self._units.at_most(count)
        return Cost(max(1, expected - paid), max(1, at_most - paid))

    def _done(self, name: str, listing: ListingPlan) -> Done:
        ads = self.inventory.ads_of(name)
        unread = {ad.video_id for ad in self.inventory.to_read.ads}
        return Done(
            listings=listing.listings_done,
            candidates=len(self.inventory.candidates.get(name, ())),
            qualified=len(self.inventory.qualified.get(name, ())),
            ads=len(ads),
            with_comments=sum(1 for ad in ads if ad["video_id"] not in unread),
            with_video=sum(1 for ad in ads if ad["media_sha256"]),
        )

    def _next_drawn(self, name: str) -> list[Candidate]:
        """Qualified candidates that are no ads yet, in the order in which they would be drawn."""
        free = [
            found for found in self.inventory.qualified.get(name, ()) if found.facts.video_id not in self._category_of
        ]
        return sorted(free, key=lambda found: rank(self.settings.crawl.seed, name, found.facts.video_id))


def _times(cost: Cost, factor: float, rounded: Callable[[float], float] = float) -> Cost:
    return Cost(rounded(cost.expected * factor), rounded(cost.at_most * factor))
