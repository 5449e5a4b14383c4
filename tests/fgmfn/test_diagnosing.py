"""`fgmfn diagnose`: probes that take pictures and words away as they say, and what a report makes of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from fgmfn.baselines import MODELS
from fgmfn.data import Collator, Rows, Source, SplitDataset, open_release
from fgmfn.data.pictures import ChosenPictures
from fgmfn.data.rows import NOWHERE
from fgmfn.diagnosing import Diagnosis, probe_findings
from fgmfn.errors import DataError
from fgmfn.inference import Checkpoint, load_checkpoint
from fgmfn.probing import (
    BLANK,
    MASKED,
    NEITHER,
    PROBES,
    SHUFFLED,
    MaskedWords,
    Probed,
    Probing,
    blank_pictures,
    other_pictures,
    probe,
)
from fgmfn.statistics import Interval, PairedDifference
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.conftest import Finished, Run
from tests.fgmfn.models import ad_split, build, processor_for, tweet_split
from tests.fgmfn.releases import small_release

# --- what is put in place ---


@dataclass(frozen=True)
class Given:
    """Pictures by their bytes."""

    contents: Sequence[bytes]

    def read(self, row: int) -> bytes:
        return self.contents[row]


def rows_of(groups: Sequence[str], contents: Sequence[bytes]) -> Rows:
    """Rows whose pictures have names of their own, whatever they show."""
    count, names = len(groups), [f"row{row}" for row in range(len(groups))]
    nothing = [""] * count
    return Rows(
        names, list(groups), names, nothing, [NOWHERE] * count, [0] * count, names, Given(contents), False
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_no_row_gets_a_picture_of_its_group_or_the_same_one_under_another_name(drawn: list[tuple[int, int]]) -> None:
    groups, contents = [f"g{group}" for group, _ in drawn], [bytes([content]) for _, content in drawn]
    rows = rows_of(groups, contents)
    try:
        changed = other_pictures(rows)
    except DataError:
        return  # that many rows are linked
    chosen: Any = changed.pictures
    assert sorted(chosen.numbers) == list(range(len(rows)))
    assert other_pictures(rows).pictures == chosen
    for row, shown in enumerate(chosen.numbers):
        assert groups[row] != groups[shown]
        assert rows.pictures.read(row) != changed.pictures.read(row)
        # nor one of a group that shares a picture with its own
        own = {content for group, content in zip(groups, contents, strict=True) if group == groups[row]}
        assert changed.pictures.read(row) not in own


def test_rows_of_different_ads_and_pictures_can_always_be_shuffled() -> None:
    changed: Any = other_pictures(rows_of(["a", "a", "b", "b"], [b"1", b"2", b"3", b"4"])).pictures
    assert {*changed.numbers[:2]} == {2, 3}
    with pytest.raises(DataError, match="not every one can have the picture of another"):
        other_pictures(rows_of(["a", "a", "b"], [b"1", b"2", b"3"]))


@pytest.mark.parametrize("name", [name for name in STEPPED if "text" in MODELS[name].modalities])
def test_no_word_is_left_of_any_models_text_and_every_special_piece_is(name: str) -> None:
    model = build(name)
    processor, inputs = processor_for(model), model.inputs
    tokenizer: Any = processor.tokenizer
    mask = tokenizer.unk_token_id if inputs.tokens == "words" else tokenizer.mask_token_id
    for rows in (ad_split(), tweet_split()):
        whole, masked = SplitDataset(rows, processor, inputs), MaskedWords(rows, processor, inputs)
        for row in range(len(rows)):
            before, after = whole[row], masked[row]
            for field in {"input_ids", "target_ids"} & before.keys():
                words = tokenizer.convert_ids_to_tokens(before[field])
                expected = [
                    number if word in ("[CLS]", "[SEP]", "[PAD]") else mask
                    for number, word in zip(before[field], words, strict=True)
                ]
                assert list(after[field]) == expected
            others = before.keys() - {"input_ids", "target_ids", "pixel_values", "labels", "groups"}
            assert all(np.array_equal(before[field], after[field]) for field in others)


def test_a_blank_picture_is_0_once_it_is_normalised() -> None:
    model = build("fgmfn")
    processor = processor_for(model)
    rows = SplitDataset(blank_pictures(ad_split(), processor), processor, model.inputs)
    pixels = Collator(processor, model.inputs)([rows[row] for row in range(4)])["pixel_values"]
    assert pixels.shape == (4, 3, 64, 64)
    assert pixels.abs().max() < 0.01


# --- models of which it is known what they rest on ---


@pytest.fixture(scope="module")
def red_and_blue(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Ads whose picture alone says their class, and words that say nothing."""
    return open_release(small_release(tmp_path_factory.mktemp("red") / "r", test=40, text_sign=False))


