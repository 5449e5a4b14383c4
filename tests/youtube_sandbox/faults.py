"""Faults on demand: which request gets which one, and how often."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.youtube_sandbox.errors import REFUSALS

API = "/youtube/v3/"
WATCH = "/watch"
MEDIA = "/media/"

Parameters = Mapping[str, str]

WIRE_FAULTS = (
    "drop_before_headers",
    "drop_after_headers",  # half of the body comes, then the connection goes
    "truncated_json",  # half of the body comes, declared as the whole
    "empty_body",
    "not_json",
    "slow",  # `delay_s` before the answer; of a medium, between its two halves
)
PAGE_FAULTS = (
    "repeat_page",  # the page before comes again; its token leads to the page that was asked for
    "loop_tokens",  # the right page, whose token leads to itself
    "ignore_token",  # the first page comes, whatever was asked for
    "empty_page",  # no items; the token leads to the page that was asked for
)
WATCH_FAULTS = (
    "private", "members_only", "region_blocked", "age_restricted", "bot_wall", "rate_limited", "gone", "live",
    "upcoming", "no_formats", "only_images",
)  # fmt: skip
MEDIA_FAULTS = ("cut_off", "not_a_video")
KINDS = {*WIRE_FAULTS, *REFUSALS, "http_502", *PAGE_FAULTS, *WATCH_FAULTS, *MEDIA_FAULTS}
STORM = (
    "drop_before_headers", "drop_after_headers", "truncated_json", "empty_body", "not_json", "http_500", "http_503",
    "rate_limited_403", "rate_limited_429", "processing_failure", "repeat_page", "ignore_token",
)  # fmt: skip
"""What passes by itself: a request that is sent again is answered."""


@dataclass
class Fault:
    """A fault for the requests that match.

    `Fault("http_500", "commentThreads", {"videoId": "abc"}, times=2)` answers the next two such requests with 500.
    """

    kind: str
    path: str = ""
    """Part of the path. By default any API path; for the faults of watch pages and of media, those."""
    when: Mapping[str, str | None] | Callable[[Parameters], bool] | None = None
    """Parameters that the request must have, None for one that it must not have; or a function that decides."""
    times: int | None = 1
    """Requests that get it; None: every one."""
    after: int = 0
    """Matching requests that are let through before the first one that gets it."""
    delay_s: float = 1.0
    at_byte: int | None = None
    """Where a medium is cut off: nothing from there on is ever sent; by default from its middle."""
    retry_after_s: int | None = None
    """What the header `Retry-After` of an error says."""
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}")

    @property
    def spent(self) -> bool:
        """Whether no request will get it any more."""
        return self.times is not None and self.hits >= self.times

    def matches(self, path: str, parameters: Parameters) -> bool:
        """Whether the request is one of those that the fault is for."""
        if (self.path or _usual_path(self.kind)) not in path:
            return False
        if self.kind in PAGE_FAULTS and not _paged(self.kind, parameters):
            return False
        if callable(self.when):
            return self.when(parameters)
        return all(parameters.get(name) == value for name, value in (self.when or {}).items())

    def take(self, path: str, parameters: Parameters) -> Fault | None:
        """The fault that this request gets, if any."""
        if self.spent or not self.matches(path, parameters):
            return None
        if self.after:
            self.after -= 1
            return None
        self.hits += 1
        return self


@dataclass
class Storm:
    """Faults by chance: the same seed and the same requests give the same faults, whatever order they come in."""

    seed: int
    probability: float
    kinds: tuple[str, ...] = STORM
    path: str = API
    at_most: int | None = None
    """Faults that one and the same request gets before it is left alone."""
    hits: int = field(default=0, init=False)
    spent: bool = field(default=False, init=False)
    _asked: Counter[str] = field(default_factory=Counter, init=False)
    _given: Counter[str] = field(default_factory=Counter, init=False)

    def take(self, path: str, parameters: Parameters) -> Fault | None:
        """The fault that this request gets, if any."""
        if self.path not in path:
            return None
        asked = f"{path}?{sorted((name, value) for name, value in parameters.items() if name != 'key')}"
        self._asked[asked] += 1
        if self.at_most is not None and self._given[asked] >= self.at_most:
            return None
        digest = hashlib.sha256(f"{self.seed}:{asked}:{self._asked[asked]}".encode()).digest()
        if int.from_bytes(digest[:6]) / 2**48 >= self.probability:
            return None
        fault = Fault(self.kinds[int.from_bytes(digest[6:10]) % len(self.kinds)], self.path)
        if not fault.matches(path, parameters):
            return None
        self._given[asked] += 1
        self.hits += 1
        return fault


class Faults:
    """The faults that are waiting; safe to use while requests come in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault | Storm] = []
        self._given: list[tuple[str, str, dict[str, str]]] = []

    def add(self, *faults: Fault | Storm) -> None:
        """Let these wait behind those that are there; a request gets the first one that matches."""
        with self._lock:
            self._waiting.extend(faults)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._waiting.clear()

    @property
    def waiting(self) -> list[Fault | Storm]:
        """What is not yet spent."""
        with self._lock:
            return [fault for fault in self._waiting if not fault.spent]

    @property
    def given(self) -> list[tuple[str, str, dict[str, str]]]:
        """Every fault given so far: kind, path and parameters of its request."""
        with self._lock:
            return list(self._given)

    def take(self, path: str, parameters: Parameters) -> Fault | None:
        """The fault that this request gets, if any."""
        if not self._waiting:
            return None
        with self._lock:
            for waiting in self._waiting:
                if fault := waiting.take(path, parameters):
                    self._given.append((fault.kind, path, dict(parameters)))
                    return fault
        return None


def _usual_path(kind: str) -> str:
    return WATCH if kind in WATCH_FAULTS else MEDIA if kind in MEDIA_FAULTS else API


def _paged(kind: str, parameters: Parameters) -> bool:
    # a first page has none before it, and no token that could be ignored
    return "pageToken" in parameters or kind in ("loop_tokens", "empty_page")
