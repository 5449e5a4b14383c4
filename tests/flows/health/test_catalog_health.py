"""Health of a catalog: what is well says so, and each thing that is not is named with its number and age."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from annotation.protocol import Rule
from annotation.rounds import RoundSettings, draw_round
from data_catalog.catalog import Catalog, Drop
from data_catalog.releases import list_releases
from data_catalog.schemas import TABLES
from flows.checks import Check, exit_code
from flows.health.catalog import check_catalog
from flows.health.packages import check_packages
from flows.review.human import review_store
from flows.settings import Settings
from tests.flows.conftest import call

NOW = datetime.now(UTC)


def checks(catalog: Path, now: datetime = NOW, **sections: Any) -> dict[str, Check]:
    """The checks of a catalog by name."""
    return {check.name: check for check in check_catalog(Catalog(catalog), Settings(**sections), now)}


def candidate(fetched_at: datetime) -> pa.Table:
    """A row of `candidates` of which only the age matters."""
    schema = TABLES["candidates"].schema
    texts = {field.name: "x" for field in schema if pa.types.is_string(field.type)}
    return pa.Table.from_pylist([{**texts, "fetched_at": fetched_at}], schema=schema)


def test_a_fresh_catalog_is_well_and_a_monitor_reads_it(copied: Path) -> None:
    done = call("health", "--catalog", copied, "--no-service", "--json")
    told = json.loads(done.stdout)
    assert {check["name"]: check["state"] for check in told["checks"]} == {
        "release": "ok",
        "failures": "ok",
        "disk": "ok",
        "libraries": "ok",
    }
    assert done.returncode == told["exit_code"] == 0


def test_what_is_not_there_fails_and_unreadable_settings_are_unknown(tmp_path: Path) -> None:
    assert call("health", "--catalog", tmp_path / "none", "--no-service").returncode == 2
    (tmp_path / "wrong.toml").write_text("[health]\nfree_bg = 1\n")
    done = call("health", "--catalog", tmp_path, "--config", tmp_path / "wrong.toml", "--no-service")
    assert done.returncode == 3
    assert "health.free_gb" in done.stderr


@pytest.mark.parametrize(("states", "code"), [([], 0), ([True, True], 0), ([True, None], 1), ([None, False, True], 2)])
def test_the_exit_code_is_that_of_the_worst(states: list[bool | None], code: int) -> None:
    assert exit_code([Check("a", state, "") for state in states]) == code


def test_a_release_that_nothing_follows_for_two_weeks_is_a_warning(copied: Path) -> None:
    assert checks(copied, NOW + timedelta(days=13))["release"].ok is True
    found = checks(copied, NOW + timedelta(days=16))["release"]
    assert found.ok is None
    assert "16 days old" in found.said


def test_a_release_on_which_no_training_has_succeeded_is_a_warning(copied: Path) -> None:
    assert "training" not in checks(copied, NOW + timedelta(days=1))
    found = checks(copied, NOW + timedelta(days=3))["training"]
    assert found.ok is None
    assert f"none has succeeded on {list_releases(copied / 'releases')[0].name}" in found.said


def test_a_damaged_release_fails_and_the_rest_is_looked_at_all_the_same(copied: Path) -> None:
    for release in list_releases(copied / "releases"):
        (release / "manifest.json").write_text("{")
    found = checks(copied)
    assert found["release"].ok is False
    assert "manifest.json" in found["release"].said
    assert found["disk"].ok is True


def test_faults_are_counted_by_reason_and_those_given_up_or_old_are_a_warning(copied: Path) -> None:
    catalog = Catalog(copied)
    drops = [Drop("frames", f"ad{n}", f"ad{n}", "failed", "decoder_timeout", "", "f", None) for n in range(3)]
    catalog.commit("frames", TABLES["frames"].schema.empty_table(), stage="frames", drops=drops)
    found = checks(copied)["failures"]
    assert found.ok is True
    assert "frames: 3 decoder_timeout" in found.said
    assert checks(copied, NOW + timedelta(days=15))["failures"].ok is None
    for _ in range(2):
        catalog.commit("frames", TABLES["frames"].schema.empty_table(), stage="frames", drops=drops[:1])
    found = checks(copied)["failures"]
    assert found.ok is None
    assert "1 given up" in found.said


@pytest.mark.parametrize(("days", "ok"), [(29, True), (31, None), (33, False)])
def test_rows_of_the_api_are_due_after_thirty_days(copied: Path, days: int, ok: bool | None) -> None:
    Catalog(copied).merge("candidates", candidate(NOW - timedelta(days=days)))
    assert checks(copied)["refresh"].ok is ok


def test_the_quota_and_the_day_of_completion_are_told_where_there_is_a_key(copied: Path) -> None:
    crawl = {"api_key": "a key", "categories": {"drinks": {"count": 3, "search": ["cola"]}}}
    found = checks(copied, crawl=crawl)
    assert "10,000 left of 10,000" in next(check.said for name, check in found.items() if name.startswith("quota"))
    assert found["crawl"].said.startswith("done by")
    assert not (copied / "quota.sqlite").exists()


def test_reviewers_who_do_nothing_are_named(copied: Path) -> None:
    catalog = Catalog(copied)
    settings = Settings()
    with review_store(catalog, settings.review) as store:
        opened = draw_round(catalog, RoundSettings(rule=Rule(1, 1)))
        store.rounds.open(opened)
        assert "nobody is invited" in checks(copied)["annotation"].said
        store.people.invite("Ada", "reviewer")
        assert checks(copied)["annotation"].ok is True
        idle = checks(copied, NOW + timedelta(days=4))["annotation"]
    assert idle.ok is None
    assert f"Ada (4 days, {len(opened.entries)} to do)" in idle.said


def test_little_space_is_a_warning_and_hardly_any_a_failure(copied: Path) -> None:
    free_gb = shutil.disk_usage(copied).free / 1e9
    assert checks(copied, health={"free_gb": free_gb / 2})["disk"].ok is True
    assert checks(copied, health={"free_gb": free_gb * 2})["disk"].ok is None
    assert checks(copied, health={"free_gb": free_gb * 20})["disk"].ok is False


def test_libraries_in_versions_that_are_not_declared_are_named() -> None:
    wanted = ["pytest<1", "no-such-library>=2", 'no-such-extra; extra == "ray"', "pydantic>=2"]
    found = check_packages(wanted)
    assert found.ok is False
    assert "pytest" in found.said
    assert "no-such-library is missing" in found.said
    assert "no-such-extra" not in found.said
    assert "pydantic" not in found.said
    assert check_packages().ok is True
