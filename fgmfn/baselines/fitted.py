"""A model that is fitted in one go and not trained in steps, such as logistic regression on counted words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from fgmfn.base_configuration import SentimentConfig
from fgmfn.data import Rows


class FittedModel(ABC):
    """Learns from the same rows and is scored by the same report as a model that trains in steps.

    Args:
        config: its settings and the classes' names.
    """

    config_class: ClassVar[type[SentimentConfig]] = SentimentConfig
    modalities: ClassVar[tuple[str, ...]] = ()
    recipe: ClassVar[dict[str, Any]] = {}

    def __init__(self, config: SentimentConfig) -> None:
        self.config: Any = config

    @abstractmethod
    def fit(self, train: Rows, dev: Rows, seed: int, *, progress: bool = True) -> dict[str, Any]:
        """Learn from the training rows, choose by the development rows; return what was chosen, for the record.

        Args:
            train: rows to learn from.
            dev: rows to choose by; there may be none.
            seed: of everything that is drawn.
            progress: show a bar on standard error where this takes long, if that is a terminal.
        """

    @abstractmethod
    def probabilities(self, rows: Rows, *, progress: bool = True) -> np.ndarray:
        """Return class probabilities, [rows, C]; `progress` as in `fit`."""

    @abstractmethod
    def save_weights(self, folder: Path) -> None:
        """Write what was learned into a folder, as plain arrays and JSON: a pickle would run when it is read."""

    @abstractmethod
    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote."""

    @abstractmethod
    def parameter_counts(self) -> tuple[int, int] | None:
        """Return its parameters in total and those that are learned; None where the data decides."""

    def departures(self) -> tuple[str, ...]:
        """What of the model as it was published is missing or other here: nothing."""
        return ()

    def save_pretrained(self, folder: Path) -> None:
        """Write the model with its configuration, as a trained one is."""
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(folder)
        self.save_weights(folder)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Read a model that `save_pretrained` wrote."""
        model = cls(cls.config_class.from_pretrained(folder))
        model.load_weights(folder)
        return model
