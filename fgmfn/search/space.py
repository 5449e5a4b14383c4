"""The parameters that a model can be searched for, and their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fgmfn.baselines import check_models, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.configuration import model_settings
from fgmfn.errors import ConfigError
from fgmfn.modeling import FgmfnForSentiment


@dataclass(frozen=True)
class Range:
    """The values that a parameter may take, both ends included; equal ends hold it fixed."""

    low: float
    high: float
    log: bool = False
    """Drawn evenly by its logarithm."""


LEARNING_RATE = "learning_rate"
SPACE = {
    # The learning rate's range is the paper's; the others are ours, around the values of its Table 3.
    LEARNING_RATE: Range(1e-5, 1e-3, log=True),
    "itc_alpha": Range(0.0, 1.0),
    "mi_beta": Range(0.0, 0.2),
    "dropout": Range(0.0, 0.6),
}
LOSS_WEIGHTS = ("itc_alpha", "mi_beta")
"""Of eq. 12, which only FGMFN itself minimises; the rows beside it share its settings and not its loss."""


def search_space(model: str, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Return the ranges of what the model can be searched for.

    Raises:
        ConfigError: The model is fitted, or it does not know a parameter that a range is given for.
    """
    kind = model_class(check_models([model])[0])
    if issubclass(kind, FittedModel):
        raise ConfigError(
            f"{model} is fitted in one go: it has no learning rate and no dropout, and chooses its own "
            f"regularisation by the development rows; a search is for models that are trained in steps"
        )
    own = model_settings(kind.config_class)
    unread = () if issubclass(kind, FgmfnForSentiment) else LOSS_WEIGHTS
    known = [LEARNING_RATE, *(one for one in SPACE if one in own and one not in unread)]
    for name in ranges:
        if name not in known:
            raise ConfigError(f"{model} has no {name} to be searched; it has {', '.join(known)}")
    return {name: ranges.get(name, SPACE[name]) for name in known}


def parse_range(text: str, name: str) -> Range:
    """Read `LOW:HIGH`, or one number that holds the parameter fixed.

    Raises:
        ConfigError: These are no numbers, or not those of a range that the parameter may have.
    """
    low_text, _, high_text = text.partition(":")
    try:
        low, high = float(low_text), float(high_text or low_text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is no range; write LOW:HIGH, such as 1e-5:1e-3, or one number") from error
    log = SPACE[name].log
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ConfigError(f"{name}: {text!r} is no range; the lower end comes first and both are finite")
    if log and low <= 0:
        raise ConfigError(f"{name}: {text!r} begins at {low:g}; it is drawn by its logarithm and must be above 0")
    return Range(low, high, log)
