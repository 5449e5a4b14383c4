"""The sentiment report: labels under every aggregation and threshold, their certainty, and a picture of the means.

At the paper's thresholds the negative class of real comments is one ad in a hundred or less; whoever chooses thresholds
must see that before a model is trained on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.printing import shown
from flows.errors import SentimentError
from flows.sentiment.certainty import (
    LEVEL,
    MIN_COUNTING,
    bootstrap_error,
    comments_needed,
    distance_to_threshold,
)
from flows.sentiment.labelling import AGGREGATIONS, Thresholds
from flows.sentiment.rows import count_left_out, unread_ads
from flows.sentiment.yield_table import Yield, YieldTable, yield_table
from flows.settings import Aggregation, SentimentSettings, ThresholdMode

FEW_ADS = 10
"""A class of fewer ads is nearly empty: split by ad, dev and test would hold one or none of them."""
MIN_SUPPORT = 0.8
"""A label is uncertain when a smaller share of the bootstrap's draws has it."""

NEAREST_SHOWN = 10
"""Ads named on the terminal, those nearest to a threshold; --json names all."""

_BIN = 0.25
_BINS = [edge * _BIN for edge in range(-20, 21)]
_LINES: dict[ThresholdMode, str] = {"fixed": "solid", "quantile": "dotted"}
_POSITIVE, _NEGATIVE, _NEITHER = "#1b7837", "#b2182b", "#b8bcc4"


@dataclass(frozen=True)
class AdCertainty:
    """An ad's mean and label as the build has them, and how sure they are; None where too few comments count."""

    video_id: str
    mean: float
    label: str | None
    label_support: float | None
    n_counting: int
    """Comments in the mean."""
    distance: float
    """From the mean to the nearest of the thresholds in force."""
    standard_error: float | None
    n_needed: int | None
    """Comments for which a mean so far from the threshold stays on its side in 95 % of the draws; None also on it."""

    @property
    def is_near(self) -> bool:
        """The mean lies within one standard error of a threshold."""
        return self.standard_error is not None and self.distance <= self.standard_error


@dataclass(frozen=True)
class SentimentReport:
    """The ads whose comments are read, by every aggregation and threshold."""

    n_ads: int
    n_unread: int
    """Ads whose comments are not read to the end; they are in no other number here."""
    n_comments: int
    n_scored: int
    left_out: dict[str, int]
    """Comments that do not count, by reason."""
    n_neutral: int
    n_labelled: int
    """Ads that the build labelled, under the thresholds that it had."""
    n_uncertain: int
    """Of these, ads whose label has no interval, or a support below `MIN_SUPPORT`."""
    means: dict[Aggregation, list[float]]
    yields: YieldTable
    ads: list[AdCertainty]
    """Ads with enough comments whose mean is of the aggregation in force, the nearest to a threshold first."""

    @property
    def chosen(self) -> Yield:
        """The row of the settings in force."""
        return next(row for row in self.yields.rows if row.chosen)

    def warnings(self) -> list[str]:
        """Reasons not to train on these labels yet."""
        return list(_warnings(self))

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        counts = ("n_ads", "n_unread", "n_comments", "n_scored", "left_out", "n_neutral", "n_labelled", "n_uncertain")
        return {
            **{name: getattr(self, name) for name in counts},
            "yields": [asdict(row) for row in self.yields.rows],
            "n_near": sum(ad.is_near for ad in self.ads),
            "ads": [asdict(ad) for ad in self.ads],
            "warnings": self.warnings(),
        }


