"""Explanation of a model's answers: words and regions that count, each modality, and similar training ads.

The method is occlusion: the model, of any kind, predicts the same row again without each word and without each region
of its picture. `fgmfn.deletion` tests whether the parts that are found really count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from fgmfn.baselines.fitted import FittedModel
from fgmfn.data import Rows, SplitDataset
from fgmfn.explanations import TOP, AdExplanation, Explanation, Modalities, RegionEffect, WordEffect
from fgmfn.inference import AdPrediction, Prediction, Predictor, asked_rows
from fgmfn.neighbours import Index, Neighbour, Placed, mean_of, place
from fgmfn.occlusion import (
    CELLS,
    Box,
    Painted,
    Word,
    boxes_of,
    grid_of,
    ground_of,
    mask_of,
    picture_of,
    rows_without_regions,
    rows_without_words,
    seen_of,
    words_of,
)
from fgmfn.probing import BLANK, MASKED, NEITHER, MaskedWords, blank_pictures, left_out_probes, without_words

NEAREST = 5
"""Number of training ads that are named."""
AT_ONCE = 256
"""Changed rows in memory at a time."""
ALONE = {BLANK: "words_alone", MASKED: "picture_alone", NEITHER: "neither"}
"""Fields of `Modalities` by probe: the part that the probe leaves."""


@dataclass
class _Asked:
    """A model's probabilities, [C], for a row and for the same row without some of its parts."""

    row: Rows
    """A single row."""
    whole: np.ndarray
    words: list[Word] = field(default_factory=list)
    without: dict[str, np.ndarray] = field(default_factory=dict)
    """By the key of the words that are removed."""
    picture: Image.Image | None = None
    grid: tuple[int, int] = (0, 0)
    boxes: list[Box] = field(default_factory=list)
    regions: dict[int, np.ndarray] = field(default_factory=dict)
    """By the number of the region that is removed."""
    alone: dict[str, np.ndarray] = field(default_factory=dict)
    """By the field of `Modalities`."""
    placed: Placed | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    """Reasons for missing answers."""

    @property
    def passes(self) -> int:
        """Number of the model's predictions."""
        changed = len(self.without) + len(self.regions) + len(self.alone)
        return 1 + changed + (self.placed is not None)