def sees_pictures_alone(finished: Finished, source: Source) -> Checkpoint:
    """The trained FGMFN with a fusion that adds nothing, and a head that tells red from blue pictures."""
    checkpoint = load_checkpoint(finished[1][0].checkpoint)
    model: Any = checkpoint.model
    model.fusion.close()
    rows = SplitDataset(source.splits["train"], checkpoint.processor, model.inputs)  # type: ignore[arg-type]
    (given,) = DataLoader(rows, batch_size=len(rows), collate_fn=Collator(rows._processor, model.inputs))
    with torch.no_grad():
        picture = torch.nn.functional.layer_norm(
            model.visual_tokens(model.image_encoder(given["pixel_values"]))[:, 0], (32,)
        )
        blue, red = (picture[given["labels"] == label].mean(dim=0) for label in (0, 1))
        first, last = (layer for layer in model.head.layers if isinstance(layer, torch.nn.Linear))
        for weight in model.head.parameters():
            weight.zero_()
        scale = 10 / (red - blue).square().sum()
        first.weight[0, :32] = scale * (red - blue)
        first.bias[0] = -scale * (red - blue) @ (red + blue) / 2
        last.weight[:, 0] = torch.tensor([-3.0, 3.0])
    return checkpoint


def test_a_model_of_pictures_alone_loses_what_others_pictures_say_and_nothing_by_its_words(
    finished: Finished, red_and_blue: Source
) -> None:
    rows = red_and_blue.splits["test"]
    found = probe(sees_pictures_alone(finished, red_and_blue), red_and_blue, "test", progress=False)
    assert found.accuracy == 1
    shown: Any = other_pictures(rows).pictures
    right = np.mean([rows.label[row] == rows.label[other] for row, other in enumerate(shown.numbers)])
    assert found.probed[SHUFFLED].accuracy == pytest.approx(right)
    assert found.probed[SHUFFLED].difference.accuracy.value == pytest.approx(right - 1)
    assert found.probed[SHUFFLED].changed == pytest.approx(1 - right)
    assert found.probed[SHUFFLED].difference.accuracy.high < -0.2
    assert (found.probed[MASKED].moved, found.probed[MASKED].changed) == (0, 0)
    assert found.probed[MASKED].difference.accuracy == Interval(0, 0, 0)
    assert found.probed[BLANK].accuracy == found.probed[NEITHER].accuracy == pytest.approx(0.5)
    said = probe_findings(found, "accuracy")
    assert said[0].startswith("the picture is used: pictures of other rows cost ")
    assert "the words are not used: masked words change no probability of any row" in said
    assert said[3].startswith("not distinguishable whether the words alone are worth anything: 0.0 points")
    assert said[4].startswith("the picture alone is worth 50.0 points of accuracy")
    assert "more than always naming negative" in said[4]


def test_a_model_that_ignores_its_pictures_is_changed_by_none(finished: Finished, red_and_blue: Source) -> None:
    checkpoint = load_checkpoint(finished[1][0].checkpoint)
    model: Any = checkpoint.model
    model.visual_tokens.norm.weight.data.zero_()
    found = probe(checkpoint, red_and_blue, "test", progress=False)
    for name in (SHUFFLED, BLANK):
        one = found.probed[name]
        assert (one.moved, one.changed) == (0, 0)
        for interval in (one.difference.accuracy, one.difference.macro_f1):
            assert interval == Interval(0, 0, 0)
    assert found.probed[MASKED].moved > 0
    assert probe_findings(found, "macro_f1")[0] == (
        "the picture is not used: pictures of other rows change no probability of any row"
    )


# --- sentences ---


def probing(value: float, low: float, high: float, p: float) -> Probing:
    """One in which pictures of other rows change the score so, and some probabilities."""
    interval, none = Interval(value, low, high), Interval(0.0, 0.0, 0.0)
    difference = PairedDifference(none, interval, (), (1.0, p), 90, 30, 1)
    probed = {SHUFFLED: Probed(SHUFFLED, 0.6, 0.5, difference, 0.125, 0.1)}
    return Probing("test", "1" * 64, 0.6, 0.5, probed, {}, "positive", {}, 90, 30)


UNKNOWN = "not distinguishable whether the picture is of use: "


