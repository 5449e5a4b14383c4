"""Samples of a case study: a picture with its words and targets, and what trained models answer."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fgmfn.data import Rows, Source
from fgmfn.errors import InputError
from fgmfn.inference import load_checkpoint, predict_split
from fgmfn.nearest import did_you_mean
from fgmfn.paper.experiments import Cell

SPLIT = "test"
THUMBNAIL = 480
"""Most pixels of a picture's longer side, beside the Markdown and in the PNG."""


@dataclass(frozen=True)
class Sample:
    """One picture with its words: the rows that share both, which are a tweet's targets or a frame alone."""

    name: str
    numbers: tuple[int, ...]
    """Rows of the test split."""


@dataclass(frozen=True)
class Answers:
    """One model's probabilities [rows, C] for the rows of all samples, or the reason why there are none."""

    cell: Cell
    seed: int
    probabilities: np.ndarray | None


def find_samples(rows: Rows, named: Sequence[str]) -> list[Sample]:
    """Return the samples that hold the named rows, pictures or groups, in that order.

    Raises:
        InputError: There is no such row.
    """
    samples = _all_samples(rows)
    of_row = {number: sample for sample in samples for number in sample.numbers}
    found: dict[str, Sample] = {}
    for name in named:
        numbers = [
            number
            for number in range(len(rows))
            if name in (rows.name[number], rows.picture[number], rows.group[number])
        ]
        if not numbers:
            known = [*rows.name, *dict.fromkeys(rows.group)]
            raise InputError(f"sample {name!r}: no row, picture or group of the test rows{did_you_mean(name, known)}")
        found |= {of_row[number].name: of_row[number] for number in numbers}
    return list(found.values())


def draw_samples(rows: Rows, count: int, seed: int) -> list[Sample]:
    """Draw samples at random, of as many tweets or ads as there are.

    Those come first that hold targets of the most different labels: they tell models apart.
    """
    samples = _all_samples(rows)
    random.Random(seed).shuffle(samples)  # noqa: S311 - a choice of examples, not a secret
    samples.sort(key=lambda sample: -len({rows.label[number] for number in sample.numbers}))
    groups = [rows.group[sample.numbers[0]] for sample in samples]
    before = [groups[:place].count(group) for place, group in enumerate(groups)]
    order = sorted(range(len(samples)), key=before.__getitem__)
    return [samples[place] for place in order[:count]]


def _all_samples(rows: Rows) -> list[Sample]:
    together: dict[tuple[str, str], list[int]] = {}
    for number, key in enumerate(zip(rows.picture, rows.text, strict=True)):
        together.setdefault(key, []).append(number)
    return [Sample(rows.name[numbers[0]], tuple(numbers)) for numbers in together.values()]


def ask(cells: Sequence[Cell], samples: Sequence[Sample]) -> list[Answers]:
    """Let the first seed's weights of each trained model predict the samples' rows."""
    return [_ask(cell, samples) for cell in cells]


def _ask(cell: Cell, samples: Sequence[Sample]) -> Answers:
    if not cell.trained:
        return Answers(cell, -1, None)
    seed, trained = next(iter(cell.trained.items()))
    source = cell.source
    rows = source.splits[SPLIT].take([number for sample in samples for number in sample.numbers])
    asked = replace(source, splits=source.splits | {SPLIT: rows})
    return Answers(cell, seed, predict_split(load_checkpoint(trained.checkpoint), asked, SPLIT, progress=False))


def write_pictures(source: Source, samples: Sequence[Sample], folder: Path) -> list[Path | None]:
    """Write each sample's picture, reduced, as a JPEG; None for rows whose pictures are not at hand.

    Raises:
        InputError: They cannot be written there.
    """
    pictures = thumbnails(source, samples)
    try:
        if any(picture is not None for picture in pictures):
            folder.mkdir(parents=True, exist_ok=True)
        paths: list[Path | None] = []
        for number, picture in enumerate(pictures, 1):
            path = None if picture is None else folder / f"{number}.jpg"
            if picture is not None and path is not None:
                picture.save(path, quality=88)
            paths.append(path)
    except OSError as error:
        raise InputError(f"{folder}: pictures cannot be written there: {error}") from error
    return paths


def thumbnails(source: Source, samples: Sequence[Sample]) -> list[Image.Image | None]:
    stored = source.splits[SPLIT].pictures
    if stored is None:
        return [None] * len(samples)
    return [_thumbnail(stored.read(sample.numbers[0])) for sample in samples]


def _thumbnail(encoded: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(encoded)).convert("RGB")
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return picture
