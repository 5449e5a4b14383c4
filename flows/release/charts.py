"""Bars and histograms as inline SVG: no script, no network, colours from the page's own style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 960
_NAMES = 230
_NOTES = 280
_BAR = 18
_GAP = 9


@dataclass(frozen=True)
class Bar:
    """One bar: a name, how long, what stands behind it, and its colour class in the style sheet."""

    name: str
    value: float
    note: str
    colour: str = "one"


@dataclass(frozen=True)
class Mark:
    """A vertical line in a histogram."""

    at: float
    name: str


def bar_chart(bars: Sequence[Bar], title: str) -> Markup:
    """Horizontal bars, longest value at full width."""
    longest = max((bar.value for bar in bars), default=0) or 1
    room = WIDTH - _NAMES - _NOTES
    parts: list[Markup] = []
    for number, bar in enumerate(bars):
        y = number * (_BAR + _GAP)
        length = max(bar.value / longest * room, 1.5 if bar.value else 0)
        parts.append(
            Markup(
                '<text class="name" x="{}" y="{}" text-anchor="end">{}</text>'
                '<rect class="bar {}" x="{}" y="{}" width="{:.1f}" height="{}" rx="3"><title>{}: {}</title></rect>'
                '<text class="value" x="{:.1f}" y="{}">{}</text>'
            ).format(
                *(_NAMES - 10, y + 13.5, _short(bar.name)),
                *(bar.colour, _NAMES, y, length, _BAR, bar.name, bar.note),
                *(_NAMES + length + 8, y + 13.5, bar.note),
            )
        )
    return _svg(parts, len(bars) * (_BAR + _GAP), title)


def histogram(
    values: Sequence[float],
    edges: Sequence[float],
    title: str,
    *,
    ticks: Sequence[float],
    marks: Sequence[Mark] = (),
) -> Markup:
    """Counts between the edges, with lines at the marks; what lies outside is counted in the outer bins."""
    counts = _count(values, edges)
    highest = max(counts, default=0) or 1
    top, height, low, high = 26, 180, edges[0], edges[-1]

    def x(value: float) -> float:
        return 20 + (min(max(value, low), high) - low) / (high - low) * (WIDTH - 40)

    parts: list[Markup] = []
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        tall = count / highest * (height - top - 14)
        parts.append(
            Markup(
                '<rect class="bar one" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2">'
                "<title>{:g} to {:g}: {}</title></rect>"
            ).format(x(left) + 1, height - tall, max(x(right) - x(left) - 2, 1), tall, left, right, count)
        )
        if count:
            middle = (x(left) + x(right)) / 2
            parts.append(
                Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>').format(
                    middle, height - tall - 4, count
                )
            )
    parts.append(Markup('<line class="axis" x1="20" x2="{}" y1="{}" y2="{}"/>').format(WIDTH - 20, height, height))
    for tick in ticks:
        parts.append(
            Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>').format(
                x(tick), height + 16, tick
            )
        )
    for mark in (mark for mark in marks if math.isfinite(mark.at)):
        side = "end" if x(mark.at) > WIDTH / 2 else "start"
        parts.append(
            Markup(
                '<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="6" y2="{1}"/>'
                '<text class="name" x="{2:.1f}" y="14" text-anchor="{3}">{4}</text>'
            ).format(x(mark.at), height, x(mark.at) + (-6 if side == "end" else 6), side, mark.name)
        )
    return _svg(parts, height + 24, title)


def even_edges(low: float, high: float, bins: int) -> list[float]:
    """The edges of `bins` equal bins."""
    return [low + (high - low) * number / bins for number in range(bins + 1)]


def _count(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for value in values:
        # as in the thresholds, a value on an edge belongs below it: -2.5 is still negative
        above = sum(edge < value for edge in edges)
        counts[min(max(above - 1, 0), len(counts) - 1)] += 1
    return counts


def _short(name: str, limit: int = 34) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _svg(parts: Sequence[Markup], height: float, title: str) -> Markup:
    return Markup('<div class="chart"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg></div>').format(
        WIDTH, height, title, Markup("").join(parts)
    )
