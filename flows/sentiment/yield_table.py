"""Table of the positive, negative and dropped ads under every aggregation and threshold.

At the paper's thresholds the negative class of real comments is one ad in a hundred or less. Whoever trains
on a release must see this first, and how few distinct ads and frames a balanced class may hold.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_catalog.printing import counted
from flows.sentiment.labelling import (
    AGGREGATIONS,
    Thresholds,
    label_of,
    quantile_thresholds,
)
from flows.settings import Aggregation, ThresholdMode

PAPER = Thresholds(positive=2.5, negative=-2.5)
_PART = re.compile(r": |, | with | (?=\*)")
"""Separators at which a cell may be split."""
TEXT_WIDTH = 80
"""Characters in a line of the table as plain text."""


@dataclass(frozen=True)
class ClassYield:
    """The distinct ads of a class, and those of them that bring frames; frames are unknown before OCR."""

    ads: int
    with_frames: int | None
    frames: int | None


@dataclass(frozen=True)
class Yield:
    """Classes under one aggregation and one pair of thresholds."""

    aggregation: Aggregation
    mode: ThresholdMode
    thresholds: Thresholds
    mean: float | None
    """Mean of the ads' means."""
    positive: ClassYield
    negative: ClassYield
    dropped: int
    chosen: bool


@dataclass(frozen=True)
class YieldTable:
    """Every aggregation with fixed and with quantile thresholds, over the same ads."""

    n_ads: int
    rows: tuple[Yield, ...]

    COLUMNS = ("aggregation", "thresholds", "mean", "positive", "negative", "dropped")

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text, one tuple of `COLUMNS` per row; the choice in force carries a mark."""
        return [
            (
                f"{row.aggregation} *" if row.chosen else row.aggregation,
                f"{row.mode}: > {_number(row.thresholds.positive)}, <= {_number(row.thresholds.negative)}",
                "-" if row.mean is None else f"{row.mean:.2f}",
                _class_cell(row.positive),
                _class_cell(row.negative),
                counted(row.dropped, "ad"),
            )
            for row in self.rows
        ]

    def as_text(self) -> str:
        """The table in plain characters, for logs and error messages."""
        text = io.StringIO()
        Console(file=text, width=TEXT_WIDTH, color_system=None).print(self._table(""))
        return "\n".join([f"{counted(self.n_ads, 'ad')}, * = in force", *map(str.rstrip, text.getvalue().splitlines())])

    def as_table(self) -> Table:
        """The table for a terminal, the choice in force in bold."""
        return self._table(f"What other thresholds would give ({counted(self.n_ads, 'ad')})")

    def _table(self, title: str) -> Table:
        """Narrow enough for `TEXT_WIDTH`: a cell has a line for each of its parts."""
        table = Table(
            title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
        )
        for name in self.COLUMNS:
            table.add_column(name, no_wrap=True)
        for row, cells in zip(self.rows, self.cells(), strict=True):
            parted = (_PART.sub(lambda part: f"{part[0].rstrip()}\n", cell) for cell in cells)
            table.add_row(*map(Text, parted), style="bold" if row.chosen else "")
        return table

    def as_markdown(self) -> str:
        """The table in Markdown; it holds nothing but our own words and numbers."""
        lines = [self.COLUMNS, tuple("---" for _ in self.COLUMNS), *self.cells()]
        return "\n".join("| " + " | ".join(line).replace("*", "\\*").replace("<", "&lt;") + " |" for line in lines)


def yield_table(
    ad_sentiment: pa.Table,
    *,
    fixed: Thresholds = PAPER,
    quantile: float = 0.2,
    frames_per_ad: Mapping[str, int] | None = None,
    chosen: tuple[Aggregation, ThresholdMode] | None = None,
    min_comments: int = 1,
) -> YieldTable:
    """Label the same ads in every way on offer and count.

    Args:
        ad_sentiment: rows of the table `ad_sentiment`.
        fixed: the fixed thresholds.
        quantile: the share of ads that quantile thresholds put in each class.
        frames_per_ad: kept frames of each ad, where they are known; an ad that is not named has none.
        chosen: the aggregation and the thresholds in force.
        min_comments: ads with fewer comments that say anything get no label.
    """
    ads = ad_sentiment.to_pylist()
    enough = [ad for ad in ads if ad["n_scored"] - ad["n_neutral"] >= min_comments]
    rows: list[Yield] = []
    for aggregation in AGGREGATIONS:
        means = {ad["video_id"]: mean for ad in enough if (mean := ad[f"mean_{aggregation}"]) is not None}
        known = list(means.values())
        modes: dict[ThresholdMode, Thresholds] = {"fixed": fixed, "quantile": quantile_thresholds(known, quantile)}
        for mode, thresholds in modes.items():
            labels = {ad: label_of(mean, thresholds) for ad, mean in means.items()}
            positive, negative = (
                _class_yield([ad for ad in labels if labels[ad] == label], frames_per_ad)
                for label in ("positive", "negative")
            )
            rows.append(
                Yield(
                    aggregation=aggregation,
                    mode=mode,
                    thresholds=thresholds,
                    mean=sum(known) / len(known) if known else None,
                    positive=positive,
                    negative=negative,
                    dropped=len(ads) - positive.ads - negative.ads,
                    chosen=(aggregation, mode) == chosen,
                )
            )
    return YieldTable(n_ads=len(ads), rows=tuple(rows))


def _class_yield(ads: list[str], frames_per_ad: Mapping[str, int] | None) -> ClassYield:
    if frames_per_ad is None:
        return ClassYield(len(ads), None, None)
    frames = [frames_per_ad[ad] for ad in ads if frames_per_ad.get(ad)]
    return ClassYield(len(ads), len(frames), sum(frames))


def _class_cell(found: ClassYield) -> str:
    if found.frames is None:
        return counted(found.ads, "ad")
    return f"{counted(found.ads, 'ad')}, {found.with_frames:,} with {counted(found.frames, 'frame')}"


def _number(threshold: float) -> str:
    return f"{threshold:.2f}" if math.isfinite(threshold) else "none"
