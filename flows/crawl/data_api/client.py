"""Client of the Data API: books every call before it is sent, classifies faults, and retries the transient ones."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httplib2
import httpx
from googleapiclient import discovery, discovery_cache
from googleapiclient.http import HttpRequest
from googleapiclient.model import JsonModel

from flows.crawl.data_api.faults import (
    PAGE_TOKEN,
    Fault,
    FaultError,
    classify_answer,
    classify_exception,
    read_object,
)
from flows.crawl.data_api.quota import Booking, Budget, Keys, Ledger
from flows.crawl.data_api.transport import Reply, Transport, never_sent
from flows.errors import ApiUnreachableError, KeyRefusedError, QuotaExhaustedError
from flows.settings.crawl import CrawlSettings

log = logging.getLogger("ytb_ads")

Answer = dict[str, Any]
"""A JSON object as the API sent it. Nothing in it is checked further."""

ENDPOINT = "https://youtube.googleapis.com"
LONGEST_BACKOFF_S = 60.0
LONGEST_RETRY_AFTER_S = 600.0
_LOGGED_FROM_S = 5.0
"""Longer waits are logged, so that nobody takes them for a standstill."""
PROCESSING_ATTEMPTS = 2
"""Calls for a page that the server cannot process: seldom a passing fault."""
_HTTP_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")

# Only what is used is asked for: half of the bytes of a page of comments, and no names or pictures of people.
_PAGE = "nextPageToken,pageInfo"
_COMMENT = "id,snippet(videoId,parentId,textDisplay,authorChannelId,likeCount,publishedAt,updatedAt)"
_THREAD = f"id,snippet(videoId,totalReplyCount,topLevelComment({_COMMENT}))"
_VIDEO_SNIPPET = (
    "snippet(title,description,channelId,publishedAt,defaultLanguage,defaultAudioLanguage,liveBroadcastContent)"
)
FIELDS = {
    "search": f"{_PAGE},items/id",
    "playlistItems": f"{_PAGE},items(id,contentDetails)",
    "channels": f"{_PAGE},items(id,contentDetails)",
    "commentThreads": f"{_PAGE},items({_THREAD})",
    "commentThreads with replies": f"{_PAGE},items({_THREAD},replies/comments({_COMMENT}))",
    "comments": f"{_PAGE},items({_COMMENT})",
}

_RESOURCES = ("search", "videos", "playlistItems", "channels", "commentThreads", "comments")


@dataclass(frozen=True)
class Refusal:
    """A call without a usable answer, and the wait that the server asked for."""

    fault: Fault
    retry_after_s: float = 0.0


class YouTube:
    """The lists of the Data API; threads share one object. Every method returns one page.

    Raises:
        FaultError: a fault that this call cannot cure, or that did not pass within the attempts.
        ApiUnreachableError: no connection can be made, by this call and those before it.
        QuotaExhaustedError: no key has anything left today.
        KeyRefusedError: the server accepts none of the keys.
    """

    def __init__(
        self,
        settings: CrawlSettings,
        ledger: Ledger,
        *,
        sleep: Callable[[float], object] | None = None,
        seed: int | None = None,
    ) -> None:
        """Get ready; nothing is sent.

        Args:
            settings: keys, endpoint, connections, attempts.
            ledger: where the calls are booked.
            sleep: waits that many seconds; by default a wait that ends early once the day is spent.
            seed: of the jitter.

        Raises:
            CrawlError: there is no key, one that cannot be a key, or a proxy that cannot be used.
        """
        self._settings = settings
        self._endpoint = settings.endpoint or ENDPOINT
        self._keys = Keys(settings.given_keys, ledger)
        self._transport = Transport(connections=settings.connections, timeout_s=settings.timeout_s)
        self._turns = threading.BoundedSemaphore(settings.connections)
        self._methods = _list_methods(self._endpoint)
        self._sleep = sleep
        self._wake: dict[Budget, threading.Event] = {"searches": threading.Event(), "units": threading.Event()}
        self._closed = False
        self._unreached = 0
        """Calls in a row that no connection could be made for."""
        self._jitter = random.Random(seed)  # noqa: S311 (no secret)
        for name in _HTTP_LOGGERS:
            logging.getLogger(name).addFilter(self._keys.are_not_in)

    def close(self) -> None:
        """End the waits of all threads and close the connections."""
        self._closed = True
        for event in self._wake.values():
            event.set()
        self._transport.close()
        for name in _HTTP_LOGGERS:
            logging.getLogger(name).removeFilter(self._keys.are_not_in)

    def search(self, **parameters: Any) -> Answer:
        """A page of videos that a search finds, by id alone; parameters by the API's names, None as if absent."""
        asked = {"part": "id", "type": "video", "maxResults": 50, "fields": FIELDS["search"]} | parameters
        return self._list("search", "searches", asked)

    def videos(self, ids: Sequence[str], parts: str) -> Answer:
        """At most 50 videos; those that are deleted or private are left out by the server without a word."""
        if not 1 <= len(ids) <= 50:
            raise ValueError(f"{len(ids)} ids; videos.list takes 1 to 50")
        wanted = dict.fromkeys(["id", *parts.replace("snippet", _VIDEO_SNIPPET).split(",")])
        fields = f"{_PAGE},items({','.join(wanted)})"
        return self._list("videos", "units", {"id": ",".join(ids), "part": parts, "fields": fields})

    def playlist_items(self, playlist_id: str, page_token: str | None = None) -> Answer:
        """A page of 50 videos of a playlist, by id and date."""
        asked = {"playlistId": playlist_id, "part": "contentDetails", "maxResults": 50, "pageToken": page_token}
        return self._list("playlistItems", "units", asked | {"fields": FIELDS["playlistItems"]})

    def channels(self, *, handle: str | None = None, channel_id: str | None = None) -> Answer:
        """A channel by its @handle or its id, with its playlist of uploads."""
        if (handle is None) == (channel_id is None):
            raise ValueError(f"handle = {handle!r}, channel_id = {channel_id!r}; give one of the two")
        asked = {"forHandle": handle, "id": channel_id, "part": "contentDetails", "fields": FIELDS["channels"]}
        return self._list("channels", "units", asked)

    def comment_threads(self, video_id: str, page_token: str | None = None, *, replies: bool) -> Answer:
        """A page of 100 threads, newest first; with `replies`, each with about five of its replies."""
        asked = {
            "videoId": video_id,
            "part": "snippet,replies" if replies else "snippet",
            "order": "time",
            "maxResults": 100,
            "textFormat": "plainText",
            "pageToken": page_token,
            "fields": FIELDS["commentThreads with replies" if replies else "commentThreads"],
        }
        return self._list("commentThreads", "units", asked)

    def replies(self, parent_id: str, page_token: str | None = None) -> Answer:
        """A page of 100 replies to a comment."""
        asked = {"parentId": parent_id, "part": "snippet", "maxResults": 100, "textFormat": "plainText"}
        return self._list("comments", "units", asked | {"pageToken": page_token, "fields": FIELDS["comments"]})

    def _list(self, resource: str, budget: Budget, parameters: dict[str, Any]) -> Answer:
        """One page, after as many attempts as its faults deserve."""
        request = self._methods[resource](**parameters)
        attempt = 1
        while isinstance(outcome := self._ask(request, budget), Refusal):
            wait_s = max(self._backoff_s(attempt), outcome.retry_after_s)
            is_curable, call = self._is_curable(outcome, attempt), _call_name(resource, parameters)
            if is_curable and wait_s >= _LOGGED_FROM_S:
                log.info("%s: %s; asked again in %.0f s", call, outcome.fault.reason, wait_s)
            if not is_curable or not self._wait(wait_s, budget):
                self._refuse_when_unreachable(outcome.fault)
                raise FaultError(outcome.fault, call)
            attempt += 1
        return outcome

    def _ask(self, request: HttpRequest, budget: Budget) -> Answer | Refusal:
        """Make one call with the first usable key; if the server refuses a key, use the next one."""
        while True:
            booking = self._book(budget)
            outcome = self._send(request, booking)
            if isinstance(outcome, Refusal) and outcome.fault.kind == "pause":
                self._keys.exhaust(booking, outcome.fault)
            elif isinstance(outcome, Refusal) and outcome.fault.kind == "abort":
                self._keys.refuse(booking, outcome.fault)
            elif outcome is not None:
                return outcome

    def _book(self, budget: Budget) -> Booking:
        try:
            booking = self._keys.book(budget)
        except (QuotaExhaustedError, KeyRefusedError):
            self._wake[budget].set()
            raise
        if not self._closed:
            self._wake[budget].clear()
        return booking

    def _send(self, request: HttpRequest, booking: Booking) -> Answer | Refusal | None:
        """Send a call in its turn; None when its key was turned away while it waited, and it was not sent."""
        try:
            answer: Answer = request.execute(http=_Turn(self._turns, self._transport, self._keys, booking))
        except _TurnedAwayError:
            self._keys.strike_out(booking)
            return None
        except _RefusedError as refused:
            self._unreached, reply = 0, refused.reply
            return Refusal(classify_answer(reply.status, reply.body, self._keys.scrub), reply.retry_after_s)
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            if never_sent(error):
                self._keys.strike_out(booking)
                self._unreached += 1
            else:
                self._unreached = 0
            return Refusal(classify_exception(error, self._keys.scrub))
        self._unreached = 0
        return answer

    def _wait(self, seconds: float, budget: Budget) -> bool:
        """Wait, or less when another thread finds that the day is spent; whether to go on at all."""
        if self._sleep is None:
            self._wake[budget].wait(seconds)
        elif seconds > 0:
            self._sleep(seconds)
        return not self._closed

    def _is_curable(self, refusal: Refusal, attempt: int) -> bool:
        """Whether another attempt of the same call within this run makes sense."""
        fault, attempts = refusal.fault, self._settings.attempts
        if fault.kind != "transient" or fault.reason == PAGE_TOKEN or refusal.retry_after_s > LONGEST_RETRY_AFTER_S:
            return False
        return attempt < (min(PROCESSING_ATTEMPTS, attempts) if fault.reason == "processing_failure" else attempts)

    def _backoff_s(self, attempt: int) -> float:
        """Full jitter: anything up to a wait that doubles, so that threads that failed together come back apart."""
        longest = self._settings.backoff_s * 2 ** min(attempt - 1, 32)
        return self._jitter.uniform(0, min(LONGEST_BACKOFF_S, longest))

    def _refuse_when_unreachable(self, fault: Fault) -> None:
        """Stop all work when as many calls in a row as there are attempts for one could not connect."""
        if self._unreached >= self._settings.attempts:
            raise ApiUnreachableError(
                f"{self._endpoint}: no connection can be made ({fault.detail}). Everything fetched is kept; look at "
                "the network with `ytb-ads crawl --check`, then run the same command again"
            )


