"""report.html: a release in tables, charts and thumbnails; one file without scripts or network access."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from data_catalog.printing import counted, readable
from data_catalog.releases.comparison import ReleaseDiff, ScoreBin
from data_catalog.schemas import LABELS, SPLITS
from flows.funnel import FunnelStep
from flows.release.facts import NAMED, ExampleRow, ReleaseFacts, first_of, sum_counts
from flows.templates import render_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"
_THUMBNAIL = (320, 240)
_LARGEST_PICTURE = 40_000_000  # pixels; a frame of 8K video has 33 million
_COLOURS = {"one": "#3f6fb5", "positive": "#14866d", "negative": "#c8552b"}
_SOFT = "#5d6673"
_ROUND_NUMBERS = [0, *(digit * 10**power for power in range(6) for digit in (1, 2, 5))]


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its length, the note behind it, and its colour."""

    name: str
    value: float
    note: str
    colour: str = "one"
    faint: bool = False


class Chart(NamedTuple):
    """A drawn chart: its picture as a data URL, and the same in words."""

    url: str
    alt: str


def report_html(facts: ReleaseFacts, manifest: Mapping[str, Any]) -> str:
    """The report as one page.

    Args:
        facts: what the release says about itself.
        manifest: the release's manifest, for its files and its row-set hash.
    """
    return render_page(
        TEMPLATES / "report.html",
        TEMPLATES / "report.css",
        {"readable": readable, "thousands": lambda number: f"{number:,}", "counted": counted},
        facts=facts,
        manifest=manifest,
        labels=tuple(reversed(LABELS)),
        splits=SPLITS,
        total=sum_counts,
        shown=first_of,
        at_most=NAMED,
        charts=_charts(facts),
        examples=[(example, thumbnail(example)) for example in facts.examples],
        settings=json.dumps(facts.published_settings(), indent=2, sort_keys=True),
    )


def thumbnail(example: ExampleRow) -> str | None:
    """A small JPEG of a row's picture as a data URL; None if the bytes are no picture."""
    try:
        with Image.open(io.BytesIO(example.image)) as picture:
            if picture.width * picture.height > _LARGEST_PICTURE:
                return None
            small = picture.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail(_THUMBNAIL)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=78)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _charts(facts: ReleaseFacts) -> dict[str, Chart]:
    limits = facts.thresholds
    least_words = facts.settings.ocr.more_than_words
    return _change_charts(facts.changes) | {
        "funnel": bar_chart("Left after every step", [_step(step) for step in facts.funnel]),
        "balance": bar_chart("Rows by split and class, before and after resampling", _balance(facts)),
        "scores": histogram(
            "Mean score of the ads",
            facts.ad_means,
            np.linspace(-5, 5, 41),
            {
                f"negative: ≤ {limits.negative:.3g}": limits.negative,
                f"positive: > {limits.positive:.3g}": limits.positive,
            },
        ),
        "words": histogram(
            "Words per frame",
            facts.words_per_frame,
            _word_edges(max([*facts.words_per_frame, 20]), least_words),
            {f"kept: more than {counted(least_words, 'word')}": least_words + 0.5},
            of_counts=True,
        ),
    }


def _word_edges(longest: int, limit: int) -> NDArray[np.float64]:
    """Edges between numbers of words, each bin wider than the one before by up to a quarter.

    One edge lies at the limit, so that no bar mixes kept and dropped frames.
    """
    lasts, last = [-1], 0
    while lasts[-1] < longest:
        lasts.append(last)
        following = math.ceil(1.25 * last) if last else 1
        last = limit if last < limit < following else following
    return np.array(lasts) + 0.5


def _change_charts(changes: ReleaseDiff | None) -> dict[str, Chart]:
    if changes is None:
        return {}
    bars = [
        Bar(f"{split}, {label}, {when}", amount.ads, counted(amount.ads, "ad"), label, faint=when == "before")
        for split in SPLITS
        for label in reversed(LABELS)
        for when, amount in zip(("before", "after"), changes.balance[split][label], strict=True)
    ]
    return {
        "balance_before": bar_chart("Ads by split and class, before and after", bars),
        "scores_before": paired_histogram("Mean score of the released ads, before and after", changes.scores),
    }


def bar_chart(title: str, bars: Sequence[Bar]) -> Chart:
    """Horizontal bars from top to bottom, each with its name before and its note behind it."""
    figure = _figure(0.32 * len(bars) + 0.1)
    axes = figure.subplots()
    drawn = axes.barh(range(len(bars)), [bar.value for bar in bars], color=[_COLOURS[bar.colour] for bar in bars])
    for patch, bar in zip(drawn, bars, strict=True):
        patch.set_alpha(0.4 if bar.faint else 1.0)
    axes.bar_label(drawn, [bar.note for bar in bars], padding=6, color=_SOFT)
    axes.set_yticks(range(len(bars)), [_short(bar.name) for bar in bars])
    axes.set_xticks([])
    axes.set_xlim(0, 1.6 * max([bar.value for bar in bars], default=0) or 1)
    axes.spines["bottom"].set_visible(False)
    axes.invert_yaxis()
    return _chart(figure, title, [f"{bar.name}: {bar.note}" for bar in bars])


