"""Training: learns, is resumed where it was killed, ends once, and says what its scores are worth."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from fgmfn.calibration import fit_temperature, probabilities
from fgmfn.callbacks import Epoch
from fgmfn.data import Source, SplitDataset, open_release
from fgmfn.errors import (
    ConfigError,
    DataError,
    DivergedError,
    FgmfnError,
    MemoryExhaustedError,
    RunInProgressError,
    WeightsError,
)
from fgmfn.evaluation import Metrics, score
from fgmfn.inference import load_checkpoint, predict
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.planning import plan_run
from fgmfn.predictions import read_predictions
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer
from fgmfn.scoring import evaluate_split, predict_split, split_logits
from fgmfn.settings import TrainingSettings
from fgmfn.sizes import out_of_memory
from fgmfn.statistics import measure
from fgmfn.trainer import SentimentTrainer, last_whole_checkpoint, make_trainer
from fgmfn.training import TrainedModel, read_trained, train_models, train_run
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import learn, small_config
from tests.fgmfn.releases import ad_rows, picture, small_release, tiny_config, write_release

RELEASE = Path("releases/2026.11.24")


def _record(trained: TrainedModel) -> dict[str, Any]:
    return json.loads((trained.checkpoint / "metrics.json").read_text())


def test_every_model_of_the_comparison_is_trained_scored_and_saved(finished: Finished) -> None:
    _, trained = finished
    assert [one.model for one in trained] == ["fgmfn", "text_only", "image_only"]
    wanted = {"config.json", "model.safetensors", "processor_config.json", "README.md"}
    for one in trained:
        assert (one.dev and one.dev.rows, one.test and one.test.rows) == (8, 8)
        assert np.sum(one.test.confusion if one.test else 0) == 8
        names = {path.name for path in one.checkpoint.iterdir()}
        assert (wanted - names, "checkpoints" in names) == (set(), False)


def test_the_record_says_what_was_trained_on_what(finished: Finished) -> None:
    folder, trained = finished
    record = _record(trained[0])
    assert record["row_set_hash"] == json.loads((folder / RELEASE / "manifest.json").read_text())["row_set_hash"]
    assert (record["synthetic"], record["seed"], record["class_names"]) == (True, 42, ["negative", "positive"])
    assert record["settings"]["training"]["epochs"] == 2
    assert record["config"]["backbone"] == "test_resnet"
    losses = [entry for entry in record["history"] if "loss" in entry]
    assert {"loss", "task_loss", "itc_loss", "mi_loss"} <= set(losses[0])
    assert len(losses) == 2


def test_what_a_run_predicts_is_kept_with_it_as_its_scores_are(finished: Finished) -> None:
    folder, (trained, *_) = finished
    source, record = open_release(folder / RELEASE), _record(trained)
    for split, key in (("validation", "dev"), ("test", "test")):
        file = trained.checkpoint / "predictions" / f"{split}.parquet"
        kept = read_predictions(pq.read_table(file))
        again = predict_split(load_checkpoint(trained.checkpoint), source, split, progress=False)
        assert kept.probabilities == pytest.approx(again, abs=1e-6)
        assert (kept.names, kept.labels) == (source.splits[split].name, source.splits[split].label)
        measured = measure(kept.labels, kept.probabilities, kept.groups, kept.class_names)
        scored = Metrics.from_json(record[key])
        assert replace(measured, calibration=None) == replace(scored, calibration=None)
        # of the rows that it was calibrated by, the errors that are reported are cross-fitted
        fitted = record["calibration"]["after"] if split == "validation" else measured.calibration
        assert scored.calibration is not None
        assert fitted is not None
        for error in ("ece", "brier", "bins"):
            assert scored.calibration[error] == pytest.approx(fitted[error])
        assert record["files"][f"predictions/{split}.parquet"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_run_is_calibrated_by_its_development_rows_and_says_so(finished: Finished) -> None:
    folder, (trained, *_) = finished
    source, record = open_release(folder / RELEASE), _record(trained)
    loaded = load_checkpoint(trained.checkpoint)
    found, rows = loaded.calibration, source.splits["validation"]
    assert found is not None
    assert (found.rows, found.checksum) == (8, rows.checksum)
    logits = split_logits(loaded, source, "validation", progress=False)
    assert found.temperature == pytest.approx(fit_temperature(logits, rows.label), rel=1e-4)
    kept = read_predictions(pq.read_table(trained.checkpoint / "predictions" / "validation.parquet"))
    assert kept.probabilities == pytest.approx(probabilities(logits, found.temperature), abs=1e-6)
    assert record["test"]["calibration"]["uncalibrated"]["ece"] != record["test"]["calibration"]["ece"]
    card = (trained.checkpoint / "README.md").read_text()
    assert [line for line in found.lines() if f"- {line}" not in card] == []


def test_an_older_run_is_not_calibrated_and_says_so_once(
    finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, (_, trained, _) = finished
    older = shutil.copytree(trained.checkpoint, tmp_path / "older")
    record = json.loads((older / "metrics.json").read_text())
    del record["calibration"]
    (older / "metrics.json").write_text(json.dumps(record))
    for _ in range(2):
        (found,) = predict(load_checkpoint(older), [], ["new shoes"])
        assert (found.interval, found.sure) == (None, None)
    assert caplog.text.count("not calibrated") == 1
    (now,) = predict(load_checkpoint(trained.checkpoint), [], ["new shoes"])
    assert now.label == found.label
    assert now.interval is not None
    assert now.sure is False, "eight development rows make nothing sure"
    (older / "metrics.json").write_text(json.dumps(record | {"calibration": {"temperature": 1}}))
    with pytest.raises(WeightsError, match="its calibration is damaged"):
        load_checkpoint(older)


def test_the_card_says_how_sure_its_scores_are(finished: Finished) -> None:
    _, (trained, *_) = finished
    card, record = (trained.checkpoint / "README.md").read_text(), _record(trained)
    low, high = record["test"]["accuracy_interval"]
    assert f"| test | 8 | {record['test']['accuracy']:.4f} [{low:.4f}, {high:.4f}] |" in card
    assert "| class | precision | recall | F1 | rows |" in card
    assert f"always naming {record['test']['majority']['class']}: accuracy 50.0%" in card
    assert f"ECE {record['test']['calibration']['ece']:.1%} in 15 bins" in card
    with Image.open(trained.checkpoint / "reliability.png") as drawn:
        assert drawn.format == "PNG"


def test_a_run_without_predictions_and_intervals_still_reads(finished: Finished, tmp_path: Path) -> None:
    _, (trained, *_) = finished
    older = tmp_path / trained.checkpoint.name
    shutil.copytree(trained.checkpoint, older)
    shutil.rmtree(older / "predictions")
    record = json.loads((older / "metrics.json").read_text())
    record["files"] = {name: digest for name, digest in record["files"].items() if "predictions" not in name}
    for key in ("dev", "test"):
        record[key] = {name: record[key][name] for name in ("accuracy", "macro_f1", "confusion", "rows")}
    (older / "metrics.json").write_text(json.dumps(record))
    found = read_trained(older)
    assert found
    assert (found.test and found.test.accuracy) == (trained.test and trained.test.accuracy)
    assert found.test
    assert found.test.accuracy_interval is None


def test_synthetic_data_is_said_on_the_model_card(finished: Finished) -> None:
    _, trained = finished
    assert "Synthetic data" in (trained[0].checkpoint / "README.md").read_text()
    assert any("synthetic" in note for note in trained[0].notes)


def test_a_second_call_reads_what_the_first_one_found(finished: Finished) -> None:
    folder, trained = finished
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.safetensors")}
    again = train_models(folder / RELEASE, folder / "config.toml", folder / "runs", ("fgmfn", "text_only"))
    assert again == trained[:2]
    assert all(one.already_trained for one in again)
    assert stamps == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.safetensors")}


def test_what_a_killed_ending_left_behind_is_removed(finished: Finished) -> None:
    folder, trained = finished
    leftover = trained[1].checkpoint / "checkpoints" / "checkpoint-3"
    leftover.mkdir(parents=True)
    train_models(folder / RELEASE, folder / "config.toml", folder / "runs", ("text_only",))
    assert not leftover.parent.exists()


def test_another_seed_setting_or_code_is_another_run(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, trained = finished

    def planned(**changes: Any) -> Path:
        return plan_run(
            "text_only", open_release(folder / RELEASE), folder / "config.toml", folder / "runs", **changes
        ).folder

    assert planned() == trained[1].checkpoint
    others = [planned(seed=1), planned(changes={"dropout": 0.2})]
    monkeypatch.setattr("fgmfn.planning.code_version", lambda name: "other")
    assert len({trained[1].checkpoint, *others, planned()}) == 4


def test_pictures_are_shown_whole_but_for_the_twitter_sets_and_inference_shows_them_so(
    finished: Finished, tweets: Source
) -> None:
    folder, trained = finished
    processor = FgmfnProcessor.from_pretrained(trained[0].checkpoint)
    # The card of test_resnet, in timm: bilinear, mean and spread 0.5.
    assert (processor.fit, processor.interpolation, processor.crop_share) == ("letterbox", "bilinear", 0.95)
    assert tuple(processor.image_processor.image_mean) == (0.5, 0.5, 0.5)
    planned = plan_run("text_only", tweets, folder / "config.toml", folder)
    assert planned.settings.data.fit == "crop"
    other = folder / "fit.toml"
    other.write_text((folder / "config.toml").read_text().replace("[data]", '[data]\nfit = "squash"'))
    assert plan_run("text_only", tweets, other, folder).settings.data.fit == "squash"


def _trainer(folder: Path, **training: Any) -> SentimentTrainer:
    """A trainer of a small FGMFN that has not started."""
    rows = open_release(small_release(folder / "release")).splits["train"]
    config = small_config()
    processor = FgmfnProcessor(image_processor(config), train_tokenizer(rows.text, 50))
    settings = TrainingSettings(batch_size=8, **training)
    dataset = SplitDataset(rows, processor, FgmfnForSentiment.inputs)
    model = FgmfnForSentiment(config)
    return make_trainer(
        model, processor, dataset, None, settings=settings, checkpoints=folder, title="FGMFN", progress=False
    )


def test_only_weight_matrices_decay(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, weight_decay=0.3)
    decaying, free = trainer.create_optimizer().param_groups
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    named = dict(trainer.model.named_parameters())
    assert {id(weight) for weight in decaying["params"]} == {id(w) for w in named.values() if w.ndim >= 2}
    left_out = {id(weight) for weight in free["params"]}
    vectors = ("contrast.log_temperature", "mutual_information.start", "visual_tokens.norm.weight")
    assert all(id(named[name]) in left_out for name in vectors)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_the_optimizer_is_the_one_that_was_set(tmp_path: Path, name: str, kind: type[Any]) -> None:
    optimizer: Any = _trainer(tmp_path, optimizer=name, learning_rate=3e-4).create_optimizer()
    assert (type(optimizer), optimizer.defaults["fused"]) == (kind, True)
    assert {group["lr"] for group in optimizer.param_groups} == {3e-4}


@pytest.mark.parametrize(
    ("schedule", "rates"), [("linear", [0.0, 0.5, 1.0, 0.5, 0.0]), ("constant", [1.0, 1.0, 1.0, 1.0, 1.0])]
)
def test_the_learning_rate_follows_its_schedule(tmp_path: Path, schedule: str, rates: list[float]) -> None:
    trainer = _trainer(tmp_path, schedule=schedule, warmup=0.5, learning_rate=1.0)
    trainer.create_optimizer_and_scheduler(num_training_steps=4)
    seen = []
    for _ in rates:
        seen.append(trainer.lr_scheduler.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert seen == rates


@pytest.mark.parametrize("broken", ["loss", "weight"])
def test_a_training_that_diverges_ends_with_the_step_and_what_to_lower(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _trainer(tmp_path, epochs=3, learning_rate=1e-3, learning_rates={"head": 0.5})
    loss_of = FgmfnForSentiment.classification_loss

    def diverge(model: FgmfnForSentiment, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = loss_of(model, logits, labels)
        if model.training and trainer.state.global_step == 1:
            if broken == "loss":
                return loss * float("inf")
            model.get_parameter("head.layers.0.weight").data[0, 0] = float("nan")
        return loss

    monkeypatch.setattr(FgmfnForSentiment, "classification_loss", diverge)
    step = ", step 2" if broken == "loss" else ".*"
    said = rf"epoch 1{step}.*learning_rate = 0.001, learning_rates.head = 0.5 or max_gradient_norm = 1"
    with pytest.raises(DivergedError, match=said):
        trainer.train()
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_run_that_diverges_is_never_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_release(small_release(tmp_path / "release"))
    run = plan_run("text_only", source, tiny_config(tmp_path, epochs=1, learning_rate=1e30), tmp_path / "runs")
    for _ in range(2):
        with pytest.raises(DivergedError, match=r"learning_rate = 1e\+30"):
            train_run(run, progress=False)
        assert read_trained(run.folder) is None


@pytest.mark.parametrize("missing", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_that_lacks_a_file_is_not_gone_on_from(tmp_path: Path, missing: str) -> None:
    names = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
    for step in (3, 6):
        (tmp_path / f"checkpoint-{step}").mkdir()
        for name in names:
            (tmp_path / f"checkpoint-{step}" / name).write_text("{}")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-6"
    (tmp_path / "checkpoint-6" / missing).unlink()
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-3"


def test_a_checkpoint_scores_the_same_when_it_is_loaded(finished: Finished) -> None:
    folder, trained = finished
    release = open_release(folder / RELEASE)
    for one in trained:
        assert evaluate_split(load_checkpoint(one.checkpoint), release, "test", progress=False) == one.test


def test_probabilities_do_not_depend_on_the_batch(finished: Finished) -> None:
    folder, trained = finished
    checkpoint, release = load_checkpoint(trained[0].checkpoint), open_release(folder / RELEASE)
    one, many = (predict_split(checkpoint, release, "test", batch_size=size, progress=False) for size in (1, 8))
    assert one == pytest.approx(many, abs=1e-5)
    assert many.sum(axis=1) == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_weights(finished: Finished, tmp_path: Path) -> None:
    folder, trained = finished
    again = train_models(folder / RELEASE, folder / "config.toml", tmp_path, ("fgmfn",), progress=False)
    _assert_same_weights(again[0], trained[0])


def _assert_same_weights(one: TrainedModel, other: TrainedModel) -> None:
    left, right = (load_file(trained.checkpoint / "model.safetensors") for trained in (one, other))
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_the_epoch_with_the_best_development_score_is_kept(tmp_path: Path) -> None:
    # The development labels contradict the training labels: the more is learned, the lower the score.
    contrary = [replace(row, label=1 - row.label) for row in ad_rows(12, first=24, image_sign=False)]
    release = write_release(
        tmp_path / "r", {"train": ad_rows(24, image_sign=False), "validation": contrary, "test": []}
    )
    config, told = tiny_config(tmp_path, epochs=10, learning_rate=5e-3), list[Epoch]()
    (trained,) = train_models(release, config, tmp_path / "runs", ("text_only",), progress=False, on_epoch=told.append)
    scores = [entry["eval_macro_f1"] for entry in _record(trained)["history"] if "eval_macro_f1" in entry]
    losses = [entry["loss"] for entry in _record(trained)["history"] if "loss" in entry]
    assert [(epoch.number, epoch.of) for epoch in told] == [(number, 10) for number in range(1, 11)]
    assert [epoch.losses["loss"] for epoch in told] == losses, "of this epoch, not of the one before"
    assert [epoch.dev["macro_f1"] for epoch in told] == scores
    assert (told[-1].remaining_s, told[0].remaining_s > 0, told[0].rows_per_s > 0) == (0, True, True)
    assert trained.dev
    assert scores[-1] == 0
    assert trained.dev.macro_f1 == pytest.approx(max(scores))
    assert max(scores) > 0


def test_without_validation_rows_the_last_epoch_is_kept_and_said(tmp_path: Path) -> None:
    splits = {"train": ad_rows(12), "validation": [], "test": ad_rows(4, first=12)}
    release = write_release(tmp_path / "r", splits, synthetic=False)
    config, told = tiny_config(tmp_path, epochs=1), list[Epoch]()
    (trained,) = train_models(release, config, tmp_path / "runs", ("text_only",), progress=False, on_epoch=told.append)
    assert [(epoch.number, epoch.dev) for epoch in told] == [(1, {})]
    assert trained.dev is None
    assert trained.test is not None
    unchosen = "the data have no validation rows: the last epoch's weights were kept, unchosen"
    assert trained.notes == ("its encoders started at random", unchosen)
    assert "last epoch" in (trained.checkpoint / "README.md").read_text()


def test_a_split_that_lacks_a_class_or_is_empty_is_said(tmp_path: Path) -> None:
    one_class = [row for row in ad_rows(8, first=12) if row.label == 1]
    release = write_release(tmp_path / "r", {"train": ad_rows(12), "validation": one_class, "test": []})
    config = tiny_config(tmp_path, epochs=1)
    (trained,) = train_models(release, config, tmp_path / "runs", ("text_only",), progress=False)
    assert trained.test is None
    assert any("validation split has no row of class negative" in note for note in trained.notes)
    assert any("no test rows" in note for note in trained.notes)


def test_an_unreadable_picture_stops_training_with_its_frame(tmp_path: Path) -> None:
    rows = ad_rows(12)
    rows[5] = replace(rows[5], image=b"broken")
    release = write_release(tmp_path / "r", {"train": rows, "validation": [], "test": []})
    with pytest.raises(DataError, match=f"frame {rows[5].frame_id}"):
        train_models(release, tiny_config(tmp_path), tmp_path / "runs", ("image_only",), progress=False)


def test_two_trainings_of_one_run_do_not_write_over_each_other(finished: Finished) -> None:
    folder, trained = finished
    with FileLock(trained[1].checkpoint / ".lock"), pytest.raises(RunInProgressError, match="another process"):
        train_models(folder / RELEASE, folder / "config.toml", folder / "runs", ("text_only",), progress=False)


def test_a_damaged_record_is_refused_and_not_trained_over(finished: Finished, tmp_path: Path) -> None:
    folder, trained = finished
    copied = shutil.copytree(trained[1].checkpoint, tmp_path / trained[1].checkpoint.name)
    (copied / "metrics.json").write_text('{"model": "text_only"}')
    with pytest.raises(FgmfnError, match=r"metrics\.json: damaged"):
        train_models(folder / RELEASE, folder / "config.toml", tmp_path, ("text_only",), progress=False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("heads = 5\npretrained = false", "heads=5"),
        ("heads = 'many'\npretrained = false", "heads = 'many'; expected int"),
        ("pretrained = false\n[data]\nmax_tokens = 900", "max_tokens = 900; the text encoder reads at most 512"),
        ("text_encoder = '/nowhere/no-bert'", r"no-bert.*--from-scratch"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_training(tmp_path: Path, setting: str, message: str) -> None:
    config = tmp_path / "run.toml"
    config.write_text(f"[model]\n{setting}")
    with pytest.raises((ConfigError, WeightsError), match=message):
        train_models(small_release(tmp_path / "r"), config, tmp_path / "runs", ("text_only",))


def test_pretrained_encoders_are_needed_once_and_the_checkpoint_stands_alone(tmp_path: Path) -> None:
    release = small_release(tmp_path / "r")
    encoders = tmp_path / "encoders"
    tokenizer = train_tokenizer(open_release(release).splits["train"].text, 150)
    tokenizer.save_pretrained(encoders)
    text_config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=40,
        max_position_embeddings=64,
    )
    BertModel(text_config).save_pretrained(encoders)
    torch.save(timm.create_model("test_resnet").state_dict(), encoders / "resnet.pth")
    config = tiny_config(tmp_path, epochs=1)
    config.write_text(
        config.read_text()
        .replace("pretrained = false", f"text_encoder = '{encoders}'\nbackbone_weights = '{encoders / 'resnet.pth'}'")
        .replace("[model.text_config]\nnum_hidden_layers = 1", "")
        .replace("hidden_size = 32\nheads = 2\n", "")  # as wide as the text encoder
    )
    (trained,) = train_models(release, config, tmp_path / "runs", ("fgmfn",), progress=False)
    shutil.rmtree(encoders)
    counted = {part["part"]: (part["tensors"], part["of"]) for part in _record(trained)["loaded"]}
    assert counted == {"text encoder": (21, 21), "backbone": (counted["backbone"][1],) * 2}
    card = (trained.checkpoint / "README.md").read_text()
    assert all(f"{have} of {of} tensors loaded, SHA-256" in card for have, of in counted.values())
    checkpoint = load_checkpoint(trained.checkpoint)
    assert checkpoint.model.config.text_config["intermediate_size"] == 40
    assert evaluate_split(checkpoint, open_release(release), "test", progress=False) == trained.test


def test_macro_f1_counts_a_class_nobody_has() -> None:
    metrics = score([0, 0, 1], [0, 1, 1], 3)
    assert metrics.accuracy == pytest.approx(2 / 3)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert metrics.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 0))
    with pytest.raises(FgmfnError, match="no rows"):
        score([], [], 2)


@pytest.mark.slow
def test_the_model_overfits_32_rows(tmp_path: Path) -> None:
    # Labels follow nothing: only memory can get them right. The same rows are scored after each epoch.
    rows = [
        replace(row, label=int((number * 7919) % 5 < 2), image=picture((90, 90, 90), seed=number))
        for number, row in enumerate(ad_rows(32, seed=4))
    ]
    again = [replace(row, video_id=f"again {row.video_id}") for row in rows]
    release = open_release(write_release(tmp_path / "r", {"train": rows, "validation": again, "test": []}))
    config = tiny_config(tmp_path, epochs=60, learning_rate=2e-3)
    assert learn(plan_run("fgmfn", release, config, tmp_path / "runs"), 1.0) == 1.0


@pytest.mark.slow
def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    release, config = small_release(tmp_path / "r", dev=4, test=4), tiny_config(tmp_path, epochs=4)
    (undisturbed,) = train_models(release, config, tmp_path / "undisturbed", ("fgmfn",), progress=False)
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from fgmfn import train_models\n"
        "release, config, output = map(Path, sys.argv[1:])\n"
        "train_models(release, config, output, ('fgmfn',), progress=False)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(release), str(config), str(tmp_path / "killed")])
    while not list((tmp_path / "killed").glob("*/checkpoints/*/trainer_state.json")):
        assert killed.poll() is None, "the process ended before it could be killed"
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for state in (tmp_path / "killed").glob("*/checkpoints/*/trainer_state.json"):
        state.write_text(re.sub(r'("lap_runtime": )[\d.]+', r"\g<1>5000.0", state.read_text(), count=1))
    assert [read_trained(file.parent) for file in (tmp_path / "killed").glob("*/metrics.json")] in ([], [None])
    with caplog.at_level("INFO", logger="fgmfn"):
        (resumed,) = train_models(release, config, tmp_path / "killed", ("fgmfn",), progress=False)
    assert "goes on from checkpoint-" in caplog.text
    assert resumed.seconds > 5000  # the killed part's epochs count
    assert (resumed.dev, resumed.test) == (undisturbed.dev, undisturbed.test)
    _assert_same_weights(resumed, undisturbed)


def test_the_history_grows_with_losses_of_training_and_development_rows(finished: Finished) -> None:
    folder, trained = finished
    run = trained[0].checkpoint
    epochs = _record(trained[0])["epochs"]
    assert [(epoch["number"], epoch["of"]) for epoch in epochs] == [(1, 2), (2, 2)]
    parts = {"loss", "task_loss", "itc_loss", "mi_loss"}
    for epoch in epochs:
        assert (set(epoch["losses"]), set(epoch["dev"])) == (parts, parts | {"accuracy", "macro_f1"})
        for losses in (epoch["losses"], epoch["dev"]):  # eq. 12 with the weights of the configuration
            weighed = losses["task_loss"] + 0.5 * losses["itc_loss"] + 0.05 * losses["mi_loss"]
            assert weighed == pytest.approx(losses["loss"], rel=1e-4)
    with Image.open(run / "history.png") as drawn:
        assert drawn.size == (720, 280)
    # The task's loss on development rows, from the probabilities that the saved weights give.
    best = max(epochs, key=lambda epoch: epoch["dev"]["macro_f1"])
    source = open_release(folder / RELEASE)
    shares = probabilities(split_logits(load_checkpoint(run), source, "validation", progress=False))
    chosen = shares[np.arange(len(shares)), source.splits["validation"].label]
    assert -np.log(chosen).mean() == pytest.approx(best["dev"]["task_loss"], rel=1e-4)
    assert _record(trained[0])["calibration"]["before"]["log_loss"] == pytest.approx(best["dev"]["task_loss"], rel=1e-4)


def test_older_checkpoints_keep_weights_alone(tmp_path: Path) -> None:
    left: list[dict[str, set[str]]] = []

    class Ended(Exception):  # noqa: N818  no error
        """Ends the training."""

    def look(epoch: int, score: float) -> None:
        found = {path.name: {one.name for one in path.iterdir()} for path in tmp_path.glob("runs/*/checkpoints/*")}
        left.append(found)
        if epoch == 5:
            raise Ended

    contrary = [replace(row, label=1 - row.label) for row in ad_rows(12, first=24, image_sign=False)]
    release = write_release(
        tmp_path / "r", {"train": ad_rows(24, image_sign=False), "validation": contrary, "test": []}
    )
    run = plan_run(
        "text_only", open_release(release), tiny_config(tmp_path, epochs=6, learning_rate=5e-3), tmp_path / "runs"
    )
    with pytest.raises(Ended):
        train_run(run, progress=False, after_epoch=look)
    best, last = (left[-1][name] for name in sorted(left[-1], key=lambda name: int(name.split("-")[1])))
    assert ("model.safetensors" in best, "model.safetensors" in last) == (True, True)
    assert ("optimizer.pt" in best, "optimizer.pt" in last) == (False, True)


def test_texts_are_as_long_as_those_of_training_and_what_is_cut_is_counted(tmp_path: Path) -> None:
    long = "shop now " * 40
    rows = [replace(row, text=f"{row.text} {long if number < 2 else ''}") for number, row in enumerate(ad_rows(300))]
    tests = [replace(row, text=f"{row.text} {long}") for row in ad_rows(3, first=300)]
    source = open_release(write_release(tmp_path / "r", {"train": rows, "validation": [], "test": tests}))
    config = tiny_config(tmp_path, epochs=1)
    config.write_text(config.read_text().replace("max_tokens = 16\n", ""))
    (trained,) = train_models(source, config, tmp_path / "runs", ("text_only",), progress=False)
    processor = FgmfnProcessor.from_pretrained(trained.checkpoint)
    lengths = [len(processor.tokenizer(str(row.text))["input_ids"]) for row in rows[2:]]
    assert max(lengths) <= processor.max_tokens < max(lengths) + 8
    note = f"texts are cut to {processor.max_tokens} tokens: 2 of 300 train texts, 3 of 3 test texts"
    assert note in trained.notes
    assert note in (trained.checkpoint / "README.md").read_text()


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        MemoryError(),
    ],
)
def test_a_training_whose_memory_runs_out_says_which_settings_need_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    release = small_release(tmp_path / "r")

    def run_out(*_: Any, **__: Any) -> None:
        raise fault

    # where a GPU says so: within a step
    monkeypatch.setattr("fgmfn.modeling.SentimentModel.classification_loss", run_out)
    for model, named, not_named in (
        ("fgmfn", {"gradient_checkpointing", "accumulation", "batch_size", "max_tokens", "image_size"}, set[str]()),
        ("image_only", {"accumulation", "batch_size", "image_size"}, {"max_tokens", "gradient_checkpointing"}),
    ):
        with pytest.raises(MemoryExhaustedError) as raised:
            train_models(release, tiny_config(tmp_path), tmp_path / "runs", (model,), progress=False)
        said = str(raised.value)
        assert [name for name in named if name not in said] == []
        assert [name for name in not_named if name in said] == []
        assert out_of_memory(raised.value)  # a search and the tables go on with what needs less
        assert (str(fault).splitlines() or ["MemoryError"])[0] in said


def test_another_fault_of_a_step_is_not_taken_for_a_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("sizes of tensors must match")

    monkeypatch.setattr("fgmfn.modeling.SentimentModel.classification_loss", fail)
    release, config = small_release(tmp_path / "r"), tiny_config(tmp_path)
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        train_models(release, config, tmp_path / "runs", ("fgmfn",), progress=False)
