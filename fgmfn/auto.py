"""The models in transformers' auto classes: `AutoModelForSequenceClassification.from_pretrained(run)` and the like."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.processing import FgmfnProcessor


def register() -> None:
    """Tell the auto classes of all models that train in steps; config.json names the one of several."""
    kinds: dict[Any, list[Any]] = {}
    for kind in map(model_class, MODELS):
        if not issubclass(kind, FittedModel):
            kinds.setdefault(kind.config_class, []).append(kind)
    for config_class, models in kinds.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoProcessor.register(config_class, FgmfnProcessor, exist_ok=True)
        for auto in (AutoModel, AutoModelForSequenceClassification):
            auto.register(config_class, tuple(models), exist_ok=True)
