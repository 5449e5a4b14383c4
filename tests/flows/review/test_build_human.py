"""From a build that waits for people to the release that the end of their round starts, on a real Prefect server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from annotation.events import Choice
from annotation.protocol import Rule
from annotation.rounds import RoundOptions
from annotation.store import Store
from annotation.store.round_store import Round
from data_catalog.catalog import Catalog
from data_catalog.releases import list_releases, newest_release, read_manifest
from flows.build_dataset import build_dataset, release_reviewed
from flows.release.flow import Release
from flows.review.flow import CLOSED, tell_closed
from flows.review.human import Waiting, review_store
from flows.settings import ReviewSettings
from tests.flows.ads import add_copy
from tests.flows.conftest import PATHS, QUICK_ENVIRONMENT, ROOT, Run
from tests.flows.review.people import close, judge
from tests.servers import ask

pytestmark = pytest.mark.slow

TWO = "[review]\nreviewers = 2\n"


@pytest.fixture(scope="module")
def config(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of the built catalog, with two reviewers."""
    file = tmp_path_factory.mktemp("two") / "two.toml"
    file.write_text(quick.read_text() + TWO)
    return file


@pytest.fixture(scope="module")
def waiting(
    seeded: Path, sample: Path, config: Path, ytb_ads: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A catalog without labels or releases whose build waits for people, and what that printed."""
    catalog = tmp_path_factory.mktemp("waiting") / "catalog"
    shutil.copytree(seeded, catalog, ignore=shutil.ignore_patterns("releases", "labels"))
    return catalog, ytb_ads(*build(sample, catalog, config)).stdout


@pytest.fixture
def catalog(waiting: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it to judge."""
    return Path(shutil.copytree(waiting[0], tmp_path / "catalog"))


def build(source: Path, catalog: Path, config: Path) -> list[str | Path]:
    return ["build", "--source", f"folder:{source}", "--catalog", catalog, "--config", config, "--review", "human"]


def with_store(catalog: Path, act: Callable[[Store], Any]) -> Any:
    with review_store(Catalog(catalog), ReviewSettings()) as store:
        return act(store)


def as_labelled(catalog: Path) -> Callable[[str, int], Choice]:
    """What the comments say, of every ad."""
    rows = Catalog(catalog).read("ad_sentiment", ["video_id", "label"], where="label IS NOT NULL").to_pylist()
    labels: dict[str, Choice] = {row["video_id"]: row["label"] for row in rows}
    return lambda ad, _number: labels[ad]


def judge_all(catalog: Path) -> None:
    with_store(catalog, lambda store: judge(store, as_labelled(catalog)))


def n_entries(catalog: Path) -> int:
    return int(with_store(catalog, lambda store: store.rounds.all()[-1].n_entries))


def test_a_build_with_people_says_how_many_entries_wait_and_where_and_writes_no_release(
    waiting: tuple[Path, str],
) -> None:
    catalog, said = waiting
    assert f"round 1 is opened; {n_entries(catalog)} of {n_entries(catalog)} entries wait for people" in said
    assert f"ytb-ads annotate serve --catalog {catalog}" in said
    assert "http://127.0.0.1:8440" in said
    assert list_releases(catalog / "releases") == []
    assert Catalog(catalog).count("labels") == 0


def test_a_second_build_adds_nothing_to_an_open_round_and_says_so(
    catalog: Path, sample: Path, config: Path, ytb_ads: Run
) -> None:
    again = ytb_ads(*build(sample, catalog, config), "--json")
    told = json.loads(again.stdout)["review"]
    assert (told["round_id"], told["opened"], told["n_settled"]) == (1, False, 0)
    assert len(with_store(catalog, lambda store: store.rounds.all())) == 1
    assert list_releases(catalog / "releases") == []


def test_a_run_that_waits_is_named_for_it_on_the_server(
    catalog: Path, sample: Path, config: Path, prefect_api: str
) -> None:
    found = build_dataset(f"folder:{sample}", str(catalog), str(config), policy="human")
    assert isinstance(found, Waiting)
    runs = ask(
        prefect_api, "flow_runs/filter", {"flows": {"name": {"any_": ["build-dataset"]}}, "sort": "END_TIME_DESC"}
    )
    assert (runs[0]["state"]["type"], runs[0]["state"]["name"]) == ("COMPLETED", "Waiting")
    assert "entries wait for people at http://127.0.0.1:8440" in runs[0]["state"]["message"]
    assert isinstance(release_reviewed(str(catalog), str(config)), Waiting), "no release while a round is open"
    assert list_releases(catalog / "releases") == []


def test_what_people_said_is_released_and_a_new_ad_opens_a_round_of_its_own(
    catalog: Path, sample: Path, config: Path, tmp_path: Path, prefect_api: str
) -> None:
    ads = tmp_path / "ads"
    shutil.copytree(sample, ads)
    judge_all(catalog)
    with_store(catalog, close)
    written = build_dataset(f"folder:{ads}", str(catalog), str(config), policy="human")
    assert isinstance(written, Release)
    assert written.new
    labels = Catalog(catalog).read("labels").to_pylist()
    assert {(row["decided_by"], row["n_reviewers"], row["agreement"]) for row in labels} == {("reviewers", 2, 1.0)}
    manifest = read_manifest(written.folder)
    assert manifest["labels"]["decided_by"].keys() == {"the reviewers"}
    assert manifest["labels"]["agreement"] == 1.0

    versions = Catalog(catalog).versions()
    again = build_dataset(f"folder:{ads}", str(catalog), str(config), policy="human")
    assert isinstance(again, Release)
    assert not again.new
    assert Catalog(catalog).versions() == versions

    add_copy(ads, of=labels[0]["video_id"], as_id="newcomer001")
    further = build_dataset(f"folder:{ads}", str(catalog), str(config), policy="human")
    assert isinstance(further, Waiting)
    assert (further.round_id, further.n_entries, further.opened) == (2, 1, True)
    assert further.release == written.folder
    assert "newcomer001" not in Catalog(catalog).values("labels", "video_id")

    by_comments = build_dataset(f"folder:{ads}", str(catalog), str(config), policy="auto")
    assert isinstance(by_comments, Release)
    assert newest_release(catalog / "releases") == by_comments.folder
    back = build_dataset(f"folder:{ads}", str(catalog), str(config), policy="human")
    assert isinstance(back, Waiting)
    assert back.release == newest_release(catalog / "releases") != by_comments.folder
    assert read_manifest(back.release)["labels"]["decided_by"].keys() == {"the reviewers"}


def test_people_who_confirm_every_label_are_named_in_a_release_of_the_same_rows(
    catalog: Path, sample: Path, config: Path, prefect_api: str
) -> None:
    by_comments = build_dataset(f"folder:{sample}", str(catalog), str(config))
    assert isinstance(by_comments, Release)
    judge_all(catalog)
    with_store(catalog, close)
    by_people = release_reviewed(str(catalog), str(config))
    assert isinstance(by_people, Release)
    assert by_people.new
    first, second = read_manifest(by_comments.folder), read_manifest(by_people.folder)
    assert first["row_set_hash"] == second["row_set_hash"]
    assert (*first["labels"]["decided_by"], *second["labels"]["decided_by"]) == (
        "policy auto, reviewed by nobody",
        "the reviewers",
    )


def test_closing_a_round_by_hand_starts_the_deployment_that_writes_the_release(
    catalog: Path, ytb_ads: Run, deployed_server: str
) -> None:
    [left, *_] = sorted(Catalog(catalog).values("ad_sentiment", "video_id", where="label IS NOT NULL"))
    choose = as_labelled(catalog)
    judged = {entry for entry in with_store(catalog, videos) if entry != left}
    with_store(catalog, lambda store: judge(store, choose, only=judged))

    refused = ytb_ads("annotate", "close-round", "--catalog", catalog, check=False)
    assert refused.returncode == 1
    assert "use --yes" in refused.stderr
    done = ytb_ads("annotate", "close-round", "--yes", "--catalog", catalog)
    assert "the Prefect server was told" in done.stdout

    run = started(deployed_server, "release-reviewed/after-review", {"catalog": str(catalog)})
    work(deployed_server)
    ended = ask(deployed_server, f"flow_runs/{run['id']}")
    assert ended["state"]["name"] == "Completed", ended["state"]
    assert newest_release(catalog / "releases").is_dir()
    assert set(Catalog(catalog).values("labels", "video_id")) == judged


def test_every_end_is_told_to_the_server_by_a_page_that_lives_through_several_rounds(
    tmp_path: Path, prefect_api: str
) -> None:
    def closed(round_id: int) -> Round:
        return Round(round_id, Rule(), 0, 1, datetime.now(UTC), datetime.now(UTC), RoundOptions())

    for round_id in (1, 2):
        with ThreadPoolExecutor(1) as page:
            # the server's address is known to this context alone
            assert page.submit(copy_context().run, tell_closed, Catalog(tmp_path), closed(round_id)).result()
    told: set[int] = set()
    deadline = time.monotonic() + 30
    while len(told) < 2 and time.monotonic() < deadline:
        asked = {"filter": {"event": {"name": [CLOSED]}, "order": "DESC"}, "limit": 20}
        found = [event["payload"] for event in ask(prefect_api, "events/filter", asked)["events"]]
        told = {payload["round"] for payload in found if payload["catalog"] == Catalog(tmp_path).root}
        time.sleep(0.2)
    assert told == {1, 2}


def videos(store: Store) -> list[str]:
    return [entry.video_id for entry in store.rounds.entries(1).values()]


def started(server: str, deployment: str, parameters: dict[str, str]) -> dict[str, Any]:
    """The run of a deployment that an event has started, with these parameters."""
    found = ask(server, f"deployments/name/{deployment}")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run in ask(server, "flow_runs/filter", {"deployments": {"id": {"any_": [found["id"]]}}}):
            if parameters.items() <= run["parameters"].items():
                return dict(run)
        time.sleep(0.5)
    pytest.fail(f"no run of {deployment} with {parameters}")


def work(server: str) -> None:
    """Let a worker do what is due, and no more."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu", "--run-once"],
        env={
            **os.environ,
            **QUICK_ENVIRONMENT,
            "PREFECT_API_URL": server,
            "PYTHONPATH": os.pathsep.join([PATHS, os.environ.get("PYTHONPATH", "")]),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
