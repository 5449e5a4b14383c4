"""Whatever goes wrong on the way: at the end no comment is lost, none is twice, and the ledger is the server's."""

from __future__ import annotations

import logging
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_catalog.catalog import Catalog
from flows.crawl.data_api.quota import Ledger
from flows.crawl.steps import Crawl
from tests.flows.crawl.clocked_crawl import crawl_by, nothing, put_ads, settings_for
from tests.youtube_sandbox import Fault, Sandbox, SandboxSettings, Storm, random_world, serve
from tests.youtube_sandbox.faults import STORM

KEYS = ("k1-of-the-sandbox-0000000000", "k2-of-the-sandbox-0000000000")
MORNING = datetime(2026, 11, 24, 12, tzinfo=UTC)
PASSING = sorted(
    {*STORM, "loop_tokens", "empty_page", "quota_403", "quota_429", "invalid_token", "http_502", "http_403", "http_418"}
)
FINAL = {
    "comments_disabled": "comments_disabled",
    "video_not_found": "video_not_found",
    "forbidden": "members_only",
}


@dataclass
class Days:
    """The clock of ledger and crawl."""

    now: datetime = MORNING

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_over(self, sandbox: Sandbox) -> None:
        self.now = (self.now + timedelta(days=1)).replace(hour=12, minute=0)
        sandbox.new_day()


def crawling(
    folder: Path, sandbox: Sandbox, days: Days, *, units: int, connections: int, keys: int
) -> AbstractContextManager[Crawl]:
    crawl = {"api_key": None, "api_keys": KEYS[:keys], "connections": connections, "quota": {"units_per_day": units}}
    return crawl_by(days, Catalog(folder), settings_for(sandbox, crawl, max_attempts=50))


def ledger_is_the_servers(folder: Path, days: Days, sandbox: Sandbox, keys: int) -> None:
    ledger = Ledger(folder / "quota.sqlite", limits={}, now=days)
    for key in KEYS[:keys]:
        for budget in ("searches", "units"):
            assert ledger.spent(key, budget) == sandbox.today[key][budget]
    ledger.close()


storms = st.builds(
    Storm,
    seed=st.integers(0, 1000),
    probability=st.floats(0.0, 0.4),
    kinds=st.lists(st.sampled_from(PASSING), min_size=1, max_size=6, unique=True).map(tuple),
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    seed=st.integers(0, 10_000),
    videos=st.integers(1, 6),
    comments=st.tuples(st.integers(0, 60), st.integers(60, 330)),
    units=st.integers(6, 60),
    connections=st.integers(1, 4),
    keys=st.integers(1, 2),
    storm=storms,
    final=st.dictionaries(st.integers(0, 5), st.sampled_from(sorted(FINAL)), max_size=2),
)
def test_no_comment_is_lost_none_is_twice_and_the_ledger_equals_what_the_server_counted(
    caplog: pytest.LogCaptureFixture,
    seed: int,
    videos: int,
    comments: tuple[int, int],
    units: int,
    connections: int,
    keys: int,
    storm: Storm,
    final: dict[int, str],
) -> None:
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    world = random_world(seed, videos=videos, comments_per_video=comments)
    quota = SandboxSettings(keys=KEYS[:keys], units_per_day=units)
    days = Days()
    with serve(world, quota) as sandbox, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        catalog = Catalog(folder)
        put_ads(catalog, sandbox.world)
        ids = list(world.videos)
        doomed = {ids[at]: kind for at, kind in final.items() if at < len(ids)}
        for video_id, kind in doomed.items():
            sandbox.faults.add(Fault(kind, "commentThreads", {"videoId": video_id}, times=None))
        sandbox.faults.add(storm)
        for day in range(400):
            if day == 25:
                storm.probability = 0.0  # a storm passes; what it left undone is then done
            with crawling(folder, sandbox, days, units=units, connections=connections, keys=keys) as crawl:
                crawl.read_comments(nothing)
                ledger_is_the_servers(folder, days, sandbox, keys)
                crawl.remove_unusable()
            if not crawl.pauses and set(catalog.values("ads", "video_id")) <= read_to_the_end(catalog):
                break
            days.pass_over(sandbox)
        else:
            pytest.fail("four hundred days were not enough")
        assert sandbox.max_in_flight <= connections
        for video_id in ids:
            held = catalog.values("comments", "comment_id", where=f"video_id = '{video_id}'")
            assert len(held) == len(set(held))
            if video_id in doomed:
                [drop] = catalog.read("drops", where=f"stage = 'comment_pages' AND key = '{video_id}'").to_pylist()
                assert (drop["kind"], drop["reason"]) == ("filtered", FINAL[doomed[video_id]])
                assert held == []
            else:
                assert set(held) == world.api_comments(video_id)
        parents = {c["comment_id"]: c["parent_id"] for c in catalog.read("comments").to_pylist()}
        assert all(parent is None or id_.startswith(f"{parent}.") for id_, parent in parents.items())
        assert not any(key in record.getMessage() for record in caplog.records for key in KEYS)


