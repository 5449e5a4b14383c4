"""`ytb-ads catalog forget`: asks, says what went, and leaves nothing of an ad in people's rounds either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_catalog.catalog import Catalog
from data_catalog.releases import write_release
from flows.commands.main import app
from flows.review.human import review_store
from flows.settings import ReviewSettings, Settings
from tests.data_catalog.builders import release_row, release_rows
from tests.data_catalog.test_forget import AUTHOR, GONE, STAYS, fill
from tests.flows.review.people import judge, open_round, small_catalog

HUMAN = Settings(review=ReviewSettings(policy="human", reviewers=2))


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return fill(tmp_path / "catalog")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["catalog", "forget", *arguments])
    return done.exit_code, done.output


def test_the_command_asks_before_it_removes_and_refuses_where_nobody_can_answer(catalog: Catalog) -> None:
    code, said = run(GONE, "--catalog", catalog.root)
    assert code == 1
    assert "--yes" in said
    assert "2 rows of comments" in said
    assert GONE in catalog.values("ads", "video_id")


def test_the_command_says_what_it_removed(catalog: Catalog) -> None:
    code, said = run(GONE, "--yes", "--catalog", catalog.root)
    assert code == 0
    assert "2 rows of comments" in said
    assert f"media/{GONE}.mp4" in said
    code, said = run("--author", AUTHOR, "--yes", "--json", "--catalog", catalog.root)
    assert json.loads(said)["removed"]["rows"]["comments"] == 1


def test_the_command_names_the_models_of_releases_with_the_ad(catalog: Catalog) -> None:
    root = Path(catalog.root)
    for version, ad in (("2026.11.01", GONE), ("2026.11.02", STAYS)):
        write_release(root / "releases", version, {"train": release_rows(release_row(ad))}, {"synthetic": True})
        run_folder = root / "models" / version / "fgmfn-0"
        run_folder.mkdir(parents=True)
        (run_folder / "metrics.json").touch()
    code, said = run(GONE, "--yes", "--catalog", catalog.root)
    assert code == 0
    assert str(root / "models" / "2026.11.01" / "fgmfn-0") in said
    assert str(root / "models" / "2026.11.02") not in said
    assert json.loads(run(GONE, "--yes", "--json", "--catalog", catalog.root)[1])["models"] == [
        str(root / "models" / "2026.11.01" / "fgmfn-0")
    ]


@pytest.mark.parametrize("arguments", [(), (GONE, "--author", AUTHOR)])
def test_the_command_takes_an_ad_or_an_author(catalog: Catalog, arguments: tuple[str, ...]) -> None:
    assert run(*arguments, "--catalog", catalog.root)[0] == 2


@pytest.mark.parametrize("arguments", [("no id!",), ("--author", "Jane Doe")])
def test_the_command_refuses_what_is_neither_id_nor_hash(catalog: Catalog, arguments: tuple[str, ...]) -> None:
    code, said = run(*arguments, "--yes", "--catalog", catalog.root)
    assert code == 1
    assert "error" in said


def test_forgetting_in_a_folder_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    assert run(GONE, "--yes", "--catalog", str(tmp_path / "nothing"))[0] == 1
    assert not (tmp_path / "nothing").exists()


def test_what_people_said_of_the_ad_goes_with_it(tmp_path: Path) -> None:
    catalog = small_catalog(tmp_path / "judged")
    with review_store(catalog, HUMAN.review) as store:
        drawn = open_round(catalog, store, HUMAN)
        assert drawn
        judge(store, lambda ad, n: "positive", excluded=[frame for each in drawn.entries for frame in each.frame_ids])
    gone = drawn.entries[0]

    code, said = run(gone.video_id, "--catalog", catalog.root)
    assert code == 1
    assert "1 entry of people's rounds" in said
    code, said = run(gone.video_id, "--yes", "--catalog", catalog.root)
    assert code == 0
    assert "withdrawn from 1 entry" in said
    with review_store(catalog, HUMAN.review) as store:
        assert set(store.rounds.entries(1)) == {entry.id for entry in drawn.entries[1:]}
        assert {event.entry_id for event in store.events(1)} == {entry.id for entry in drawn.entries[1:]}
    for file in Path(catalog.root, "annotation").iterdir():
        assert gone.frame_ids[0].encode() not in file.read_bytes(), f"{file.name} still names it"
    code, said = run(gone.video_id, "--yes", "--json", "--catalog", catalog.root)
    assert (code, json.loads(said)["entries_withdrawn"]) == (0, 0), "twice is once"
