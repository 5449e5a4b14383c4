"""Settings of long runs: patience, accumulation, batches by length, recomputed layers, reports; a record that grows."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from fgmfn import trainer
from fgmfn.callbacks import Epoch, best_epoch
from fgmfn.data import Source, open_release
from fgmfn.errors import ConfigError
from fgmfn.planning import Run, plan_run
from fgmfn.predictions import read_predictions
from fgmfn.settings import Selection, TrainingSettings
from fgmfn.trainer import ByLength
from fgmfn.training import TrainedModel, read_trained, train_run
from tests.fgmfn.releases import ad_rows, small_release, tiny_config, write_release


class Stopped(Exception):  # noqa: N818  no error
    """Ends a training as a kill would."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return open_release(small_release(tmp_path_factory.mktemp("long") / "2026.11.24", train=28))


def planned(source: Source, folder: Path, *, dropout: float = 0.1, **training: Any) -> Run:
    changes: dict[str, Any] = {"training": training, "dropout": dropout, "pretrained": False}
    if not dropout:
        changes["text_config"] = {
            "num_hidden_layers": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
    return plan_run("text_only", source, tiny_config(folder, epochs=2), folder / "runs", changes=changes)


def weights(trained: TrainedModel) -> dict[str, torch.Tensor]:
    return load_file(trained.checkpoint / "model.safetensors")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


# --- patience ---


def contrary(folder: Path) -> Source:
    """Development labels that contradict the training labels: the more is learned, the lower the score."""
    wrong = [replace(row, label=1 - row.label) for row in ad_rows(12, first=24, image_sign=False)]
    splits = {"train": ad_rows(24, image_sign=False), "validation": wrong, "test": []}
    return open_release(write_release(folder / "r", splits))


def test_patience_ends_a_training_and_a_resumed_one_at_the_same_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, settings = contrary(tmp_path), {"epochs": 30, "learning_rate": 5e-3, "patience": 3}
    whole = train_run(planned(source, tmp_path, **settings), progress=False)
    scores = [one["eval_macro_f1"] for one in record(whole.checkpoint)["history"] if "eval_macro_f1" in one]
    losses = [one["eval_loss"] for one in record(whole.checkpoint)["history"] if "eval_macro_f1" in one]
    best = min(range(len(scores)), key=lambda place: (-scores[place], losses[place]))
    assert (len(scores), len(scores) < 30) == (best + 4, True)

    def stop(*_: Any) -> None:
        raise Stopped

    def stop_in_last(epoch: int, score: float) -> None:
        if epoch == len(scores):
            raise Stopped

    (tmp_path / "again").mkdir()
    run = planned(source, tmp_path / "again", **settings)
    with pytest.raises(Stopped):
        train_run(run, progress=False, after_epoch=stop_in_last)
    with monkeypatch.context() as patch:  # all epochs are over, and nothing is scored
        patch.setattr("fgmfn.training._finish", stop)
        with pytest.raises(Stopped):
            train_run(run, progress=False)
    resumed = train_run(run, progress=False)
    assert record(resumed.checkpoint)["history"][:-1] == record(whole.checkpoint)["history"][:-1]
    assert all(torch.equal(values, weights(resumed)[name]) for name, values in weights(whole).items())


# --- which epoch is kept ---

SCORES = st.sampled_from([0.2, 0.5, 0.9])
ENTRIES = st.lists(st.tuples(SCORES, SCORES, st.integers(0, 3)), min_size=1)


@given(ENTRIES)
def test_the_best_epoch_is_the_first_of_those_with_the_least_loss_among_the_best(
    entries: list[tuple[float, float, int]],
) -> None:
    scored = [{"eval_macro_f1": f1, "eval_accuracy": accuracy, "eval_loss": loss} for f1, accuracy, loss in entries]
    for selection, column in (("macro_f1", 0), ("accuracy", 1)):
        top = [place for place, one in enumerate(entries) if one[column] == max(each[column] for each in entries)]
        least = min(entries[place][2] for place in top)
        expected = next(place for place in top if entries[place][2] == least)
        assert best_epoch(scored, selection) == expected  # type: ignore[arg-type]
    losses = [loss for *_, loss in entries]
    assert best_epoch(scored, "loss") == losses.index(min(losses))


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    scored = [{"eval_macro_f1": 0.5, "eval_loss": loss} for loss in (float("nan"), 0.7, float("nan"))]
    assert best_epoch(scored, "macro_f1") == 1
    assert best_epoch(scored, "loss") == 1


@pytest.mark.parametrize(
    ("selection", "is_contrary"), [("macro_f1", False), ("accuracy", False), ("loss", False), ("loss", True)]
)
def test_the_kept_weights_are_those_of_the_epoch_that_was_asked_for(
    tmp_path: Path, selection: Selection, is_contrary: bool
) -> None:
    """Where words decide, several epochs are right on all rows; contrary labels let the loss rise from the first."""
    learnable = tmp_path / "learnable"
    chosen = contrary(tmp_path) if is_contrary else open_release(small_release(learnable, image_sign=False))
    trained = train_run(
        planned(chosen, tmp_path, epochs=8, learning_rate=5e-3, selection=selection, seed=3), progress=False
    )
    scored = [one for one in record(trained.checkpoint)["history"] if "eval_macro_f1" in one]
    best = scored if selection == "loss" else [
        one for one in scored if one[f"eval_{selection}"] == max(each[f"eval_{selection}"] for each in scored)
    ]  # fmt: skip
    kept = read_predictions(pq.read_table(trained.checkpoint / "predictions" / "validation.parquet"))
    # what is kept is calibrated; the training's own losses are from before
    before = kept.probabilities ** record(trained.checkpoint)["calibration"]["temperature"]
    before /= before.sum(axis=1, keepdims=True)
    loss = -np.log(before[np.arange(len(kept.labels)), kept.labels]).mean()
    assert loss == pytest.approx(min(one["eval_loss"] for one in best), rel=1e-3)
    said = {"macro_f1": "best macro-F1", "accuracy": "best accuracy", "loss": "lowest loss"}[selection]
    assert said in (trained.checkpoint / "README.md").read_text()


def test_a_development_split_with_few_ads_of_a_class_is_said_to_be_too_small(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def notes(name: str, ads: int, frames: int) -> list[str]:
        splits = {"train": ad_rows(8), "validation": ad_rows(ads, first=8, frames=frames), "test": []}
        source = open_release(write_release(tmp_path / name, splits))
        run = plan_run("tfidf", source, None, tmp_path / "runs")
        return [note for note in train_run(run, progress=False).notes if "too small to choose by" in note]

    assert notes("many", 60, 1) == []
    [note] = notes("few", 16, 5)  # 80 rows, and 8 ads of each class
    assert "8 groups of class negative, 8 groups of class positive, fewer than 30" in note
    assert note in caplog.text
    assert any(note in card.read_text() for card in (tmp_path / "runs").glob("*/README.md"))


def test_how_many_epochs_a_small_split_cannot_tell_apart_is_said(tmp_path: Path, source: Source) -> None:
    trained = train_run(planned(source, tmp_path, epochs=3), progress=False)
    [note] = [note for note in trained.notes if "too small to choose by" in note]
    assert trained.dev
    assert trained.dev.macro_f1_interval
    low, high = trained.dev.macro_f1_interval
    scores = [one["eval_macro_f1"] for one in record(trained.checkpoint)["history"] if "eval_macro_f1" in one]
    assert f"holds the scores of {sum(low <= score <= high for score in scores)} of 3" in note


# --- accumulation, recomputed layers ---


def test_a_step_in_parts_is_the_step_of_the_whole_batch(source: Source, tmp_path: Path) -> None:
    # 28 rows in batches of 8: the last step has 4, one part alone
    runs = [
        train_run(planned(source, tmp_path, dropout=0.0, optimizer="adamw", accumulation=parts), progress=False)
        for parts in (1, 2)
    ]
    first, second = (record(run.checkpoint)["history"][:2] for run in runs)
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, rel=5e-3)
    with pytest.raises(ConfigError, match="batch_size = 8; expected a multiple of 3"):
        planned(source, tmp_path, accumulation=3)


def test_layers_that_are_computed_again_give_the_same_weights(source: Source, tmp_path: Path) -> None:
    kept, again = (
        train_run(planned(source, tmp_path, gradient_checkpointing=value), progress=False) for value in (False, True)
    )
    assert kept.checkpoint != again.checkpoint
    assert all(torch.allclose(values, weights(again)[name], atol=1e-6) for name, values in weights(kept).items())


def test_a_model_without_layers_to_compute_again_refuses_the_setting(source: Source, tmp_path: Path) -> None:
    changes = {"training": {"gradient_checkpointing": True}}
    run = plan_run("image_only", source, tiny_config(tmp_path), tmp_path / "runs", changes=changes)
    with pytest.raises(ConfigError, match="gradient_checkpointing"):
        train_run(run, progress=False)


# --- batches by length ---


class Rows:
    epoch = 0


@given(st.lists(st.integers(1, 99), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 3))
def test_batches_by_length_hold_every_row_once_and_repeat_with_seed_and_epoch(
    lengths: list[int], size: int, epoch: int
) -> None:
    rows: Any = Rows()
    sampler = ByLength(lengths, size, 7, rows)
    rows.epoch = epoch
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths))) == sorted(range(len(sampler)))
    assert order == list(ByLength(lengths, size, 7, rows))


