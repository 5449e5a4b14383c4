"""What frozen encoders make of rows is computed once, and a training with it is the training without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fgmfn.baselines import model_class
from fgmfn.data.prepared import Cache
from fgmfn.encoders import TimmEncoder
from fgmfn.training import TrainedModel, train_models
from tests.fgmfn.baselines.test_every_model import STEPPED
from tests.fgmfn.models import ad_split, batch_of, build, logits
from tests.fgmfn.releases import small_release

SETTINGS = """
[model]
pretrained = false
backbone = "test_resnet"
image_size = 64
hidden_size = 32
heads = 4
freeze_backbone = {backbone}
freeze_text_encoder = {text}
text_config = {{ num_hidden_layers = 1 }}
itc_projection = 16

[data]
vocabulary = 200
augment = {augment}
cache = "{cache}"
cache_gb = {cache_gb}
cache_encoded = {encoded}

[training]
epochs = 2
batch_size = 8
learning_rate = 1e-3
"""
DEFAULTS = {"backbone": "true", "text": "true", "augment": "false", "encoded": "true", "cache_gb": "1"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ads with pictures of several shapes and texts of several lengths."""
    return small_release(tmp_path_factory.mktemp("encoded") / "2026.11.24")


def trained(release: Path, folder: Path, models: list[str], seed: int = 1, **changes: Any) -> list[TrainedModel]:
    """Models trained in a folder of their own; a cache may be another's."""
    folder.mkdir(exist_ok=True)
    (folder / "s.toml").write_text(SETTINGS.format(**{"cache": folder / "cache"} | DEFAULTS | changes))
    return train_models(release, folder / "s.toml", folder / "runs", models, seed=seed, progress=False)


def encoded(folder: Path) -> list[str]:
    """Entries of a cache that hold an encoder's outputs."""
    entries = Cache(folder, 1e9, 1e9, "").entries()
    return sorted(f"{entry.folder.name} {entry.what}" for entry in entries if entry.what.endswith("encoded"))


def figures(one: TrainedModel) -> list[float]:
    """All losses and scores of a run, on training, development and test rows."""
    record = json.loads((one.checkpoint / "metrics.json").read_text())
    logged = [value for entry in record["history"] for name, value in sorted(entry.items()) if "flos" not in name]
    return [*logged, *(record[split][name] for split in ("dev", "test") for name in ("accuracy", "macro_f1"))]


def recorded(one: TrainedModel) -> list[dict[str, Any]]:
    """What was seen of its parts in each epoch."""
    return [epoch["parts"] for epoch in json.loads((one.checkpoint / "metrics.json").read_text())["epochs"]]


@pytest.mark.parametrize("name", STEPPED)
def test_what_is_encoded_stands_for_the_pictures_and_words_of_every_model_that_says_so(name: str) -> None:
    model = build(name).eval()
    batch = batch_of(model, ad_split(), [0, 1, 2])
    before = logits(model, batch)
    for field in model.encoded_fields:
        with torch.no_grad():
            batch[field] = model.encode(field, batch)
        assert torch.allclose(logits(model, batch), before, atol=1e-5), field


def test_a_training_is_the_same_with_and_without_them(release: Path, tmp_path: Path) -> None:
    kept, fresh = (
        trained(
            release,
            tmp_path / says,
            ["fgmfn", "shuffled_pictures"],
            encoded=says,
            cache=str(tmp_path / f"cache-{says}"),
        )
        for says in ("true", "false")
    )
    assert not encoded(tmp_path / "cache-false")
    # words, pictures and shuffled pictures of three splits: both models start from the same encoders
    assert len(encoded(tmp_path / "cache-true")) == 3 * 3
    for with_them, without in zip(kept, fresh, strict=True):
        assert with_them.checkpoint.name == without.checkpoint.name  # the same run by its key
        assert figures(with_them) == pytest.approx(figures(without), abs=1e-5)
        for parts, other in zip(recorded(with_them), recorded(without), strict=True):
            assert parts["gradients"].keys() == other["gradients"].keys() & {"visual_tokens", "fusion", "head"} | {
                "contrast",
                "mutual_information",
            }
            for part, norms in parts["gradients"].items():
                assert norms == pytest.approx(other["gradients"][part], rel=1e-3, abs=1e-5), part
            assert (parts["gate"], parts["attention"]) == tuple(
                pytest.approx(other[name], abs=1e-5) for name in ("gate", "attention")
            )
        one, other = (
            model_class(with_them.model).from_pretrained(run.checkpoint).state_dict() for run in (with_them, without)
        )
        assert all(torch.allclose(one[key], other[key], atol=1e-5) for key in one)


