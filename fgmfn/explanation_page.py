"""Explanations to look at: sections for any page, and a page of one file that needs no network and runs no script."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from fgmfn.explanations import AdExplanation, Explanation, RegionEffect, WordEffect
from fgmfn.pages import TEMPLATES, templates

EXPLANATION_STYLE = TEMPLATES / "explanation.css"
"""The style sheet of the sections."""
LONGEST_SIDE = 640
"""Pixels of a picture on the page."""
LEAST = 0.005
"""An effect below half a point is not shaded."""
TOLD = 0.0005
"""An effect below a twentieth of a point is not told."""
FAINT = 0.02
"""Effects are shaded in relation to the strongest one, and to this where all are weaker."""
OPACITY = 0.5
LEGEND = (
    "Points are percentage points of the label's probability: what it loses when the word or region is taken away. "
    "Blue or underlined speaks for the label, orange or dashed against it; grey or struck through is not read."
)


def explanation_section(explanation: Explanation | AdExplanation) -> Markup:
    """Return a section of HTML; the page that holds it needs `EXPLANATION_STYLE` and must allow pictures from `data:`.

    It uses headings of no level, no inline style and no script. Everything of strangers in it is escaped.
    """
    if isinstance(explanation, AdExplanation):
        frames, rows = explanation.frames, explanation.frames
    else:
        frames, rows = None, (explanation,)
    pictures = [_shaded(one) for one in rows]
    template = _environment().get_template("explanation.html")
    return Markup(template.render(one=explanation, frames=frames, pictures=pictures, legend=LEGEND))  # noqa: S704


def explanations_page(title: str, explained: Sequence[tuple[str, Explanation | AdExplanation]]) -> str:
    """Return one page of named explanations."""
    css = (TEMPLATES / "explanations.css").read_text("utf-8") + EXPLANATION_STYLE.read_text("utf-8")
    return (
        _environment()
        .get_template("explanations.html")
        .render(
            title=title,
            style=Markup(css),  # noqa: S704 - our own files
            style_sha256=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
            sections=[(name, explanation_section(one)) for name, one in explained],
        )
    )


def _environment() -> Environment:
    made = templates()
    made.filters |= {
        "shown": _shown,
        "parts": _parts,
        "named_words": _named_words,
        "named_regions": _named_regions,
        "told": _told,
    }
    return made


def _named_words(effects: Sequence[WordEffect]) -> list[tuple[str, float | None]]:
    return [(effect.word.text, effect.points) for effect in effects]


def _named_regions(effects: Sequence[RegionEffect]) -> list[tuple[str, float | None]]:
    return [(place_of(effect), effect.points) for effect in effects]


def _told(effects: Sequence[tuple[str, float | None]]) -> list[tuple[str, float | None]]:
    """Leave out effects that would be written as 0.0 points."""
    return [(what, points) for what, points in effects if points is None or abs(points) >= TOLD]


def _shown(text: object) -> str:
    """Put a blank for signs that steer a terminal or turn the direction of what follows; emoji stay whole."""
    return "".join(sign if sign == "\n" or not _steers(sign) else " " for sign in str(text))


def _steers(sign: str) -> bool:
    kind = unicodedata.category(sign)
    return kind in ("Cc", "Cs") or (kind == "Cf" and unicodedata.bidirectional(sign) not in ("BN", "NSM"))


def _parts(explanation: Explanation) -> list[tuple[str, str, str, str]]:
    """Cut a text into what stands before each word, the word, its class, and what a screen reader is told of it."""
    scale = max([FAINT, *(abs(one.points) for one in explanation.words if one.points is not None)])
    parts, end = [], 0
    for effect in explanation.words:
        word = effect.word
        parts.append((explanation.text[end : word.start], word.text, *_kind_of(effect, scale)))
        end = word.end
    return [*parts, (explanation.text[end:], "", "plain", "")]


def _kind_of(effect: WordEffect, scale: float) -> tuple[str, str]:
    if effect.points is None:
        return ("about", "") if effect.word.target else ("unread", "not read")
    if abs(effect.points) < LEAST:
        return "plain", ""
    side = "for" if effect.points > 0 else "against"
    return f"{side}{math.ceil(3 * abs(effect.points) / scale)}", f"{side}, {100 * effect.points:+.1f}"


@dataclass(frozen=True)
class _Cell:
    x: int
    y: int
    width: int
    height: int
    kind: str
    opacity: str


@dataclass(frozen=True)
class _Shaded:
    """A picture with its regions, and the same in words."""

    address: str
    width: int
    height: int
    cells: list[_Cell]
    said: str


def _shaded(explanation: Explanation) -> _Shaded | None:
    if explanation.picture is None:
        return None
    picture = explanation.picture.copy()
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=85)
    address = f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
    scale = max([FAINT, *(abs(one.points) for one in explanation.regions if one.points is not None)])
    cells = [cell for one in explanation.regions if (cell := _cell(one, picture, scale))]
    return _Shaded(address, *picture.size, cells, _said(explanation))


def _cell(effect: RegionEffect, picture: Image.Image, scale: float) -> _Cell | None:
    left, top, right, bottom = effect.box.within(picture.size)
    if effect.points is None:
        kind, opacity = "unseen", OPACITY
    elif abs(effect.points) < LEAST:
        return None
    else:
        kind, opacity = "for" if effect.points > 0 else "against", OPACITY * abs(effect.points) / scale
    return _Cell(left, top, right - left, bottom - top, kind, f"{opacity:.3f}")


def _said(explanation: Explanation) -> str:
    unseen = sum(one.points is None for one in explanation.regions)
    hidden = f" The model is not shown {unseen} of {len(explanation.regions)} regions." if unseen else ""
    strong = [one for one in explanation.top_regions if abs(one.points or 0) >= LEAST]
    if not strong:
        return f"The picture. No region of it changes the answer by half a point.{hidden}"
    told = "; ".join(f"{place_of(one)} {100 * (one.points or 0):+.1f}" for one in strong)
    return f"The picture, with the regions that count most, in points: {told}.{hidden}"


def place_of(effect: RegionEffect) -> str:
    """Say where a region lies, in percent of the picture's width and height from its left upper corner."""
    box = effect.box
    across, down = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    row = "top" if down < 1 / 3 else "bottom" if down > 2 / 3 else "middle"
    column = "left" if across < 1 / 3 else "right" if across > 2 / 3 else "centre"
    return f"{row} {column} ({100 * across:.0f} % across, {100 * down:.0f} % down)"