class Explainer:
    """Explains a predictor's answers.

    Args:
        predictor: of any model, fitted ones included.
        index: of the training rows; None: no neighbours are named.
        unnamed: groups that are never named as neighbours.
        cells: approximate number of regions of a picture.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        index: Index | None = None,
        unnamed: Set[str] = frozenset(),
        cells: int = CELLS,
    ) -> None:
        self._predictor = predictor
        self._checkpoint = predictor.checkpoint
        self._index = index
        self._unnamed = unnamed
        self._cells = cells
        model = self._checkpoint.model
        self._inputs = None if isinstance(model, FittedModel) else model.inputs

    def explain(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        targets: Sequence[str] | None = None,
        auxiliary: Sequence[str] | None = None,
    ) -> list[Explanation]:
        """Explain the answers for pictures with their words; arguments and errors are those of `Predictor.predict`."""
        if not len(texts) and not len(images):
            return []
        return self.explain_rows(asked_rows(self._checkpoint, images, texts, targets, auxiliary))

    def explain_rows(self, rows: Rows) -> list[Explanation]:
        """Explain the answers for rows, as the model reads them."""
        return [self._explained(self._asked(rows.take([row]))) for row in range(len(rows))]

    def explain_ads(
        self,
        ads: Sequence[Sequence[tuple[Image.Image, str]]],
        targets: Sequence[str] | None = None,
        auxiliary: Sequence[Sequence[str]] | None = None,
    ) -> list[AdExplanation]:
        """Explain the answers for ads; the arguments and errors are those of `Predictor.predict_ads`."""
        predictions = self._predictor.predict_ads(ads, targets, auxiliary)
        explained = []
        for number, (frames, prediction) in enumerate(zip(ads, predictions, strict=True)):
            rows = asked_rows(
                self._checkpoint,
                [image for image, _ in frames],
                [text for _, text in frames],
                None if targets is None else [targets[number]] * len(frames),
                None if auxiliary is None else auxiliary[number],
            )
            explained.append(self._explained_ad(rows, prediction))
        return explained

    def _asked(self, row: Rows) -> _Asked:
        """Predict a row, without each of its words and regions, and with either modality masked."""
        asked = _Asked(row, self.answers(row)[0])
        self._ask_words(asked)
        self._ask_regions(asked)
        self._ask_modalities(asked)
        if self._index is None:
            asked.reasons["neighbours"] = "there is no index of the training rows: name the data of the run once"
        else:
            asked.placed = place(self._checkpoint, row)
        return asked

    def _ask_words(self, asked: _Asked) -> None:
        processor = self._checkpoint.processor
        if "text" not in self._checkpoint.model.modalities:
            asked.reasons["words"] = "the model reads no words"
            return
        asked.words = words_of(asked.row, 0, processor, self._inputs)
        alike: dict[str, list[Word]] = {}
        for word in asked.words:
            if word.read and not word.target:
                alike.setdefault(word.key, []).append(word)
        if not alike:
            asked.reasons["words"] = "the model reads nothing of the text" if asked.words else "the text is empty"
        mask = mask_of(processor)
        without = self._each(lambda taken: rows_without_words(asked.row, 0, taken, mask), list(alike.values()))
        asked.without = dict(zip(alike, without, strict=True))

    def _ask_regions(self, asked: _Asked) -> None:
        processor = self._checkpoint.processor
        if "image" not in self._checkpoint.model.modalities:
            asked.reasons["regions"] = "the model looks at no picture"
            return
        asked.picture = picture = picture_of(asked.row, 0)
        asked.grid = grid_of(*picture.size, self._cells)
        asked.boxes = boxes_of(*asked.grid)
        seen, ground = seen_of(picture.size, processor), ground_of(processor)
        small = picture if processor is None else processor.shrunk(picture)

        def without(taken: Sequence[int]) -> Rows:
            painted = Painted(small, [[asked.boxes[number]] for number in taken], ground)
            return rows_without_regions(asked.row, 0, painted)

        shown = [number for number, box in enumerate(asked.boxes) if box.touches(seen)]
        asked.regions = dict(zip(shown, self._each(without, shown), strict=True))

    def _ask_modalities(self, asked: _Asked) -> None:
        asked.reasons |= {
            ALONE[name]: reason for name, reason in left_out_probes(self._checkpoint).items() if name in ALONE
        }
        blank = blank_pictures(asked.row, self._checkpoint.processor)
        ways = {BLANK: (blank, False), MASKED: (asked.row, True), NEITHER: (blank, True)}
        for name, (row, masked) in ways.items():
            if ALONE[name] not in asked.reasons:
                asked.alone[ALONE[name]] = self.answers(row, masked=masked)[0]

    def _each(self, changed: Callable[[Any], Rows], taken: list[Any]) -> list[np.ndarray]:
        """Predict a row without each of some parts, a limited number at a time."""
        parts = (taken[start : start + AT_ONCE] for start in range(0, len(taken), AT_ONCE))
        return [shares for part in parts for shares in self.answers(changed(part))]

    def answers(self, rows: Rows, *, masked: bool = False) -> np.ndarray:
        """Return the probabilities of rows, [rows, C], none of which sees another's picture; `masked`: nor any word."""
        processor: Any = self._checkpoint.processor
        prepared = None
        if self._inputs is None:
            rows = without_words(rows) if masked else rows
        else:
            kind = MaskedWords if masked else SplitDataset
            prepared = kind(rows, processor, replace(self._inputs, shuffled=False))
        return self._predictor.probabilities(self._predictor.logits(rows, prepared=prepared))

    def _explained(self, asked: _Asked) -> Explanation:
        """Compute the effects on the answer."""
        prediction = self._predictor.prediction(asked.whole)
        label = self.number_of(prediction.label)
        return self._effects(asked, prediction, label, lambda shares: float(shares[label]))

    def _explained_ad(self, rows: Rows, prediction: AdPrediction) -> AdExplanation:
        """Explain every frame; a part's effect is on the ad's answer if its frame lacks the part."""
        asked = [self._asked(rows.take([row])) for row in range(len(rows))]
        label = self.number_of(prediction.label)

        def of_frames(shares: Sequence[np.ndarray]) -> float:
            joined = self._predictor.joined([self._predictor.prediction(each) for each in shares])
            return joined.probabilities[prediction.label]

        def explain(number: int) -> Explanation:
            def of_ad(shares: np.ndarray) -> float:
                return of_frames([shares if other == number else one.whole for other, one in enumerate(asked)])

            return self._effects(asked[number], prediction.frames[number], label, of_ad)

        frames = tuple(explain(number) for number in range(len(asked)))
        neighbours, _ = self._neighbours(asked)
        alone = {
            name: of_frames([one.alone[name] for one in asked])
            for name in ALONE.values()
            if all(name in one.alone for one in asked)
        }
        return AdExplanation(prediction, frames, _summed(frames), Modalities(**alone), neighbours)

    def _effects(
        self, asked: _Asked, prediction: Prediction, label: int, of_label: Callable[[np.ndarray], float]
    ) -> Explanation:
        """Return the explanation of a row.

        Args:
            asked: about it.
            prediction: for it.
            label: the number of the class that is explained.
            of_label: takes the row's probabilities, [C], to that of the class, in the row or in its ad.
        """
        whole = of_label(asked.whole)
        words = {key: whole - of_label(shares) for key, shares in asked.without.items()}
        regions = {number: whole - of_label(shares) for number, shares in asked.regions.items()}
        neighbours, own = self._neighbours([asked])
        return Explanation(
            prediction=prediction,
            label=self._checkpoint.class_names[label],
            probability=float(asked.whole[label]),
            text=asked.row.text[0],
            words=tuple(
                WordEffect(word, words[word.key] if word.read and not word.target else None) for word in asked.words
            ),
            grid=asked.grid,
            regions=tuple(RegionEffect(box, regions.get(number)) for number, box in enumerate(asked.boxes)),
            modalities=Modalities(**{name: float(shares[label]) for name, shares in asked.alone.items()}),
            neighbours=neighbours,
            is_training_row=own,
            left_out=asked.reasons,
            passes=asked.passes,
            picture=asked.picture,
        )

    def _neighbours(self, asked: Sequence[_Asked]) -> tuple[tuple[Neighbour, ...], bool | None]:
        """Return the training rows next to some frames together, and whether one of these is a training row itself."""
        placed = [one.placed for one in asked if one.placed is not None]
        if self._index is None or not placed:
            return (), None
        own = self._index.groups_of([digest for one in placed for digest in one.digests])
        found = self._index.nearest(mean_of([one.vectors for one in placed]), NEAREST, own | self._unnamed)
        return tuple(found), bool(own)

    def number_of(self, label: str) -> int:
        """Return the number of a class."""
        return self._checkpoint.class_names.index(label)


def _summed(frames: Sequence[Explanation]) -> tuple[tuple[str, float], ...]:
    """Return the words that count most over all frames, each as it stands first."""
    shown: dict[str, str] = {}
    points: dict[str, float] = {}
    for frame in frames:
        for key, effect in {one.word.key: one for one in reversed(frame.words) if one.points is not None}.items():
            shown.setdefault(key, effect.word.text)
            points[key] = points.get(key, 0.0) + (effect.points or 0.0)
    strongest = sorted((key for key in points if points[key]), key=lambda key: -abs(points[key]))[:TOP]
    return tuple((shown[key], points[key]) for key in strongest)
