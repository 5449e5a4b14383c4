"""Candidates of a category: its requests, page by page, each page described and written down before the next.

A listing that is stopped in the middle, by the quota or a kill, goes on at the page after the last one kept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from flows.crawl.data_api.faults import ApiFaultError, Fault
from flows.crawl.data_api.parsing import (
    SOURCE,
    VIDEO_PARTS,
    Listed,
    VideoFacts,
    read_listed,
    read_uploads,
    read_video,
    read_videos,
)
from flows.crawl.data_api.requests import CAPPED_AT, Request, requests_of
from flows.crawl.draw import Candidate, judge
from flows.crawl.settings import CrawlSettings
from flows.errors import CrawlPausedError

log = logging.getLogger("ytb_ads")

STAGE = "listings"
"""Stage of the drops of lists that could not be read."""

MAX_PAGES = {"search": 20, "playlist": 400, "channel": 400, "ids": 1}
_BARREN_PAGES = 2
"""Pages in a row without anything new after which a list that goes on is believed to turn in a circle."""

State = Literal["open", "complete", "capped", "refused"]


class Lists(Protocol):
    """The calls that listing needs of a client of the Data API."""

    def search(self, **parameters: Any) -> dict[str, Any]: ...
    def videos(self, ids: list[str], parts: str) -> dict[str, Any]: ...
    def channels(self, *, handle: str) -> dict[str, Any]: ...
    def playlist_items(self, playlist_id: str, page_token: str | None = None) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Listing:
    """How far a request has come; the fields are columns of `listings`."""

    listing_id: str
    category: str
    kind: str
    query: str
    published_after: datetime | None
    published_before: datetime | None
    state: State
    next_page_token: str | None
    pages: int
    n_results: int
    fetched_at: datetime


@dataclass
class CategoryListing:
    """What listing one category came to."""

    category: str
    complete: bool = False
    """Everything there is to list was listed, or there are candidates enough."""
    new_candidates: int = 0
    drops: list[Drop] = field(default_factory=list)
    paused: CrawlPausedError | None = None


@dataclass
class Lister:
    """Lists the candidates of categories into `listings` and `candidates`."""

    catalog: Catalog
    youtube: Lists
    settings: CrawlSettings
    author_key: bytes
    now: Callable[[], datetime]
    max_attempts: int = 3
    forgotten: Callable[[str], bool] = lambda video_id: False
    """Whether a video is not to be collected: not even its id is written down again."""
    advance: Callable[[float], None] = lambda candidates: None
    leave: Collection[str] = ()
    """Lists that failed in this run already: they are for a later one."""

    def list_category(self, category: str, unusable: Collection[str] = ()) -> CategoryListing:
        """List until the candidates that pass the filters are enough, or there is no more to list.

        Args:
            category: name of the category.
            unusable: ids that were drawn once and turned out to be unusable.

        Raises:
            CrawlError: the file of ids cannot be read, or no key is accepted.
        """
        done = CategoryListing(category)
        wanted = self.settings.categories[category]
        enough = wanted.count * self.settings.candidates_per_ad
        found = {candidate.facts.video_id: candidate for candidate in read_candidates(self.catalog, category)}
        known = {video_id: candidate for video_id, candidate in found.items() if not self.forgotten(video_id)}
        before = len(known)
        unusable = {*unusable, *self._ads_elsewhere(category)}
        held, attempts = self._held(category), self._attempts()
        queue = deque(requests_of(category, wanted, self.settings, self.now()))
        done.complete = True
        try:
            while queue and self._qualified(known, unusable) < enough:
                request = queue.popleft()
                listing, failures = held.get(request.listing_id), attempts.get(request.listing_id, 0)
                is_over = is_done(request, listing, self.now(), self.settings.relist_days)
                is_due = not is_over and failures < self.max_attempts
                if is_due and request.listing_id in self.leave:
                    done.complete = False
                elif is_due:
                    listing = self._list(request, listing, known, done, failures)
                if listing and listing.state == "capped":
                    queue.extend(request.halves())
        except CrawlPausedError as pause:
            done.complete, done.paused = False, pause
        done.new_candidates = len(known) - before
        return done

    def _list(
        self,
        request: Request,
        listing: Listing | None,
        known: dict[str, Candidate],
        done: CategoryListing,
        failures: int,
        pages_before: int = 0,
    ) -> Listing:
        """One request over all its pages; a fault ends it and becomes a drop.

        Earlier failures are forgotten once the list is further than it was: by then `pages_before` are read again.
        """
        resumed = listing is not None and listing.state == "open" and listing.next_page_token is not None
        listing = listing if listing is not None and resumed else self._begin(request)
        try:
            for read in self._pages(request, listing, known):
                listing = read
                is_further = listing.pages > pages_before or listing.state != "open"
                failures = 0 if is_further else failures
                self._keep(listing, settled=is_further)
        except ApiFaultError as error:
            fault = error.fault
            if fault.kind == "bad_token" and resumed:
                return self._list(request, None, known, done, failures, listing.pages)
            detail = f"{listing.kind} {listing.query}: {fault.detail}"
            kind: Literal["filtered", "failed"] = "filtered" if fault.kind == "final" else "failed"
            drop = Drop(STAGE, listing.listing_id, None, kind, fault.reason, detail)
            done.drops.append(drop)
            listing = replace(listing, state="refused" if kind == "filtered" else "open", fetched_at=self.now())
            self._keep(listing, drop)
            if kind == "failed" and failures + 1 < self.max_attempts:
                done.complete = False  # the list may be read tomorrow: the draw waits for it
        return listing

    def _pages(self, request: Request, listing: Listing, known: dict[str, Candidate]) -> Iterator[Listing]:
        """Read page after page; each one's candidates are written before the listing that counts them is yielded."""
        playlist = self._playlist(request)
        seen: set[str] = set()
        tokens = {listing.next_page_token}
        barren = 0
        while True:
            page = self._page(request, playlist, listing.next_page_token)
            barren = 0 if set(page.video_ids) - seen else barren + 1
            seen.update(page.video_ids)
            new = [id_ for id_ in page.video_ids if id_ not in known and not self.forgotten(id_)]
            self._describe(request, listing, new, known)
            token = page.next_page_token
            over = token is None or token in tokens or barren >= _BARREN_PAGES
            over = over or listing.pages + 1 >= MAX_PAGES[request.kind]
            n_results = listing.n_results + len(page.video_ids)
            ended: State = "capped" if request.kind == "search" and n_results >= CAPPED_AT else "complete"
            listing = replace(
                listing,
                state=ended if over else "open",
                next_page_token=None if over else token,
                pages=listing.pages + 1,
                n_results=n_results,
                fetched_at=self.now(),
            )
            yield listing
            if over:
                return
            tokens.add(token)

    def _page(self, request: Request, playlist: str, token: str | None) -> Listed:
        if request.kind == "ids":
            return Listed(tuple(request.query.split(",")), None)
        if request.kind == "search":
            parameters = request.search_parameters | ({"pageToken": token} if token else {})
            return read_listed(self.youtube.search(**parameters))
        return read_listed(self.youtube.playlist_items(playlist, token))

    def _playlist(self, request: Request) -> str:
        """The playlist that is read; of a request without one, its query."""
        if request.kind != "channel":
            return request.query
        if request.query.startswith("UC"):
            # the uploads of a channel are the playlist of the same name with UU in front
            return f"UU{request.query[2:]}"
        uploads = read_uploads(self.youtube.channels(handle=request.query))
        if uploads is None:
            raise ApiFaultError(Fault("final", "channel_not_found", "no channel has this handle"), "channels.list")
        return uploads

    def _describe(self, request: Request, listing: Listing, ids: list[str], known: dict[str, Candidate]) -> None:
        if not ids:
            return
        items = read_videos(self.youtube.videos(ids, VIDEO_PARTS), ids)
        found = [Candidate(request.category, read_video(id_, items.get(id_)), listing.query) for id_ in ids]
        write_candidates(self.catalog, found, listing.listing_id, self.now())
        known.update((candidate.facts.video_id, candidate) for candidate in found)
        self.advance(len(found))

    def _qualified(self, known: Mapping[str, Candidate], unusable: Collection[str]) -> int:
        return sum(
            1 for id_, found in known.items() if id_ not in unusable and not judge(found.facts, self.settings.filters)
        )

    def _begin(self, request: Request) -> Listing:
        return Listing(
            listing_id=request.listing_id,
            category=request.category,
            kind=request.kind,
            query=request.shown_query(self.author_key),
            published_after=request.published_after,
            published_before=request.published_before,
            state="open",
            next_page_token=None,
            pages=0,
            n_results=0,
            fetched_at=self.now(),
        )

    def _ads_elsewhere(self, category: str) -> list[str]:
        """Ads of other categories: a video belongs to one."""
        of_others = (pc.field("source") == SOURCE) & (pc.field("category") != category)
        return self.catalog.values("ads", "video_id", where=of_others)

    def _held(self, category: str) -> dict[str, Listing]:
        rows = self.catalog.read("listings", where=pc.field("category") == category).to_pylist()
        return {row["listing_id"]: Listing(**row) for row in rows}

    def _attempts(self) -> dict[str, int]:
        of_lists = pc.field("stage") == STAGE
        rows = self.catalog.read("drops", ["key", "kind", "attempts"], where=of_lists).to_pylist()
        return {row["key"]: row["attempts"] for row in rows if row["kind"] == "failed"}

    def _keep(self, listing: Listing, *drops: Drop, settled: bool = False) -> None:
        """Write how far a list is; `settled`: what it failed of before counts no more."""
        rows = pa.Table.from_pylist([asdict(listing)], schema=TABLES["listings"].schema)
        self.catalog.commit("listings", rows, stage=STAGE, drops=drops, done=[listing.listing_id] if settled else [])


