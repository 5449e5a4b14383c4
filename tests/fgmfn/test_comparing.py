"""`fgmfn compare`: two models on the same rows, by how much, with which interval, or not distinguishable."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score

from fgmfn.evaluation import REDUCED
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.runs import CLASSES, labels, write_run


def compared(run: Run, *arguments: object) -> dict[str, Any]:
    code, out, err = run("compare", *arguments, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_better_model_is_better_by_scikit_learns_difference(run: Run, tmp_path: Path) -> None:
    good, poor = (write_run(tmp_path / name, right) for name, right in (("good", 0.9), ("poor", 0.5)))
    found = compared(run, tmp_path / "good", tmp_path / "poor")
    assert (found["rows"], found["groups"], found["seeds"]) == (240, 80, [42])
    accuracy = found["differences"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(accuracy_score(labels(), good) - accuracy_score(labels(), poor))
    f1 = [f1_score(labels(), one, average=None) for one in (good, poor)]
    for at, name in enumerate(CLASSES):
        assert found["differences"][f"f1 {name}"]["difference"] == pytest.approx(f1[0][at] - f1[1][at])
        assert found["a"]["scores"][f"f1 {name}"] == pytest.approx(f1[0][at])
    assert found["differences"]["macro_f1"]["difference"] == pytest.approx(f1[0].mean() - f1[1].mean())
    assert accuracy["distinguishable"]
    assert 0 < accuracy["low"] < accuracy["difference"] < accuracy["high"]
    back = compared(run, tmp_path / "poor", tmp_path / "good")["differences"]["accuracy"]
    turned = [back[name] for name in ("difference", "low", "high", "p")]
    assert turned == pytest.approx([-accuracy["difference"], -accuracy["high"], -accuracy["low"], accuracy["p"]])


def test_seeds_of_both_are_paired_and_the_others_left_out_and_said(run: Run, tmp_path: Path) -> None:
    predicted: dict[str, list[list[int]]] = {"a": [], "b": []}
    for name, right, seeds in (("a", 0.8, (1, 2, 3, 4)), ("b", 0.6, (2, 3, 4, 5))):
        predicted[name] = [write_run(tmp_path / name / f"run-{seed}", right, seed=seed) for seed in seeds]
    code, out, err = run("compare", tmp_path / "a", tmp_path / "b", "--json")
    found = json.loads(out)
    assert (code, found["seeds"], found["left_out"]) == (0, [2, 3, 4], [1, 5])
    assert "seeds 1, 5" in err
    assert len(found["mcnemar"]) == 3
    gains = [
        accuracy_score(labels(), a) - accuracy_score(labels(), b)
        for a, b in zip(predicted["a"][1:], predicted["b"][:3], strict=True)
    ]
    assert found["differences"]["accuracy"]["difference"] == pytest.approx(sum(gains) / 3)
    pattern = compared(run, tmp_path / "a" / "run-*", tmp_path / "a")
    assert {one["difference"] for one in pattern["differences"].values()} == {0.0}


def test_the_same_model_is_not_distinguishable_from_itself(run: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "one", 0.7)
    code, out, err = run("compare", tmp_path / "one", tmp_path / "one")
    assert code == 0
    assert out.count("not distinguishable: +0.0 points") == 2
    assert "240 test rows in 80 groups" in out
    assert "One run each" in err
    assert max(map(len, out.splitlines()[2:9])) <= 100


def test_the_better_side_is_named_whichever_it_is(run: Run, tmp_path: Path) -> None:
    for name, right in (("good", 0.9), ("poor", 0.5)):
        write_run(tmp_path / name, right)
    assert "A is better: +" in run("compare", tmp_path / "good", tmp_path / "poor")[1]
    assert "B is better: -" in run("compare", tmp_path / "poor", tmp_path / "good")[1]


def test_a_model_that_is_not_its_papers_is_marked_beside_every_figure(run: Run, tmp_path: Path) -> None:
    write_run(tmp_path / "whole", 0.9)
    write_run(tmp_path / "small", 0.5, model="tombert", departures=["backbone small in place of resnet152"])
    said = run("compare", tmp_path / "whole", tmp_path / "small")[1]
    assert f"B: TomBERT{REDUCED}, " in said
    assert f"{REDUCED} B: backbone small in place of resnet152" in said
    assert "A: FGMFN, " in said
    shares = [line for line in said.splitlines() if line.startswith("│")]
    assert [line.count(REDUCED) for line in shares] == [1] * 5
    found = compared(run, tmp_path / "whole", tmp_path / "small")
    assert [found[side]["departures"] for side in "ab"] == [[], ["backbone small in place of resnet152"]]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([{"checksum": "2" * 64}], ("1" * 64, "2" * 64, "not compared")),
        ([{"seed": 1}, {"seed": 1}], ("several runs of seed 1",)),
        ([{"seed": 1}, {"seed": 2, "training": {"epochs": 9}}], ("[training] epochs (2 and 9)",)),
        ([{"seed": 1}, {"seed": 2, "model": "text_only"}], ("model (fgmfn and text_only)",)),
        ([{"seed": 1}, {"seed": 2}], ()),
        ([], ("neither a run nor a folder of runs",)),
    ],
)
def test_what_cannot_be_compared_is_refused(
    run: Run, tmp_path: Path, other: Sequence[Mapping[str, Any]], words: Sequence[str]
) -> None:
    for seed in (7, 8):
        write_run(tmp_path / "one" / f"run-{seed}", 0.7, seed=seed)
    (tmp_path / "other").mkdir()
    for number, given in enumerate(other):
        write_run(tmp_path / "other" / f"run-{number}", 0.6, **given)
    code, out, err = run("compare", tmp_path / "one", tmp_path / "other")
    assert (code, out) == (1, "")
    assert [word for word in words or ("no seed in common",) if word not in err] == []


def test_predictions_that_were_changed_or_are_hidden_are_refused(run: Run, tmp_path: Path) -> None:
    for name in ("changed", "hidden", "whole"):
        write_run(tmp_path / name, 0.7)
    file = tmp_path / "changed" / "predictions" / "test.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)
    assert "not the file that was written" in run("compare", tmp_path / "changed", tmp_path / "whole")[2]
    assert run("compare", tmp_path / "whole", tmp_path / "whole", "--split", "validation")[0] == 1
    assert run("compare", tmp_path / "whole", tmp_path / "whole", "--split", "train")[0] == 2
    file = tmp_path / "hidden" / "predictions" / "test.parquet"
    table = pq.read_table(file)
    table = table.set_column(2, "label", pa.nulls(len(table), pa.string()))
    pq.write_table(table, file)
    record = json.loads((tmp_path / "hidden" / "metrics.json").read_text())
    record["files"] = {"predictions/test.parquet": hashlib.sha256(file.read_bytes()).hexdigest()}
    (tmp_path / "hidden" / "metrics.json").write_text(json.dumps(record))
    assert "labels are hidden" in run("compare", tmp_path / "hidden", tmp_path / "whole")[2]


def test_a_run_without_predictions_predicts_again_where_its_data_are_named(
    finished: Finished, run: Run, tmp_path: Path
) -> None:
    folder, trained = finished
    older = tmp_path / "older"
    shutil.copytree(trained[0].checkpoint, older)
    shutil.rmtree(older / "predictions")
    code, _, err = run("compare", older, trained[1].checkpoint)
    assert (code, "name the data (--data)" in err) == (1, True)
    release = ("--data", folder / "releases")
    again = compared(run, older, trained[1].checkpoint, *release)
    assert again["differences"] == compared(run, trained[0].checkpoint, trained[1].checkpoint)["differences"]
