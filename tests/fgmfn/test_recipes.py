"""Recipes of fine-tuning: learning rates by part, frozen parts, and how labels weigh."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import TrainerCallback

from fgmfn.baselines import MODELS, model_class
from fgmfn.building import build_model, model_config
from fgmfn.callbacks import Thaw
from fgmfn.configuration import PiecesConfig, text_settings
from fgmfn.data import Collator, SplitDataset, open_release
from fgmfn.encoders import build_text_encoder, load_text_encoder
from fgmfn.errors import ConfigError
from fgmfn.modeling import FgmfnForSentiment
from fgmfn.pooling import TextPooling
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer
from fgmfn.settings import DataSettings, ModelSettings, TrainingSettings
from fgmfn.trainer import last_whole_checkpoint, learning_rates, make_trainer
from fgmfn.training import train_models
from tests.fgmfn.models import ad_split, batch, batch_of, build, logits, small_config
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


# --- pooling, dropout of each part, frozen text encoders, widths ---


@pytest.mark.parametrize("name", ["fgmfn", "text_only"])
@pytest.mark.parametrize("pooling", ["first", "mean", "attention"])
def test_pooled_sentences_know_real_tokens_alone_and_train_all_weights(name: str, pooling: str) -> None:
    model, rows = build(name, pooling=pooling), ad_split()
    first, padded = (logits(model, batch_of(model, rows, [0, 1, 2, 3], extra)) for extra in (0, 5))
    assert torch.allclose(first, padded, atol=1e-5)
    assert torch.allclose(first[:1], logits(model, batch_of(model, rows, [0])), atol=1e-5)
    model.train()(**batch_of(model, rows, [0, 1, 2, 3])).loss.backward()
    assert [part for part, weight in model.named_parameters() if weight.grad is None] == []


def test_each_pooling_is_the_mean_that_it_says() -> None:
    states, mask = torch.randn(2, 4, 8), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    attention = TextPooling("attention", 8)
    assert attention.score is not None
    weight = attention.score.weight[0]
    for row, real in enumerate((4, 2)):
        tokens = states[row, :real]
        shares = torch.exp(tokens @ weight) / torch.exp(tokens @ weight).sum()
        assert torch.allclose(TextPooling("first", 8)(states, mask)[row], tokens[0])
        assert torch.allclose(TextPooling("mean", 8)(states, mask)[row], tokens.sum(dim=0) / real, atol=1e-6)
        assert torch.allclose(attention(states, mask)[row], (shares[:, None] * tokens).sum(dim=0), atol=1e-6)
    with pytest.raises(ConfigError, match="pooling = 'max'; expected one of first, mean, attention"):
        small_config(pooling="max")


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "bart", "electra", "albert"])
def test_dropout_of_the_text_encoder_is_set_by_whatever_names_it_has(kind: str) -> None:
    shape = {"model_type": kind, "vocab_size": 50, "max_position_embeddings": 40, "pad_token_id": 0}
    widths = {"dim": 32, "d_model": 32, "embedding_size": 32, "n_heads": 4, "num_hidden_layers": 1}
    text = shape | {name: value for name, value in widths.items() if name in text_settings(kind)}
    for wanted in (0.0, 0.35):
        encoder = build_text_encoder(small_config(text_config=text, text_dropout=wanted))
        drops = [module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)]
        others = [getattr(module, "dropout", None) for module in encoder.modules()]
        drops += [share for share in others if isinstance(share, float)]
        assert drops
        assert set(drops) == {wanted}
    with pytest.raises(ConfigError, match=r"text_dropout = 1\.0"):
        small_config(text_dropout=1.0)


def test_a_pretrained_text_encoder_gets_the_dropout_too(tmp_path: Path) -> None:
    made: Any = build_text_encoder(small_config())
    made.save_pretrained(tmp_path)
    config = small_config(text_encoder=str(tmp_path), text_dropout=0.25)
    loaded = load_text_encoder(config)
    assert {module.p for module in loaded.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}
    assert all(torch.equal(values, loaded.state_dict()[name]) for name, values in made.state_dict().items())


def test_blocks_of_the_backbone_are_left_out_in_training_alone() -> None:
    model = FgmfnForSentiment(small_config(backbone="resnet10t", backbone_drop_path=0.5))
    pixels = torch.randn(4, 3, 64, 64)
    model.image_encoder.eval()
    assert torch.equal(model.image_encoder(pixels)[-1], model.image_encoder(pixels)[-1])
    for module in model.image_encoder.train().modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # so that nothing else differs
            torch.nn.init.ones_(module.weight)  # timm lets the last one of each block start at 0
    assert not torch.equal(model.image_encoder(pixels)[-1], model.image_encoder(pixels)[-1])
    with pytest.raises(ConfigError, match="backbone_drop_path"):
        small_config(backbone_drop_path=0.5, freeze_backbone=True)
    with pytest.raises(ConfigError, match="backbone"):
        FgmfnForSentiment(small_config(backbone="vgg11_bn", backbone_drop_path=0.5))


PIECE_READERS = [name for name in MODELS if issubclass(model_class(name).config_class, PiecesConfig)]


@pytest.mark.parametrize("name", PIECE_READERS)
def test_a_frozen_text_encoder_stays_in_evaluation_and_all_else_trains(name: str, tmp_path: Path) -> None:
    model, free = build(name, freeze_text_encoder=True), build(name)
    frozen = {part for part in model.text_parts if hasattr(model, part)}
    assert bool(frozen) == ("text" in model.modalities)
    expected = {
        part for part, weight in free.named_parameters() if weight.requires_grad and part.split(".")[0] not in frozen
    }
    model.save_pretrained(tmp_path)
    for one in (model, type(model).from_pretrained(tmp_path, local_files_only=True)):
        assert {part for part, weight in one.named_parameters() if weight.requires_grad} == expected
        one.train()
        assert {part for part, weight in one.named_parameters() if weight.requires_grad} == expected
        assert [part for part in frozen if any(module.training for module in getattr(one, part).modules())] == []
        assert one.training


def test_what_replaces_a_frozen_text_encoder_is_frozen_with_other_parts(tmp_path: Path) -> None:
    encoder: Any = build_text_encoder(small_config())
    encoder.save_pretrained(tmp_path / "encoder")
    rows = open_release(small_release(tmp_path / "release", train=8)).splits["train"]
    train_tokenizer(rows.text, 50).save_pretrained(tmp_path / "encoder")
    settings = {"text_encoder": str(tmp_path / "encoder"), "freeze_text_encoder": True}
    settings |= {"backbone": "test_resnet", "image_size": 64, "itc_projection": 16}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fgmfn.encoders.TimmEncoder.load_pretrained", lambda *_: None)
        training = TrainingSettings(freeze=("head",))
        model, _ = build_model(FgmfnForSentiment, ModelSettings(settings, DataSettings(), training), rows, ["a", "b"])
    assert [part.part for part in model.loaded] == ["text encoder"]
    kept = {name.split(".")[0] for name, weight in model.named_parameters() if not weight.requires_grad}
    assert kept == {"text_encoder", "head"}
    model.train()
    assert not any(module.training for part in kept for module in model.get_submodule(part).modules())


def test_what_never_trains_may_be_named_among_what_waits() -> None:
    model = FgmfnForSentiment(small_config(freeze_text_encoder=True))
    waiting = Thaw(model, ["text_encoder", "head"], 1)
    model(**batch()).loss.backward()
    assert [weight.grad.any() for weight in model.head.parameters()] == [False] * 4
    assert waiting is not None


def test_widths_are_the_text_encoders_unless_they_are_set() -> None:
    text = {"hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 1}
    settings = {"text_config": text, "backbone": "test_resnet", "image_size": 64}
    followed = model_config(FgmfnForSentiment, settings, ["a", "b"])
    assert (followed.hidden_size, followed.heads) == (48, 6)
    assert model_config(FgmfnForSentiment, settings | {"heads": 4}, ["a", "b"]).heads == 4
    with pytest.raises(ConfigError, match="hidden_size = 64; expected 48"):
        model_config(FgmfnForSentiment, settings | {"hidden_size": 64, "heads": 4}, ["a", "b"])


# --- an average of the weights ---


class Killed(Exception):  # noqa: N818  no error
    """Ends a training as a kill would."""


class Steps(TrainerCallback):
    """Keeps the weights that train, after each step, and kills the training in an epoch."""

    def __init__(self) -> None:
        self.fatal, self.seen = -1, list[dict[str, torch.Tensor]]()

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep them."""
        self.seen.append({name: values.double().clone() for name, values in given["model"].state_dict().items()})

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End here."""
        if round(state.epoch or 0) == self.fatal:
            raise Killed


def averaged_run(folder: Path, decay: float, *, dev: bool, stop: bool = False) -> tuple[FgmfnForSentiment, Steps, Any]:
    """Train FGMFN for three epochs, killed in the second and gone on with where `stop` says so."""
    source = open_release(folder / "release" if (folder / "release").exists() else small_release(folder / "release"))
    rows, name = source.splits["train"], f"{decay}-{dev}-{stop}"
    settings = TrainingSettings(batch_size=8, epochs=3, learning_rate=1e-2, ema_decay=decay)
    steps = Steps()

    for steps.fatal in [1, -1] if stop else [-1]:
        torch.manual_seed(0)
        model = FgmfnForSentiment(small_config())
        processor = FgmfnProcessor(image_processor(model.config), train_tokenizer(rows.text, 50))
        trainer = make_trainer(
            model,
            processor,
            SplitDataset(rows, processor, model.inputs),
            SplitDataset(source.splits["validation"], processor, model.inputs) if dev else None,
            settings=settings,
            checkpoints=folder / name,
            title="FGMFN",
            progress=False,
        )
        trainer.add_callback(steps)
        resumed = last_whole_checkpoint(folder / name, settings)
        with suppress(Killed):
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    return model, steps, trainer


def average_of(steps: Steps, start: dict[str, torch.Tensor], decay: float) -> dict[str, torch.Tensor]:
    """What the average must be, in twice the digits."""
    average = {name: values.double() for name, values in start.items()}
    for number, weights in enumerate(steps.seen, 1):
        kept = min(decay, (1 + number) / (10 + number))
        average = {name: kept * values + (1 - kept) * weights[name] for name, values in average.items()}
    return average


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_what_is_kept_is_the_average_and_what_trains_is_not_touched_by_it(tmp_path: Path, decay: float) -> None:
    torch.manual_seed(0)
    start = {name: values.clone() for name, values in FgmfnForSentiment(small_config()).state_dict().items()}
    plain, without, _ = averaged_run(tmp_path, 0.0, dev=False)
    model, steps, _ = averaged_run(tmp_path, decay, dev=False)
    for one, other in zip(without.seen, steps.seen, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    expected = average_of(steps, start, decay)
    for name, values in model.state_dict().items():
        if values.is_floating_point():
            assert torch.allclose(values.double(), expected[name], atol=1e-5), name
    assert not torch.equal(model.state_dict()["head.layers.0.weight"], plain.state_dict()["head.layers.0.weight"])


@pytest.mark.parametrize("dev", [True, False])
def test_a_resumed_training_has_the_same_average(tmp_path: Path, dev: bool) -> None:
    (whole, steps, _), (resumed, more, _) = (averaged_run(tmp_path, 0.9, dev=dev, stop=stop) for stop in (False, True))
    for one, other in zip(steps.seen, more.seen, strict=True):
        assert all(torch.equal(values, other[name]) for name, values in one.items())
    assert all(torch.equal(values, resumed.state_dict()[name]) for name, values in whole.state_dict().items())


def test_scores_and_checkpoints_are_the_averages(tmp_path: Path) -> None:
    model, steps, trainer = averaged_run(tmp_path, 0.9, dev=True)
    (checkpoint,) = (tmp_path / "0.9-True-False").glob("checkpoint-*")
    saved = load_file(checkpoint / "model.safetensors")
    best = int(checkpoint.name.split("-")[1])
    torch.manual_seed(0)
    start = FgmfnForSentiment(small_config()).state_dict()
    until = Steps()
    until.seen = steps.seen[:best]
    expected = average_of(until, start, 0.9)
    for name, values in saved.items():
        if values.is_floating_point():
            assert torch.allclose(values.double(), expected[name], atol=1e-5), name
            assert torch.equal(values, model.state_dict()[name]), name
    dev = trainer.eval_dataset
    with torch.no_grad():
        loss = model.eval()(**Collator(trainer._processor, model.inputs)([dev[row] for row in range(len(dev))])).loss
    (scored,) = (one["eval_loss"] for one in trainer.state.log_history if one["step"] == best and "eval_loss" in one)
    assert len(dev) <= 8  # one batch: the contrastive loss depends on its rows
    assert scored == pytest.approx(loss.item(), rel=1e-4)
