"""The models in transformers' auto classes and pipelines: `AutoModelForSequenceClassification.from_pretrained(run)`."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor
from transformers.pipelines import PIPELINE_REGISTRY

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.pipeline import TASK, SentimentPipeline
from fgmfn.processing import FgmfnProcessor


def register() -> None:
    """Register all models that train in steps with the auto classes and `pipeline`; config.json names the model."""
    kinds: dict[Any, list[Any]] = {}
    for kind in map(model_class, MODELS):
        if not issubclass(kind, FittedModel):
            kinds.setdefault(kind.config_class, []).append(kind)
    for config_class, models in kinds.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoProcessor.register(config_class, FgmfnProcessor, exist_ok=True)
        for auto in (AutoModel, AutoModelForSequenceClassification):
            auto.register(config_class, tuple(models), exist_ok=True)
    if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
        PIPELINE_REGISTRY.register_pipeline(TASK, SentimentPipeline, pt_model=AutoModelForSequenceClassification)


register()
