"""The dashboard's pictures: progress, agreement, balance, and the comments' label against people's.

Names are untrusted: they are cut, made printable, and never taken for formulas.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from annotation.agreement import Agreement
from annotation.agreement_tables import OUTCOMES
from annotation.events import CHOICES
from annotation.outcomes import PersonProgress
from data_catalog.printing import printable
from data_catalog.schemas import LABELS

PICTURES = ("progress", "alpha", "alpha-over-time", "pairs", "balance", "confusion")
COLOURS = {"positive": "#1b7837", "negative": "#b2182b", "uncertain": "#8a8f98", "excluded": "#d0d3d9"}
OURS, FAINT = "#1f4e9c", "#d9d9d9"
_NAME_CHARACTERS = 24
# 0.667 and 0.8: Krippendorff, Content Analysis, on what tentative and firm conclusions need
_BOUNDS = (0.667, 0.8)


def draw(name: str, agreement: Agreement, progress: Sequence[PersonProgress], names: Mapping[str, str]) -> bytes:
    """One of `PICTURES` as PNG."""
    figures: dict[str, Callable[[], Figure]] = {
        "progress": lambda: progress_figure(progress),
        "alpha": lambda: alpha_figure(agreement),
        "alpha-over-time": lambda: alpha_over_time_figure(agreement),
        "pairs": lambda: pairs_figure(agreement, names),
        "balance": lambda: balance_figure(agreement, names),
        "confusion": lambda: confusion_figure(agreement),
    }
    buffer = io.BytesIO()
    figures[name]().savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def progress_figure(progress: Sequence[PersonProgress]) -> Figure:
    """A bar per person: what is done of what is theirs to do, with the median seconds."""
    figure, axes = _panel("Progress", max(len(progress), 1))
    if not progress:
        return _nothing(figure, axes, "nobody was invited yet")
    places = range(len(progress))
    _people(axes, [f"{_label(each.person.name)} ({each.person.role})" for each in progress])
    shares = [each.done / each.total if each.total else 0.0 for each in progress]
    axes.barh(places, [1.0] * len(progress), color=FAINT, height=0.6)
    axes.barh(places, shares, color=OURS, height=0.6)
    for place, each in zip(places, progress, strict=True):
        pace = "" if each.median_s is None else f", {_seconds(each.median_s)} each"
        axes.text(1.02, place, f"{each.done:,} of {each.total:,}{pace}", va="center")
    axes.set_xlim(0, 1.6)
    axes.set_xticks([0, 0.5, 1], ["0", "half", "all"])
    return figure


def _seconds(seconds: float) -> str:
    return "under 1 s" if seconds < 1 else f"{seconds:.0f} s"


def alpha_figure(agreement: Agreement) -> Figure:
    """Krippendorff's alpha of the whole round and of each category of ads, with intervals."""
    rows = {"all ads": agreement.alpha, **agreement.alpha_by_category}
    figure, axes = _panel("Krippendorff's alpha, 95 % interval", len(rows))
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
    axes.set_xlabel("0: chance, 1: perfect; dotted: 0.667 and 0.8")
    return figure


def alpha_over_time_figure(agreement: Agreement) -> Figure:
    """Krippendorff's alpha of all entries judged so far, as they were judged."""
    figure, axes = _panel("Krippendorff's alpha as the round goes on", 6)
    moments = [moment for moment in agreement.alpha_over_time if moment.alpha.value is not None]
    if not moments:
        return _nothing(figure, axes, agreement.alpha.reason or "no entry has two votes yet")
    at = np.arange(len(moments)) if len(moments) < 2 else np.array([moment.at for moment in moments])
    axes.plot(at, [_number(moment.alpha.value) for moment in moments], "o-", color=OURS, markersize=4)
    low, high = ([_number(getattr(moment.alpha, end)) for moment in moments] for end in ("low", "high"))
    axes.fill_between(at, low, high, color=OURS, alpha=0.18, linewidth=0)
    if len(moments) < 2:
        axes.set_xticks([0], [f"{moments[0].at:%Y-%m-%d %H:%M}"])
    else:
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    finite = [value for value in [*low, *(_number(moment.alpha.value) for moment in moments)] if not np.isnan(value)]
    axes.set_ylim(min(0.0, *finite) - 0.05, 1.05)
    _bounds(axes.axhline)
    axes.set_ylabel(f"alpha of {moments[0].alpha.n_entries:,} to {moments[-1].alpha.n_entries:,} entries")
    return figure


def pairs_figure(agreement: Agreement, names: Mapping[str, str]) -> Figure:
    """Share of the entries that two people both judged on which they chose the same, with how many these are."""
    people = list(agreement.balance)
    figure, axes = _panel("Same choice, pair by pair", max(2 * len(people), 4))
    if len(people) < 2:
        return _nothing(figure, axes, "fewer than two people have judged")
    place = {person: at for at, person in enumerate(people)}
    shares = np.full((len(people), len(people)), np.nan)
    both = np.zeros(shares.shape, np.int64)
    for pair in agreement.pairs:
        for row, column in ((pair.first, pair.second), (pair.second, pair.first)):
            shares[place[row], place[column]] = _number(pair.same.value)
            both[place[row], place[column]] = pair.same.of
    image = _grid(axes, shares, lambda row, column: f"{shares[row, column]:.0%}\n{both[row, column]:,}")
    figure.colorbar(image, ax=axes, label="share of the entries both judged")
    labels = [_label(names.get(person, person)) for person in people]
    _people(axes, labels)
    axes.set_xticks(range(len(people)), labels, rotation=30, ha="right")
    return figure


def balance_figure(agreement: Agreement, names: Mapping[str, str]) -> Figure:
    """Each person's choices as bars."""
    people = list(agreement.balance)
    figure, axes = _panel("Choices, person by person", max(len(people), 1))
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


def confusion_figure(agreement: Agreement) -> Figure:
    """The comments' labels against people's, as a grid."""
    figure, axes = _panel("The comments' label and people's", 5)
    if not agreement.confusion:
        return _nothing(figure, axes, "no entry has come to its end yet")
    rows = list(reversed(LABELS))
    counts = np.array([[agreement.confusion.get((row, outcome), 0) for outcome in OUTCOMES] for row in rows])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _grid(axes, shares, lambda row, column: f"{counts[row, column]:,}\n{shares[row, column]:.0%}")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(len(OUTCOMES)), OUTCOMES)
    axes.set_ylabel("the comments say")
    axes.set_xlabel("people say")
    return figure


def _grid(axes: Axes, shares: npt.NDArray[np.float64], text: Callable[[int, int], str]) -> AxesImage:
    """Cells shaded by their share, with a text in each that has one."""
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            ink = "white" if share > 0.6 else "black"
            axes.text(column, row, text(row, column), ha="center", va="center", color=ink, fontsize=8)
    axes.grid(visible=False)
    return axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")


def _panel(title: str, rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 1.6 + 0.38 * rows), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
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
