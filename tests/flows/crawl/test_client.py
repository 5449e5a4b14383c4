"""The client of the Data API: each call booked before it leaves, each fault cured or told, no key in any text."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.crawl.data_api.client import FIELDS, YouTube
from flows.crawl.data_api.faults import FaultError
from flows.crawl.data_api.quota import Budget, Ledger, key_name, next_reset
from flows.errors import ApiUnreachableError, CrawlError, KeyRefusedError, QuotaExhaustedError
from flows.settings.crawl import CrawlSettings
from tests.flows.crawl.scripted_server import (
    HANG_UP,
    Raw,
    Request,
    Script,
    ScriptedServer,
    answer,
    error,
    scripted,
)
from tests.youtube_sandbox.builders import random_world
from tests.youtube_sandbox.description import Fields, fields_of
from tests.youtube_sandbox.faults import STORM, Fault, Storm
from tests.youtube_sandbox.server import Sandbox, SandboxSettings, serve

KEY = "AIzaSyD-0123456789abcdefghijklmnopqrstu"
OTHER = "AIzaSyE-0123456789abcdefghijklmnopqrstu"
NOON = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
FOUND = answer({"items": [{"id": "abc"}]})
SEARCHES_SPENT = error(
    429, "rateLimitExceeded", "Quota exceeded for quota metric 'Search Queries' and limit 'Search Queries per day'."
)
DAY_SPENT = error(403, "quotaExceeded", "You have exceeded your quota.", domain="youtube.quota")
KEY_INVALID = error(400, "keyInvalid", "Bad Request", domain="usageLimits")
SLOW_DOWN = error(403, "rateLimitExceeded", "Rate Limit Exceeded", domain="usageLimits")


@dataclass
class Setup:
    """A client of one server, its ledger, and the waits that it would have made."""

    youtube: YouTube
    ledger: Ledger
    waits: list[float] = field(default_factory=list)

    def spent(self, key: str = KEY) -> tuple[int, int]:
        return self.ledger.spent(key, "searches"), self.ledger.spent(key, "units")


@contextmanager
def clients_of(
    url: str,
    folder: Path,
    *,
    keys: tuple[str, ...] = (KEY,),
    searches: int = 100,
    units: int = 10_000,
    waiting: bool = False,
    now: Callable[[], datetime] = lambda: NOON,
    **crawl: Any,
) -> Iterator[Setup]:
    limits: dict[Budget, int] = {"searches": searches, "units": units}
    ledger = Ledger(folder / "quota.sqlite", limits=limits, now=now)
    crawl_settings = CrawlSettings.model_validate({"endpoint": url, "api_keys": keys, "timeout_s": 5} | crawl)
    waits: list[float] = []
    youtube = YouTube(crawl_settings, ledger, sleep=None if waiting else waits.append, seed=1)
    try:
        yield Setup(youtube, ledger, waits)
    finally:
        youtube.close()
        ledger.close()


@contextmanager
def asking(folder: Path, *script: Script, **options: Any) -> Iterator[tuple[Setup, ScriptedServer]]:
    with scripted(*script) as server, clients_of(server.url, folder, **options) as setup:
        yield setup, server


@contextmanager
def in_sandbox(folder: Path, sandbox: SandboxSettings | None = None, **options: Any) -> Iterator[tuple[Setup, Sandbox]]:
    options = {"keys": ("k1",)} | options
    world = random_world(1, videos=8, comments_per_video=500)
    with serve(world, sandbox) as served, clients_of(served.url, folder, **options) as setup:
        yield setup, served


def test_every_list_is_asked_for_by_its_own_parameters(tmp_path: Path) -> None:
    with asking(tmp_path, answer({})) as (setup, server):
        setup.youtube.search(q="soft drink", publishedAfter="2020-01-01T00:00:00Z", pageToken=None, order="date")
        setup.youtube.videos(["a" * 11, "b" * 11], "snippet,contentDetails,statistics")
        setup.youtube.playlist_items("PL123")
        setup.youtube.playlist_items("PL123", "TOKEN")
        setup.youtube.channels(handle="@brand")
        setup.youtube.channels(channel_id="UC123")
        setup.youtube.comment_threads("a" * 11, replies=True)
        setup.youtube.comment_threads("a" * 11, "T=1&x", replies=False)
        setup.youtube.replies("Ugx.1", "TOKEN")
    asked = [(request.path.removeprefix("/youtube/v3/"), request.parameters) for request in server.requests]
    for _, parameters in asked:
        assert parameters.pop("alt") == "json"
        assert parameters.pop("fields")
    threads = {"videoId": "a" * 11, "order": "time", "maxResults": "100", "textFormat": "plainText"}
    playlist = {"playlistId": "PL123", "part": "contentDetails", "maxResults": "50"}
    assert asked == [
        (
            "search",
            {
                "part": "id",
                "type": "video",
                "maxResults": "50",
                "q": "soft drink",
                "publishedAfter": "2020-01-01T00:00:00Z",
                "order": "date",
            },
        ),
        ("videos", {"part": "snippet,contentDetails,statistics", "id": "a" * 11 + "," + "b" * 11}),
        ("playlistItems", playlist),
        ("playlistItems", playlist | {"pageToken": "TOKEN"}),
        ("channels", {"part": "contentDetails", "forHandle": "@brand"}),
        ("channels", {"part": "contentDetails", "id": "UC123"}),
        ("commentThreads", threads | {"part": "snippet,replies"}),
        ("commentThreads", threads | {"part": "snippet", "pageToken": "T=1&x"}),
        (
            "comments",
            {
                "part": "snippet",
                "parentId": "Ugx.1",
                "maxResults": "100",
                "textFormat": "plainText",
                "pageToken": "TOKEN",
            },
        ),
    ]
    assert {request.headers["x-goog-api-key"] for request in server.requests} == {KEY}
    assert not any(KEY in request.line for request in server.requests)


def test_the_fields_asked_for_exist_and_tell_of_no_person(tmp_path: Path) -> None:
    with asking(tmp_path, answer({})) as (setup, server):
        setup.youtube.videos(["a" * 11], "id,snippet,contentDetails,statistics,status,paidProductPlacementDetails")
    masks = [(resource.split()[0], mask) for resource, mask in FIELDS.items()]
    for resource, mask in [*masks, ("videos", server.requests[0].parameters["fields"])]:
        names = names_in(fields_of(resource, mask))  # refuses what Google's own description does not have
        assert {"nextPageToken", "items", "id"} <= names
        assert not names & {"authorDisplayName", "authorProfileImageUrl", "authorChannelUrl", "channelTitle"}


def names_in(fields: Fields) -> set[str]:
    return set(fields).union(*map(names_in, fields.values()))


@pytest.mark.parametrize("ids", [[], ["a" * 11] * 51])
def test_more_ids_than_a_call_takes_are_refused_before_anything_is_spent(tmp_path: Path, ids: list[str]) -> None:
    with asking(tmp_path, FOUND) as (setup, server):
        with pytest.raises(ValueError, match=r"takes 1 to 50"):
            setup.youtube.videos(ids, "snippet")
        with pytest.raises(ValueError, match="one of the two"):
            setup.youtube.channels()
        assert setup.spent() == (0, 0)
    assert not server.requests


def test_a_call_is_booked_before_it_is_sent(tmp_path: Path) -> None:
    booked: list[tuple[int, int]] = []

    def look(_: Request) -> Raw:
        other = Ledger(tmp_path / "quota.sqlite", limits={"searches": 1, "units": 1}, now=lambda: NOON)
        booked.append((other.spent(KEY, "searches"), other.spent(KEY, "units")))
        other.close()
        return FOUND

    with asking(tmp_path, look) as (setup, _):
        setup.youtube.search(q="x")
        setup.youtube.videos(["a" * 11], "id")
    assert booked == [(1, 0), (1, 1)]


def test_no_request_leaves_when_the_day_is_spent(tmp_path: Path) -> None:
    with asking(tmp_path, FOUND, units=2, searches=0) as (setup, server):
        for _ in range(2):
            setup.youtube.videos(["a" * 11], "id")
        for _ in range(3):
            with pytest.raises(QuotaExhaustedError, match=f"units of key {key_name(KEY)} are spent") as raised:
                setup.youtube.videos(["a" * 11], "id")
        with pytest.raises(QuotaExhaustedError, match="searches"):
            setup.youtube.search(q="x")
        assert setup.spent() == (0, 2)
    assert len(server.requests) == 2
    assert raised.value.resumes_at == next_reset(NOON)


def test_keys_are_used_in_order_each_until_its_day_is_spent(tmp_path: Path) -> None:
    with asking(tmp_path, FOUND, keys=(KEY, OTHER), units=2) as (setup, server):
        for _ in range(4):
            setup.youtube.videos(["a" * 11], "id")
        with pytest.raises(QuotaExhaustedError, match="units of all 2 keys are spent"):
            setup.youtube.videos(["a" * 11], "id")
    assert [request.key for request in server.requests] == [KEY, KEY, OTHER, OTHER]


@pytest.mark.parametrize("spent", [SEARCHES_SPENT, DAY_SPENT])
def test_a_server_that_calls_the_searches_spent_is_believed_and_the_next_key_goes_on(
    tmp_path: Path, spent: Raw
) -> None:
    with asking(tmp_path, spent, FOUND, keys=(KEY, OTHER)) as (setup, server):
        setup.youtube.search(q="x")
        setup.youtube.search(q="y")
        setup.youtube.videos(["a" * 11], "id")
        assert setup.ledger.left(KEY, "searches") == 0
        assert setup.ledger.left(KEY, "units") == 9_999
    assert [request.key for request in server.requests] == [KEY, OTHER, OTHER, KEY]
    assert setup.waits == []


def test_a_day_that_the_server_calls_spent_is_asked_about_once_in_all_runs(tmp_path: Path) -> None:
    with asking(tmp_path, DAY_SPENT) as (setup, server):
        for _ in range(3):
            with pytest.raises(QuotaExhaustedError):
                setup.youtube.comment_threads("a" * 11, replies=True)
        with clients_of(server.url, tmp_path) as later, pytest.raises(QuotaExhaustedError):
            later.youtube.comment_threads("a" * 11, replies=True)
    assert len(server.requests) == 1


def test_a_message_about_searches_ends_the_searches_whatever_was_asked_and_nothing_is_asked_twice(
    tmp_path: Path,
) -> None:
    with asking(tmp_path, SEARCHES_SPENT) as (setup, server):
        with pytest.raises(QuotaExhaustedError):
            setup.youtube.videos(["a" * 11], "id")
        with pytest.raises(QuotaExhaustedError):
            setup.youtube.search(q="x")
    assert len(server.requests) == 1


def test_a_refused_key_gives_way_to_the_next_for_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with asking(tmp_path, KEY_INVALID, FOUND, keys=(KEY, OTHER)) as (setup, server):
        setup.youtube.videos(["a" * 11], "id")
        setup.youtube.search(q="x")
    assert [request.key for request in server.requests] == [KEY, OTHER, OTHER]
    (warning,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert key_name(KEY) in warning
    assert KEY not in warning


def test_when_all_keys_are_refused_it_says_why_and_what_to_do(tmp_path: Path) -> None:
    with asking(tmp_path, KEY_INVALID, keys=(KEY, OTHER)) as (setup, server):
        for _ in range(2):
            with pytest.raises(KeyRefusedError, match=rf"{key_name(OTHER)}: Bad Request.*enabled") as raised:
                setup.youtube.videos(["a" * 11], "id")
    assert len(server.requests) == 2
    assert KEY not in str(raised.value)


def test_a_refused_key_beside_a_spent_one_means_waiting_for_tomorrow(tmp_path: Path) -> None:
    with asking(tmp_path, KEY_INVALID, DAY_SPENT, keys=(KEY, OTHER)) as (setup, _), pytest.raises(QuotaExhaustedError):
        setup.youtube.videos(["a" * 11], "id")


def test_no_key_at_all_is_told_with_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(CrawlError, match=r"console\.cloud\.google\.com.*YTB_ADS__CRAWL__API_KEY"):
        YouTube(CrawlSettings(), Ledger(tmp_path / "quota.sqlite", limits={"searches": 1, "units": 1}))


@pytest.mark.parametrize("damaged", [f"{KEY}\n", f" {KEY}", f"{KEY}é", f"{KEY}\r\nX-Evil: 1", "with blank"])
def test_a_damaged_key_is_refused_without_being_named(tmp_path: Path, damaged: str) -> None:
    with (
        pytest.raises(CrawlError, match="key 2 of 2 has a blank") as raised,
        clients_of("http://127.0.0.1:1", tmp_path, keys=(OTHER, damaged)),
    ):
        pass
    assert damaged.strip() not in str(raised.value)


CURABLE = {
    "dropped": HANG_UP,
    "cut json": answer(b'{"items": ['),
    "500": error(500, "backendError"),
    "rate": SLOW_DOWN,
    "aborted": error(409, "aborted", domain="global"),
    "unknown": error(403, "neverHeardOf"),
    "redirect": answer({}, 302, Location="https://elsewhere.example/"),
}
"""One of each way in which an answer fails; test_faults.py has the rest."""


@pytest.mark.parametrize("fault", CURABLE.values(), ids=CURABLE)
def test_a_passing_fault_is_waited_out(tmp_path: Path, fault: Raw) -> None:
    with asking(tmp_path, fault, fault, FOUND) as (setup, server):
        assert setup.youtube.videos(["a" * 11], "id") == {"items": [{"id": "abc"}]}
        assert setup.spent() == (0, 3) == (0, len(server.requests))
    assert len(setup.waits) == 2


def test_waits_grow_with_full_jitter_up_to_a_minute_and_end_with_the_true_reason(tmp_path: Path) -> None:
    with asking(tmp_path, error(503, "backendError", "Down."), attempts=12, backoff_s=1.0) as (setup, server):
        call = r"commentThreads\.list of videoId a{11}: server_error \(Down\.\)"
        with pytest.raises(FaultError, match=call) as raised:
            setup.youtube.comment_threads("a" * 11, replies=True)
        first = list(setup.waits)
        with pytest.raises(FaultError):
            setup.youtube.comment_threads("a" * 11, replies=True)
    assert raised.value.fault.kind == "transient"
    assert len(server.requests) == 24
    assert len(first) == 11
    assert all(0 <= wait <= min(60, 2**number) for number, wait in enumerate(first))
    assert max(first) > 8
    assert setup.waits[11:] != first


def test_threads_do_not_wait_in_step_and_a_seed_repeats_the_waits(tmp_path: Path) -> None:
    def waits_of_two_threads(folder: Path) -> list[list[float]]:
        with asking(folder, SLOW_DOWN, attempts=5) as (setup, _):
            waits = []
            for _ in range(2):
                with ThreadPoolExecutor(1) as thread, contextlib.suppress(FaultError):
                    thread.submit(lambda: setup.youtube.videos(["a" * 11], "id")).result()
                waits.append(list(setup.waits))
                setup.waits.clear()
        return waits

    first, second = waits_of_two_threads(tmp_path / "a")
    assert len(first) == len(second) == 4
    assert first != second
    assert waits_of_two_threads(tmp_path / "b") == [first, second]


@pytest.mark.parametrize(
    ("reply", "attempts", "fault", "calls"),
    [
        (error(403, "commentsDisabled"), 6, ("terminal", "comments_disabled"), 1),
        (error(400, "invalidPageToken"), 6, ("transient", "page_token"), 1),
        (error(429, "rateLimitExceeded", Retry_After="601"), 6, ("transient", "rate_limited"), 1),
        (error(403, "neverHeardOf"), 6, ("transient", "http_403"), 6),
        *((error(400, "processingFailure"), n, ("transient", "processing_failure"), min(2, n)) for n in (1, 2, 6)),
    ],
)
def test_a_fault_gets_the_attempts_that_it_deserves(
    tmp_path: Path, reply: Raw, attempts: int, fault: tuple[str, str], calls: int
) -> None:
    with asking(tmp_path, reply, attempts=attempts) as (setup, server), pytest.raises(FaultError) as raised:
        setup.youtube.comment_threads("a" * 11, "TOKEN", replies=True)
    assert (raised.value.fault.kind, raised.value.fault.reason) == fault
    assert (len(server.requests), len(setup.waits)) == (calls, calls - 1)


def test_the_wait_that_the_server_asks_for_is_kept(tmp_path: Path) -> None:
    patient = error(503, "backendError", Retry_After="90")
    soon = error(503, "backendError", Retry_After="0")
    with asking(tmp_path, patient, soon, FOUND) as (setup, _):
        setup.youtube.videos(["a" * 11], "id")
    assert setup.waits[0] == 90
    assert setup.waits[1] <= 2


def test_calls_that_never_left_cost_nothing(tmp_path: Path) -> None:
    with scripted(FOUND) as gone:
        pass
    with clients_of(gone.url, tmp_path, attempts=3) as setup:
        with pytest.raises(ApiUnreachableError, match=r"no connection can be made .*refused.*run the same command"):
            setup.youtube.videos(["a" * 11], "id")
        assert setup.spent() == (0, 0)
    assert len(setup.waits) == 2


@pytest.mark.parametrize("connections", [1, 3])
def test_no_more_requests_are_in_flight_than_there_may_be(tmp_path: Path, connections: int) -> None:
    slow = Raw(FOUND.data, delay_s=0.02)
    with asking(tmp_path, slow, connections=connections) as (setup, server), ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: setup.youtube.videos(["a" * 11], "id"), range(24)))
    assert len(done) == 24
    assert server.max_in_flight == connections
    assert server.connections == connections


def test_a_thread_that_waits_keeps_no_connection_from_the_others(tmp_path: Path) -> None:
    def one_is_slow(request: Request) -> Raw:
        return SLOW_DOWN if request.parameters["id"] == "slow" else FOUND

    options = {"connections": 1, "waiting": True, "backoff_s": 50, "attempts": 5}
    with asking(tmp_path, one_is_slow, **options) as (setup, server), ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(lambda: setup.youtube.videos(["slow"], "id"))
        _until(lambda: server.requests)
        threads.submit(lambda: setup.youtube.videos(["fast"], "id")).result(timeout=5)
        assert not waiting.done()
        setup.youtube.close()
        with pytest.raises(FaultError, match="rate_limited"):
            waiting.result(timeout=5)
    assert len(server.requests) == 2


def test_whoever_finds_the_day_spent_ends_the_waits_of_the_others(tmp_path: Path) -> None:
    def two_budgets(request: Request) -> Raw:
        return SLOW_DOWN if request.parameters.get("id") != "last" else FOUND

    options = {"units": 4, "waiting": True, "backoff_s": 50, "attempts": 5}
    with asking(tmp_path, two_budgets, **options) as (setup, server), ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(lambda: setup.youtube.videos(["slow"], "id")) for _ in range(3)]
        searching = threads.submit(lambda: setup.youtube.search(q="x"))
        _until(lambda: len(server.requests) == 4)
        setup.youtube.videos(["last"], "id")
        begun = time.monotonic()
        with pytest.raises(QuotaExhaustedError):
            setup.youtube.videos(["last"], "id")
        for thread in waiting:
            with pytest.raises(QuotaExhaustedError):
                thread.result(timeout=5)
        assert time.monotonic() - begun < 5
        assert not searching.done()
        assert len(server.requests) == 5
        setup.youtube.close()
        with pytest.raises(FaultError):
            searching.result(timeout=5)


@pytest.mark.parametrize("refusal", [DAY_SPENT, KEY_INVALID])
def test_what_waits_for_its_turn_is_not_sent_once_its_key_is_turned_away(tmp_path: Path, refusal: Raw) -> None:
    slow = Raw(refusal.data, delay_s=0.2)
    with asking(tmp_path, slow, connections=1) as (setup, server), ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(lambda: setup.youtube.videos(["a" * 11], "id")) for _ in range(8)]
        assert all(isinstance(thread.exception(), QuotaExhaustedError | KeyRefusedError) for thread in asked)
        assert setup.spent() == (0, 1) == (0, len(server.requests))


def test_on_the_next_day_waits_are_kept_again(tmp_path: Path) -> None:
    now = [NOON]
    busy = error(503, "backendError", Retry_After="1")
    with asking(tmp_path, FOUND, busy, FOUND, units=2, waiting=True, attempts=2, now=lambda: now[0]) as (setup, _):
        setup.ledger.exhaust(KEY, "units")
        with pytest.raises(QuotaExhaustedError) as raised:
            setup.youtube.videos(["a" * 11], "id")
        now[0] = raised.value.resumes_at
        setup.youtube.search(q="x")
        begun = time.monotonic()
        setup.youtube.videos(["a" * 11], "id")
        assert time.monotonic() - begun > 0.9


def test_a_key_that_is_refused_to_two_threads_at_once_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both_here = threading.Barrier(2, timeout=5)

    def refuse_two(request: Request) -> Raw:
        if request.key == KEY:
            both_here.wait()
            return KEY_INVALID
        return FOUND

    with asking(tmp_path, refuse_two, keys=(KEY, OTHER)) as (setup, _), ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(lambda: setup.youtube.videos(["a" * 11], "id")) for _ in range(2)]
        assert [thread.result(timeout=5)["items"] for thread in asked]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def echo(status: int, shape: Callable[[str], Any]) -> Callable[[Request], Raw]:
    """An answer that repeats the key, as the API does for a suspended one."""
    return lambda request: answer(shape(request.key), status)


def in_message(key: str) -> Any:
    message = f"Permission denied: Consumer 'api_key:{key}' has been suspended."
    return {"error": {"code": 403, "message": message, "errors": [{"reason": "forbidden", "domain": "global"}]}}


def escaped(key: str) -> Any:
    plain = '{"error": {"code": 400, "message": "no %s", "errors": [{"reason": "%s"}]}}'
    hidden = "".join(f"\\u{ord(letter):04x}" for letter in key)
    return (plain % (hidden, hidden)).encode()


ECHOES = {
    "a suspended key": echo(403, in_message),
    "a reason": echo(400, lambda key: {"error": {"errors": [{"reason": key, "message": key}], "message": key}}),
    "escapes": echo(400, escaped),
    "a page": echo(502, lambda key: f"<html>key={key}".encode()),
    "no json": echo(200, lambda key: f"X-Goog-Api-Key: {key}".encode()),
    "a redirect": lambda request: answer(b"", 302, Location=f"https://elsewhere.example/?key={request.key}"),
    "a drop": HANG_UP,
    "a damaged header": lambda request: Raw(f"HTTP/1.1 200 OK\r\nEcho {request.key}\r\n".encode(), close=True),
    "a damaged status": lambda request: Raw(f"HTTP/1.1 {request.key}\r\n\r\n".encode(), close=True),
    "a damaged length": lambda request: Raw(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{request.key}\r\n".encode(), close=True
    ),
    "a spent day": echo(403, lambda key: {"error": {"errors": [{"reason": "quotaExceeded"}], "message": key}}),
}


@pytest.mark.parametrize("key", [KEY, "a-short-key", "shortkey"])
@pytest.mark.parametrize("echoed", ECHOES.values(), ids=ECHOES)
def test_the_key_is_in_no_text_whatever_the_server_echoes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, echoed: Script, key: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with asking(tmp_path, echoed, keys=(key, f"{key}2"), attempts=2) as (setup, _):
        with pytest.raises(CrawlError) as raised:
            setup.youtube.comment_threads("a" * 11, replies=True)
        held = [setup.youtube, setup.youtube._keys, setup.ledger]
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    texts = [caplog.text, *map(repr, held), *_texts_of(raised.value)]
    for library in ("httpcore", "googleapiclient"):
        assert any(record.name.startswith(library) for record in caplog.records)
    assert not [text for text in texts if key.lower() in text.lower()]
    assert key.encode() not in written
    assert raised.value.__cause__ is None


def _texts_of(error: BaseException) -> Iterator[str]:
    """Everything that a handler of an exception may print of it, and of those behind it."""
    yield "".join(traceback.format_exception(error))
    behind: BaseException | None = error
    while behind is not None:
        yield from (str(behind), repr(behind), repr(behind.args), repr(vars(behind)))
        behind = behind.__cause__ or behind.__context__


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    probability=st.floats(0, 0.5),
    kinds=st.lists(st.sampled_from([kind for kind in STORM if "page" not in kind and "token" not in kind]), min_size=1),
)
def test_whatever_goes_wrong_the_ledger_counts_what_the_server_counts(
    tmp_path_factory: pytest.TempPathFactory, seed: int, probability: float, kinds: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("storm")
    limits = SandboxSettings(keys=("k1", "k2"), searches_per_day=8, units_per_day=30)
    with in_sandbox(folder, limits, keys=("k1", "k2"), searches=8, units=30, attempts=4) as (setup, sandbox):
        sandbox.faults.add(Storm(seed, probability, tuple(kinds)), Fault("daily_limit_403", "videos", after=5))

        def ask(number: int) -> None:
            with contextlib.suppress(FaultError, QuotaExhaustedError):
                if number % 4 == 0:
                    setup.youtube.search(q=f"food commercial {number}")
                else:
                    setup.youtube.videos([f"video{number:06d}"], "id")

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(ask, range(60)))
        for key in ("k1", "k2"):
            received = sandbox.counts[key]
            assert setup.spent(key) == (received["searches"], received["units"])
            assert received["searches"] <= 8
            assert received["units"] <= 30


def _until(happened: Callable[[], object], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)
