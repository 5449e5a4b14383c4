"""What an event of another host names is found by its content, under whatever path this host has it, or refused."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.releases import read_manifest, write_release
from flows.errors import SettingsError
from flows.home import CATALOG_VARIABLE, catalog_here, find_home, own_catalog
from flows.train import _lacks_release
from tests.data_catalog.builders import release_row, release_rows

VERSION = "2026.11.30"


def released(root: Path, ad: str) -> str:
    """Write a release of one ad; returns its row-set hash."""
    rows = {"train": release_rows(release_row(ad))}
    folder = write_release(Catalog(root).releases_dir, VERSION, rows, {"synthetic": True})
    return str(read_manifest(folder)["row_set_hash"])


def found(named: Path, rows: str) -> str:
    return catalog_here(str(named), partial(_lacks_release, release=VERSION, row_set_hash=rows)).root


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of this host's catalog, as its `.env` names it."""
    (tmp_path / ".env").write_text(f"YTB_ADS_CATALOG={tmp_path / 'own'}\n")
    monkeypatch.chdir(tmp_path)
    # what is read from .env is put into the environment, and goes with this test
    monkeypatch.setenv("YTB_ADS_CATALOG", "")
    monkeypatch.delenv("YTB_ADS_CATALOG")
    return tmp_path / "own"


def test_the_catalog_of_the_event_goes_before_the_hosts_own(own: Path, tmp_path: Path) -> None:
    rows = released(tmp_path / "named", "shoe")
    assert released(own, "shoe") == rows
    assert found(tmp_path / "named", rows) == str(tmp_path / "named")


@pytest.mark.parametrize("by_accident", [None, "car"])
def test_a_path_that_is_not_here_or_is_another_catalog_gives_way_to_the_hosts_own(
    own: Path, tmp_path: Path, by_accident: str | None
) -> None:
    rows = released(own, "shoe")
    if by_accident:
        released(tmp_path / "named", by_accident)
    assert found(tmp_path / "named", rows) == str(own)


@pytest.mark.parametrize("of_host", [None, "car"])
def test_a_release_of_the_same_version_with_other_rows_is_refused_with_what_to_set(
    own: Path, tmp_path: Path, of_host: str | None
) -> None:
    rows = released(tmp_path / "elsewhere", "shoe")
    released(tmp_path / "named", "bike")
    if of_host:
        released(own, of_host)
    with pytest.raises(CatalogError) as refused:
        found(tmp_path / "named", rows)
    said = str(refused.value)
    assert f"{tmp_path / 'named'}: {VERSION} there has other rows" in said
    assert f"{own} (of this host): " in said
    assert "Set YTB_ADS_CATALOG, in the environment of this host's worker or the .env" in said
    assert own.exists() == bool(of_host), "what was looked for is not made"


def test_a_home_that_is_no_folder_of_this_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YTB_ADS_HOME", str(tmp_path))
    assert find_home() == tmp_path
    for wrong in (str(tmp_path / "missing"), "relative"):
        monkeypatch.setenv("YTB_ADS_HOME", wrong)
        with pytest.raises(SettingsError, match=r"YTB_ADS_HOME=.* is no absolute path of a folder of this host"):
            find_home()


def test_a_run_begins_in_the_folder_in_which_its_worker_was_started(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    run = "import flows.home; print(flows.home.find_home())"
    worker = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {run!r}], cwd={str(elsewhere)!r}, check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", worker, "worker", "start"], cwd=home, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(home)


def test_an_empty_variable_does_not_hide_the_catalog_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"{CATALOG_VARIABLE}=s3://ads/here\n")
    monkeypatch.setenv(CATALOG_VARIABLE, "")
    assert own_catalog() == "s3://ads/here"


def test_a_bucket_of_the_event_that_cannot_be_asked_gives_way_to_the_hosts_own(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    rows = released(own, "shoe")
    lacks = partial(_lacks_release, release=VERSION, row_set_hash=rows)
    assert catalog_here("s3://dead/x", lacks).root == str(own)
    with pytest.raises(CatalogError, match=r"s3://dead/x: cannot be asked .*Set YTB_ADS_CATALOG"):
        catalog_here("s3://dead/x", lambda catalog: "holds another one")