class _TurnedAwayError(Exception):
    """The key was refused or spent while its call waited for a connection."""


class _RefusedError(Exception):
    """An answer other than 200, whose body Google's client would log and might stumble over."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


@dataclass(frozen=True)
class _Turn:
    """The `http` that Google's client sends one call with: waits for a free connection, then adds the key."""

    turns: threading.BoundedSemaphore
    transport: Transport
    keys: Keys
    booking: Booking

    def request(self, uri: str, method: str, body: str | None, **_: object) -> tuple[httplib2.Response, bytes]:
        """Send the call as a GET, though Google's client makes a POST of one with a long query.

        Raises:
            _TurnedAwayError: its key is of no use any more.
            _RefusedError: the answer is another than 200.
            httpx.HTTPError: there is no whole answer.
        """
        with self.turns:
            if self.keys.is_turned_away(self.booking):
                raise _TurnedAwayError
            reply = self.transport.get(f"{uri}?{body}" if body else uri, self.booking.key)
        if reply.status != HTTPStatus.OK:
            raise _RefusedError(reply)
        # the thread whose turn it is now sends its request before this one begins to read the answer
        time.sleep(0)
        return httplib2.Response({"status": reply.status}), reply.body


class _ObjectModel(JsonModel):
    """Reads answers as JSON objects and nothing else; Google's model returns what it cannot parse as text."""

    def deserialize(self, content: bytes) -> Answer:
        return read_object(content)


def _list_methods(endpoint: str) -> dict[str, Callable[..., HttpRequest]]:
    """The `list` methods of Google's client by resource; each makes a request, its parameters checked."""
    service = discovery.build_from_document(
        discovery_cache.get_static_doc("youtube", "v3"),
        http=object(),  # every call brings its own
        client_options={"api_endpoint": f"{endpoint}/"},
        model=_ObjectModel(),
    )
    return {resource: getattr(service, resource)().list for resource in _RESOURCES}


def _call_name(resource: str, parameters: dict[str, Any]) -> str:
    """A call in words: `commentThreads.list of videoId abc`."""
    subjects = ("videoId", "parentId", "playlistId", "forHandle", "id", "q")
    subject = next((f" of {name} {parameters[name]}" for name in subjects if parameters.get(name)), "")
    return f"{resource}.list{subject if len(subject) <= 100 else subject[:99] + '…'}"
