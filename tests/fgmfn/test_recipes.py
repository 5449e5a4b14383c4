"""Recipes of fine-tuning: learning rates by part, frozen parts, and how labels weigh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import TrainerCallback

from fgmfn.data import SplitDataset, open_release
from fgmfn.errors import ConfigError
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer
from fgmfn.settings import TrainingSettings
from fgmfn.trainer import learning_rates, make_trainer
from fgmfn.training import train_models
from tests.fgmfn.models import batch, small_config
from tests.fgmfn.releases import ad_rows, small_release, tiny_config, write_release

TEXT = {"num_hidden_layers": 3, "vocab_size": 50, "max_position_embeddings": 32}


def test_each_part_has_its_learning_rate_and_lower_layers_less() -> None:
    model = FgmfnForSentiment(small_config(text_config=TEXT))
    rates = {"text_encoder": 1e-5, "text_encoder.encoder.layer.1": 4e-5, "head": 1e-3}
    found = learning_rates(model, TrainingSettings(learning_rate=1e-4, learning_rates=rates, layer_decay=0.5))
    expected = {
        "text_encoder.encoder.layer.2.": 1e-5,
        "text_encoder.encoder.layer.1.": 4e-5 / 2,
        "text_encoder.encoder.layer.0.": 1e-5 / 4,
        "text_encoder.embeddings.": 1e-5 / 8,
        "head.": 1e-3,
    }
    assert found.keys() == dict(model.named_parameters()).keys()
    for name, rate in found.items():
        wanted = next((value for beginning, value in expected.items() if name.startswith(beginning)), 1e-4)
        assert rate == pytest.approx(wanted), name


@pytest.mark.parametrize("wrong", ["txt_encoder", "text_enc", "text_encoder.encoder.layer.7", ""])
def test_a_part_that_the_model_does_not_have_is_refused(wrong: str) -> None:
    model = FgmfnForSentiment(small_config())
    with pytest.raises(ConfigError, match="no parameter of FgmfnForSentiment begins with"):
        learning_rates(model, TrainingSettings(learning_rates={wrong: 1e-3}))
    with pytest.raises(ConfigError, match="its parts are image_encoder, text_encoder"):
        model.freeze([wrong])


class Watch(TrainerCallback):
    """Keeps the weights and buffers as they are after each epoch."""

    def __init__(self, model: FgmfnForSentiment) -> None:
        self._model, self.states = model, [self._copy(model)]

    @staticmethod
    def _copy(model: FgmfnForSentiment) -> dict[str, torch.Tensor]:
        return {name: values.clone() for name, values in model.state_dict().items()}

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Keep them."""
        self.states.append(self._copy(self._model))


def changed_by_epoch(folder: Path, **settings: Any) -> list[set[str]]:
    """Names of the weights and statistics that each epoch of a training of FGMFN changed."""
    rows = open_release(small_release(folder / "release", train=16)).splits["train"]
    model = FgmfnForSentiment(small_config())
    processor = FgmfnProcessor(image_processor(model.config), train_tokenizer(rows.text, 50))
    training = TrainingSettings(batch_size=8, warmup=0.0, learning_rate=1e-2, weight_decay=0.5, **settings)
    if training.freeze_epochs is None:
        model.freeze(training.freeze)
    trainer = make_trainer(
        model,
        processor,
        SplitDataset(rows, processor, model.inputs),
        None,
        settings=training,
        checkpoints=folder,
        title="FGMFN",
        progress=False,
    )
    watch = Watch(model)
    trainer.add_callback(watch)
    trainer.train()
    return [
        {name for name in before if not torch.equal(before[name], after[name])}
        for before, after in zip(watch.states, watch.states[1:], strict=False)
    ]


FROZEN = ("text_encoder.", "image_encoder.backbone.layer1.")


def test_what_is_frozen_stays_as_it_is_with_its_statistics(tmp_path: Path) -> None:
    for changed in changed_by_epoch(tmp_path, epochs=2, freeze=[name.rstrip(".") for name in FROZEN]):
        assert [name for name in changed if name.startswith(FROZEN)] == []
        assert {"head.layers.0.weight", "image_encoder.backbone.layer2.0.conv1.weight"} <= changed


def test_what_is_frozen_for_an_epoch_is_trained_afterwards(tmp_path: Path) -> None:
    first, second = changed_by_epoch(tmp_path, epochs=2, freeze=["text_encoder"], freeze_epochs=1)
    assert [name for name in first if name.startswith("text_encoder.")] == []
    assert "text_encoder.encoder.layer.0.output.dense.weight" in second
    assert "head.layers.0.weight" in first & second


def test_labels_are_smoothed_and_weighed_in_training_alone() -> None:
    weights = [0.5, 2.0]
    model = FgmfnForSentiment(small_config(label_smoothing=0.2, class_weights=weights, num_labels=2))
    logits, labels = torch.tensor([[1.0, -1.0], [0.3, 0.4], [2.0, 0.0]]), torch.tensor([0, 1, 1])
    shares = torch.where(F.one_hot(labels, 2).bool(), 0.9, 0.1)
    losses = -(shares * logits.log_softmax(dim=1)).sum(dim=1) * torch.tensor(weights)[labels]
    assert model.train().classification_loss(logits, labels).item() == pytest.approx(losses.mean().item())
    assert model.eval()(**batch()).task_loss is not None
    plain = F.cross_entropy(logits, labels).item()
    assert model.eval().classification_loss(logits, labels).item() == pytest.approx(plain)
    with pytest.raises(ConfigError, match="class_weights"):
        small_config(class_weights=[1.0], num_labels=2)


def test_balanced_classes_weigh_alike_together(tmp_path: Path) -> None:
    rows = [row for row in ad_rows(24) if row.label == 1 or int(row.video_id[2:]) < 8]
    release = write_release(tmp_path / "r", {"train": rows, "validation": [], "test": []})
    config = tiny_config(tmp_path, epochs=1)
    config.write_text(config.read_text() + 'class_weights = "balanced"\nfreeze = ["text_encoder"]\n')
    (trained,) = train_models(release, config, tmp_path / "runs", ("text_only",), progress=False)
    record = json.loads((trained.checkpoint / "metrics.json").read_text())
    counts = [sum(row.label == label for row in rows) for label in (0, 1)]
    weights = record["config"]["class_weights"]
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1]) == pytest.approx(len(rows) / 2)
    assert record["parameters"]["trainable"] < record["parameters"]["total"]
