"""TF-IDF and logistic regression: the floor. A model that does not beat it has learned nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.dataclasses import strict
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from fgmfn.base_configuration import SentimentConfig, require
from fgmfn.baselines.fitted import FittedModel
from fgmfn.data import Rows
from fgmfn.data.rows import NOWHERE
from fgmfn.data.twitter import MARK
from fgmfn.evaluation import score

WEIGHTS = "weights.npz"
VOCABULARY = "vocabulary.json"
ANYTHING = r"\S+"
"""Whatever stands between blanks is a word, so that the marks `$T$`, # and ! count too."""


@strict
class TfidfConfig(SentimentConfig):
    """Settings of the TF-IDF floor."""

    model_type = "fgmfn_tfidf"

    longest_ngram: int = 2
    """Words and runs of words up to this length are counted."""
    min_count: int = 1
    """Texts that a word must stand in."""
    balanced: bool = False
    """Weigh classes by their rarity: a better macro-F1 for a worse accuracy."""

    def check(self) -> None:
        """Refuse counts below 1."""
        super().check()
        for name in ("longest_ngram", "min_count"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")


class TfidfForSentiment(FittedModel):
    """The sentence, its mark where the target stood, and the target; how freely it fits is chosen on dev."""

    config_class = TfidfConfig
    modalities = ("text",)
    strengths = (1.0, 3.0, 10.0, 30.0, 100.0)
    """Inverse strengths of the regression's decay to choose from."""

    def fit(self, train: Rows, dev: Rows, seed: int) -> dict[str, Any]:
        """Fit one regression per strength and keep the one with the best macro-F1 on dev."""
        counter = TfidfVectorizer(min_df=self.config.min_count, analyzer=self._analyzer())
        features = counter.fit_transform(_texts(train))
        self._numbers: dict[str, int] = {term: int(number) for term, number in counter.vocabulary_.items()}
        self._rarity = counter.idf_
        fitted = {strength: self._regression(features, train.label, strength, seed) for strength in self.strengths}
        scores = {strength: self._macro_f1(weights, dev) for strength, weights in fitted.items()} if len(dev) else {}
        best = max(scores, key=lambda strength: scores[strength]) if scores else self.strengths[0]
        self._weights, self._bias = fitted[best]
        return {"inverse_strength": best, "dev_macro_f1": {str(strength): score for strength, score in scores.items()}}

    def _analyzer(self) -> Callable[[str], list[str]]:
        return TfidfVectorizer(ngram_range=(1, self.config.longest_ngram), token_pattern=ANYTHING).build_analyzer()

    def _regression(
        self, features: csr_matrix, labels: list[int], strength: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights [C, terms] and biases [C]; a class without training rows is never predicted."""
        model = LogisticRegression(
            C=strength,
            class_weight="balanced" if self.config.balanced else None,
            max_iter=1000,
            random_state=seed,
        ).fit(features, labels)
        weights = np.zeros((self.config.num_labels, features.shape[1]))
        bias = np.full(self.config.num_labels, -np.inf)
        if len(model.classes_) == 2:  # sklearn keeps the second class's row alone
            bias[model.classes_[0]] = 0.0
            weights[model.classes_[1]], bias[model.classes_[1]] = model.coef_[0], model.intercept_[0]
        else:
            weights[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
        return weights, bias

    def _macro_f1(self, fitted: tuple[np.ndarray, np.ndarray], dev: Rows) -> float:
        weights, bias = fitted
        predicted = (self._features(dev) @ weights.T + bias).argmax(axis=1)
        return score(dev.label, predicted.tolist(), self.config.num_labels).macro_f1

    def _features(self, rows: Rows) -> csr_matrix:
        """TF-IDF of each row, of length 1: [rows, terms]."""
        analyze, starts, columns, values = self._analyzer(), [0], [], []
        for text in _texts(rows):
            counts = Counter(self._numbers[term] for term in analyze(text) if term in self._numbers)
            weighed = np.array([count * self._rarity[number] for number, count in counts.items()])
            columns += list(counts)
            values += list(weighed / np.linalg.norm(weighed)) if counts else []
            starts.append(len(columns))
        return csr_matrix((values, columns, starts), shape=(len(rows), len(self._numbers)))

    def probabilities(self, rows: Rows) -> np.ndarray:
        """Return class probabilities, [rows, C]."""
        return softmax(self._features(rows) @ self._weights.T + self._bias, axis=1)

    def save_weights(self, folder: Path) -> None:
        """Write the words with their numbers, and the arrays."""
        (folder / VOCABULARY).write_text(json.dumps(self._numbers), encoding="utf-8")
        np.savez(folder / WEIGHTS, rarity=self._rarity, weights=self._weights, bias=self._bias)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote."""
        self._numbers = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            self._rarity, self._weights, self._bias = arrays["rarity"], arrays["weights"], arrays["bias"]

    def parameter_counts(self) -> tuple[int, int] | None:
        """One weight per term and class, and one bias per class; None before the words are counted."""
        if not hasattr(self, "_weights"):
            return None
        count = self._weights.size + self._bias.size
        return count, count


def _texts(rows: Rows) -> list[str]:
    """The marked sentence and its target; an ad's words alone."""
    if not rows.has_targets:
        return rows.text
    return [
        f"{text if span == NOWHERE else text[: span[0]] + MARK + text[span[1] :]} {target}"
        for text, span, target in zip(rows.text, rows.span, rows.target, strict=True)
    ]