def is_done(request: Request, listing: Listing | None, now: datetime, relist_days: int) -> bool:
    """Whether a request has nothing more to give: read to its end, and nothing can have been added to it lately."""
    if listing is None or listing.state == "open":
        return False
    fresh = now - listing.fetched_at < timedelta(days=relist_days)
    return fresh or request.kind == "ids" or request.is_closed(listing.fetched_at)


def read_candidates(catalog: Catalog, category: str | None = None) -> list[Candidate]:
    """The candidates of a category, or of all."""
    where = pc.field("category") == category if category is not None else None
    names = ["category", "query", *VideoFacts.__dataclass_fields__]
    return [
        Candidate(row.pop("category"), query=row.pop("query"), facts=_facts(row))
        for row in catalog.read("candidates", names, where=where).to_pylist()
    ]


def write_candidates(catalog: Catalog, found: list[Candidate], listing_id: str, fetched_at: datetime) -> None:
    """Write candidates by category and id."""
    rows = [
        {
            **asdict(candidate.facts),
            "category": candidate.category,
            "query": candidate.query,
            "listing_id": listing_id,
            "fetched_at": fetched_at,
        }
        for candidate in found
    ]
    catalog.merge("candidates", pa.Table.from_pylist(rows, schema=TABLES["candidates"].schema))


def _facts(row: dict[str, Any]) -> VideoFacts:
    for name in ("allowed_regions", "blocked_regions"):
        row[name] = tuple(row[name]) if row[name] is not None else None
    return VideoFacts(**row)
