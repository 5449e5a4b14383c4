"""Models that are fitted at once instead of trained in steps, and the logistic regression that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from fgmfn.configuration import SentimentConfig
from fgmfn.data import Rows
from fgmfn.encoders import Loaded
from fgmfn.errors import DataError
from fgmfn.evaluation import score

Features: TypeAlias = "np.ndarray | csr_matrix"
"""[rows, features]"""


@dataclass(frozen=True)
class Regression:
    """A fitted regression as plain arrays."""

    weights: np.ndarray
    """[C, features]"""
    bias: np.ndarray
    """[C]; -inf for a class without training rows, which is then never predicted."""

    def probabilities(self, features: Features) -> np.ndarray:
        """[rows, features] -> [rows, C]."""
        return softmax(features @ self.weights.T + self.bias, axis=1)

    def before_scaling(self, mean: np.ndarray, spread: np.ndarray) -> Regression:
        """Return the regression on raw features that equals this one on (features - mean) / spread."""
        weights = self.weights / spread
        return Regression(weights, self.bias - weights @ mean)


def choose_regression(
    train: tuple[Features, Sequence[int]],
    dev: tuple[Features, Sequence[int]] | None,
    classes: int,
    strengths: Sequence[float],
    seed: int,
    *,
    balanced: bool = False,
) -> tuple[Regression, dict[str, Any]]:
    """Fit one regression per strength and keep the one with the best macro-F1 on dev.

    Args:
        train: features and labels.
        dev: likewise; None keeps the first strength.
        classes: C.
        strengths: inverse strengths of the decay, the safest first; ties keep the earlier one.
        seed: the solver's.
        balanced: weigh classes by their rarity.

    Returns:
        The regression, and the choice with its score.

    Raises:
        DataError: The training rows are all of one class.
    """
    if dev is None:
        first = strengths[0]
        return fit_regression(*train, classes, first, seed, balanced=balanced), {"inverse_strength": first}
    fitted = {strength: fit_regression(*train, classes, strength, seed, balanced=balanced) for strength in strengths}
    features, labels = dev
    scores = {
        strength: score(list(labels), one.probabilities(features).argmax(axis=1).tolist(), classes).macro_f1
        for strength, one in fitted.items()
    }
    best = max(scores, key=lambda strength: scores[strength])
    return fitted[best], {"inverse_strength": best, "dev_macro_f1": {str(key): value for key, value in scores.items()}}


def fit_regression(
    features: Features, labels: Sequence[int], classes: int, strength: float, seed: int, *, balanced: bool = False
) -> Regression:
    """Fit one regression with the given inverse strength of its decay; see `choose_regression`."""
    if len(set(labels)) < 2:
        raise DataError("all training rows are of one class: there is nothing to tell apart")
    weighed = "balanced" if balanced else None
    model = LogisticRegression(C=strength, class_weight=weighed, max_iter=1000, random_state=seed).fit(features, labels)
    weights, bias = np.zeros((classes, features.shape[1])), np.full(classes, -np.inf)
    if len(model.classes_) == 2:  # sklearn keeps the second class's row alone
        bias[model.classes_[0]] = 0.0
        weights[model.classes_[1]], bias[model.classes_[1]] = model.coef_[0], model.intercept_[0]
    else:
        weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return Regression(weights, bias)


class FittedModel(ABC):
    """A model that is fitted at once, on the same rows and with the same report as models that train in steps.

    Args:
        config: its settings and the classes' names.
    """

    config_class: ClassVar[type[SentimentConfig]] = SentimentConfig
    modalities: ClassVar[tuple[str, ...]] = ()
    recipe: ClassVar[dict[str, Any]] = {}
    notes: ClassVar[tuple[str, ...]] = ()
    """Parts of the published model that are always missing or different here."""
    _regression: Regression
    """Result of `fit`."""

    def __init__(self, config: SentimentConfig) -> None:
        self.config: Any = config

    @abstractmethod
    def fit(self, train: Rows, dev: Rows, seed: int, *, progress: bool = True) -> dict[str, Any]:
        """Learn from the training rows, choose by the development rows; return what was chosen, for the record.

        Args:
            train: rows to learn from.
            dev: rows to choose by; may be empty.
            seed: of all random draws.
            progress: show a bar on standard error, if that is a terminal and this takes long.
        """

    @abstractmethod
    def features(self, rows: Rows, *, progress: bool = True) -> Features:
        """Return the regression's features, [rows, features]; `progress` as in `fit`."""

    def probabilities(self, rows: Rows, *, progress: bool = True) -> np.ndarray:
        """Return class probabilities, [rows, C]; `progress` as in `fit`."""
        return self._regression.probabilities(self.features(rows, progress=progress))

    @abstractmethod
    def save_weights(self, folder: Path) -> None:
        """Write what was learned into a folder, as plain arrays and JSON: reading a pickle would run code."""

    @abstractmethod
    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote."""

    @abstractmethod
    def parameter_counts(self) -> tuple[int, int] | None:
        """Return the number of parameters, in total and learned; None if it depends on the data."""

    @property
    def loaded(self) -> list[Loaded]:
        """Origin of each part's pretrained weights; none here."""
        return []

    def departures(self) -> tuple[str, ...]:
        """Return the differences from the published model under its settings."""
        return (*self.notes, *self.config.departures(self.modalities))

    def save_pretrained(self, folder: Path) -> None:
        """Write the model with its configuration, as for a model trained in steps."""
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(folder)
        self.save_weights(folder)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Read a model that `save_pretrained` wrote."""
        model = cls(cls.config_class.from_pretrained(folder))
        model.load_weights(folder)
        return model
