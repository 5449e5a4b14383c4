"""The command line: results on standard output, talk on standard error, refusals in one line and exit code 1."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import fgmfn
from fgmfn.evaluation import REDUCED, Metrics
from fgmfn.settings import shipped_configs
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.releases import picture, small_release


@pytest.fixture
def folder(finished: Finished) -> Path:
    """A release, a configuration, trained models and a picture."""
    (finished[0] / "frame.jpg").write_bytes(picture((200, 40, 40)))
    return finished[0]


@pytest.fixture
def train(folder: Path, run: Run) -> Run:
    """Run `fgmfn train` on the folder's release."""
    options = ("--release", folder / "releases", "--config", folder / "config.toml", "--output", folder / "runs")
    return lambda *more: run("train", *options, *more)


@pytest.fixture
def checkpoint(finished: Finished) -> Path:
    """The folder of the trained FGMFN."""
    return finished[1][0].checkpoint


def test_training_prints_fgmfn_beside_text_only_and_says_what_was_trained_before(train: Run, folder: Path) -> None:
    code, out, err = train()
    assert code == 0
    assert [word for word in ("FGMFN", "text only", str(folder / "runs" / "fgmfn-")) if word not in out] == []
    assert [line for line in out.splitlines() if "│" in line and len(line) > 100] == []
    assert "by drawing 8 groups of 8 rows" in out
    assert "always naming" in out
    notes = ("synthetic", "fgmfn: already trained", "text_only: already trained")
    assert [note for note in notes if note not in err] == []
    for title in ("FGMFN", "text only"):
        figures = next(line for line in out.splitlines() if line.startswith(f"│ {title} ")).split("│")[2:6]
        assert [figure.strip()[-2:] for figure in figures] == [f"%{REDUCED}"] * 4
        assert f"{REDUCED} {title}: its encoders started at random" in out


def test_fgmfn_alone_is_told_that_it_proves_nothing(train: Run) -> None:
    assert "add --model text_only" in train("--model", "fgmfn")[2]
    told = train("--model", "fgmfn", "--model", "text_only")[2]
    assert "add --model text_only" not in told
    assert "add --model image_only,own_late_fusion" in told


def test_json_is_all_there_is_on_standard_output(train: Run) -> None:
    rows = json.loads(train("--json")[1])
    assert [row["model"] for row in rows] == ["fgmfn", "text_only"]
    assert 0 <= rows[0]["test"]["macro_f1"] <= 1
    assert Path(rows[0]["checkpoint"]).is_dir()


def test_evaluate_repeats_the_trainings_test_scores(finished: Finished, run: Run) -> None:
    folder, (trained, *_) = finished
    release = ("--release", folder / "releases")
    found = json.loads(run("evaluate", trained.checkpoint, *release, "--json")[1])
    assert Metrics.from_json(found) == trained.test
    code, out, _ = run("evaluate", trained.checkpoint, *release, "--split", "validation")
    assert (code, "8 rows" in out, "negative" in out) == (0, True, True)
    assert f"%{REDUCED}, macro-F1" in out
    assert found["departures"][0] == "its encoders started at random"
    assert [word for word in ("precision", "95 % intervals", "always naming", "ECE", "Brier") if word not in out] == []


def test_rows_that_may_have_been_trained_on_are_said(checkpoint: Path, run: Run, folder: Path, tmp_path: Path) -> None:
    other = small_release(tmp_path / "2026.12.01", train=32)
    said = "rows of this test split may have been trained on"
    code, out, err = run("evaluate", checkpoint, "--release", other, "--json")
    assert (code, json.loads(out)["rows"]) == (0, 8)
    assert said in err
    code, _, err = run("predict", checkpoint, "--release", other, "--output", tmp_path / "out.parquet")
    assert code == 0
    assert said in err
    assert said not in run("evaluate", checkpoint, "--release", folder / "releases")[2]


def test_a_checkpoint_that_does_not_say_its_rows_is_not_trusted(
    checkpoint: Path, run: Run, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "bare")
    (tmp_path / "bare" / "metrics.json").unlink()
    code, _, err = run("evaluate", tmp_path / "bare", "--release", folder / "releases")
    assert code == 0
    assert "no metrics.json names them" in err


