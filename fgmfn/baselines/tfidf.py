"""TF-IDF and logistic regression: the floor. A model that does not beat it has learned nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from huggingface_hub.dataclasses import strict
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from fgmfn.baselines.fitted import FittedModel, Regression, choose_regression
from fgmfn.configuration import SentimentConfig
from fgmfn.data import Rows
from fgmfn.data.rows import NOWHERE
from fgmfn.data.twitter import MARK

WEIGHTS = "weights.npz"
VOCABULARY = "vocabulary.json"
ANYTHING = r"\S+"
"""Whatever stands between blanks is a word, so that the marks `$T$`, # and ! count too."""


@strict
class TfidfConfig(SentimentConfig):
    """Settings of the TF-IDF floor."""

    model_type = "fgmfn_tfidf"
    counts: ClassVar[tuple[str, ...]] = ("longest_ngram", "min_count")

    longest_ngram: int = 2
    """Words and runs of words up to this length are counted."""
    min_count: int = 1
    """Texts that a word must stand in."""
    balanced: bool = False
    """Weigh classes by their rarity: a better macro-F1 for a worse accuracy."""


class TfidfForSentiment(FittedModel):
    """The sentence, its mark where the target stood, and the target; how freely it fits is chosen on dev."""

    config_class = TfidfConfig
    modalities = ("text",)
    strengths = (1.0, 3.0, 10.0, 30.0, 100.0)
    """Inverse strengths of the regression's decay to choose from."""

    def fit(self, train: Rows, dev: Rows, seed: int, *, progress: bool = True) -> dict[str, Any]:
        """Count words and fit the regression; it takes seconds and shows no bar.

        Raises:
            DataError: The training rows are all of one class.
        """
        counter = self._counter(min_df=self.config.min_count)
        features = counter.fit_transform(_texts(train))
        self._numbers: dict[str, int] = {term: int(number) for term, number in counter.vocabulary_.items()}
        self._rarity = counter.idf_
        self._regression, chosen = choose_regression(
            (features, train.label),
            (self._features(dev), dev.label) if len(dev) else None,
            self.config.num_labels,
            self.strengths,
            seed,
            balanced=self.config.balanced,
        )
        return chosen

    def _counter(self, **settings: Any) -> TfidfVectorizer:
        return TfidfVectorizer(ngram_range=(1, self.config.longest_ngram), token_pattern=ANYTHING, **settings)

    def _features(self, rows: Rows) -> csr_matrix:
        """TF-IDF of each row, of length 1: [rows, terms]."""
        counter = self._counter(vocabulary=self._numbers)
        counter.idf_ = self._rarity
        return counter.transform(_texts(rows))

    def probabilities(self, rows: Rows, *, progress: bool = True) -> np.ndarray:
        """Return class probabilities, [rows, C]."""
        return self._regression.probabilities(self._features(rows))

    def save_weights(self, folder: Path) -> None:
        """Write the words with their numbers, and the arrays."""
        (folder / VOCABULARY).write_text(json.dumps(self._numbers), encoding="utf-8")
        learned = self._regression
        np.savez(folder / WEIGHTS, rarity=self._rarity, weights=learned.weights, bias=learned.bias)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote."""
        self._numbers = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            self._rarity, self._regression = arrays["rarity"], Regression(arrays["weights"], arrays["bias"])

    def parameter_counts(self) -> tuple[int, int] | None:
        """One weight per term and class, and one bias per class; None before the words are counted."""
        if not hasattr(self, "_regression"):
            return None
        count = self._regression.weights.size + self._regression.bias.size
        return count, count


def _texts(rows: Rows) -> list[str]:
    """The marked sentence and its target; an ad's words alone."""
    if not rows.has_targets:
        return rows.text
    return [
        f"{text if span == NOWHERE else text[: span[0]] + MARK + text[span[1] :]} {target}"
        for text, span, target in zip(rows.text, rows.span, rows.target, strict=True)
    ]
