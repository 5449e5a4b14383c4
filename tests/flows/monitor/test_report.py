"""The report of a catalog: beside a model's answers, for people, programs and the Prefect server."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import forget_ad
from data_catalog.releases import newest_release, read_splits
from fgmfn.training import train_models
from flows.build_dataset import _monitor
from flows.models import find_run, promote
from flows.monitor.page import monitor_markdown, report_html
from flows.monitor.report import MonitorReport, monitor
from flows.settings import Settings, load_settings
from tests.conftest import Once
from tests.flows.conftest import call
from tests.flows.monitor_builders import NOW, opinions, write_ad
from tests.servers import ask

SINCE = "2020-01-01"
HOSTILE = '<script>alert(1)</script> | `x` \x1b[31m \u202e " onload="x'


@pytest.fixture(scope="session")
def _with_model(once: Once, seeded: Path) -> Path:
    """The built sample with a model in service."""

    def make(folder: Path) -> None:
        shutil.copytree(seeded, folder / "catalog")
        catalog = Catalog(folder / "catalog")
        release = newest_release(catalog.releases_dir)
        assert isinstance(release, Path)
        [one] = train_models(release, None, folder / "catalog/models" / release.name, ("tfidf",), progress=False)
        promote(catalog, find_run(catalog, one.checkpoint.name), "the only one", by="hand")

    return once("monitored", make) / "catalog"


@pytest.fixture
def served(_with_model: Path, tmp_path: Path) -> Catalog:
    return Catalog(shutil.copytree(_with_model, tmp_path / "catalog"))


@pytest.fixture
def settings(quick: Path) -> Settings:
    return load_settings(quick)


def look(catalog: Catalog, settings: Settings, since: str = SINCE, **words: Any) -> MonitorReport:
    return monitor(catalog, settings, since=since, now=NOW, **words)


def test_the_command_shows_audiences_beside_answers_and_its_json_says_the_same(
    served: Catalog, quick: Path, tmp_path: Path
) -> None:
    page = tmp_path / "pages" / "monitor.html"
    words = ("monitor", "--catalog", served.root, "--config", quick, "--since", SINCE)
    told = call(*words, "--html", page)
    assert told.returncode == 0, told.stderr
    assert "12 ads of 12" in told.stdout
    found = json.loads(call(*words, "--json").stdout)
    labels = {row["video_id"]: row["mean_score"] for row in served.read("ad_sentiment").to_pylist()}
    for ad in found["ads"]:
        # all comments are in the period: the mean is that of the label
        assert ad["period"]["mean"] == pytest.approx(labels[ad["video_id"]])
    release = newest_release(served.releases_dir)
    assert found["model"].startswith(release.name)
    answers = {ad["video_id"]: ad["answer"] for ad in found["ads"]}
    assert {ad["n_frames"] == 0 for ad in found["ads"] if ad["answer"] is None} == {True}
    assert {answer["learned"] for answer in answers.values() if answer} == {True, False}
    html = page.read_text("utf-8")
    assert "default-src 'none'" in html
    assert not re.search(r"<script|style=|https?://|src=", html.replace("http-equiv", ""))
    for ad in found["ads"]:
        assert ad["video_id"] in html


def test_hostile_titles_and_categories_act_nowhere(served: Catalog, settings: Settings) -> None:
    write_ad(served, "bad", [(NOW - timedelta(days=1), 4, -1)] * 8, title=HOSTILE, category=HOSTILE)
    chance = np.random.default_rng(0)
    turned = [
        *opinions(chance, 60, 1, NOW - timedelta(days=50), 40),
        *opinions(chance, 60, 0, NOW - timedelta(days=9), 8),
    ]
    write_ad(served, "turned", turned, title=HOSTILE)
    report = look(served, Settings(), "30d")
    [ad] = report.turned
    assert ad.audience.video_id == "turned"
    html, markdown = report_html(report), monitor_markdown(report)
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert 'onload="' not in html
    [row] = [line for line in markdown.splitlines() if "turned`" in line]
    assert row.count("|") == 6
    assert row.count("`") == 4
    for text in (html, markdown):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_an_ad_that_was_forgotten_is_in_none_of_it(served: Catalog, settings: Settings) -> None:
    before = look(served, settings)
    splits = read_splits(newest_release(served.releases_dir))
    gone = next(ad.audience for ad in before.ads if splits.get(ad.audience.video_id) == "train")
    forget_ad(served, gone.video_id)
    after = look(served, settings)
    assert after.audiences.n_ads == before.audiences.n_ads - 1
    assert after.n_trained_rows < before.n_trained_rows, "the rows of it that the release still holds are left out, too"
    for told in (json.dumps(after.as_json()), report_html(after), monitor_markdown(after)):
        assert gone.video_id not in told


def test_what_the_model_has_learned_from_is_left_out_of_the_drift(served: Catalog, settings: Settings) -> None:
    report = look(served, settings)
    learned = [ad for ad in report.ads if ad.answer and ad.answer.learned]
    unseen = [ad for ad in report.ads if ad.n_frames and ad not in learned]
    words = next(drift for drift in report.drift if drift.name == "words of a frame")
    assert (words.n_period, report.n_given_rows) == (len(unseen), sum(ad.n_frames or 0 for ad in unseen))
    assert words.verdict == "too few ads"
    assert any("without calibration" in note for note in report.notes) == any(
        ad.answer.interval is None for ad in report.ads if ad.answer
    )
    shutil.rmtree(Path(served.root) / "releases" / newest_release(served.releases_dir).name)
    without = look(served, settings)
    assert without.drift == ()
    assert any("nobody can tell" in note for note in without.notes)


def test_without_a_model_and_in_an_empty_period_there_is_a_report_all_the_same(
    seeded: Path, settings: Settings, tmp_path: Path
) -> None:
    report = look(Catalog(seeded), settings)
    assert (report.model, report.drift) == (None, ())
    assert any("no model is in service" in note for note in report.notes)
    assert all(ad.answer is None for ad in report.ads)
    assert "Nothing distinguishable" in report_html(report)
    empty = look(Catalog(seeded), settings, "1d")
    assert empty.ads == ()
    assert "No ad has comments in the period" in report_html(empty)
    refused = call("monitor", "--catalog", seeded, "--since", "soon")
    assert (refused.returncode, "30d or 2w" in refused.stderr) == (1, True)
    assert call("monitor", "--catalog", tmp_path / "misspelt").returncode == 1
    assert call("monitor", "--catalog", seeded, "--model", "nobody").returncode == 1


def test_fewer_answers_are_asked_for_than_there_are_ads(served: Catalog, settings: Settings) -> None:
    few = settings.model_copy(update={"monitor": settings.monitor.model_copy(update={"answers": 2})})
    report = look(served, few)
    assert sum(ad.answer is not None for ad in report.ads) == 2
    assert any("asked about 2 of " in note for note in report.notes)
    none = look(served, settings.model_copy(update={"monitor": settings.monitor.model_copy(update={"answers": 0})}))
    assert not any(ad.answer for ad in none.ads)


def test_a_run_of_a_deployment_leaves_a_page_on_the_server_and_a_build_by_hand_none(
    served: Catalog,
    settings: Settings,
    prefect_api: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def pages() -> list[Any]:
        found = ask(prefect_api, "artifacts/latest/filter", {})
        return [one for one in found if served.root in (one["description"] or "")]

    _monitor(served, settings)
    assert pages() == []
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "0b1c6a3e-2222-4444-8888-000000000000")
    _monitor(served, settings)
    [page] = pages()
    assert page["key"].startswith("monitor-")
    assert page["data"].startswith("# Monitor")
    # a model that is gone does not end the build
    shutil.rmtree(Path(served.root) / "models" / newest_release(served.releases_dir).name)
    _monitor(served, settings)
    assert "which is gone" in caplog.text
