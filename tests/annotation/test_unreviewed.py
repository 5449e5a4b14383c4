"""What awaits a reviewer: labels that rest on comments alone, the weakest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from annotation import accept_comments
from annotation.protocol import Decision
from annotation.unreviewed import render_queue, unreviewed
from data_catalog.catalog import Catalog
from tests.data_catalog.builders import rows

SENTIMENT = {"label": "positive", "mean_score": 3.4, "n_comments": 9, "n_scored": 9, "label_support": 0.99}
WEAK = {"n_comments": 7, "n_scored": 6, "mean_low": -3.1, "mean_high": -1.9, "label_support": 0.6}
HOSTILE = "[red]sale[/red] \x1b[2J"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Five ads: two that wait, two that are judged, one that the comments give no label."""
    made = Catalog(tmp_path)
    sentiment: dict[str, dict[str, Any]] = {
        "a": {},
        "c": {"mean_score": 2.6, "label_support": 0.5},
        "d": {"mean_score": 2.6, "label_support": 0.5},
        "e": {"label": None, "label_support": None},
        "b": {"label": "negative", "mean_score": -2.6, **WEAK},
    }
    texts = {"b:1": "second", "b:0": "first", "a:0": HOSTILE}
    made.merge("ads", rows("ads", *({"video_id": ad, "category": "apparel", "title": "T"} for ad in "abcde")))
    found = ({"video_id": ad, **SENTIMENT, **changes} for ad, changes in sentiment.items())
    made.merge("ad_sentiment", rows("ad_sentiment", *found))
    words = ({"frame_id": frame, "video_id": frame[0], "text": text} for frame, text in texts.items())
    made.merge("texts", rows("texts", *words))
    return made


def test_accepting_the_comments_records_that_nobody_reviewed() -> None:
    assert accept_comments("negative") == Decision("negative", "comments", n_reviewers=0, agreement=None)


def test_the_queue_holds_unreviewed_ads_the_weakest_first_with_the_words_of_their_frames(catalog: Catalog) -> None:
    weakest, other = unreviewed(catalog, {"c", "d"})
    assert (weakest.video_id, weakest.words) == ("b", "first / second")
    assert {name: getattr(weakest, name) for name in WEAK} == WEAK
    assert other.video_id == "a"


def test_the_queue_shows_how_firm_a_label_is_and_words_of_strangers_as_they_are(catalog: Catalog) -> None:
    console = Console(width=140, color_system=None)
    with console.capture() as captured:
        console.print(render_queue(unreviewed(catalog, {"c", "d"})))
    assert "-2.60 -3.10 to -1.90 60% 6" in " ".join(captured.get().split())
    assert "[red]sale[/red] \\x1b[2J" in captured.get()
