"""A training on a real server: each epoch in its log, pages and bars for those who watch, events for those who wait."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler, APILogWorker

from data_catalog.catalog import Catalog
from fgmfn.training import TrainedModel
from flows.models import list_runs, read_history, run_in_service
from flows.train import train
from tests.fgmfn.releases import tiny_config
from tests.flows.test_gate import ads, write
from tests.servers import STARTUP_S, ask

pytestmark = pytest.mark.slow


def events_of(server: str, catalog: Catalog, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(server, "events/filter", {"filter": {"event": {"name": [name]}}})["events"]
    return [event["payload"] for event in found if event["payload"]["catalog"] == catalog.root]


@pytest.fixture
def kept_log(prefect_api: str) -> Iterator[str]:
    """The server keeps our own lines, as in a run of a deployment, where the environment says so."""
    log, handler = logging.getLogger("ytb_ads"), APILogHandler()
    log.addHandler(handler)
    yield prefect_api
    log.removeHandler(handler)


def test_a_training_can_be_watched_and_tells_what_came_of_it(kept_log: str, tmp_path: Path) -> None:
    prefect_api = kept_log
    catalog = Catalog(tmp_path / "catalog")
    release = write(catalog, "2026.11.02", ads("t", 12), ads("x", 6))
    (tmp_path / "settings.toml").write_text('[training]\nmodels = ["text_only"]\n')
    words: dict[str, Any] = {
        "catalog": catalog.root,
        "config": str(tiny_config(tmp_path, epochs=2)),
        "settings_file": str(tmp_path / "settings.toml"),
    }
    [trained] = train(**words, release=release.name)
    assert isinstance(trained, TrainedModel)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(APILogWorker.drain_all).result()
        thread.submit(EventsWorker.drain_all).result()
    deadline = time.monotonic() + STARTUP_S
    while not (told := events_of(prefect_api, catalog, "ytb-ads.model.trained")):
        assert time.monotonic() < deadline, "no event"
        time.sleep(0.5)

    [run] = list_runs(catalog)
    [payload] = told
    assert (payload["release"], payload["model"], payload["already_trained"]) == (release.name, "text_only", False)
    assert payload["test"]["macro_f1"] == run.record["test"]["macro_f1"]
    [decision] = read_history(catalog)
    [decided] = events_of(prefect_api, catalog, f"ytb-ads.model.{decision.action}")
    assert (decided["run"], decided["reason"]) == (run.name, decision.reason)

    [flow_run] = ask(prefect_api, "flow_runs/filter", {"flow_runs": {"tags": {"all_": [f"catalog:{catalog.root}"]}}})
    assert re.fullmatch(r"train \d{4}-\d\d-\d\d 2026\.11\.02", flow_run["name"])
    lines = ask(prefect_api, "logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}})
    epochs = [line["message"] for line in lines if ": epoch " in line["message"]]
    dev = r"dev accuracy \d\.\d+, macro-F1 \d\.\d+, loss \d\.\d+"
    pattern = rf"text only: epoch (\d)/2: loss \d\.\d+.*; {dev}.*; [\d.]+ rows/s.*"
    assert [found[1] for line in epochs if (found := re.fullmatch(pattern, line))] == ["1", "2"], epochs

    latest = ask(prefect_api, "artifacts/latest/filter", {})
    shown = {each["type"]: each for each in latest if catalog.root in each["description"]}
    assert float(shown["progress"]["data"]) == 100
    page = shown["markdown"]["data"]
    score = f"{run.record['test']['macro_f1']:.1%}"
    for part in (score, "| loss |", "| negative |", (run.folder / "README.md").as_uri(), decision.reason):
        assert part in page

    # the same event once more: nothing is trained, decided or put in service again
    before = run_in_service(catalog)
    [again] = train(**words, release=release.name)
    assert isinstance(again, TrainedModel)
    assert again.already_trained
    assert (run_in_service(catalog), len(read_history(catalog))) == (before, 1)
