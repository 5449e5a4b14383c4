"""The ads whose labels nobody has reviewed: what a reviewer would be shown."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten

from rich import box
from rich.table import Table
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.inspect import printable, require_catalog

WORDS_SHOWN = 120
"""Characters of an ad's words in the printed queue."""


@dataclass(frozen=True)
class Entry:
    """One ad to review."""

    video_id: str
    category: str
    title: str
    label: str
    mean_score: float | None
    n_comments: int
    words: str
    """What its frames say, in the order of the frames."""
    synthetic: bool
    """The ad was rendered, not crawled."""


def unreviewed(catalog: Catalog) -> list[Entry]:
    """Ads with a label that rests on their comments alone, those with the weakest mean first."""
    require_catalog(catalog)
    labels = catalog.read("labels", ["video_id", "label", "mean_score"], where="n_reviewers = 0").to_pylist()
    ads = {ad["video_id"]: ad for ad in catalog.read("ads", ["video_id", "category", "title", "synthetic"]).to_pylist()}
    counts = catalog.read("ad_sentiment", ["video_id", "n_comments"]).to_pylist()
    n_comments = {row["video_id"]: row["n_comments"] for row in counts}
    texts: dict[str, list[str]] = {}
    for row in sorted(
        catalog.read("texts", ["frame_id", "video_id", "text"]).to_pylist(),
        key=lambda row: int(row["frame_id"].rpartition(":")[2]),
    ):
        texts.setdefault(row["video_id"], []).append(row["text"])
    entries = [
        Entry(
            video_id=row["video_id"],
            category=ads[row["video_id"]]["category"],
            title=ads[row["video_id"]]["title"],
            label=row["label"],
            mean_score=row["mean_score"],
            n_comments=n_comments.get(row["video_id"], 0),
            synthetic=bool(ads[row["video_id"]]["synthetic"]),
            words=" / ".join(dict.fromkeys(text for text in texts.get(row["video_id"], []) if text)),
        )
        for row in labels
    ]
    return sorted(entries, key=lambda entry: (abs(entry.mean_score or 0.0), entry.video_id))


def render_queue(entries: list[Entry]) -> Table:
    """The queue as a table; titles and words come from strangers and are shown as plain text."""
    note = " (synthetic ads: rendered, not crawled)" if any(entry.synthetic for entry in entries) else ""
    table = Table(
        title=f"{len(entries)} labels that nobody has reviewed, the weakest first{note}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("ad", "label"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", "comments"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("words on its frames")
    for entry in entries:
        mean = "-" if entry.mean_score is None else f"{entry.mean_score:.2f}"
        words = shorten(printable(entry.words), WORDS_SHOWN, placeholder=" …")
        cells = (printable(entry.video_id), entry.label, mean, str(entry.n_comments), words)
        table.add_row(*map(Text, cells))
    return table
