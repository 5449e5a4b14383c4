"""The comments of many ads at once: pages in flight over several connections, each ad read in the order of its pages.

Twice as many threads as connections: while some wait for an answer, others read theirs, so that a connection
never waits for a reader.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from data_catalog.tables.drops import Drop
from flows.crawl.data_api.faults import PAGE_TOKEN, Fault, FaultError
from flows.crawl.data_api.parsing import CommentPage, CommentReader
from flows.crawl.records import Comment
from flows.crawl.settings import CommentPageSettings
from flows.errors import CrawlPausedError

_QUEUED_PAGES = 128

EndedBy = Literal["last_page", "page_cap", "repeating_pages", "looping_token"]

_REPEATS = 2
"""How often a page that brings nothing new is asked for again before that is believed."""
_BARREN_PAGES = 3
"""Pages in a row that bring nothing new, after which the rest is not asked for."""


@dataclass(frozen=True)
class Step:
    """One page, and what it took to get it."""

    page: CommentPage
    token: str | None
    """Token that it was asked for with."""
    fetched_at: datetime
    units: int
    ended_by: EndedBy | None


def pages_of(
    fetch: Callable[[str | None], tuple[CommentPage, datetime]], token: str | None, *, limit: int
) -> Iterator[Step]:
    """Page after page. One that brings nothing new, or leads back, is asked for again before it is believed.

    Pages have been seen to repeat, and tokens to be passed over or to lead in a circle.

    Args:
        fetch: asks for the page with a token; returns it and when it was asked for.
        token: where to begin; None for the first page.
        limit: pages at most.
    """
    seen: set[str] = set()
    tokens = {token}
    n_pages = barren = 0
    while True:
        units, believed = 0, False
        while not believed:
            units += 1
            page, fetched_at = fetch(token)
            leads_back = page.next_page_token in tokens and page.next_page_token is not None
            is_new = any(comment.comment_id not in seen for comment in page.comments)
            is_plain_end = page.n_items == 0 and page.next_page_token is None
            believed = is_plain_end or (is_new and not leads_back) or units > _REPEATS
        n_pages += 1
        barren = 0 if is_new else barren + 1
        ended_by: EndedBy | None = None
        if page.next_page_token is None:
            ended_by = "last_page"
        elif leads_back:
            ended_by = "looping_token"
        elif barren >= _BARREN_PAGES:
            ended_by = "repeating_pages"
        elif n_pages >= limit:
            ended_by = "page_cap"
        yield Step(page, token, fetched_at, units, ended_by)
        if ended_by:
            return
        seen.update(comment.comment_id for comment in page.comments)
        token = page.next_page_token
        tokens.add(token)


class CommentLists(Protocol):
    """The calls that reading comments needs of a client of the Data API."""

    def comment_threads(self, video_id: str, page_token: str | None = None, *, replies: bool) -> dict[str, Any]: ...
    def replies(self, parent_id: str, page_token: str | None = None) -> dict[str, Any]: ...


@dataclass(frozen=True)
class AdToRead:
    """An ad whose comments are wanted, and how far an earlier run came."""

    video_id: str
    channel_hash: str | None
    comment_count: int | None = None
    """As the video's metadata say."""
    is_begun: bool = False
    """Whether this goes on with a reading that an earlier run began, be it in the middle of the first page."""
    next_page_token: str | None = None
    pages: int = 0
    held_replies: Mapping[str, int] = field(default_factory=dict)
    """Replies that are held already, by thread; of use where a run was stopped inside a page."""


@dataclass(frozen=True)
class PageRead:
    """A page of threads with all replies to them."""

    video_id: str
    comments: tuple[Comment, ...]
    drops: tuple[Drop, ...]
    next_page_token: str | None
    """The page to go on at; the same page again where the run was stopped inside it."""
    pages: int
    """Pages of this ad read so far, earlier runs included."""
    units: int
    ended_by: EndedBy | None
    fetched_at: datetime


@dataclass(frozen=True)
class AdFailed:
    """An ad whose comments could not be read, or not to the end."""

    video_id: str
    fault: Fault


Message = PageRead | AdFailed


def read_comment_pages(
    ads: Iterable[AdToRead],
    youtube: CommentLists,
    *,
    connections: int,
    settings: CommentPageSettings,
    author_key: bytes,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Message]:
    """Read the comments of ads; yields pages as they come, those of one ad in order.

    Args:
        ads: in the order in which they are begun; put the largest first.
        youtube: the client of the Data API.
        connections: requests in flight at once, which the client itself sees to.
        settings: replies and limits.
        author_key: key of the authors' hashes.
        now: the clock.

    Raises:
        CrawlPausedError: after everything that was read has been yielded.
        CrawlError: no key is accepted, or the like; also after what was read.
    """
    work = _Work(deque(ads), queue.Queue(_QUEUED_PAGES))
    reader = _AdReader(youtube, settings, author_key, now, work)
    # each with its own copy of the context: what they log belongs to the run that asked for the comments
    threads = [
        threading.Thread(target=copy_context().run, args=(work.run, reader.read), daemon=True)
        for _ in range(2 * connections)
    ]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            message = work.messages.get()
            if message is None:
                running -= 1
            else:
                yield message
    finally:
        work.stop.set()
        for thread in threads:
            while thread.is_alive():
                work.discard()  # it may wait for room to put its last page
                thread.join(0.05)
    if work.errors:
        raise work.most_telling()