def read_report(catalog: Catalog, settings: SentimentSettings) -> SentimentReport:
    """The report on the present rows of `ad_sentiment`.

    Raises:
        SentimentError: no ad has been labelled yet.
    """
    unread = unread_ads(catalog)
    table = catalog.read("ad_sentiment")
    if not table.num_rows:
        raise SentimentError(
            f"{catalog}: no ad's sentiment is known yet; `ytb-ads build` scores the comments and labels the ads"
        )
    rows = [row for row in table.to_pylist() if row["video_id"] not in unread]
    ads = pa.Table.from_pylist(rows, schema=table.schema)
    enough = ads.filter(pc.field("n_scored") - pc.field("n_neutral") >= settings.min_comments)
    yields = yield_table(
        ads,
        fixed=Thresholds(positive=settings.positive, negative=settings.negative),
        quantile=settings.quantile,
        chosen=(settings.aggregation, settings.thresholds),
        min_comments=settings.min_comments,
    )
    return SentimentReport(
        n_ads=len(rows),
        n_unread=table.num_rows - len(rows),
        n_comments=sum(row["n_comments"] for row in rows),
        n_scored=sum(row["n_scored"] for row in rows),
        left_out=count_left_out(ads),
        n_neutral=sum(row["n_neutral"] for row in rows),
        n_labelled=sum(row["label"] is not None for row in rows),
        n_uncertain=sum(row["label"] is not None and (row["label_support"] or 0) < MIN_SUPPORT for row in rows),
        means={name: [m for m in enough.column(f"mean_{name}").to_pylist() if m is not None] for name in AGGREGATIONS},
        yields=yields,
        ads=_certainties(enough, settings.aggregation, next(row.thresholds for row in yields.rows if row.chosen)),
    )


def _certainties(ads: pa.Table, aggregation: Aggregation, thresholds: Thresholds) -> list[AdCertainty]:
    """Of the ads whose interval is that of the aggregation's mean."""
    found = [
        _certainty(row, thresholds)
        for row in ads.to_pylist()
        if row["aggregation"] == aggregation and row["mean_score"] is not None
    ]
    return sorted(
        found, key=lambda ad: (ad.distance / ad.standard_error if ad.standard_error else math.inf, ad.video_id)
    )


def _certainty(row: dict[str, Any], thresholds: Thresholds) -> AdCertainty:
    n_counting = row["n_scored"] - (row["n_neutral"] if row["aggregation"] == "dominant" else 0)
    distance = distance_to_threshold(row["mean_score"], thresholds)
    error = None if row["mean_low"] is None else bootstrap_error(row["mean_low"], row["mean_high"])
    needed = math.inf if error is None else comments_needed(distance, error * math.sqrt(n_counting))
    return AdCertainty(
        video_id=row["video_id"],
        mean=row["mean_score"],
        label=row["label"],
        label_support=row["label_support"],
        n_counting=n_counting,
        distance=distance,
        standard_error=error,
        n_needed=int(needed) if math.isfinite(needed) else None,
    )


