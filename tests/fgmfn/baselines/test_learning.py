"""Every model, at reduced size and from scratch, learns a small problem that its modality decides."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from fgmfn.baselines import MODELS
from fgmfn.data import open_source
from fgmfn.planning import plan_run
from fgmfn.training import train_run
from tests.fgmfn.models import TINY
from tests.fgmfn.releases import small_release


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


class Learned(Exception):  # noqa: N818  no error
    """Ends a training whose problem is solved."""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_small_planted_problem_is_learned(name: str, tmp_path: Path) -> None:
    text = "text" in MODELS[name].modalities and name not in IMAGE_DECIDES
    release = small_release(tmp_path / "r", train=64, dev=24, test=0, image_sign=not text, text_sign=text)
    config = config_of(name, tmp_path, TINY[name].epochs)

    def end_early(epoch: int, macro_f1: float) -> None:
        if macro_f1 >= ENOUGH:
            raise Learned

    run = plan_run(name, open_source(release), config, tmp_path, from_scratch=True)
    with suppress(Learned):
        trained = train_run(run, progress=False, after_epoch=end_early)
        assert trained.dev is not None
        assert trained.dev.macro_f1 >= ENOUGH


ENOUGH = 0.9
"""Macro-F1 on the development rows, which are not trained on."""
IMAGE_DECIDES = ("res_target",)
"""Models that never read the sentence."""
