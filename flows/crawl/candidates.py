"""List the candidates of a category: requests page by page, each page described and stored before the next.

A listing that is stopped, by the quota or a kill, continues at the page after the last one stored.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from flows.crawl.data_api.faults import PAGE_TOKEN, Fault, FaultError
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
from flows.crawl.draw import Candidate, judge
from flows.crawl.records import pseudonym
from flows.errors import CrawlError, CrawlPausedError
from flows.settings.crawl import CategorySettings, CrawlSettings, FilterSettings
from flows.stages import LISTINGS

if TYPE_CHECKING:
    from flows.crawl.data_api.client import YouTube

MAX_PAGES = {"search": 20, "playlist": 400, "channel": 400, "ids": 1}
_BARREN_PAGES = 2
"""Pages in a row without new results after which a list is taken to repeat itself."""

Kind = Literal["ids", "playlist", "channel", "search"]

RESULTS_PER_SEARCH = 500
"""YouTube ends a search near this many results, however many there are."""
CAPPED_AT = 450
"""Results from which a search counts as ended by that limit: it has been seen to end somewhat earlier."""
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
"""A video id in a user's list; a part of another address, such as `playlist`, is not one."""
_SHORT_S, _MEDIUM_S = 240, 1200
"""`videoDuration`: short is below four minutes, long above twenty."""


@dataclass(frozen=True)
class Request:
    """One list of candidates, over as many pages as it has."""

    category: str
    kind: Kind
    query: str
    """The phrase, the channel, the playlist, or the ids themselves, parted by commas."""
    published_after: datetime | None = None
    published_before: datetime | None = None
    """End of a search's slice."""
    filters: str = ""
    """The filters that YouTube itself applies to a search, as JSON."""

    @property
    def listing_id(self) -> str:
        """Key in `listings`: the same request has the same id in every run."""
        payload = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(payload.encode()).hexdigest()[:16]

    @property
    def search_parameters(self) -> dict[str, Any]:
        """Parameters of `search.list`."""
        parameters: dict[str, Any] = {"q": self.query, **json.loads(self.filters)}
        if self.published_after:
            parameters["publishedAfter"] = _stamp(self.published_after)
        if self.published_before:
            parameters["publishedBefore"] = _stamp(self.published_before)
        return parameters

    def shown_query(self, author_key: bytes) -> str:
        """The query as the tables keep it: people's channels and playlists only as a keyed hash."""
        if self.kind == "search":
            return self.query
        return "ids" if self.kind == "ids" else f"{self.kind}:{pseudonym(author_key, self.query)}"

    def is_closed(self, listed_at: datetime) -> bool:
        """Whether nothing can have been added since, as the time slice was over by then."""
        return self.published_before is not None and self.published_before <= listed_at

    def halves(self) -> tuple[Request, ...]:
        """The two halves of a search's slice; none when it is no longer than two days."""
        if self.published_after is None or self.published_before is None:
            return ()
        days = (self.published_before - self.published_after).days
        if days < 2:
            return ()
        middle = self.published_after + timedelta(days=days // 2)
        return replace(self, published_before=middle), replace(self, published_after=middle)


def requests_of(category: str, wanted: CategorySettings, settings: CrawlSettings, now: datetime) -> Iterator[Request]:
    """The requests of a category, each once, in the order in which they are made: the cheap ones first, then searches.

    Searches come in an order drawn by the seed, so that a category that is full before all of them were made
    is no sample of its first phrase or its oldest slice. Their slices begin at `published_after` and have one
    length, so that time passing adds slices and moves none.

    Raises:
        CrawlError: the file of ids cannot be read or holds something else.
    """
    if wanted.ids:
        ids = read_ids(wanted.ids)
        for start in range(0, len(ids), 50):
            yield Request(category, "ids", ",".join(ids[start : start + 50]))
    yield from (Request(category, "playlist", playlist) for playlist in dict.fromkeys(wanted.playlists))
    yield from (Request(category, "channel", channel) for channel in dict.fromkeys(wanted.channels))
    filters = _search_filters(settings.filters)
    slices = list(_slices(settings, now))
    phrases = dict.fromkeys(wanted.search)
    searches = [Request(category, "search", phrase, *slice_, filters) for phrase in phrases for slice_ in slices]

    def drawn(request: Request) -> str:
        return hashlib.sha256(f"{settings.seed} {request.query} {request.published_after}".encode()).hexdigest()

    yield from sorted(searches, key=drawn)


def read_ids(path: Path) -> Sequence[str]:
    """Read a file of video ids or watch addresses, each once, in the file's order.

    Raises:
        CrawlError: it cannot be read, or a line holds no id.
    """
    try:
        lines = path.expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, ValueError, RuntimeError) as error:  # the last: there is no home of that name
        why = getattr(error, "strerror", None) or error
        raise CrawlError(f"{path.absolute()}: cannot be read as a file of video ids: {why}") from error
    ids: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        entry = line.split("#", 1)[0].strip()
        if not entry:
            continue
        video_id = _id_in(entry)
        if not _VIDEO_ID.fullmatch(video_id):
            raise CrawlError(f"{path}, line {number}: {entry!r} is neither a video id nor a watch address")
        ids[video_id] = None
    return tuple(ids)