def histogram(
    title: str,
    values: Sequence[float],
    edges: NDArray[np.float64],
    marks: Mapping[str, float] | None = None,
    *,
    of_counts: bool = False,
) -> Chart:
    """Counts between the edges, with a line at each finite mark; what lies outside is counted in the outer bins.

    Args:
        title: what is counted.
        values: one for each thing.
        edges: of the bins.
        marks: names of lines, and where they stand.
        of_counts: the values are whole numbers from 0 on, shown on a logarithmic axis that begins with 0.
    """
    # mirrored: as in the thresholds, a value on an edge belongs below it, so that -2.5 is still negative
    mirrored, _ = np.histogram(-np.clip(values, edges[0], edges[-1]), -edges[::-1])
    counts = mirrored[::-1]
    figure = _figure(2.2)
    axes = figure.subplots()
    drawn = axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=_COLOURS["one"], edgecolor="white")
    axes.bar_label(drawn, [f"{count}" if count else "" for count in counts], padding=2, color=_SOFT)
    axes.set_ylim(0, 1.35 * max(1, counts.max()))
    axes.set_yticks([])
    middle = edges.mean()
    if of_counts:
        axes.set_xscale(
            "function", functions=(lambda n: np.log1p(np.maximum(n, -0.5) + 0.5), lambda y: np.expm1(y) - 0.5)
        )
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xticks([n for n in _ROUND_NUMBERS if n < edges[-1]])
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        middle = math.sqrt(edges[-1])
    for name, at in (marks or {}).items():
        if math.isfinite(at):
            axes.axvline(at, color=_COLOURS["negative"], linestyle="--")
            # inwards, at the top
            side, aside = ("right", -6) if at > middle else ("left", 6)
            top = axes.get_xaxis_transform()
            axes.annotate(name, (at, 1), (aside, -9), xycoords=top, textcoords="offset points", ha=side)
    # of whole numbers the first and the last of each bin
    inwards = 0.5 if of_counts else 0
    between = zip(edges[:-1] + inwards, edges[1:] - inwards, counts, strict=True)
    return _chart(figure, title, [f"{low:g} to {high:g}: {count}" for low, high, count in between if count])


def _from_zero(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places on a logarithmic axis on which the bin of 0 begins at 0."""
    return np.log1p(np.maximum(counts, -0.5) + 0.5)


def paired_histogram(title: str, bins: Sequence[ScoreBin]) -> Chart:
    """Two counts for each range of scores: of the parent's ads, faint, and of the release's."""
    figure = _figure(2.2)
    axes = figure.subplots()
    lows = np.array([found.low for found in bins])
    width = 0.45 * (bins[0].high - bins[0].low)
    sides = [("before", [found.before for found in bins], 0.4), ("after", [found.after for found in bins], 1.0)]
    for number, (name, counts, alpha) in enumerate(sides):
        drawn = axes.bar(
            lows + number * width, counts, width, align="edge", color=_COLOURS["one"], alpha=alpha, label=name
        )
        axes.bar_label(drawn, [f"{count}" if count else "" for count in counts], padding=2, color=_SOFT)
    axes.set_ylim(0, 1.35 * max(1, *(count for _, counts, _ in sides for count in counts)))
    axes.set_yticks([])
    axes.legend(frameon=False)
    said = [f"{found.low:g} to {found.high:g}: {found.before} before, {found.after} after" for found in bins]
    return _chart(figure, title, [line for line, found in zip(said, bins, strict=True) if found.before or found.after])


def _figure(height_inches: float) -> Figure:
    # takes half a second, and only a release that is written needs it
    from matplotlib.figure import Figure

    return Figure(figsize=(9.6, height_inches), layout="constrained")


def _chart(figure: Figure, title: str, said: Sequence[str]) -> Chart:
    """The figure as a data URL, the same bytes for the same data, with all that it shows as text."""
    import matplotlib as mpl

    for axes in figure.axes:
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.tick_params(length=0)
    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "text.parse_math": False}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    url = "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
    return Chart(url, f"{title}. {'; '.join(said) or 'Nothing to show'}.")


def _step(step: FunnelStep) -> Bar:
    cells, dropped = step.cells(), sum(step.drops.values())
    return Bar(cells.step, step.rows_out, cells.rows_out + (f" (−{dropped:,})" if dropped else ""))


def _balance(facts: ReleaseFacts) -> list[Bar]:
    bars: list[Bar] = []
    for split in SPLITS:
        for label in reversed(LABELS):
            before, after = facts.before[split][label], facts.after[split][label]
            note = str(after)
            if before.rows != after.rows:
                note_before = counted(before.rows, "row")
                bars.append(Bar(f"{split}, {label}, before", before.rows, note_before, label, faint=True))
            bars.append(Bar(f"{split}, {label}", after.rows, note, label))
    return bars


def _short(name: str, limit: int = 34) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