@pytest.mark.parametrize(
    ("figures", "begins", "backed"),
    [
        ((-0.041, -0.063, -0.02, 0.003), "the picture is used: ", "cost 4.1 points of macro-F1 [2.0, 6.3], p = 0.003"),
        ((0.03, 0.01, 0.05, 0.01), "the picture is used, and does harm: ", "gain 3.0 points of macro-F1 [1.0, 5.0]"),
        ((-0.01, -0.03, 0.01, 0.4), UNKNOWN, "cost 1.0 points of macro-F1 [-1.0, 3.0], p = 0.400"),
        ((0.01, -0.01, 0.03, 0.4), UNKNOWN, "cost -1.0 points of macro-F1 [-3.0, 1.0], p = 0.400"),
        ((-0.2, -0.4, -0.1, 0.12), UNKNOWN, "[10.0, 40.0], p = 0.120 (the interval lacks 0, but so few groups may"),
    ],
)
def test_a_sentence_says_what_follows(figures: tuple[float, float, float, float], begins: str, backed: str) -> None:
    (said,) = probe_findings(probing(*figures), "macro_f1")
    assert said.startswith(begins)
    assert backed in said
    assert said.endswith("; they change 12.5% of the answers")
    assert probe_findings(probing(*figures), "accuracy")[0].startswith(UNKNOWN)


@pytest.mark.parametrize(("deviation", "chooses"), [(0.03, False), (0.4, True)])
def test_a_gate_that_is_as_before_any_training_chooses_nothing(deviation: float, chooses: bool) -> None:
    gate = {"mean": 0.5, "deviation": deviation, "entropy": 1.0}
    parts = {"gradients": {}, "attention": {}, "gate": gate}
    epoch = {"number": 1, "losses": {}, "dev": {}, "parts": parts}
    record = {"model": "fgmfn", "settings": {"training": {}}, "epochs": [epoch]}
    said = Diagnosis(Path("run"), record, None, ()).findings()
    assert [("the gate chooses" in line, "chooses nothing" in line) for line in said] == [(chooses, not chooses)]


# --- the command ---


