"""All that a release says about itself: the dataclasses that the card, the report and the terminal read."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from data_catalog.schemas import LABELS, SPLITS, Label
from flows.release.resampling import PlannedRow, Resampling
from flows.release.splitting import RATIOS
from flows.sentiment.labelling import Aggregation, ThresholdMode, Thresholds
from flows.sentiment.yield_table import YieldTable

COLUMN_MEANINGS = {
    "image": "the frame, encoded as it was sampled",
    "text": "the words that OCR read on the frame",
    "label": "0 negative, 1 positive; the label belongs to the ad and all its frames carry it",
    "video_id": "the ad",
    "frame_id": "the frame: video_id:index",
    "category": "the category the ad was collected for",
    "timestamp_s": "when in the video the frame stands, in seconds",
    "mean_score": "mean sentiment strength of the ad's comments, -5 to 5",
    "n_words": "words in the text",
    "draw": "0 for a row's first appearance, 1, 2, ... for the times that resampling drew it again",
}
"""What every column of a release holds."""


@dataclass(frozen=True)
class FunnelStep:
    """One stage of the way: what came in, what went on, and the reasons of what did not."""

    name: str
    rows_in: int
    rows_out: int
    drops: Mapping[str, int] = field(default_factory=dict)
    """How many rows left here, by reason."""
    unit: str = "rows"
    """What is counted on the way out: ads, frames, rows."""

    def as_json(self) -> dict[str, Any]:
        """The step as plain values."""
        # not asdict: it takes a Counter's items for things to count
        return {**vars(self), "drops": dict(sorted(self.drops.items()))}


@dataclass(frozen=True)
class ClassCounts:
    """The rows of one class in one split, and the distinct frames and ads behind them."""

    rows: int = 0
    frames: int = 0
    ads: int = 0

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(self.rows + other.rows, self.frames + other.frames, self.ads + other.ads)


Table1 = Mapping[str, Mapping[Label, ClassCounts]]
"""Counts by split and class, every split and class present."""


@dataclass(frozen=True)
class ExampleRow:
    """A row to look at: the picture, what it says, and what it was labelled."""

    image: bytes
    text: str
    label: Label
    video_id: str
    category: str | None
    mean_score: float | None
    split: str


@dataclass(frozen=True)
class ReleaseFacts:
    """One release, described."""

    version: str
    created_at: str
    synthetic: bool
    """The ads were rendered, not crawled: no result on them says anything about advertising."""
    after: Table1
    """What the release holds."""
    before: Table1
    """The same before the training rows were resampled."""
    funnel: Sequence[FunnelStep]
    aggregation: Aggregation
    threshold_mode: ThresholdMode
    thresholds: Thresholds
    yields: YieldTable
    resampling: Resampling
    seed: int
    ad_means: Sequence[float]
    """Mean score of every ad that has one, labelled or not, under the aggregation in force."""
    n_comments: int
    """Scored comments of all ads."""
    left_out: Mapping[str, int]
    """Those of them that do not count in a mean, by reason."""
    words_per_frame: Sequence[int]
    """Words that OCR read on every frame, kept or not."""
    ads_by_category: Mapping[str, Mapping[Label, int]]
    decided_by: Mapping[str, int]
    """How the labels were decided, in ads: `{"policy auto": 22}`."""
    agreement: float | None = None
    """Mean agreement of the reviewers; None where nobody reviewed."""
    min_words: int = 5
    """Frames with more words than this are kept."""
    ratios: Mapping[str, float] = field(default_factory=lambda: dict(RATIOS))
    settings: Mapping[str, Any] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    table_versions: Mapping[str, int] = field(default_factory=dict)
    parent: str | None = None
    examples: Sequence[ExampleRow] = ()

    def manifest(self) -> dict[str, Any]:
        """What `write_release` asks of its caller."""
        return {
            "created_at": self.created_at,
            "synthetic": self.synthetic,
            "settings": dict(self.settings),
            "seed": self.seed,
            "engines": dict(self.engines),
            "table_versions": dict(self.table_versions),
            "parent": self.parent,
            "funnel": [step.as_json() for step in self.funnel],
            "labels": {
                "aggregation": self.aggregation,
                "threshold_mode": self.threshold_mode,
                "thresholds": asdict(self.thresholds),
                "decided_by": dict(self.decided_by),
                "agreement": self.agreement,
            },
            "resampling": self.resampling,
            "ratios": dict(self.ratios),
        }


def count_table1(rows: Iterable[PlannedRow]) -> Table1:
    """Count rows, distinct frames and distinct ads by split and class."""
    cells: dict[tuple[str, str], list[PlannedRow]] = {(split, label): [] for split in SPLITS for label in LABELS}
    for row in rows:
        cells[row.split, row.label].append(row)
    counts = {
        cell: ClassCounts(
            rows=len(found),
            frames=len({row.frame_id for row in found}),
            ads=len({row.video_id for row in found}),
        )
        for cell, found in cells.items()
    }
    return {split: {label: counts[split, label] for label in LABELS} for split in SPLITS}


def total(table1: Table1, label: Label | None = None, split: str | None = None) -> ClassCounts:
    """The sum over all splits and classes, or over the one that is named; no ad is in two of them."""
    return sum(
        (
            counts
            for name, by_label in table1.items()
            for of, counts in by_label.items()
            if label in (None, of) and split in (None, name)
        ),
        start=ClassCounts(),
    )


def choose_examples(rows: Iterable[PlannedRow], *, per_class: int = 6, seed: int = 0) -> list[PlannedRow]:
    """Choose rows to show, at random: as many of each class, no ad twice while there are others."""
    chosen: list[PlannedRow] = []
    drawn = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.frame_id}".encode()).digest())
    for label in LABELS:
        seen: set[str] = set()
        first: list[PlannedRow] = []
        again: list[PlannedRow] = []
        for row in drawn:
            if row.label == label and not row.draw:
                (again if row.video_id in seen else first).append(row)
                seen.add(row.video_id)
        chosen += [*first, *again][:per_class]
    return chosen


def readable(text: str, limit: int = 280) -> str:
    """A stranger's text on one line: no control characters, no reordering marks, not endless."""
    spaced = "".join(" " if char.isspace() or unicodedata.category(char) == "Cc" else char for char in text)
    shown = "".join(char for char in spaced if unicodedata.category(char) not in ("Cf", "Co", "Cs", "Cn"))
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