def test_batches_by_length_have_little_padding_and_another_order_in_each_epoch() -> None:
    lengths = np.random.default_rng(0).integers(8, 96, 2000)
    rows: Any = Rows()
    sampler = ByLength(lengths.tolist(), 16, 7, rows)
    orders = []
    for rows.epoch in (0, 1):
        orders.append(np.array(list(sampler)))
        batches = lengths[orders[-1]].reshape(-1, 16)
        assert 1 - lengths.sum() / (16 * batches.max(axis=1)).sum() < 0.03
        assert abs(np.corrcoef(np.arange(len(batches)), batches.mean(axis=1))[0, 1]) < 0.3, "long ones anywhere"
    assert not np.array_equal(orders[0], orders[1])


def test_a_training_by_length_is_resumed_exactly(source: Source, tmp_path: Path) -> None:
    whole = train_run(planned(source, tmp_path, by_length=True, epochs=3), progress=False)

    def stop(epoch: int, score: float) -> None:
        if epoch == 2:
            raise Stopped

    (tmp_path / "again").mkdir()
    run = planned(source, tmp_path / "again", by_length=True, epochs=3)
    with pytest.raises(Stopped):
        train_run(run, progress=False, after_epoch=stop)
    # what a killed run leaves is no result
    unfinished = record(run.folder)
    assert (unfinished["finished"], read_trained(run.folder)) == (False, None)
    assert [epoch["number"] for epoch in unfinished["epochs"]] in ([1], [1, 2])
    assert {"loss", "task_loss"} <= unfinished["epochs"][0]["dev"].keys() & {*unfinished["epochs"][0]["losses"], "loss"}
    resumed = train_run(run, progress=False)
    assert all(torch.equal(values, weights(resumed)[name]) for name, values in weights(whole).items())
    assert (record(run.folder)["finished"], read_trained(run.folder) is not None) == (True, True)


