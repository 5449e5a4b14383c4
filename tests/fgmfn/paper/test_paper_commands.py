"""The paper's commands: three files each, on whatever data, resumed and refused in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from fgmfn.evaluation import REDUCED
from fgmfn.paper.score_tables import ABLATIONS
from fgmfn.training import train_run
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.releases import LINES, write_set

SHARED_RUNS = "runs"


@pytest.fixture
def folder(finished: Finished) -> Path:
    """A release, a configuration, a Twitter set, and the runs that the tests share."""
    if not (finished[0] / "twitter").exists():
        write_set(finished[0] / "twitter", LINES)
    return finished[0]


@pytest.fixture
def paper(folder: Path, run: Run, tmp_path: Path) -> Run:
    """Run `fgmfn paper` on the folder's release with two seeds."""

    def call(name: str, *more: object) -> tuple[int, str, str]:
        seeds = () if name == "table7" else ("--seeds", 2)
        options = ("--config", folder / "config.toml", "--runs", folder / SHARED_RUNS, "--output", tmp_path / "out")
        return run("paper", name, "--data", folder / "releases", *options, *seeds, *more)

    return call


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_table_4_is_written_printed_and_found_again(paper: Run, tmp_path: Path) -> None:
    code, printed, talk = paper("table4", "--model", "text_only,tfidf")
    assert code == 0, talk
    assert files(tmp_path / "out") == ["table4.md", "table4.parquet", "table4.png"]
    assert str(tmp_path / "out" / "table4.md") in printed
    assert "rows of 2026.11.24: train " in printed
    rows = pq.read_table(tmp_path / "out" / "table4.parquet").to_pylist()
    assert [row["entry"] for row in rows] == ["text_only", "tfidf"]
    assert [row["seeds"] for row in rows] == [[42, 43]] * 2
    code, again, _ = paper("table4", "--model", "text_only,tfidf", "--json")
    assert json.loads(again) == rows


def test_table_6_trains_every_configuration(paper: Run, tmp_path: Path) -> None:
    code, printed, talk = paper("table6", "--json", "--seeds", 1)
    assert code == 0, talk
    rows = json.loads(printed)
    assert [row["entry"] for row in rows] == [entry.key for entry in ABLATIONS]
    assert all(row["missing"] is None and len(row["seeds"]) == 1 for row in rows)
    assert len({checkpoint for row in rows for checkpoint in row["checkpoints"]}) == len(rows)
    code, printed, talk = paper("table6", "--json", "--seeds", 1, "--row", "without_mi,fgmfn", "--only-finished")
    assert [row["entry"] for row in json.loads(printed)] == ["fgmfn", "without_mi"], talk
    code, _, talk = paper("table6", "--row", "without_ita")
    assert code == 1
    assert "unknown row 'without_ita'; did you mean 'without_itc'?" in talk


def test_figure_3_and_figure_4_and_table_7(paper: Run, tmp_path: Path) -> None:
    assert paper("figure3", "--model", "text_only")[0] == 0
    assert paper("figure4", "--alphas", "0.5", "--betas", "0.05", "--seeds", 1)[0] == 0
    code, printed, talk = paper("table7", "--model", "tfidf,text_only", "--count", 2)
    assert code == 0, talk
    assert files(tmp_path / "out" / "table7") == ["1.jpg", "2.jpg"]
    assert str(tmp_path / "out" / "table7" / "2.jpg") in printed
    for said in (printed, (tmp_path / "out" / "table7.md").read_text()):
        assert said.count(f"{REDUCED} text") == 1
        assert ": its encoders started at random" in said
        assert [f"{name} {REDUCED}" in said for name in ("TF-IDF", "tfidf")] == [False, False]
        assert f"text only {REDUCED}" in said or f"text_only {REDUCED}" in said
    for name in ("figure3", "figure4", "table7"):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert picture.size[0] > 300
    assert pq.read_table(tmp_path / "out" / "table7.parquet").num_rows == 4


