"""The provenance of a row on one page: for the terminal, and as an HTML file without scripts or network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_catalog.printing import readable, shown
from flows.look.ad import FrameSummary
from flows.look.provenance import Provenance
from flows.sentiment.explain import render_ad
from flows.templates import render_page

_TEMPLATES = Path(__file__).parent / "templates"
_WHY = {
    "hash": "the hash of the ad, or of its oldest upload",
    "reupload": "the split that another upload of it had before",
    "filled": "no ad of its class was in that split",
}
_AD_FACTS = ("title", "category", "source", "url", "duration_s", "published_at", "fetched_at", "media_sha256")


def render_provenance(row: Provenance) -> RenderableType:
    """Sections from the release back to the comments."""
    parts: list[RenderableType] = []
    for title, body in _sections(row):
        parts += [Text(title, "bold"), *body, Text()]
    return Group(*parts)


def provenance_html(row: Provenance) -> str:
    """The same as one page, with the pictures and a box around each word."""
    return render_page(
        _TEMPLATES / "provenance.html",
        _TEMPLATES / "provenance.css",
        {"readable": lambda value: readable(shown(value, 2000), 2000)},
        row=row,
        why=split_reason(row),
        ad_facts=[(name, row.ad[name]) for name in _AD_FACTS if row.ad[name] is not None],
        frames=[(frame, *_picture(frame)) for frame in row.frames],
    )


def _picture(frame: FrameSummary) -> tuple[str, tuple[int, int]]:
    """A frame's picture as a data URL, and its size; an empty one where there is no picture."""
    if frame.jpeg is None:
        return "", (0, 0)
    with Image.open(io.BytesIO(frame.jpeg)) as picture:
        size = picture.size
    return f"data:image/jpeg;base64,{base64.b64encode(frame.jpeg).decode()}", size


def _sections(row: Provenance) -> Iterator[tuple[str, list[RenderableType]]]:
    name = row.frame_id or row.video_id
    yield f"{shown(name)} of ad {shown(row.video_id)}", [*_told(row, "ad"), _facts({f: row.ad[f] for f in _AD_FACTS})]
    yield _released(row)
    frames = [part for frame in row.frames for part in _frame(frame)]
    yield "Frames" if row.frame_id is None else "Frame", [*_told(row, "frames"), *frames]
    yield "Label", [*_told(row, "label"), _label(row)]
    votes = [*_told(row, "votes")]
    if row.reviews:
        columns = ("at", "reviewer", "verdict", "excluded_frames", "note")
        votes.append(_table(columns, [tuple(review[c] for c in columns) for review in row.reviews]))
    if votes:
        yield "Votes", votes
    if row.sentiment is not None:
        yield "Comments", [*_told(row, "comments"), render_ad(row.sentiment)]
    drops = [*_told(row, "drops")]
    if row.drops:
        rows = [(d["stage"], d["key"], d["kind"], d["reason"], d["detail"]) for d in row.drops]
        drops.append(_table(("stage", "key", "kind", "reason", "detail"), rows))
    if drops:
        yield "Left out of this ad", drops
    yield "Made by", [_facts(row.made_by), *(Text(f"note: {shown(note, 400)}") for note in row.notes)]


def _told(row: Provenance, part: str) -> Iterator[RenderableType]:
    """Source of a part, if it may differ from the data that the release was made from."""
    if part in row.told:
        yield Text(shown(row.told[part], 1000), "yellow")


def _released(row: Provenance) -> tuple[str, list[RenderableType]]:
    if row.release is None:
        return "Release: none", []
    if not row.rows:
        return f"Release {row.release}: it is not in it; what it was left out for stands below", []
    rows = [(r.split, r.row, r.frame_id, r.draw, r.label, r.mean_score) for r in row.rows]
    why = [Text(split_reason(row))] if row.split else []
    table = _table(("split", "row", "frame", "draw", "label", "mean score"), rows)
    return f"Release {row.release}", [*_told(row, "split"), *why, table]


def split_reason(row: Provenance) -> str:
    """Reason for the ad's split."""
    if row.split is None:
        return ""
    return f"in {row.split['split']} since {row.split['at']:%Y-%m-%d}, by: {_WHY[row.split['decided_by']]}"


def _frame(frame: FrameSummary) -> Iterator[RenderableType]:
    said = (f"{frame.index}: {frame.decision}", *frame.sampled, *frame.drops, frame.engine)
    yield Text(shown("; ".join(filter(None, said)), 400))
    if frame.words:
        yield Text(f"   {shown(' '.join(frame.words), 1000)}")


def _label(row: Provenance) -> RenderableType:
    if row.label is None:
        return Text(f"none; {row.thresholds}")
    agreement = (
        "" if row.label["agreement"] is None else f", {row.label['agreement']:.0%} of {row.label['n_reviewers']}"
    )
    return Text(f"{row.label['label']}, decided by {row.label['decided_by']}{agreement}; {row.thresholds}")


def _facts(facts: Mapping[str, object]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        if value is not None:
            table.add_row(Text(str(name).replace("_", " "), "dim"), Text(shown(value, 200)))
    return table


def _table(names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(shown(value, 160)) for value in row))
    return table
