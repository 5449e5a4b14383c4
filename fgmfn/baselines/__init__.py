"""The rows of the comparison, one line per model: FGMFN and what must stand beside it to mean anything."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from fgmfn.errors import ConfigError
from fgmfn.nearest import did_you_mean

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel


@dataclass(frozen=True)
class Row:
    """One model of the comparison: what its table row is called and where its class lives."""

    title: str
    module: str
    class_name: str
    modalities: tuple[str, ...]


MODELS: dict[str, Row] = {
    "fgmfn": Row("FGMFN", "fgmfn.modeling", "FgmfnForSentiment", ("text", "image")),
    "text_only": Row("text only", "fgmfn.baselines.text_only", "TextOnlyForSentiment", ("text",)),
    "image_only": Row("image only", "fgmfn.baselines.image_only", "ImageOnlyForSentiment", ("image",)),
}


def check_models(names: list[str]) -> list[str]:
    """Return the names without repetition.

    Raises:
        ConfigError: A name is not in the registry, or there is none.
    """
    for name in names:
        if name not in MODELS:
            raise ConfigError(f"unknown model {name!r}{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}")
    if not names:
        raise ConfigError(f"no model to train; known: {', '.join(MODELS)}")
    return list(dict.fromkeys(names))


def model_class(name: str) -> type[SentimentModel]:
    """Import and return the class of a registered model."""
    row = MODELS[check_models([name])[0]]
    return getattr(import_module(row.module), row.class_name)


def model_of_class(class_name: str) -> str | None:
    """Return the registered name of a class that config.json names as its architecture."""
    return next((name for name, row in MODELS.items() if row.class_name == class_name), None)
