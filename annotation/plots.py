"""The dashboard's pictures, as SVG with their words as words: agreement, its course, pairs and choices.

Names are untrusted: they are cut, made printable, and never taken for formulas.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from annotation.agreement import Agreement
from annotation.events import CHOICES
from data_catalog.printing import printable

PICTURES = ("alpha", "alpha-by-entries", "pairs", "balance")
COLOURS = {"positive": "#1b7837", "negative": "#b2182b", "uncertain": "#8a8f98"}
OURS, FAINT = "#1f4e9c", "#d9d9d9"
_NAME_CHARACTERS = 24
# 0.667 and 0.8: Krippendorff, Content Analysis, on what tentative and firm conclusions need
_BOUNDS = (0.667, 0.8)
_SETTINGS = threading.Lock()
"""Matplotlib's settings are those of the whole process."""


def draw(name: str, agreement: Agreement, names: Mapping[str, str]) -> bytes:
    """One of `PICTURES` as SVG; the same for the same numbers."""
    figures: dict[str, Callable[[], Figure]] = {
        "alpha": lambda: alpha_figure(agreement),
        "alpha-by-entries": lambda: alpha_by_entries_figure(agreement),
        "pairs": lambda: pairs_figure(agreement, names),
        "balance": lambda: balance_figure(agreement, names),
    }
    buffer = io.BytesIO()
    with _SETTINGS, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figures[name]().savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def alpha_figure(agreement: Agreement) -> Figure:
    """Krippendorff's alpha of the whole round and of each category of ads, with intervals."""
    rows = {"all ads": agreement.alpha, **agreement.alpha_by_category}
    figure, axes = _panel(len(rows))
    _people(axes, [f"{_label(name)} ({row.n_entries:,})" for name, row in rows.items()])
    for place, row in enumerate(rows.values()):
        if row.value is None:
            axes.text(0.01, place, row.reason, va="center", color="#666666", transform=axes.get_yaxis_transform())
            continue
        axes.plot([row.value], [place], "o", color=OURS)
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color=OURS, linewidth=1.6)
        axes.annotate(f"{row.value:.2f}", (row.value, place), xytext=(0, 6), textcoords="offset points", ha="center")
    lowest = min((bound for row in rows.values() for bound in (row.value, row.low) if bound is not None), default=0.0)
    axes.set_xlim(min(0.0, lowest) - 0.05, 1.05)
    _bounds(axes.axvline)
    axes.set_xlabel("alpha with its 95 % interval; dotted: 0.667 and 0.8")
    return figure


def alpha_by_entries_figure(agreement: Agreement) -> Figure:
    """Krippendorff's alpha of all entries judged so far, against their number."""
    figure, axes = _panel(6)
    moments = [moment for moment in agreement.alpha_over_time if moment.alpha.value is not None]
    if not moments:
        return _nothing(figure, axes, agreement.alpha.reason or "no entry has two votes yet")
    judged = [moment.alpha.n_entries for moment in moments]
    alphas, low, high = ([_number(getattr(moment.alpha, of)) for moment in moments] for of in ("value", "low", "high"))
    axes.plot(judged, alphas, "o-", color=OURS, markersize=4)
    axes.fill_between(judged, low, high, color=OURS, alpha=0.18, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, 1.03 * judged[-1])
    axes.set_ylim(min(0.0, *(value for value in [*low, *alphas] if not np.isnan(value))) - 0.05, 1.05)
    _bounds(axes.axhline)
    axes.set_xlabel("entries that two people or more have judged")
    axes.set_ylabel("alpha")
    return figure


def pairs_figure(agreement: Agreement, names: Mapping[str, str]) -> Figure:
    """Share of the entries that two people judged both on which they chose the same, and Cohen's kappa."""
    people = list(agreement.balance)
    figure, axes = _panel(max(2 * len(people), 4))
    if len(people) < 2:
        return _nothing(figure, axes, "fewer than two people have judged")
    place = {person: at for at, person in enumerate(people)}
    shares = np.full((len(people), len(people)), np.nan)
    texts: dict[tuple[int, int], str] = {}
    for pair in agreement.pairs:
        for row, column in ((pair.first, pair.second), (pair.second, pair.first)):
            shares[place[row], place[column]] = _number(pair.same.value)
            kappa = "" if pair.kappa.value is None else f"\nκ {pair.kappa.value:.2f}"
            texts[place[row], place[column]] = f"{pair.same.value or 0:.0%} of {pair.same.of:,}{kappa}"
    _grid(axes, shares, lambda row, column: texts[row, column])
    labels = [_label(names.get(person, person)) for person in people]
    _people(axes, labels)
    axes.set_xticks(range(len(people)), labels, rotation=30, ha="right")
    return figure


def balance_figure(agreement: Agreement, names: Mapping[str, str]) -> Figure:
    """Each person's choices as bars."""
    people = list(agreement.balance)
    figure, axes = _panel(max(len(people), 1))
    if not people:
        return _nothing(figure, axes, "nobody has judged yet")
    _people(axes, [_label(names.get(person, person)) for person in people])
    left = np.zeros(len(people))
    totals = np.array([max(sum(agreement.balance[person].values()), 1) for person in people])
    for choice in CHOICES:
        counts = np.array([agreement.balance[person][choice] for person in people])
        axes.barh(range(len(people)), counts / totals, left=left, color=COLOURS[choice], height=0.65, label=choice)
        for place, (count, start, share) in enumerate(zip(counts, left, counts / totals, strict=True)):
            if share > 0.06:
                axes.text(start + share / 2, place, f"{count:,}", ha="center", va="center", color="white", fontsize=8)
        left += counts / totals
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    figure.legend(loc="outside lower center", ncols=len(CHOICES), frameon=False)
    return figure


def _grid(axes: Axes, shares: npt.NDArray[np.float64], text: Callable[[int, int], str]) -> None:
    """Cells shaded by their share, with a text in each that has one: rectangles, which stay sharp at every size."""
    shade = mpl.colormaps["Blues"]
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=shade(float(share)), linewidth=0))
            ink = "white" if share > 0.6 else "black"
            axes.text(column, row, text(row, column), ha="center", va="center", color=ink, fontsize=8)
    axes.set_xlim(-0.5, shares.shape[1] - 0.5)
    axes.grid(visible=False)


def _panel(rows: int) -> tuple[Figure, Axes]:
    """Without a title, which the page writes above it."""
    figure = Figure(figsize=(8, 1.4 + 0.38 * rows), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _nothing(figure: Figure, axes: Axes, reason: str) -> Figure:
    axes.set_axis_off()
    axes.text(0.0, 0.5, reason, va="center", color="#666666", transform=axes.transAxes)
    return figure


def _people(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)  # the first row on top


def _bounds(line: Callable[..., object]) -> None:
    for bound in _BOUNDS:
        line(bound, color="#999999", linestyle="dotted", linewidth=1)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _label(name: str) -> str:
    text = printable(name)
    cut = text if len(text) <= _NAME_CHARACTERS else text[: _NAME_CHARACTERS - 1] + "…"
    # matplotlib sets what stands between two dollars as a formula
    return cut.replace("$", r"\$")