def explanation_lines(explanation: Explanation | AdExplanation) -> list[Any]:
    """Return an explanation in lines of plain text."""
    if isinstance(explanation, AdExplanation):
        label, words, regions = explanation.prediction.label, list(explanation.words), []
        probability = explanation.prediction.probabilities[label]
        reasons: dict[str, str] = {}
    else:
        label, probability, reasons = explanation.label, explanation.probability, dict(explanation.left_out)
        words = [(one.word.text, one.points or 0.0) for one in explanation.top_words]
        regions = [(place_of(one), one.points or 0.0) for one in explanation.top_regions]
    alone = explanation.modalities
    known = {"words alone": alone.words_alone, "picture alone": alone.picture_alone, "neither": alone.neither}
    lines = [f"{label} {probability:.1%}"]
    for name, effects in (("words", words), ("regions", regions)):
        if told := _told(effects):
            lines.append(f"  {name}: " + "; ".join(f"{_shown(what)} {100 * (value or 0):+.1f}" for what, value in told))
    if shares := ", ".join(f"{name} {value:.1%}" for name, value in known.items() if value is not None):
        lines.append(f"  {label} with {shares}")
    if near := "; ".join(f"{_shown(n.name)} ({n.label}, {n.similarity:.3f})" for n in explanation.neighbours):
        lines.append(f"  nearest training ads: {near}")
    lines += [f"  {name.replace('_', ' ')}: {reason}" for name, reason in reasons.items()]
    return lines
