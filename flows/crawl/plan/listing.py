"""What listing a category's candidates still takes: its requests, walked through as the crawl would, but none made."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from flows.crawl.candidates import MAX_PAGES, RESULTS_PER_SEARCH, Listing, Request, is_done, requests_of
from flows.crawl.plan.estimates import Inventory, new_per_page, pages_per_list, pass_share
from flows.crawl.plan.plan import Cost, Estimate
from flows.crawl.settings import CrawlSettings

_PER_PAGE = 50
_PAGES_OF_FULL_SEARCH = RESULTS_PER_SEARCH // _PER_PAGE


@dataclass(frozen=True)
class ListingPlan:
    """The lists of one category that are still to be read."""

    searches: Cost
    list_units: Cost
    describing: Cost
    qualified: float
    """Candidates that will have passed the filters then, as far as can be told."""
    listings_done: int
    estimates: tuple[Estimate, ...]

    @property
    def is_over(self) -> bool:
        """Whether the crawl would list nothing more."""
        return not self.describing.at_most


def plan_listing(
    category: str, inventory: Inventory, settings: CrawlSettings, now: datetime, max_attempts: int
) -> ListingPlan:
    """Walk through the requests of a category until the candidates are expected to be enough; `at_most` goes on.

    The halves of a slice are counted once the slice is known to have stopped at YouTube's limit, not before.

    Raises:
        CrawlError: the file of ids cannot be read or holds something else.
    """
    wanted = settings.categories[category]
    enough = wanted.count * settings.candidates_per_ad
    queue = deque(requests_of(category, wanted, settings, now))
    held = inventory.listings.get(category, {})
    walk = _Walk(category, inventory)
    if walk.qualified >= enough:
        queue.clear()
    while queue:
        request = queue.popleft()
        # thousands of requests have ids that only a hash tells: without a listing there is nothing to look up
        listing = held.get(request.listing_id) if held else None
        given_up = listing is not None and inventory.listing_failures.get(listing.listing_id, 0) >= max_attempts
        if not given_up and not is_done(request, listing, now, settings.relist_days):
            walk.take(request, listing, is_expected=walk.qualified < enough)
        if listing and listing.state == "capped":
            queue.extend(request.halves())
    return walk.plan(sum(1 for one in held.values() if one.state != "open"))


@dataclass
class _Tally:
    """Calls of one kind, summed over requests."""

    expected: float = 0.0
    at_most: float = 0.0

    def add(self, expected: float, at_most: float, *, is_expected: bool) -> None:
        self.expected += expected if is_expected else 0.0
        self.at_most += max(expected, at_most)

    def cost(self) -> Cost:
        return Cost(math.ceil(self.expected - 1e-9), math.ceil(self.at_most - 1e-9))


@dataclass
class _Walk:
    """What the requests so far come to."""

    category: str
    inventory: Inventory
    qualified: float = 0.0
    searches: _Tally = field(default_factory=_Tally)
    list_units: _Tally = field(default_factory=_Tally)
    describing: _Tally = field(default_factory=_Tally)
    known: set[str] = field(default_factory=set)
    used: dict[str, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.qualified = len(self.inventory.qualified.get(self.category, ()))
        self.known = {found.facts.video_id for found in self.inventory.candidates.get(self.category, ())}
        self._share = pass_share(self.inventory, self.category)
        self._pages = {search: pages_per_list(self.inventory, self.category, search=search) for search in (True, False)}
        self._new = {search: new_per_page(self.inventory, self.category, search=search) for search in (True, False)}

    def take(self, request: Request, listing: Listing | None, *, is_expected: bool) -> None:
        """Count one request that is still to be made, or to be made again."""
        if request.kind == "ids":
            self._take_ids(request.query.split(","), is_expected=is_expected)
            return
        search = request.kind == "search"
        pages, new = self._pages_left(listing, search)
        longest = _PAGES_OF_FULL_SEARCH if search else MAX_PAGES[request.kind]
        already = listing.pages if listing is not None and listing.state == "open" else 0
        at_most = max(1, longest - already)
        calls = self.searches if search else self.list_units
        calls.add(pages, at_most, is_expected=is_expected)
        self.describing.add(pages, at_most, is_expected=is_expected)
        if request.kind == "channel" and not request.query.startswith("UC"):
            self.list_units.add(1, 1, is_expected=is_expected)
        if is_expected:
            self.qualified += new * self._share.value
            for estimate in (self._pages[search], self._new[search], self._share):
                self.used[estimate.name] = estimate

    def plan(self, listings_done: int) -> ListingPlan:
        """Everything together."""
        return ListingPlan(
            self.searches.cost(),
            self.list_units.cost(),
            self.describing.cost(),
            self.qualified,
            listings_done,
            tuple(self.used.values()),
        )

    def _take_ids(self, ids: Collection[str], *, is_expected: bool) -> None:
        new = set(ids) - self.known
        self.known.update(new)
        self.describing.add(bool(new), bool(new), is_expected=is_expected)
        if is_expected and new:
            share = self._share
            if share.basis == "assumed":  # whoever writes a list of ids has chosen them
                share = Estimate("pass_share_of_ids", 1.0, "assumed")
            self.used[share.name] = share
            self.qualified += len(new) * share.value

    def _pages_left(self, listing: Listing | None, search: bool) -> tuple[float, float]:
        """Pages that a request still takes, and the new candidates on them."""
        pages, new = self._pages[search].value, self._new[search].value
        if listing is None or (listing.state == "open" and listing.next_page_token is None):
            return pages, pages * new
        if listing.state == "open":
            left = max(1.0, pages - listing.pages)
            return left, left * new
        # listed again, as it may have grown: what is on its pages is known, and what is new cannot be told
        return max(1, listing.pages), 0.0
