"""What a category's candidates are listed by: ids, playlists, channels, and searches cut into slices of time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from flows.crawl.records import pseudonym
from flows.crawl.settings import CategorySettings, CrawlSettings, FilterSettings
from flows.errors import CrawlError

Kind = Literal["ids", "playlist", "channel", "search"]

RESULTS_PER_SEARCH = 500
"""YouTube ends a search near this many results, however many there are."""
CAPPED_AT = 450
"""Results from which a search counts as ended by that limit: it has been seen to end somewhat earlier."""
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
"""Of what people write down; part of another address, as `playlist`, is none."""
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
        """Whether nothing can have been added since: a slice of time that had passed."""
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