@dataclass
class _Work:
    """What the threads share."""

    ads: deque[AdToRead]
    messages: queue.Queue[Message | None]
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)

    def run(self, read: Callable[[AdToRead], None]) -> None:
        """One thread: ad after ad, until there is none or something stops all of them."""
        try:
            while not self.stop.is_set():
                try:
                    ad = self.ads.popleft()
                except IndexError:
                    break
                read(ad)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked for the comments
            self.errors.append(error)
            self.stop.set()
        finally:
            self.messages.put(None)

    def discard(self) -> None:
        """Throw away what waits to be taken: nobody will."""
        with suppress(queue.Empty):
            while True:
                self.messages.get_nowait()

    def most_telling(self) -> BaseException:
        """The error to raise: a fault rather than a pause, as the pause comes again by itself."""
        faults = [error for error in self.errors if not isinstance(error, CrawlPausedError)]
        return (faults or self.errors)[0]


@dataclass(frozen=True)
class _AdReader:
    """Reads the comments of one ad from its first page, or where an earlier run stopped, to its last."""

    youtube: CommentLists
    settings: CommentPageSettings
    author_key: bytes
    now: Callable[[], datetime]
    work: _Work

    def read(self, ad: AdToRead) -> None:
        try:
            self._read(ad)
        except FaultError as error:
            if error.fault.reason == PAGE_TOKEN and ad.next_page_token is not None:
                # tokens do not live for ever: from the first page, where every id that is held is known again
                self.read(replace(ad, next_page_token=None, pages=0))
                return
            self.work.messages.put(AdFailed(ad.video_id, error.fault))

    def _read(self, ad: AdToRead) -> None:
        reader = CommentReader(ad.video_id, ad.channel_hash, self.author_key)

        def threads(token: str | None) -> tuple[CommentPage, datetime]:
            fetched_at = self.now()
            with_replies = self.settings.replies != "none"
            answer = self.youtube.comment_threads(ad.video_id, token, replies=with_replies)
            return reader.threads(answer, fetched_at), fetched_at

        pages = ad.pages
        for step in pages_of(threads, ad.next_page_token, limit=self.settings.max_pages - pages):
            whole = _Whole(step)
            try:
                if self.settings.replies == "all":
                    self._finish_threads(reader, whole, ad.held_replies)
            except (CrawlPausedError, FaultError):
                # what came is kept, and the page is read again by the run that goes on
                self._send(ad, whole, step.token, pages, None)
                raise
            pages += 1
            self._send(ad, whole, None if step.ended_by else step.page.next_page_token, pages, step.ended_by)
            if self.work.stop.is_set():
                return

    def _finish_threads(self, reader: CommentReader, whole: _Whole, held: Mapping[str, int]) -> None:
        """All replies of the threads that have more of them than came along."""
        for parent_id, n_replies in whole.unfinished:
            if held.get(parent_id, 0) >= n_replies:
                continue

            def replies(token: str | None, parent_id: str = parent_id) -> tuple[CommentPage, datetime]:
                fetched_at = self.now()
                return reader.replies(self.youtube.replies(parent_id, token), parent_id, fetched_at), fetched_at

            for step in pages_of(replies, None, limit=self.settings.max_pages):
                whole.add(step)

    def _send(self, ad: AdToRead, whole: _Whole, token: str | None, pages: int, ended_by: EndedBy | None) -> None:
        self.work.messages.put(
            PageRead(
                video_id=ad.video_id,
                comments=tuple(whole.comments.values()),
                drops=tuple(whole.drops),
                next_page_token=token,
                pages=pages,
                units=whole.units,
                ended_by=ended_by,
                fetched_at=whole.fetched_at,
            )
        )


class _Whole:
    """A page of threads, growing by the replies that did not come along with it."""

    def __init__(self, step: Step) -> None:
        self.unfinished = step.page.unfinished
        self.fetched_at = step.fetched_at
        self.units = 0
        self.comments: dict[str, Comment] = {}
        self.drops: list[Drop] = []
        self.add(step)

    def add(self, step: Step) -> None:
        self.comments.update((comment.comment_id, comment) for comment in step.page.comments)
        self.drops += step.page.drops
        self.units += step.units
