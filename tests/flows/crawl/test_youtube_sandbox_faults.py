"""The sandbox counts what it is asked, keeps its quota, and spoils what it is told to spoil."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import httpx
import pytest

from tests.youtube_sandbox import Fault, Sandbox, SandboxSettings, Storm, random_world, serve
from tests.youtube_sandbox.asking import (
    CLIENT,
    PLAYLIST,
    VIDEO,
    Json,
    all_comments,
    ask,
    asked,
    error_of,
    ids_of,
    recorded_world,
)
from tests.youtube_sandbox.errors import REFUSALS


@pytest.mark.parametrize(("status", "reason"), [(429, "rateLimitExceeded"), (403, "quotaExceeded")])
def test_searches_and_units_are_counted_apart_and_refused_when_the_day_is_spent(
    status: Literal[403, 429], reason: str
) -> None:
    settings = SandboxSettings(keys=("k1", "k2"), searches_per_day=2, units_per_day=3, daily_search_answer=status)
    with serve(recorded_world(), settings) as sandbox:
        answers = [ask(sandbox, "search", {"part": "snippet"}) for _ in range(3)]
        assert [answer for answer, _ in answers] == [200, 200, status]
        assert error_of(answers[2][1]) == reason
        assert [ask(sandbox, "videos", {"part": "id", "id": VIDEO})[0] for _ in range(4)] == [200, 200, 200, 403]
        assert ask(sandbox, "search", {"part": "snippet"}, key="k2")[0] == 200
        assert sandbox.counts == {"k1": {"searches": 3, "units": 4}, "k2": {"searches": 1, "units": 0}}
        sandbox.new_day()
        assert sandbox.today["k1"] == {"searches": 0, "units": 0}
        assert ask(sandbox, "search", {"part": "snippet"})[0] == 200
        assert sandbox.counts["k1"] == {"searches": 4, "units": 4}


def test_a_key_may_come_by_header_or_parameter_and_an_unknown_one_is_refused() -> None:
    with serve(recorded_world()) as sandbox:
        parameters = {"part": "id", "id": VIDEO}
        assert ask(sandbox, "videos", parameters)[0] == 200
        assert ask(sandbox, "videos", {**parameters, "key": "k1"}, key="")[0] == 200
        status, body = ask(sandbox, "videos", parameters, key="a-wrong-key")
        assert (status, body["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
        assert ask(sandbox, "videos", parameters, key="")[0] == 403
        assert [key for _, _, key in sandbox.requests] == ["k1", "k1", "a-wrong-key", ""]
        assert sandbox.requests[1][:2] == ("/youtube/v3/videos", {**parameters, "key": "k1"})
        assert sandbox.counts["a-wrong-key"] == {"searches": 0, "units": 1}


def test_latency_holds_up_nobody_else_and_requests_in_flight_are_seen() -> None:
    with serve(recorded_world(), SandboxSettings(latency_s=0.5)) as sandbox, ThreadPoolExecutor(8) as threads:
        start = time.perf_counter()
        list(threads.map(lambda _: asked(sandbox, "videos", id=VIDEO), range(8)))
        assert time.perf_counter() - start >= 0.5
        assert sandbox.max_in_flight == 8


def test_one_connection_serves_many_calls_and_compresses_only_when_asked() -> None:
    world = random_world(1, videos=1, comments_per_video=100, replies=False)
    (video_id,) = world.videos
    with serve(world) as sandbox:
        path = f"/youtube/v3/commentThreads?part=snippet&maxResults=100&videoId={video_id}"
        connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
        bodies = []
        for encoding in ("identity", "gzip, deflate", "identity"):
            connection.request("GET", path, headers={"X-Goog-Api-Key": "k1", "Accept-Encoding": encoding})
            own = connection.sock
            answer = connection.getresponse()
            assert answer.headers.get("Content-Encoding") == ("gzip" if "gzip" in encoding else None)
            bodies.append(answer.read())
            assert connection.sock is own, "it hung up"
        connection.close()
        assert bodies[0] == gzip.decompress(bodies[1]) == bodies[2]


def test_pages_can_be_rendered_before_they_are_asked_for() -> None:
    world = random_world(1, videos=3, comments_per_video=250, replies=False)
    with serve(world) as sandbox:
        assert sandbox.prepare(zipped=False) == 9
        for video_id in world.videos:
            assert set(all_comments(sandbox, video_id)) == world.api_comments(video_id)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *((kind, httpx.RemoteProtocolError) for kind in ("drop_before_headers", "drop_after_headers")),
        *((kind, json.JSONDecodeError) for kind in ("truncated_json", "empty_body", "not_json")),
    ],
)
def test_an_answer_can_be_dropped_or_be_no_json(kind: str, error: type[Exception]) -> None:
    with serve(recorded_world()) as sandbox:
        sandbox.faults.add(Fault(kind, "videos"))
        with pytest.raises(error):
            ask(sandbox, "videos", {"part": "snippet", "id": VIDEO})
        assert asked(sandbox, "videos", id=VIDEO)
        assert sandbox.counts["k1"]["units"] == 2


@pytest.mark.parametrize("kind", [*REFUSALS, "http_502"])
def test_every_refusal_can_be_asked_for(kind: str) -> None:
    with serve(recorded_world()) as sandbox:
        sandbox.faults.add(Fault(kind, retry_after_s=7))
        answer = CLIENT.get(f"{sandbox.url}/youtube/v3/videos")
        assert answer.status_code == (502 if kind == "http_502" else REFUSALS[kind][0])
        assert answer.headers["Retry-After"] == "7"


def second_page(sandbox: Sandbox, kind: str) -> tuple[Json, Json, Json]:
    """The first page of ten threads, what comes for the second one with a fault, and the true second one."""
    first = asked(sandbox, "commentThreads", videoId=VIDEO, maxResults=4)
    sandbox.faults.add(Fault(kind, "commentThreads"))
    wanted = {"videoId": VIDEO, "maxResults": 4, "pageToken": first["nextPageToken"]}
    return first, asked(sandbox, "commentThreads", **wanted), asked(sandbox, "commentThreads", **wanted)


@pytest.mark.parametrize("kind", ["repeat_page", "empty_page"])
def test_a_page_can_be_repeated_or_empty_and_lead_to_the_right_one(kind: str) -> None:
    with serve(recorded_world()) as sandbox:
        first, spoiled, true = second_page(sandbox, kind)
        assert spoiled["items"] == (first["items"] if kind == "repeat_page" else [])
        assert spoiled["nextPageToken"] != first["nextPageToken"]
        after = asked(sandbox, "commentThreads", videoId=VIDEO, maxResults=4, pageToken=spoiled["nextPageToken"])
        assert ids_of(after["items"]) == ids_of(true["items"])


def test_a_token_can_lead_to_itself_or_be_passed_over() -> None:
    with serve(recorded_world()) as sandbox:
        first, looping, true = second_page(sandbox, "loop_tokens")
        assert looping["items"] == true["items"]
        assert looping["nextPageToken"] == first["nextPageToken"]
        first, ignoring, _ = second_page(sandbox, "ignore_token")
        assert ignoring == first


def test_a_fault_meets_the_requests_that_it_is_meant_for_as_often_as_it_should() -> None:
    with serve(recorded_world()) as sandbox:
        sandbox.faults.add(
            Fault("http_500", "videos", {"id": VIDEO}, times=2, after=1),
            Fault("http_503", "videos", lambda parameters: "statistics" in parameters["part"], times=None),
            Fault("invalid_token", "playlistItems", {"pageToken": None}),
        )
        parameters = {"part": "id", "id": VIDEO}
        assert [ask(sandbox, "videos", parameters)[0] for _ in range(4)] == [200, 500, 500, 200]
        assert [ask(sandbox, "videos", {**parameters, "part": "statistics"})[0] for _ in range(2)] == [503, 503]
        assert ask(sandbox, "playlistItems", {"part": "id", "playlistId": PLAYLIST})[0] == 400
        assert [fault.kind for fault in sandbox.faults.waiting if isinstance(fault, Fault)] == ["http_503"]
        assert [kind for kind, _, _ in sandbox.faults.given] == ["http_500"] * 2 + ["http_503"] * 2 + ["invalid_token"]
        sandbox.faults.clear()
        assert ask(sandbox, "videos", {**parameters, "part": "statistics"})[0] == 200


def test_a_fault_for_seven_requests_meets_seven_of_many_at_once() -> None:
    with serve(recorded_world()) as sandbox, ThreadPoolExecutor(16) as threads:
        sandbox.faults.add(Fault("http_500", times=7))
        statuses = list(threads.map(lambda _: ask(sandbox, "videos", {"part": "id", "id": VIDEO})[0], range(64)))
        assert statuses.count(500) == 7
        assert statuses.count(200) == 57
        assert sandbox.counts["k1"]["units"] == len(sandbox.requests) == 64


def test_a_storm_is_the_same_for_the_same_seed_in_whatever_order_requests_come() -> None:
    def faults(seed: int, order: list[int]) -> dict[int, int]:
        with serve(recorded_world()) as sandbox:
            sandbox.faults.add(Storm(seed, 0.5, kinds=("http_500", "rate_limited_403")))
            return {n: ask(sandbox, "videos", {"part": "id", "id": f"video{n:06d}"})[0] for n in order}

    forwards, backwards = faults(1, list(range(40))), faults(1, list(reversed(range(40))))
    assert forwards == backwards
    assert 8 < sum(status != 200 for status in forwards.values()) < 32
    assert forwards != faults(2, list(range(40)))


def test_a_storm_leaves_a_request_alone_after_so_many_faults() -> None:
    with serve(recorded_world()) as sandbox:
        sandbox.faults.add(Storm(1, 1.0, kinds=("http_503",), at_most=3))
        statuses = [ask(sandbox, "videos", {"part": "id", "id": VIDEO})[0] for _ in range(5)]
        assert statuses == [503, 503, 503, 200, 200]


def test_a_sandbox_starts_and_stops_at_once_even_while_somebody_waits_for_it() -> None:
    world = recorded_world()
    start = time.perf_counter()
    for _ in range(20):
        with serve(world):
            pass
    assert time.perf_counter() - start < 8, "a server that looks for its end twice a second takes ten"
    with ThreadPoolExecutor(1) as threads:
        with serve(world, SandboxSettings(latency_s=30)) as sandbox:
            waiting = threads.submit(ask, sandbox, "videos", {"part": "id", "id": VIDEO})
            while not sandbox.requests:
                time.sleep(0.001)
            start = time.perf_counter()
        assert time.perf_counter() - start < 20
        with pytest.raises(httpx.RemoteProtocolError):
            waiting.result()


def test_a_failure_of_the_sandbox_itself_fails_the_test_that_uses_it() -> None:
    world = recorded_world()
    world.videos[VIDEO].published_at = None  # type: ignore[assignment]
    dropped = pytest.raises(httpx.RemoteProtocolError)
    with pytest.raises(RuntimeError, match="could not answer"), serve(world) as sandbox, dropped:
        ask(sandbox, "videos", {"part": "snippet", "id": VIDEO})
