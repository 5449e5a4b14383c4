"""A catalog of two small models, one of them in service, and ads of the sample."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.models import CURRENT, METRICS
from tests.conftest import Once
from tests.flows.conftest import Done, call

Predict = Callable[..., Done]


def write_models(folder: Path) -> None:
    """Two runs whose weights were never trained, which answer all the same; the first is in service."""
    import torch

    from fgmfn.baselines import model_class
    from tests.fgmfn.models import TINY, processor_for

    kind = model_class("fgmfn")
    for seed in (0, 1):
        torch.manual_seed(seed)
        settings = TINY["fgmfn"].settings | {"num_labels": 2}
        model = kind(kind.config_class(**settings))
        model.config.id2label = {0: "negative", 1: "positive"}
        for weights in model.parameters():
            weights.data *= 3  # so that answers differ
        run = folder / "models" / "2026.11.02" / f"fgmfn-{seed}"
        model.save_pretrained(run)
        processor_for(model).save_pretrained(run)
        record = {"model": "fgmfn", "row_set_hash": "rows", "test": None, "has_targets": False}
        (run / METRICS).write_text(json.dumps(record))
    (folder / "models" / CURRENT).write_text("2026.11.02/fgmfn-0\n")


@pytest.fixture(scope="session")
def models(once: Once) -> Path:
    """The catalog; not to be changed."""
    return once("verdict-models", write_models)


@pytest.fixture(scope="session")
def one_frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of settings under which an ad is seen in a moment."""
    file = tmp_path_factory.mktemp("settings") / "one_frame.toml"
    file.write_text("[frames]\ncount = 1\nmax_side = 640\n[ocr]\nsides = [640]\n")
    return file


@pytest.fixture
def predict(models: Path, one_frame: Path) -> Predict:
    """Run `ytb-ads predict` in this process."""

    def run(*arguments: str | Path, config: Path = one_frame, catalog: Path = models) -> Done:
        return call("predict", "--config", config, "--catalog", catalog, *arguments)

    return run


FULL, OTHER, HALF, FEW, DAMAGED = "s2bef8ffb8b", "sef134f2a18", "s76d3c2eeff", "s48f03bc941", "s9328a9dc66"
"""Of the sample: every frame has enough words, of two; one has, none has, and there is nothing to decode."""


def video_of(sample: Path, video_id: str) -> Path:
    """A video of the sample."""
    [found] = sample.glob(f"*/{video_id}.mp4")
    return found


@pytest.fixture
def ads(sample: Path, tmp_path: Path) -> Path:
    """A folder with two ads that give a verdict whichever frame is taken, to be changed."""
    folder = tmp_path / "ads"
    folder.mkdir()
    for video in (video_of(sample, FULL), video_of(sample, OTHER)):
        for path in (video, video.with_name(f"{video.stem}.info.json")):
            shutil.copy2(path, folder)
    return folder