def render_certainty(report: SentimentReport) -> Group:
    """Two tables for a terminal: the labels by their support, and the ads nearest to a threshold."""
    by_label = Table(title="How sure the labels are", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    shares = f">= {LEVEL:.0%}", f"{MIN_SUPPORT:.0%} to {LEVEL:.0%}", f"< {MIN_SUPPORT:.0%}"
    columns = ("label", "ads", *shares, "no interval", "near a threshold")
    for name in columns:
        by_label.add_column(name, justify="left" if name == "label" else "right")
    for label in ("positive", "negative", None):
        ads = [ad for ad in report.ads if ad.label == label]
        known = [ad.label_support for ad in ads if ad.label_support is not None]
        sure, likely = (sum(support >= least for support in known) for least in (LEVEL, MIN_SUPPORT))
        counts = (
            len(ads),
            sure,
            likely - sure,
            len(known) - likely,
            len(ads) - len(known),
            sum(ad.is_near for ad in ads),
        )
        by_label.add_row(label or "none", *(f"{count:,}" for count in counts))
    nearest = Table(title="Nearest to a threshold", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("ad", "mean", "label", "support", "comments", f"needed for {LEVEL:.0%}"):
        nearest.add_column(name, justify="left" if name in ("ad", "label") else "right")
    for ad in [ad for ad in report.ads if ad.standard_error is not None][:NEAREST_SHOWN]:
        nearest.add_row(
            Text(shown(ad.video_id)),
            f"{ad.mean:.2f} ± {ad.standard_error:.2f}",
            ad.label or "none",
            "-" if ad.label_support is None else f"{ad.label_support:.0%}",
            f"{ad.n_counting:,}",
            "-" if ad.n_needed is None else f"{ad.n_needed:,}",
        )
    return Group(by_label, *([nearest] if nearest.row_count else []))


def _warnings(report: SentimentReport) -> Iterator[str]:
    chosen = report.chosen
    for label, found in (("positive", chosen.positive), ("negative", chosen.negative)):
        if found.ads < FEW_ADS:
            held = "is empty" if not found.ads else f"has {found.ads} ad{'s' * (found.ads > 1)}"
            filled = next(r for r in report.yields.rows if r.aggregation == chosen.aggregation and r.mode == "quantile")
            yield (
                f"the class {label} {held} of {report.n_ads}: a model would learn those ads, not the sentiment. "
                + (
                    f'sentiment.thresholds = "quantile" fills both classes: above {filled.thresholds.positive:.2f}, '
                    f"up to {filled.thresholds.negative:.2f}; smaller thresholds or more ads help, too"
                    if chosen.mode == "fixed"
                    else "More ads, or a larger sentiment.quantile, would fill it"
                )
            )
    if chosen.mode == "quantile":
        for label, count, at in (
            ("negative", chosen.negative.ads, chosen.thresholds.negative),
            ("positive", chosen.positive.ads, -chosen.thresholds.positive),
        ):
            if count and at > 0:
                other = "positive" if label == "negative" else "negative"
                yield (
                    f"ads are {label} that have a {other} mean, up to {at:.2f} from zero: their comments are only less "
                    f"{other} than those of other ads"
                )
    if 2 * report.n_uncertain > report.n_labelled:
        yield (
            f"{report.n_uncertain} of {report.n_labelled} labels have low support: fewer than {MIN_COUNTING} "
            f"count, or, drawn anew, they come to another label in more than {1 - MIN_SUPPORT:.0%} of the draws"
        )


def draw_distribution(report: SentimentReport, path: Path) -> None:
    """Write the picture as PNG; bars in the colour of the label that the thresholds in force give them.

    Raises:
        OSError: the file cannot be written.
    """
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 7.5), layout="constrained")
        panels = figure.subplots(len(AGGREGATIONS), sharex=True)
        for panel, aggregation in zip(panels, AGGREGATIONS, strict=True):
            rows = [row for row in report.yields.rows if row.aggregation == aggregation]
            _draw_panel(panel, report.means[aggregation], rows, report.chosen.mode)
        panels[-1].set_xlabel("mean of an ad's comments")
        figure.suptitle(f"Means of {report.n_ads:,} ads over {report.n_scored:,} comments", fontsize=12)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=150, metadata={"Software": None})


def _draw_panel(panel: Axes, means: list[float], rows: list[Yield], mode: ThresholdMode) -> None:
    shown = next(row for row in rows if row.mode == mode)
    heights, _ = np.histogram(means, bins=_BINS)
    colours = [_colour(edge, shown.thresholds) for edge in _BINS[:-1]]
    panel.bar(_BINS[:-1], heights, width=_BIN, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    for row in rows:
        counts = f"{row.positive.ads} positive, {row.negative.ads} negative, {row.dropped} dropped"
        for at, colour in ((row.thresholds.positive, _POSITIVE), (row.thresholds.negative, _NEGATIVE)):
            if math.isfinite(at):
                panel.axvline(at, color=colour, linestyle=_LINES[row.mode], linewidth=1.4)
        panel.plot([], [], color="black", linestyle=_LINES[row.mode], label=f"{row.mode}: {counts}")
    in_force = any(row.chosen for row in rows)
    title = f"{shown.aggregation}, in force" if in_force else shown.aggregation
    panel.set_title(title, loc="left", pad=20, weight="bold" if in_force else "normal")
    panel.set_ylabel("ads")
    panel.set_xlim(-5, 5)
    panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8, borderpad=0.2)


def _colour(edge: float, thresholds: Thresholds) -> str:
    """Of a bin that begins there: a label's if all of it has that label."""
    if edge >= thresholds.positive:
        return _POSITIVE
    return _NEGATIVE if edge + _BIN <= thresholds.negative else _NEITHER