# --- operations ---


def test_each_epoch_says_how_many_operations_a_second_it_did_and_their_share_of_the_peak(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Epoch] = []
    run = planned(source, tmp_path, by_length=True)
    trained = train_run(run, progress=False, on_epoch=told.append)
    assert [epoch.mfu for epoch in told] == [None, None]
    d = record(trained.checkpoint)["config"]["hidden_size"]
    least = 28 * 8 * 6 * 4 * d * d  # attention's projections alone, of the shortest texts
    assert all(epoch.flops_per_s * 28 / epoch.rows_per_s > least for epoch in told)
    monkeypatch.setattr("fgmfn.trainer.devices_peak", lambda precision: {"fp32": 1e12}[precision])
    with caplog.at_level("INFO"):
        trained = train_run(planned(source, tmp_path, by_length=True, seed=3), on_epoch=None)
    for one in record(trained.checkpoint)["epochs"]:
        assert one["mfu"] == pytest.approx(one["flops_per_s"] / 1e12)
        assert f"TFLOP/s (MFU {100 * one['mfu']:.1f} %)" in caplog.text


# --- reports ---


def test_a_report_by_a_package_that_is_missing_is_refused_before_training(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = "fgmfn.trainer.importlib.util.find_spec"
    for name in ("tensorboard", "wandb", "mlflow", "trackio"):
        with monkeypatch.context() as patch:
            patch.setattr(find, lambda package: None)
            with pytest.raises(ConfigError, match=f"report_to = '{name}'.*pip install {name}"):
                train_run(planned(source, tmp_path, report_to=[name]), progress=False)
    with pytest.raises(ConfigError, match="report_to"):
        planned(source, tmp_path, report_to=["neptune"])
    assert planned(source, tmp_path).folder == planned(source, tmp_path, report_to=["wandb"]).folder


def events(folder: Path) -> list[Any]:
    """Records of TensorBoard's files: each has its length, a checksum of that, the event and its checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for file in folder.rglob("events.out.tfevents.*"):
        content = file.read_bytes()
        while content:
            (size,) = struct.unpack("<Q", content[:8])
            found.append(event_pb2.Event.FromString(content[12 : 12 + size]))
            content = content[16 + size :]
    return found


def test_tensorboard_gets_losses_and_scores_of_each_epoch(source: Source, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    run = planned(source, tmp_path, report_to=["tensorboard"])
    train_run(run, progress=False)
    written = {
        (value.tag, event.step): value.simple_value for event in events(run.folder) for value in event.summary.value
    }
    for entry in record(run.folder)["history"][:-1]:
        for name in ("eval_loss", "eval_macro_f1") if "eval_loss" in entry else ("loss", "task_loss"):
            tag = name.replace("eval_", "eval/") if name.startswith("eval_") else f"train/{name}"
            assert written[tag, entry["step"]] == pytest.approx(entry[name], rel=1e-6)


# --- kernels ---


@pytest.mark.slow
def test_a_compiled_training_is_the_same_and_is_resumed_and_read_by_plain_names(source: Source, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"batch_size": 14, "dropout": 0.0}  # two steps an epoch
    eager = train_run(planned(source, tmp_path, **settings), progress=False)

    def stop(epoch: int, score: float) -> None:
        if epoch == 2:
            raise Stopped

    run = planned(source, tmp_path, compile=True, **settings)
    assert run.folder != eager.checkpoint
    with pytest.raises(Stopped):
        train_run(run, progress=False, after_epoch=stop)
    compiled = train_run(run, progress=False)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert weights(compiled).keys() == weights(eager).keys()
    for one, other in zip(record(eager.checkpoint)["history"][:-1], record(run.folder)["history"][:-1], strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    model = AutoModelForSequenceClassification.from_pretrained(compiled.checkpoint)
    assert all(torch.equal(values, model.state_dict()[name]) for name, values in weights(compiled).items())


def test_tf32_is_asked_for_where_there_is_a_gpu_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(trainer, "Arguments", lambda **named: given.append(named))
    for on_gpu in (False, True):
        for wanted in (False, True):
            monkeypatch.setattr(torch.cuda, "is_available", lambda there=on_gpu: there)
            monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
            trainer._arguments(TrainingSettings(tf32=wanted), tmp_path, has_dev=True)
    assert [named["tf32"] for named in given] == [None, None, None, True]
    assert [named["accelerator_config"]["non_blocking"] for named in given] == [False, False, True, True]
