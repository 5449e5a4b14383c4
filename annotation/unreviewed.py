"""Ads whose labels nobody has reviewed, with the facts that a reviewer would see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from textwrap import shorten

from rich import box
from rich.table import Table
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.inspect import require_catalog
from data_catalog.printing import printable

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
    mean_low: float | None
    mean_high: float | None
    """95 % bootstrap interval of the mean."""
    label_support: float | None
    """Share of the bootstrap's draws that come to this label: a low one hangs on a few comments."""
    n_comments: int
    n_scored: int
    """Comments that count in the mean."""
    words: str
    """Words on its frames, in the order of the frames."""
    synthetic: bool
    """The ad was rendered, not crawled."""


def unreviewed(catalog: Catalog, judged: Collection[str]) -> list[Entry]:
    """Ads that their comments label and nobody has judged, those first whose comments are least agreed on them.

    Args:
        catalog: where the ads are.
        judged: ads that people have judged to the end.

    Raises:
        CatalogError: there is no catalog.
    """
    require_catalog(catalog)
    columns = ["video_id", "n_comments", "n_scored", "mean_low", "mean_high", "label_support"]
    labelled = catalog.read("ad_sentiment", [*columns, "label", "mean_score"], where="label IS NOT NULL").to_pylist()
    ads = {ad["video_id"]: ad for ad in catalog.read("ads", ["video_id", "category", "title", "synthetic"]).to_pylist()}
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
            **{name: row[name] for name in columns[1:]},
            synthetic=bool(ads[row["video_id"]]["synthetic"]),
            words=" / ".join(dict.fromkeys(text for text in texts.get(row["video_id"], []) if text)),
        )
        for row in labelled
        if row["video_id"] not in judged
    ]
    return sorted(entries, key=lambda entry: (entry.label_support or 0.0, abs(entry.mean_score or 0.0), entry.video_id))


def render_queue(entries: list[Entry]) -> Table:
    """The queue as a table; titles and words are untrusted and are shown as plain text."""
    note = " (synthetic ads: rendered, not crawled)" if any(entry.synthetic for entry in entries) else ""
    labels = "1 label" if len(entries) == 1 else f"{len(entries)} labels"
    table = Table(
        title=f"{labels} that nobody has reviewed, the weakest first{note}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("ad", "label"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", "95 % interval", "support", "comments"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("words on its frames")
    for entry in entries:
        mean = "-" if entry.mean_score is None else f"{entry.mean_score:.2f}"
        interval = "-" if entry.mean_low is None else f"{entry.mean_low:.2f} to {entry.mean_high:.2f}"
        support = "-" if entry.label_support is None else f"{entry.label_support:.0%}"
        words = shorten(printable(entry.words), WORDS_SHOWN, placeholder=" …")
        cells = (printable(entry.video_id), entry.label, mean, interval, support, str(entry.n_scored), words)
        table.add_row(*map(Text, cells))
    return table
