"""FGMFN, the Fine-Grained Multiscale Cross-Modal Feature Network: sentiment of image-text advertisements.

    from pathlib import Path
    from fgmfn import train_models, load_checkpoint, predict, read_image

    models = train_models(Path("catalog/releases/2026.11.24"), "tiny", Path("runs"))
    checkpoint = load_checkpoint(models[0].checkpoint)
    predict(checkpoint, [read_image(Path("frame.jpg"))], ["Golden hour, half the price"])

The package trains from a release folder and knows nothing of how it came to be. What is named below is
imported when it is first used: PyTorch takes seconds, and `import fgmfn` takes none. transformers' auto classes know
the models where both packages are imported, in whatever order.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any

from fgmfn.telemetry import turn_off_telemetry

if TYPE_CHECKING:
    from fgmfn.configuration import FgmfnConfig as FgmfnConfig
    from fgmfn.data import open_release as open_release
    from fgmfn.errors import FgmfnError as FgmfnError
    from fgmfn.evaluation import Metrics as Metrics
    from fgmfn.inference import evaluate_split as evaluate_split
    from fgmfn.inference import load_checkpoint as load_checkpoint
    from fgmfn.inference import predict as predict
    from fgmfn.inference import read_image as read_image
    from fgmfn.modeling import FgmfnForSentiment as FgmfnForSentiment
    from fgmfn.processing import FgmfnProcessor as FgmfnProcessor
    from fgmfn.training import TrainedModel as TrainedModel
    from fgmfn.training import train_models as train_models

_HOME = {
    "FgmfnConfig": "configuration",
    "FgmfnError": "errors",
    "FgmfnForSentiment": "modeling",
    "FgmfnProcessor": "processing",
    "Metrics": "evaluation",
    "TrainedModel": "training",
    "evaluate_split": "inference",
    "load_checkpoint": "inference",
    "open_release": "data",
    "predict": "inference",
    "read_image": "inference",
    "train_models": "training",
}

__all__ = [*_HOME]

turn_off_telemetry()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fgmfn' has no attribute {name!r}")
    value = getattr(import_module(f"fgmfn.{_HOME[name]}"), name)
    _register()
    return value


def __dir__() -> list[str]:
    return sorted(_HOME)


def _register() -> None:
    """Register the models where an auto class is imported, unless transformers or this package is just being so."""
    if "transformers.models.auto.configuration_auto" in sys.modules:
        beginnings = ("transformers.", "fgmfn.")
        specs = [
            getattr(module, "__spec__", None)
            for name, module in list(sys.modules.items())
            if name.startswith(beginnings)
        ]
        if not any(getattr(spec, "_initializing", False) for spec in specs):
            import_module("fgmfn.auto").register()


class _RegisterWithAutoClasses(MetaPathFinder):
    """Registers the models as soon as transformers has imported one of its auto classes."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find modules of transformers, until the models are registered."""
        if not name.startswith("transformers.") or "fgmfn.auto" in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = spec.loader if spec else None
        if spec is not None and hasattr(loader, "exec_module"):
            execute = loader.exec_module

            def execute_and_register(module: Any) -> None:
                execute(module)
                module.__spec__._initializing = False
                _register()

            loader.exec_module = execute_and_register
        return spec


sys.meta_path.insert(0, _RegisterWithAutoClasses())
_register()