def test_a_picture_with_its_words_is_predicted(checkpoint: Path, run: Run, folder: Path) -> None:
    code, out, _ = run("predict", checkpoint, "--image", folder / "frame.jpg", "--text", "wonderful [b]shoes")
    assert code == 0
    assert out.startswith(str(folder / "frame.jpg"))
    assert out.count("%") == 2
    (row,) = json.loads(run("predict", checkpoint, "--image", folder / "frame.jpg", "--text", "wonderful", "--json")[1])
    assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)


def test_a_split_is_predicted_into_a_parquet_file(checkpoint: Path, run: Run, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "predictions.parquet"
    code, out, _ = run("predict", checkpoint, "--release", folder / "releases", "--output", output)
    table = pq.read_table(output)
    assert (code, out.strip()) == (0, str(output))
    assert table.num_rows == 8
    assert table.column_names == [
        "frame_id", "video_id", "label", "predicted", "probability_negative", "probability_positive"
    ]  # fmt: skip


def test_models_lists_every_row_with_its_size(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "--json")[1])}
    assert rows["fgmfn"]["parameters"] == 132_871_250
    assert rows["text_only"]["modalities"] == ["text"]
    assert rows["res_target"]["trainable_parameters"] < rows["res_target"]["parameters"]
    assert all(row["source"] for row in rows.values())
    assert "text and image" in run("models")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--release", "nowhere", "--config", "tiny"), "nowhere: no such file or folder"),
        (("train", "--config", "tinny"), "did you mean 'tiny'?"),
        (("train", "--config", "tiny", "--model", "bert"), "unknown model 'bert'"),
        (("train", "--config", "tiny", "--model", ","), "no model to train"),
        (("evaluate", "nowhere"), "nowhere: no readable config.json"),
        (("predict", "nowhere", "--image", "a.jpg"), "1 pictures and 0 texts"),
        (("predict", "nowhere", "--image", "a.jpg", "--text", "x"), "a.jpg: cannot be read as a picture"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert err.strip().count("\n") == 0


def test_an_empty_split_cannot_be_evaluated(checkpoint: Path, run: Run, folder: Path) -> None:
    code, _, err = run("evaluate", checkpoint, "--release", folder / "releases", "--split", "tset")
    assert (code, "split 'tset' has no rows; with rows: train, validation, test" in err) == (1, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "incomplete or damaged"),  # a model's own configuration, without its weights
        ("[]", "no readable config.json"),
        ('{"architectures": 5}', "names the model ''"),
        ('{"architectures": ["Other"]}', "names the model 'Other'"),
    ],
)
def test_a_folder_that_is_no_whole_checkpoint_is_refused(
    checkpoint: Path, run: Run, folder: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    (tmp_path / "config.json").write_text(content or (checkpoint / "config.json").read_text())
    code, _, err = run("evaluate", tmp_path, "--release", folder / "releases")
    assert (code, message in err) == (1, True), err


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "x"),
        ("predict", "x", "--release", "y"),
        ("predict", "x", "--release", "y", "--image", "z"),
        ("fly",),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "models", "compare", "diagnose"])
def test_every_commands_help_shows_an_example(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert (code, f"fgmfn {command}" in out) == (0, True)


def test_everything_the_package_names_is_there() -> None:
    assert all(hasattr(fgmfn, name) for name in fgmfn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'train_model'"):
        fgmfn.train_model  # noqa: B018


def test_help_names_every_configuration_that_is_shipped(run: Run) -> None:
    _, out, _ = run("train", "--help")
    words = re.findall(r"\w+", out[out.index("--config") :])
    assert set(shipped_configs()) <= set(words)


@pytest.mark.parametrize("command", [(), ("paper",), ("paper", "table4"), ("search",), ("train",), ("diagnose",)])
def test_help_teaches_without_loading_a_library(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fgmfn", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    reported = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in reported}
    assert "typer" in loaded
    assert not loaded & {"torch", "transformers", "optuna", "matplotlib", "pyarrow", "numpy", "sklearn", "PIL"}
    assert not command or command == ("paper",) or "Examples" in done.stdout