def _id_in(entry: str) -> str:
    if "/" not in entry:
        return entry
    try:
        address = urlsplit(entry if "://" in entry else f"https://{entry}")
    except ValueError:
        return ""
    named = parse_qs(address.query).get("v")
    return named[0] if named else address.path.rstrip("/").rsplit("/", 1)[-1]


def _slices(settings: CrawlSettings, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    start = _midnight(settings.filters.published_after)
    end = _midnight(settings.filters.published_before) if settings.filters.published_before else None
    while start < min(end or now, now):
        stop = start + timedelta(days=settings.slice_days)
        yield start, min(stop, end) if end else stop
        start = stop


def _search_filters(filters: FilterSettings) -> str:
    """Filters that YouTube applies by itself; what it only takes as a hint is asked again of every video."""
    parameters = {
        "relevanceLanguage": filters.language.split("-")[0] if filters.language else None,
        "regionCode": filters.region,
        "videoPaidProductPlacement": "true" if filters.paid_product_placement else None,
        "videoDuration": _duration_class(filters),
    }
    return json.dumps({name: value for name, value in parameters.items() if value}, sort_keys=True)


def _duration_class(filters: FilterSettings) -> str | None:
    if filters.max_duration_s < _SHORT_S:
        return "short"
    if filters.min_duration_s > _MEDIUM_S:
        return "long"
    inside = filters.min_duration_s >= _SHORT_S and filters.max_duration_s <= _MEDIUM_S
    return "medium" if inside else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


State = Literal["open", "complete", "capped", "refused"]


@dataclass(frozen=True)
class Listing:
    """Progress of a request; the fields are columns of `listings`."""

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
    """Result of listing one category."""

    category: str
    complete: bool = False
    """Everything was listed, or there are enough candidates."""
    new_candidates: int = 0
    drops: list[Drop] = field(default_factory=list)
    paused: CrawlPausedError | None = None


@dataclass
class Lister:
    """Lists the candidates of categories into `listings` and `candidates`."""

    catalog: Catalog
    youtube: YouTube
    settings: CrawlSettings
    author_key: bytes
    now: Callable[[], datetime]
    max_attempts: int = 3
    forgotten: Callable[[str], bool] = lambda video_id: False
    """Whether a video must not be collected; its id is not stored again either."""
    advance: Callable[[float], None] = lambda candidates: None
    leave: Collection[str] = ()
    """Lists that already failed in this run; they are left to a later run."""

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
        except FaultError as error:
            fault = error.fault
            if fault.reason == PAGE_TOKEN and resumed:
                return self._list(request, None, known, done, failures, listing.pages)
            drop = fault.drop(LISTINGS.name, listing.listing_id, None, about=f"{listing.kind} {listing.query}")
            done.drops.append(drop)
            is_terminal = fault.kind == "terminal"
            listing = replace(listing, state="refused" if is_terminal else "open", fetched_at=self.now())
            self._keep(listing, drop)
            if not is_terminal and failures + 1 < self.max_attempts:
                done.complete = False  # the list may be readable tomorrow: the draw waits for it
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
            raise FaultError(Fault("terminal", "channel_not_found", "no channel has this handle"), "channels.list")
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
        of_lists = pc.field("stage") == LISTINGS.name
        rows = self.catalog.read("drops", ["key", "kind", "attempts"], where=of_lists).to_pylist()
        return {row["key"]: row["attempts"] for row in rows if row["kind"] == "failed"}

    def _keep(self, listing: Listing, *drops: Drop, settled: bool = False) -> None:
        """Write the progress of a list; `settled`: earlier failures no longer count."""
        rows = pa.Table.from_pylist([asdict(listing)], schema=TABLES["listings"].schema)
        self.catalog.commit(
            "listings", rows, stage=LISTINGS.name, drops=drops, done=[listing.listing_id] if settled else []
        )


def is_done(request: Request, listing: Listing | None, now: datetime, relist_days: int) -> bool:
    """Whether a request is complete: read to its end, and nothing can have been added recently."""
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
