"""Every model, at reduced size and from scratch, learns a small problem that its modality decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fgmfn.baselines import MODELS
from fgmfn.training import train_models
from tests.fgmfn.baselines.tiny import TINY
from tests.fgmfn.release_builder import small_release


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def config_of(name: str, folder: Path, epochs: int) -> Path:
    """A settings file that trains one small model from scratch."""
    tiny = TINY[name]
    dropped = {"vocab_size", "pad_token_id"}  # the training texts decide
    settings = {key: value for key, value in tiny.settings.items() if key not in dropped}
    if "text_config" in settings:
        settings["text_config"] = {key: value for key, value in settings["text_config"].items() if key not in dropped}
    lines = [
        f"[models.{name}]",
        *(f"{key} = {_toml(value)}" for key, value in settings.items()),
        "dropout = 0.1",
        f"[models.{name}.training]",
        f"epochs = {epochs}",
        "batch_size = 8",
        f"learning_rate = {tiny.learning_rate}",
        "[data]",
        "max_tokens = 16",
        "vocabulary = 300",
    ]
    file = folder / f"{name}.toml"
    file.write_text("\n".join(lines))
    return file


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {json.dumps(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_small_planted_problem_is_learned(name: str, tmp_path: Path) -> None:
    text = "text" in MODELS[name].modalities and name not in IMAGE_DECIDES
    release = small_release(tmp_path / "r", train=64, dev=24, test=24, image_sign=not text, text_sign=text)
    (one,) = train_models(
        release, config_of(name, tmp_path, TINY[name].epochs), tmp_path, (name,), from_scratch=True, progress=False
    )
    assert one.dev is not None
    assert one.dev.accuracy >= 0.9


IMAGE_DECIDES = ("res_target",)
"""Models that never read the sentence."""
