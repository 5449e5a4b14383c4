"""What awaits a reviewer: labels that rest on comments alone, the weakest first."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from rich.console import Console

from annotation import accept_comments
from annotation.unreviewed import render_queue, unreviewed
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES


def catalog_with(folder: Path, **tables: list[dict[str, object]]) -> Catalog:
    catalog = Catalog(folder)
    for table, rows in tables.items():
        catalog.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))
    return catalog


def label(name: str, mean: float) -> dict[str, object]:
    return {"label": name, "mean_score": mean}


def test_accepting_the_comments_records_that_nobody_reviewed() -> None:
    decision = accept_comments("negative")
    assert (decision.label, decision.decided_by, decision.n_reviewers, decision.agreement) == (
        "negative",
        "comments",
        0,
        None,
    )


def test_the_queue_holds_unreviewed_ads_the_weakest_first_with_the_words_of_their_frames(tmp_path: Path) -> None:
    catalog = catalog_with(
        tmp_path,
        ads=[{"video_id": ad, "category": "apparel", "title": "T"} for ad in "abcde"],
        ad_sentiment=[
            {"video_id": "a", "n_comments": 9, "n_scored": 9, "label_support": 0.99} | label("positive", 3.4),
            {"video_id": "c", "n_comments": 9, "n_scored": 9, "label_support": 0.5} | label("positive", 2.6),
            {"video_id": "d", "n_comments": 9, "n_scored": 9, "label_support": 0.5} | label("positive", 2.6),
            {"video_id": "e", "n_comments": 9, "n_scored": 9, "label_support": None, "label": None},
            {
                "video_id": "b",
                "label": "negative",
                "mean_score": -2.6,
                "n_comments": 7,
                "n_scored": 6,
                "mean_low": -3.1,
                "mean_high": -1.9,
                "label_support": 0.6,
            },
        ],
        texts=[
            {"frame_id": "b:1", "video_id": "b", "text": "second"},
            {"frame_id": "b:0", "video_id": "b", "text": "first"},
        ],
    )
    weakest, other = unreviewed(catalog, {"c", "d"})
    assert (weakest.video_id, weakest.words) == ("b", "first / second")
    assert (weakest.n_comments, weakest.n_scored, weakest.mean_low, weakest.label_support) == (7, 6, -3.1, 0.6)
    assert other.video_id == "a"


def test_the_queue_shows_how_firm_a_label_is(tmp_path: Path) -> None:
    catalog = catalog_with(
        tmp_path,
        ads=[{"video_id": "a", "category": "x", "title": "T"}],
        ad_sentiment=[
            {"video_id": "a", "n_comments": 7, "n_scored": 6, "mean_low": -3.1, "mean_high": -1.9, "label_support": 0.6}
            | label("negative", -2.6)
        ],
    )
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(render_queue(unreviewed(catalog, ())))
    assert "-2.60 -3.10 to -1.90 60% 6" in " ".join(captured.get().split())


def test_words_of_strangers_are_printed_as_they_are(tmp_path: Path) -> None:
    catalog = catalog_with(
        tmp_path,
        ads=[{"video_id": "a", "category": "x", "title": "T"}],
        ad_sentiment=[{"video_id": "a", "n_comments": 9, "n_scored": 9} | label("positive", 3.0)],
        texts=[{"frame_id": "a:0", "video_id": "a", "text": "[red]sale[/red] \x1b[2J"}],
    )
    console = Console(width=100, color_system=None)
    with console.capture() as captured:
        console.print(render_queue(unreviewed(catalog, ())))
    assert "[red]sale[/red] \\x1b[2J" in captured.get()
