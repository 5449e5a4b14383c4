"""FGMFN, the Fine-Grained Multiscale Cross-Modal Feature Network: sentiment of image-text advertisements.

    from pathlib import Path
    from fgmfn import train_models, load_checkpoint, predict, read_image

    models = train_models(Path("catalog/releases/2026.11.24"), "tiny", Path("runs"))
    checkpoint = load_checkpoint(models[0].checkpoint)
    predict(checkpoint, [read_image(Path("frame.jpg"))], ["Golden hour, half the price"])

The package trains from a release folder and does not depend on how the release was made. The names below are
imported on first use: importing PyTorch takes seconds, `import fgmfn` does not. transformers' auto classes know the
models as soon as anything of this package is imported, before or after transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fgmfn.registering import register_on_use
from fgmfn.telemetry import turn_off_telemetry

if TYPE_CHECKING:
    from fgmfn.configuration import FgmfnConfig as FgmfnConfig
    from fgmfn.data import open_release as open_release
    from fgmfn.errors import FgmfnError as FgmfnError
    from fgmfn.evaluation import Metrics as Metrics
    from fgmfn.inference import Predictor as Predictor
    from fgmfn.inference import load_checkpoint as load_checkpoint
    from fgmfn.inference import predict as predict
    from fgmfn.inference import read_image as read_image
    from fgmfn.modeling import FgmfnForSentiment as FgmfnForSentiment
    from fgmfn.processing import FgmfnProcessor as FgmfnProcessor
    from fgmfn.scoring import evaluate_split as evaluate_split
    from fgmfn.training import TrainedModel as TrainedModel
    from fgmfn.training import train_models as train_models

_HOME = {
    "FgmfnConfig": "configuration",
    "FgmfnError": "errors",
    "FgmfnForSentiment": "modeling",
    "FgmfnProcessor": "processing",
    "Metrics": "evaluation",
    "Predictor": "inference",
    "TrainedModel": "training",
    "evaluate_split": "scoring",
    "load_checkpoint": "inference",
    "open_release": "data",
    "predict": "inference",
    "read_image": "inference",
    "train_models": "training",
}

__all__ = [*_HOME]

turn_off_telemetry()
register_on_use()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fgmfn' has no attribute {name!r}")
    return getattr(import_module(f"fgmfn.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
