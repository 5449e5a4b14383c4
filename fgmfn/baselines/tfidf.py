"""TF-IDF and logistic regression, the lower bound: a model that does not beat it has learned nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from huggingface_hub.dataclasses import strict
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from fgmfn.baselines.fitted import FittedModel, Regression, choose_regression
from fgmfn.configuration import SentimentConfig
from fgmfn.data import Rows
from fgmfn.data.rows import NOWHERE
from fgmfn.data.twitter import MARK

WEIGHTS = "weights.npz"
VOCABULARY = "vocabulary.json"
ANYTHING = r"\S+"
"""A word is a run of characters without blanks, so that `$T$`, # and ! count too."""
RUNS_OF_CHARACTERS = (2, 5)
"""Shortest and longest run of characters, within words, so that endings, compounds and hashtags are recognised."""


@strict
class TfidfConfig(SentimentConfig):
    """Settings of TF-IDF."""

    model_type = "fgmfn_tfidf"
    counts: ClassVar[tuple[str, ...]] = ("longest_ngram", "min_count")

    longest_ngram: int = 2
    """Longest run of words that may be counted."""
    characters: bool = True
    """Runs of two to five characters within words may be counted, too."""
    min_count: int = 1
    """Texts that a word must occur in; runs of characters must occur in at least two."""
    balanced: bool = False
    """Weight classes by their rarity: a better macro-F1 for a worse accuracy."""


class TfidfForSentiment(FittedModel):
    """TF-IDF of the marked sentence and the target; terms and regularisation are chosen on the development rows."""

    config_class = TfidfConfig
    modalities = ("text",)
    strengths = (1.0, 3.0, 10.0, 30.0, 100.0)
    """Inverse strengths of the regression's decay to choose from."""

    def fit(self, train: Rows, dev: Rows, seed: int, *, progress: bool = True) -> dict[str, Any]:
        """Count words, fit a regression for each choice of terms, and keep the best; shows no bar.

        Raises:
            DataError: The training rows are all of one class.
        """
        texts = _texts(train)
        best: float = -1.0
        best_chosen: dict[str, Any] = {}
        for counters in self._choices(judged=len(dev) > 0):
            features = hstack([counter.fit_transform(texts) for counter in counters], format="csr")
            regression, chosen = choose_regression(
                (features, train.label),
                (_count(counters, dev), dev.label) if len(dev) else None,
                self.config.num_labels,
                self.strengths,
                seed,
                balanced=self.config.balanced,
            )
            score = max(chosen.get("dev_macro_f1", {"": 0.0}).values())
            if score > best:
                words, *characters = counters
                best, best_chosen = score, {"longest_ngram": words.ngram_range[1], "characters": bool(characters)}
                best_chosen |= chosen
                self._counters, self._regression = counters, regression
        return best_chosen

    def _choices(self, *, judged: bool) -> Iterator[list[TfidfVectorizer]]:
        """Yield the choices of terms, the plainest first; if nothing is `judged`, only the largest choice."""
        longest = self.config.longest_ngram
        for ngram in range(1, longest + 1) if judged else [longest]:
            for characters in sorted({not judged and self.config.characters, self.config.characters}):
                yield self._new_counters(ngram, characters=characters)

    def _new_counters(self, longest_ngram: int, *, characters: bool) -> list[TfidfVectorizer]:
        settings: dict[str, Any] = {"sublinear_tf": True}
        least = self.config.min_count
        words = TfidfVectorizer(ngram_range=(1, longest_ngram), token_pattern=ANYTHING, min_df=least, **settings)
        if not characters:
            return [words]
        runs = RUNS_OF_CHARACTERS
        return [words, TfidfVectorizer(analyzer="char_wb", ngram_range=runs, min_df=max(2, least), **settings)]

    def features(self, rows: Rows, *, progress: bool = True) -> csr_matrix:
        """Count each row's words, [rows, terms]; shows no bar."""
        return _count(self._counters, rows)

    def save_weights(self, folder: Path) -> None:
        """Write the terms with their numbers, and the arrays."""
        words, *_ = self._counters
        numbers = [{term: int(number) for term, number in each.vocabulary_.items()} for each in self._counters]
        counted = {"longest_ngram": words.ngram_range[1], "numbers": numbers}
        (folder / VOCABULARY).write_text(json.dumps(counted), encoding="utf-8")
        rarity = np.concatenate([each.idf_ for each in self._counters])
        np.savez(folder / WEIGHTS, rarity=rarity, weights=self._regression.weights, bias=self._regression.bias)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote."""
        counted = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            rarity, self._regression = arrays["rarity"], Regression(arrays["weights"], arrays["bias"])
        numbers = counted["numbers"]
        self._counters = self._new_counters(counted["longest_ngram"], characters=len(numbers) > 1)
        begin = 0
        for counter, known in zip(self._counters, numbers, strict=True):
            counter.vocabulary = known
            counter.idf_ = rarity[begin : begin + len(known)]
            begin += len(known)

    def parameter_counts(self) -> tuple[int, int] | None:
        """Return one weight per term and class and one bias per class; None before the words are counted."""
        if not hasattr(self, "_regression"):
            return None
        count = self._regression.weights.size + self._regression.bias.size
        return count, count


def _count(counters: list[TfidfVectorizer], rows: Rows) -> csr_matrix:
    """Return each row's TF-IDF, [rows, terms]; each counter's part has length 1."""
    texts = _texts(rows)
    return hstack([counter.transform(texts) for counter in counters], format="csr")


def _texts(rows: Rows) -> list[str]:
    """Return each row's marked sentence and target; for ads only the words."""
    if not rows.has_targets:
        return rows.text
    return [
        f"{text if span == NOWHERE else text[: span[0]] + MARK + text[span[1] :]} {target}"
        for text, span, target in zip(rows.text, rows.span, rows.target, strict=True)
    ]