def test_a_case_study_is_of_the_rows_that_are_named(paper: Run, folder: Path, tmp_path: Path) -> None:
    code, printed, _ = paper("table7", "--model", "tfidf", "--count", 1, "--json")
    (drawn,) = json.loads(printed)
    code, printed, _ = paper("table7", "--model", "tfidf", "--sample", drawn["row"], "--json")
    assert [row["row"] for row in json.loads(printed)] == [drawn["row"]]
    code, _, talk = paper("table7", "--model", "tfidf", "--sample", drawn["row"] + "x")
    assert code == 1
    assert f"did you mean {drawn['row']}" in talk.replace("'", "")


def test_every_target_of_a_tweet_stands_in_its_sample(folder: Path, run: Run, tmp_path: Path) -> None:
    data = ("--data", "twitter2015", "--data-dir", folder / "twitter", "--runs", folder / SHARED_RUNS)
    code, printed, talk = run(
        "paper", "table7", *data, "--model", "tfidf,aom", "--sample", "b.jpg", "--output", tmp_path, "--json"
    )
    assert code == 0, talk
    said = {row["model"]: row for row in json.loads(printed)}
    assert (said["tfidf"]["target"], said["tfidf"]["label"]) == ("Bob Lee", "negative")
    assert said["tfidf"]["predicted"] in ("negative", "neutral", "positive")
    assert said["aom"]["predicted"] is None
    assert "pictures are missing" in said["aom"]["missing"]
    assert "Not run here: AoM: pictures are missing" in (tmp_path / "table7.md").read_text()


def test_a_row_without_pictures_is_a_reason_in_the_table(folder: Path, run: Run, tmp_path: Path) -> None:
    data = ("--data", "twitter2015", "--data-dir", folder / "twitter", "--runs", folder / SHARED_RUNS)
    code, printed, _ = run("paper", "table4", *data, "--model", "tfidf,aom", "--seeds", 1, "--output", tmp_path)
    assert code == 0
    assert "[1] pictures are missing: name their folder (--images DIR)" in printed
    assert "[1] Not run here: pictures are missing" in (tmp_path / "table4.md").read_text()


def test_only_finished_trains_nothing(paper: Run, folder: Path, tmp_path: Path) -> None:
    before = files(folder / SHARED_RUNS) if (folder / SHARED_RUNS).exists() else []
    code, printed, _ = paper("table4", "--model", "late_fusion", "--only-finished", "--first-seed", 7)
    assert code == 0
    assert "not every seed has been trained yet" in printed
    assert (files(folder / SHARED_RUNS) if (folder / SHARED_RUNS).exists() else []) == before


@pytest.mark.parametrize(
    ("arguments", "expected", "message"),
    [
        (("figure4", "--alphas", "0.1,x"), 2, "could not convert"),
        (("figure4", "--betas", "-1"), 2, "expected numbers of 0 or more"),
        (("table4", "--images", "twitter2017=pictures"), 2, "does not name 'twitter2017'"),
        (("table7", "--data", "twitter2015"), 2, "give one --data"),
        (("table4", "--model", "tombret"), 1, "did you mean 'tombert'"),
    ],
)
def test_a_refusal_says_what_was_wrong(paper: Run, arguments: tuple[str, ...], expected: int, message: str) -> None:
    code, _, talk = paper(*arguments)
    assert (code, message in " ".join(talk.replace("│", " ").split())) == (expected, True), talk


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_trained(
    folder: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    options = ("--data", folder / "releases", "--config", folder / "config.toml", "--runs", tmp_path / "runs")
    code, _, talk = run("paper", "table4", *options, "--model", "tfidf", "--output", tmp_path / "file" / "out")
    assert code == 1
    assert "nothing can be written there" in talk
    assert not (tmp_path / "runs").exists()


def test_what_has_been_trained_is_written_down_when_it_is_stopped(
    paper: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []

    def stopped_at_the_second(run: Any, **options: Any) -> object:
        begun.append(run)
        if len(begun) > 1:
            raise KeyboardInterrupt
        return train_run(run, **options)

    monkeypatch.setattr("fgmfn.paper.experiments.train_run", stopped_at_the_second)
    code, _, talk = paper("table4", "--model", "tfidf,text_only", "--seeds", 1, "--first-seed", 99)
    assert code == 130
    assert "the same command goes on from here" in talk
    rows = {row["entry"]: row for row in pq.read_table(tmp_path / "out" / "table4.parquet").to_pylist()}
    assert rows["tfidf"]["seeds"] == [99]
    assert rows["text_only"]["seeds"] == []