def test_other_runs_use_them_and_other_weights_have_their_own(release: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    trained(release, tmp_path / "a", ["fgmfn"], cache=cache)
    first = encoded(tmp_path / "cache")
    calls = count_pictures(lambda: trained(release, tmp_path / "b", ["image_only", "fgmfn"], cache=cache))
    assert encoded(tmp_path / "cache") == first
    assert calls <= 2 * 3  # one row for its size, per model and split
    # another seed draws other encoders, whose outputs are not those
    trained(release, tmp_path / "c", ["text_only"], seed=2, cache=cache)
    assert len(encoded(tmp_path / "cache")) == len(first) + 3


def count_pictures(work: Callable[[], Any]) -> int:
    """Pictures that go through a backbone meanwhile."""
    seen = 0

    def note(module: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal seen
        if isinstance(module, TimmEncoder) and given[0].ndim == 4:
            seen += len(given[0])

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        work()
    finally:
        handle.remove()
    return seen


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"backbone": "false"}, {"input_ids"}),
        ({"text": "false"}, {"pixel_values"}),
        ({"augment": "true"}, {"input_ids"}),
        ({"cache_gb": "0"}, set()),
        ({"cache_gb": "0.00001"}, set()),
    ],
)
def test_what_trains_or_changes_or_does_not_fit_is_not_kept(
    release: Path, tmp_path: Path, changes: dict[str, Any], fields: set[str]
) -> None:
    trained(release, tmp_path / "run", ["fgmfn"], **changes)
    kept = [entry.split() for entry in encoded(tmp_path / "run" / "cache")]
    assert {field for _, field, *_, split, _ in kept if split == "train,"} == fields


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_layers_that_train_run_on_behind_frozen_ones(kind: str, frozen: int) -> None:
    layers = {"model_type": kind, "vocab_size": 60, "num_hidden_layers": 3, "max_position_embeddings": 66}
    model = build("text_only", text_config=layers | {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64})
    below = "transformer" if kind == "distilbert" else "encoder"
    parts = [f"text_encoder.{below}.layer.{number}" for number in range(frozen)]
    model.freeze(["text_encoder.embeddings", *parts] if frozen < 3 else ["text_encoder"])
    known = 0 if kind == "distilbert" and frozen < 3 else frozen
    assert model.frozen_fields() == (["input_ids"] if known else [])
    batch = batch_of(model, ad_split(), [0, 1, 2])
    before = logits(model, batch)
    batch["input_ids"] = model.encode("input_ids", batch)
    assert torch.allclose(logits(model, batch), before, atol=1e-5)
    model(**batch).loss.backward()
    trained = {name for name, weight in model.text_encoder.named_parameters() if weight.grad is not None}
    assert trained == {name for name, weight in model.text_encoder.named_parameters() if weight.requires_grad}


def test_parts_that_thaw_are_not_frozen() -> None:
    model = build("fgmfn")
    assert model.frozen_fields() == []
    model.freeze(["text_encoder"])
    assert model.frozen_fields() == ["input_ids"]
    assert build("tombert", freeze_backbone=True).frozen_fields() == ["pixel_values"]
