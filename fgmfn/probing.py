"""Probes of a model: predictions for the same rows with their pictures or words replaced.

A probe's cost is the paired difference from the unchanged answers, with the interval from `fgmfn.statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from fgmfn.baselines.fitted import FittedModel
from fgmfn.data import Rows, Source, SplitDataset
from fgmfn.data.overlap import linked
from fgmfn.data.pictures import ChosenPictures, GivenPictures
from fgmfn.data.rows import NOWHERE, identity, shuffled
from fgmfn.errors import DataError
from fgmfn.evaluation import score
from fgmfn.inference import Checkpoint
from fgmfn.inputs import Inputs
from fgmfn.processing import IMAGENET_MEAN, FgmfnProcessor
from fgmfn.scoring import predict_split
from fgmfn.statistics import PairedDifference, paired_difference

SHUFFLED, BLANK, MASKED, NEITHER = "pictures of other rows", "blank pictures", "masked words", "neither"
PROBES = {
    SHUFFLED: "each row has the picture of another group's row",
    BLANK: "words alone: every picture is a square of the mean colour",
    MASKED: "picture alone: every word piece is the tokenizer's mask, or its unknown token",
    NEITHER: "blank pictures and masked words",
}
"""Inputs of the model under each probe."""


class MaskedWords(SplitDataset):
    """Rows of a split without their words: as many word pieces, all of them masked but for the special ones.

    Raises:
        DataError: The tokenizer has neither a mask nor an unknown token.
    """

    def __init__(self, rows: Rows, processor: FgmfnProcessor, inputs: Inputs) -> None:
        super().__init__(rows, processor, inputs)
        tokenizer = processor.tokenizer
        self._mask = tokenizer.unk_token_id if tokenizer.mask_token is None else tokenizer.mask_token_id
        if self._mask is None:
            raise DataError("the tokenizer has neither a mask nor an unknown token")
        special = ("cls", "sep", "bos", "eos", "pad")
        named = [getattr(tokenizer, f"{name}_token") for name in special]
        self._kept = {tokenizer.convert_tokens_to_ids(token) for token in named if token is not None}

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return a row's values, as `SplitDataset` does."""
        example = super().__getitem__(row)
        for name in {"input_ids", "target_ids"} & example.keys():
            example[name] = [number if number in self._kept else self._mask for number in map(int, example[name])]
        return example


def without_words(rows: Rows) -> Rows:
    """Return rows of empty texts, for a model that cuts them by itself."""
    nothing = [""] * len(rows)
    further = None if rows.auxiliary is None else nothing
    return replace(rows, text=nothing, target=nothing, span=[NOWHERE] * len(rows), auxiliary=further)


def blank_pictures(rows: Rows, processor: FgmfnProcessor | None) -> Rows:
    """Return rows whose pictures are all of the mean colour, which is 0 once it is normalised."""
    side = 224 if processor is None else processor.image_size
    mean = IMAGENET_MEAN if processor is None else processor.image_processor.image_mean
    red, green, blue = (round(255 * share) for share in mean)
    return replace(rows, pictures=GivenPictures([Image.new("RGB", (side, side), (red, green, blue))] * len(rows)))


def other_pictures(rows: Rows) -> Rows:
    """Return rows that have the picture of a row of another group, which is not the same picture under another name.

    The same rows get the same pictures, and each picture is given once.

    Raises:
        DataError: The rows have no pictures, or one group more than half of them.
    """
    if rows.pictures is None:
        raise DataError("the rows have no pictures")
    contents = [str(identity(rows.pictures.read(row))) for row in range(len(rows))]
    given = shuffled(linked(replace(rows, digests=contents), grouped=True))
    return replace(rows, pictures=ChosenPictures(rows.pictures, tuple(given)))


@dataclass(frozen=True)
class Probed:
    """Effect of one probe on a model's answers."""

    name: str
    accuracy: float
    macro_f1: float
    difference: PairedDifference
    """To the untouched answers; negative where the probe costs something."""
    changed: float
    """Share of the rows that are taken for another class."""
    moved: float
    """Mean share of a row's probability that goes to other classes."""