def read_to_the_end(catalog: Catalog) -> set[str]:
    return set(catalog.values("comment_fetches", "video_id", where="state = 'complete'"))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    changes=st.lists(st.tuples(st.sampled_from(["add", "delete"]), st.integers(0, 10**6)), max_size=25),
    units=st.integers(4, 40),
)
# the day ends in the middle of an ad's first page, when some of its threads have all their replies
@example(seed=1, changes=[], units=5)
def test_after_a_reading_anew_the_table_is_what_the_world_is_now(
    seed: int, changes: list[tuple[str, int]], units: int
) -> None:
    world = random_world(seed, videos=3, comments_per_video=(0, 150))
    other = random_world(seed + 1, videos=1, comments_per_video=40, replies=False)
    fresh = [comment for video in other.videos.values() for comment in video.threads]
    days = Days()
    with (
        serve(world, SandboxSettings(keys=KEYS[:1], units_per_day=units)) as sandbox,
        tempfile.TemporaryDirectory() as place,
    ):
        folder, catalog = Path(place), Catalog(place)
        put_ads(catalog, sandbox.world)
        for anew in (False, True):
            older_than = days.now if anew else None
            for _ in range(100):
                with crawling(folder, sandbox, days, units=units, connections=2, keys=1) as crawl:
                    crawl.read_comments(nothing, older_than)
                if not crawl.pauses:
                    break
                days.pass_over(sandbox)
            assert held_is_the_world(catalog, sandbox)
            for kind, which in changes if not anew else ():
                ids = sorted(id_ for video in world.videos for id_ in world.api_comments(video))
                if kind == "delete" and ids:
                    world.delete_comment(ids[which % len(ids)])
                elif kind == "add" and fresh:
                    world.add_comment(list(world.videos)[which % 3], fresh.pop())


def held_is_the_world(catalog: Catalog, sandbox: Sandbox) -> bool:
    held = sorted(catalog.values("comments", "comment_id"))
    return held == sorted(id_ for video in sandbox.world.videos for id_ in sandbox.world.api_comments(video))


@pytest.mark.parametrize(
    ("kind", "ended_by"),
    [("repeat_page", "looping_token"), ("loop_tokens", "looping_token"), ("ignore_token", "last_page")],
)
def test_pages_that_lead_in_a_circle_for_ever_end_in_a_few_calls_and_say_so(
    tmp_path: Path, kind: str, ended_by: str
) -> None:
    world = random_world(1, videos=1, comments_per_video=450, replies=False)
    with serve(world, SandboxSettings(keys=KEYS[:1])) as sandbox:
        sandbox.faults.add(Fault(kind, "commentThreads", times=None))
        catalog = Catalog(tmp_path)
        put_ads(catalog, sandbox.world)
        with crawling(tmp_path, sandbox, Days(), units=1000, connections=2, keys=1) as crawl:
            crawl.read_comments(nothing)
        [fetch] = catalog.read("comment_fetches").to_pylist()
        assert fetch["state"] == "complete"
        assert fetch["ended_by"] in (ended_by, "looping_token", "repeating_pages")
        assert sandbox.today[KEYS[0]]["units"] <= 20
        assert catalog.count("comments") >= 100, "what could be read is kept"


def test_a_thread_deleted_while_it_is_read_costs_the_ad_nothing_else(tmp_path: Path) -> None:
    world = random_world(1, videos=1, comments_per_video=300)
    [video_id] = world.videos
    with serve(world, SandboxSettings(keys=KEYS[:1])) as sandbox:
        sandbox.faults.add(Fault("comment_not_found", "/comments"))
        catalog = Catalog(tmp_path)
        put_ads(catalog, sandbox.world)
        with crawling(tmp_path, sandbox, Days(), units=1000, connections=1, keys=1) as crawl:
            crawl.read_comments(nothing)
        [(_, _, asked)] = sandbox.faults.given
    missing = world.api_comments(video_id) - set(catalog.values("comments", "comment_id"))
    assert missing
    assert all(comment_id.startswith(f"{asked['parentId']}.") for comment_id in missing)
    [fetch] = catalog.read("comment_fetches").to_pylist()
    assert (fetch["state"], fetch["units"]) == ("complete", sandbox.today[KEYS[0]]["units"])
    assert catalog.count("drops") == 0