def diagnosed(run: Run, *arguments: object) -> dict[str, Any]:
    code, out, err = run("diagnose", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_report_is_whole_and_leaves_the_run_alone(finished: Finished, run: Run, tmp_path: Path) -> None:
    folder, (trained, *_) = finished
    before = {file: file.stat().st_mtime_ns for file in trained.checkpoint.rglob("*")}
    code, out, _ = run("diagnose", trained.checkpoint, "--data", folder / "releases", "--output", tmp_path)
    assert code == 0
    assert {file: file.stat().st_mtime_ns for file in trained.checkpoint.rglob("*")} == before
    assert out.split()[-4:] == [str(tmp_path / f"diagnosis.{ending}") for ending in ("md", "parquet", "png", "html")]
    assert max(map(len, out.splitlines()[1:11])) <= 80
    page = (tmp_path / "diagnosis.html").read_text()
    assert re.findall(r'(?:src=|url\()"?(.{10})', page) == ["data:image"]
    assert {anchor[0] for anchor in re.findall(r'href="(.)', page)} == {"#"}
    assert "<script" not in page
    said = re.findall(r"^- (.*)\.$", (tmp_path / "diagnosis.md").read_text(), re.MULTILINE)
    assert said
    assert [line for line in said if line[1:] not in out] == []
    table = pq.read_table(tmp_path / "diagnosis.parquet")
    assert set(table["kind"].to_pylist()) == {"training", "development", "gradient", "gate", "attention", "probe"}


def test_the_validation_rows_are_probed_where_they_are_asked_for(finished: Finished, run: Run, tmp_path: Path) -> None:
    folder, (_, text_only, image_only) = finished
    options = ("--data", folder / "releases", "--output", tmp_path, "--split", "validation")
    words = diagnosed(run, text_only.checkpoint, *options)
    assert (words["probing"]["split"], list(words["probing"]["probed"])) == ("validation", [MASKED])
    assert words["probing"]["accuracy"] == pytest.approx(text_only.dev.accuracy)
    assert (
        "no probe of pictures of other rows, blank pictures, neither: the model looks at no picture" in words["lacking"]
    )
    assert "no gate: the model has no gate" in words["lacking"]
    assert list(diagnosed(run, image_only.checkpoint, *options)["probing"]["probed"]) == [SHUFFLED, BLANK]


def test_a_run_from_before_says_what_it_lacks_and_other_rows_are_refused(
    finished: Finished, run: Run, tmp_path: Path
) -> None:
    folder, (trained, *_) = finished
    older = shutil.copytree(trained.checkpoint, tmp_path / "older")
    record = json.loads((older / "metrics.json").read_text())
    for epoch in record["epochs"]:
        del epoch["parts"]
    (older / "metrics.json").write_text(json.dumps(record))
    found = diagnosed(run, older, "--data", folder / "releases")
    assert found["lacking"] == ["no gradients, gate and attention: the run was trained before they were recorded"]
    assert (older / "diagnosis.html").is_file()
    assert found["epochs"] == record["epochs"]
    kept = next(one for one in record["epochs"] if one["number"] == found["chosen_epoch"])
    assert kept["dev"]["macro_f1"] == max(one["dev"]["macro_f1"] for one in record["epochs"])
    probes = found["probing"]
    assert probes["probed"].keys() == PROBES.keys()
    assert probes["checksum"] == record["checksums"]["test"]
    for name in ("accuracy", "macro_f1"):
        assert probes[name] == pytest.approx(record["test"][name])
        for one in probes["probed"].values():
            gain = one["difference"][name]
            assert gain["difference"] == pytest.approx(one[name] - probes[name])
            assert gain["low"] <= gain["difference"] <= gain["high"]
    other = small_release(tmp_path / "2026.12.01", test=12)
    code, out, err = run("diagnose", older, "--data", other)
    assert (code, out) == (1, "")
    assert record["checksums"]["test"] in err
    assert run("diagnose", older, "--data", folder / "releases", "--split", "train")[0] == 2
    assert run("diagnose", tmp_path / "nowhere")[0] == 1
    assert not (tmp_path / "nowhere").exists()


def test_without_data_and_before_its_end_a_run_shows_its_course_alone(
    finished: Finished, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no catalog here
    trained = finished[1][1].checkpoint
    found = diagnosed(run, trained, "--output", tmp_path)
    assert (found["probing"], found["lacking"][-1]) == (None, "no probes: name the run's data (--data)")
    assert len(found["epochs"]) == 2
    begun = tmp_path / "begun"
    begun.mkdir()
    record = json.loads((trained / "metrics.json").read_text())
    origin = ("model", "seed", "settings", "row_set_hash", "release", "rows")
    (begun / "metrics.json").write_text(
        json.dumps({name: record[name] for name in origin} | {"finished": False, "epochs": record["epochs"][:1]})
    )
    found = diagnosed(run, begun)
    assert (found["probing"], found["lacking"][-1]) == (None, "no probes: the training has not finished")


def test_a_model_that_is_fitted_in_one_go_is_probed_too(finished: Finished, run: Run) -> None:
    folder = finished[0]
    options = ("--data", folder / "releases", "--config", folder / "config.toml")
    (fitted,) = json.loads(run("train", *options, "--model", "tfidf", "--output", folder / "fitted", "--json")[1])
    found = diagnosed(run, fitted["checkpoint"], "--data", folder / "releases")
    assert list(found["probing"]["probed"]) == [MASKED]
    assert found["lacking"][0].startswith("no curves: the model is fitted in one go")


def test_hidden_labels_are_refused(finished: Finished, red_and_blue: Source) -> None:
    rows = red_and_blue.splits["test"]
    hidden = replace(red_and_blue, splits=red_and_blue.splits | {"test": replace(rows, label=[-1] * len(rows))})
    with pytest.raises(DataError, match="labels are hidden"):
        probe(load_checkpoint(finished[1][0].checkpoint), hidden, "test", progress=False)


def test_the_control_with_shuffled_pictures_is_not_shuffled_again(finished: Finished, red_and_blue: Source) -> None:
    checkpoint = load_checkpoint(finished[1][0].checkpoint)
    checkpoint.model.inputs = replace(checkpoint.model.inputs, shuffled=True)  # type: ignore[misc]
    found = probe(checkpoint, red_and_blue, "test", progress=False)
    assert found.left_out == {SHUFFLED: "the model sees pictures of other rows anyway"}
    assert [*found.probed] == [BLANK, MASKED, NEITHER]
    assert isinstance(other_pictures(red_and_blue.splits["test"]).pictures, ChosenPictures)


def test_a_folder_that_is_no_run_is_not_called_damaged(run: Run, tmp_path: Path) -> None:
    code, _, err = run("diagnose", tmp_path / "nowhere")
    assert (code, "no run of fgmfn train" in err, "damaged" in err) == (1, True, False)
