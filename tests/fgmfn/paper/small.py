"""Every model at a size that a test can afford, as `MeasureOptions` asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.paper.measuring import MeasureOptions
from fgmfn.paper.meters import Repeats
from tests.fgmfn.baselines.tiny import TINY

TEXT_LENGTH = 24
FEW = Repeats(warm_up=1, runs=3, most_s=1)


def changes_of(name: str) -> dict[str, Any]:
    """A model's small settings; the vocabulary is the full one's."""
    settings = dict(TINY[name].settings)
    return settings if issubclass(model_class(name), FittedModel) else settings | {"training": {"batch_size": 4}}


OPTIONS = MeasureOptions(TEXT_LENGTH, None, "cpu", None, {name: changes_of(name) for name in MODELS}, FEW, FEW)


def with_changes(name: str, **changes: Any) -> MeasureOptions:
    """Let one model's settings differ."""
    return replace(OPTIONS, changes={**OPTIONS.changes, name: changes_of(name) | changes})
