"""Read the comments of many ads at once: requests on several connections, each ad's pages in order.

There are twice as many threads as connections: while some wait for an answer, others parse theirs, so that no
connection waits for a parser.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.crawl.data_api.faults import PAGE_TOKEN, FaultError
from flows.crawl.data_api.parsing import CommentPage, CommentReader
from flows.crawl.records import AdToRead
from flows.errors import CrawlPausedError
from flows.settings.crawl import CommentPageSettings

if TYPE_CHECKING:
    from flows.crawl.data_api.client import YouTube

_QUEUED_PAGES = 128
_REPEATS = 2
"""Repeated requests for a page without new results before the result is accepted."""
_BARREN_PAGES = 3
"""Pages in a row without new results after which the rest is not requested."""


def read_comment_pages(
    ads: Iterable[AdToRead],
    youtube: YouTube,
    *,
    connections: int,
    settings: CommentPageSettings,
    author_key: bytes,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[CommentPage]:
    """Read the comments of ads; yields pages of threads as they come, those of one ad in order, with their replies.

    An ad that cannot be read, or not to the end, ends with a page that holds nothing but the fault.

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
    reading = _Reading(iter(list(ads)), youtube, settings, author_key, now)
    with ThreadPoolExecutor(2 * connections) as pool:
        # each with its own copy of the context: what they log belongs to the run that asked for the comments
        workers = [pool.submit(copy_context().run, reading.work) for _ in range(2 * connections)]
        try:
            for _ in workers:
                while message := reading.messages.get():
                    yield message
        finally:
            reading.stop.set()
            while not all(worker.done() for worker in workers):
                reading.discard()  # a worker may wait for room to put its last page
                time.sleep(0.005)
    errors = [error for worker in workers if (error := worker.exception())]
    if errors:
        # a fault rather than a pause, as the pause comes again by itself
        raise min(errors, key=lambda error: isinstance(error, CrawlPausedError))


@dataclass
class _Reading:
    """State that the threads share, and the work of each."""

    ads: Iterator[AdToRead]
    youtube: YouTube
    settings: CommentPageSettings
    author_key: bytes
    now: Callable[[], datetime]
    messages: queue.Queue[CommentPage | None] = field(default_factory=lambda: queue.Queue(_QUEUED_PAGES))
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Read ad after ad until there is none, or something stops all threads; the last message is None."""
        try:
            while not self.stop.is_set() and (ad := next(self.ads, None)):
                self._read(ad)
        except BaseException:
            self.stop.set()
            raise
        finally:
            self.messages.put(None)

    def discard(self) -> None:
        """Throw away what waits to be taken: nobody will."""
        with suppress(queue.Empty):
            while True:
                self.messages.get_nowait()

    def _read(self, ad: AdToRead) -> None:
        """Read an ad from its first page, or where an earlier run stopped, to its last."""
        try:
            self._read_pages(ad)
        except FaultError as error:
            if error.fault.reason == PAGE_TOKEN and ad.next_page_token is not None:
                # tokens expire: start again from the first page, where all stored ids are known
                self._read(replace(ad, next_page_token=None, pages=0))
                return
            self.messages.put(CommentPage(ad.video_id, self.now(), fault=error.fault))

    def _read_pages(self, ad: AdToRead) -> None:
        reader = CommentReader(ad.video_id, ad.channel_hash, self.author_key)

        def threads(token: str | None) -> CommentPage:
            fetched_at = self.now()
            with_replies = self.settings.replies != "none"
            return reader.threads(self.youtube.comment_threads(ad.video_id, token, replies=with_replies), fetched_at)

        first = ad.pages + 1
        for number, page in enumerate(pages_of(threads, ad.next_page_token, self.settings.max_pages - ad.pages), first):
            page.pages = number
            try:
                if self.settings.replies == "all":
                    self._add_replies(reader, page, ad.held_replies)
            except (CrawlPausedError, FaultError):
                # what came is kept, and the page is read again by the run that goes on
                page.next_page_token, page.ended_by, page.pages = page.token, None, number - 1
                self.messages.put(page)
                raise
            self.messages.put(page)
            if self.stop.is_set():
                return

    def _add_replies(self, reader: CommentReader, page: CommentPage, held: Mapping[str, int]) -> None:
        """Add all replies of the threads that have more of them than came along."""
        for parent_id, n_replies in page.unfinished:
            if held.get(parent_id, 0) >= n_replies:
                continue

            def replies(token: str | None, parent_id: str = parent_id) -> CommentPage:
                fetched_at = self.now()
                return reader.replies(self.youtube.replies(parent_id, token), parent_id, fetched_at)

            try:
                for more in pages_of(replies, None, self.settings.max_pages):
                    page.comments |= more.comments
                    page.drops += more.drops
                    page.units += more.units
            except FaultError as error:
                # deleted since its page was read: the ad's other threads are there
                if error.fault.reason != "comment_not_found":
                    raise
                page.units += 1


def pages_of(fetch: Callable[[str | None], CommentPage], token: str | None, limit: int) -> Iterator[CommentPage]:
    """Page after page. One that brings nothing new, or leads back, is asked for again before it is believed.

    Pages have been seen to repeat, and tokens to be passed over or to lead in a circle.

    Args:
        fetch: asks for the page with a token.
        token: where to begin; None for the first page.
        limit: pages at most.
    """
    seen: set[str] = set()
    tokens = {token}
    n_pages = barren = 0
    while True:
        units = 0
        while True:
            units += 1
            page = fetch(token)
            leads_back = page.next_page_token is not None and page.next_page_token in tokens
            is_new = not page.comments.keys() <= seen
            is_plain_end = page.n_items == 0 and page.next_page_token is None
            if is_plain_end or (is_new and not leads_back) or units > _REPEATS:
                break
        n_pages += 1
        barren = 0 if is_new else barren + 1
        page.token, page.units = token, units
        if page.next_page_token is None:
            page.ended_by = "last_page"
        elif leads_back:
            page.ended_by = "looping_token"
        elif barren >= _BARREN_PAGES:
            page.ended_by = "repeating_pages"
        elif n_pages >= limit:
            page.ended_by = "page_cap"
        seen |= page.comments.keys()
        token = page.next_page_token = None if page.ended_by else page.next_page_token
        tokens.add(token)
        yield page
        if token is None:
            return