@dataclass(frozen=True)
class Probing:
    """All probes of a model on one split."""

    split: str
    checksum: str
    accuracy: float
    macro_f1: float
    """Untouched."""
    probed: Mapping[str, Probed]
    """By name, in the order of `PROBES`."""
    alone: Mapping[str, PairedDifference]
    """By the name of the probe that leaves one of two modalities: what it has more than the majority line."""
    majority: str
    """The class that this line always names, the most frequent one of the rows."""
    left_out: Mapping[str, str]
    """Probes that were not made, each with its reason."""
    rows: int
    groups: int


def probe(checkpoint: Checkpoint, source: Source, split: str, *, progress: bool = True) -> Probing:
    """Let a model predict a split as it is and under each probe.

    Raises:
        DataError: As `predict_split`, or the split's labels are hidden.
    """
    rows = source.splits[split]
    if not rows.scorable:
        raise DataError(f"{source.path}: the split {split!r} has no rows, or their labels are hidden")

    def answers(changed: Rows, *, masked: bool = False) -> np.ndarray:
        prepared, model = None, checkpoint.model
        if masked:
            if isinstance(model, FittedModel):
                changed = without_words(changed)
            else:
                processor: Any = checkpoint.processor
                prepared = MaskedWords(changed, processor, model.inputs)
        there = replace(source, splits=source.splits | {split: changed})
        return predict_split(checkpoint, there, split, prepared=prepared, progress=progress)

    blank = blank_pictures(rows, checkpoint.processor)
    ways: dict[str, Callable[[], np.ndarray]] = {
        SHUFFLED: lambda: answers(other_pictures(rows)),
        BLANK: lambda: answers(blank),
        MASKED: lambda: answers(rows, masked=True),
        NEITHER: lambda: answers(blank, masked=True),
    }
    left_out = left_out_probes(checkpoint)
    untouched, found = answers(rows), dict[str, np.ndarray]()
    for name, way in ways.items():
        if name not in left_out:
            try:
                found[name] = way()
            except DataError as error:
                left_out[name] = str(error)
    groups, classes = linked(rows, grouped=True), len(source.class_names)

    def gain(old: np.ndarray, new: np.ndarray) -> PairedDifference:
        return paired_difference(rows.label, old.argmax(axis=1), new.argmax(axis=1), groups, classes)

    most = max(range(classes), key=rows.label.count)
    line = np.eye(classes)[[most] * len(rows)]
    single = len(checkpoint.model.modalities) == 1
    before = score(rows.label, untouched.argmax(axis=1).tolist(), classes)
    return Probing(
        split=split,
        checksum=rows.checksum,
        accuracy=before.accuracy,
        macro_f1=before.macro_f1,
        probed={name: _probed(name, rows, untouched, one, gain(untouched, one)) for name, one in found.items()},
        alone={name: gain(line, found[name]) for name in (BLANK, MASKED) if name in found and not single},
        majority=source.class_names[most],
        left_out=left_out,
        rows=len(rows),
        groups=len(set(groups)),
    )


def _probed(name: str, rows: Rows, untouched: np.ndarray, answers: np.ndarray, difference: PairedDifference) -> Probed:
    predicted = answers.argmax(axis=1)
    scored = score(rows.label, predicted.tolist(), answers.shape[1])
    changed = float((predicted != untouched.argmax(axis=1)).mean())
    moved = float(np.abs(answers.astype(np.float64) - untouched).sum(axis=1).mean()) / 2
    return Probed(name, scored.accuracy, scored.macro_f1, difference, changed, moved)


def left_out_probes(checkpoint: Checkpoint) -> dict[str, str]:
    """Return the probes that say nothing of a model, each with its reason."""
    model = checkpoint.model
    looks, reads = ("image" in model.modalities), ("text" in model.modalities)
    reasons: dict[str, str] = {}
    if not looks:
        reasons |= dict.fromkeys((SHUFFLED, BLANK, NEITHER), "the model looks at no picture")
    if not reads:
        reasons |= dict.fromkeys((MASKED, NEITHER), "the model reads no words")
    if not isinstance(model, FittedModel):
        if model.inputs.shuffled:
            reasons[SHUFFLED] = "the model sees pictures of other rows anyway"
        if model.inputs.extras:
            names = ", ".join(extra.name for extra in model.inputs.extras)
            reasons |= dict.fromkeys((MASKED, NEITHER), f"the model knows more of the words than their pieces: {names}")
    return reasons
