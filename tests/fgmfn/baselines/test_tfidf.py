"""The TF-IDF floor counts what the development rows show to matter, and keeps it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from fgmfn.baselines.tfidf import TfidfConfig, TfidfForSentiment
from fgmfn.data import Rows
from fgmfn.data.rows import NOWHERE

STEMS = ("lamp", "shoe", "coat", "sofa", "bike", "tent", "ring", "boot", "vase", "desk", "fork", "harp")


def rows(labelled: list[tuple[str, int]]) -> Rows:
    texts, labels = [text for text, _ in labelled], [label for _, label in labelled]
    blank = [""] * len(texts)
    return Rows(texts, texts, texts, blank, [NOWHERE] * len(texts), labels, blank, None, False)


def endings(stems: tuple[str, ...]) -> Rows:
    """The ending of a word decides, and no word of one half stands in the other."""
    return rows([(f"{stem}{ending}", label) for stem in stems for label, ending in enumerate(("less", "some"))])


def orders(stems: tuple[str, ...]) -> Rows:
    """The order of two words decides."""
    pairs = (("not only good", 1), ("only not good", 0))
    return rows([(f"{stem} {words}", label) for stem, (words, label) in product(stems, pairs)])


@pytest.mark.parametrize(
    ("problem", "counted"),
    [
        (endings, {"longest_ngram": 1, "characters": True}),
        (orders, {"longest_ngram": 2, "characters": False}),
    ],
)
def test_what_decides_is_counted_and_kept(problem: type, counted: dict[str, object], tmp_path: Path) -> None:
    train, dev = problem(STEMS[:8]), problem(STEMS[8:])
    model = TfidfForSentiment(TfidfConfig(num_labels=2))
    assert model.fit(train, dev, seed=1).items() >= counted.items()
    said = model.probabilities(dev)
    assert said.argmax(axis=1).tolist() == dev.label
    model.save_pretrained(tmp_path)
    again = TfidfForSentiment.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again.probabilities(dev), said)
    assert again.parameter_counts() == model.parameter_counts()


def test_characters_can_be_left_out_and_without_rows_to_judge_by_all_that_is_allowed_is_counted() -> None:
    train, none = endings(STEMS), rows([])
    plain = TfidfForSentiment(TfidfConfig(num_labels=2, characters=False))
    assert plain.fit(train, endings(STEMS[8:]), seed=1)["characters"] is False
    allowed = TfidfForSentiment(TfidfConfig(num_labels=2)).fit(train, none, seed=1)
    assert (allowed["longest_ngram"], allowed["characters"]) == (2, True)
