"""Every model, at reduced size and from scratch, learns a small problem that its modality decides."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import tomli_w

from fgmfn.baselines import MODELS
from fgmfn.data import open_source
from fgmfn.planning import plan_run
from tests.fgmfn.models import TINY, learn
from tests.fgmfn.releases import small_release


def config_of(name: str, folder: Path, epochs: int) -> Path:
    """A settings file that trains one small model from scratch."""
    tiny = TINY[name]
    dropped = {"vocab_size", "pad_token_id"}  # the training texts decide
    settings = {key: value for key, value in tiny.settings.items() if key not in dropped}
    if "text_config" in settings:
        settings["text_config"] = {key: value for key, value in settings["text_config"].items() if key not in dropped}
    training = {"epochs": epochs, "batch_size": 8, "learning_rate": tiny.learning_rate}
    own = settings | {"dropout": 0.1, "training": training}
    file = folder / f"{name}.toml"
    file.write_text(tomli_w.dumps({"models": {name: own}, "data": {"max_tokens": 16, "vocabulary": 300}}))
    return file


ENOUGH = 0.9
"""Macro-F1 on the development rows, which are not trained on."""
IMAGE_DECIDES = ("res_target",)
"""Models that never read the sentence."""


def planted(folder: Path, name: str) -> Path:
    """A release whose labels follow the words, or the pictures where the model reads no words."""
    text = "text" in MODELS[name].modalities and name not in IMAGE_DECIDES
    return small_release(folder, train=TINY[name].rows, dev=16, test=0, image_sign=not text, text_sign=text)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_small_planted_problem_is_learned(name: str, tmp_path: Path) -> None:
    config, source = config_of(name, tmp_path, TINY[name].epochs), open_source(planted(tmp_path / "r", name))
    assert learn(plan_run(name, source, config, tmp_path, from_scratch=True), ENOUGH) >= ENOUGH


@pytest.mark.parametrize("name", ["bilstm", "tfidf"])
def test_labels_that_follow_nothing_are_not_learned(name: str, tmp_path: Path) -> None:
    source = open_source(planted(tmp_path / "r", name))
    for rows in source.splits.values():
        random.Random(1).shuffle(rows.label)
    config = config_of(name, tmp_path, TINY[name].epochs)
    assert learn(plan_run(name, source, config, tmp_path, from_scratch=True), ENOUGH) < ENOUGH
