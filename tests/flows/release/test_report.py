"""report.html: one file without network or script, whatever the ads say."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_catalog.releases import verify_release
from data_catalog.schemas import LABELS, SPLITS, TABLES
from flows.release.card import dataset_card
from flows.release.facts import ClassCounts, ExampleRow, ReleaseFacts, count_table1
from flows.release.report import Bar, Chart, bar_chart, histogram, report_html, thumbnail
from flows.sentiment.labelling import Thresholds
from flows.sentiment.yield_table import yield_table

MANIFEST = {
    "row_set_hash": "abc123",
    "files": {"data/train-00000-of-00001.parquet": {"sha256": "f00", "size_bytes": 1234, "rows": 16}},
}
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.style = ""
        self.feed(html)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def page(facts: ReleaseFacts) -> Page:
    return Page(report_html(facts, MANIFEST))


def test_the_page_asks_nothing_of_the_network_and_runs_nothing(page: Page) -> None:
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "a", "base", "form"}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "href", "srcset")], tag
        assert (attributes.get("src") or "data:").startswith("data:")
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_what_changed_is_shown_with_charts(facts: ReleaseFacts, changed_facts: ReleaseFacts) -> None:
    first, later = (Page(report_html(made, MANIFEST)) for made in (facts, changed_facts))
    assert "ads that changed their split since the parent: 0 (the first release: there is no parent)" in first.text
    assert "ads that changed their split since the parent: 1." in later.text
    for part in (
        "Since 2026.11.23",
        "Ads relabelled: 21",
        "Ads in another split: 1",
        "negative -3.00 (-3.25 to -2.75)",
    ):
        assert part in later.text, part
    told = [attributes["alt"] or "" for tag, attributes in later.elements if tag == "img" and attributes.get("alt")]
    [scores] = [alt for alt in told if alt.startswith("Mean score of the released ads")]
    assert "2.5 to 3: 2 before, 22 after" in scores
    [balance] = [alt for alt in told if alt.startswith("Ads by split and class, before and after")]
    assert "train, positive, before: 0 ads; train, positive, after: 22 ads" in balance
    assert not {tag for tag, _ in later.elements} & {"script", "link", "a"}


def test_the_policy_allows_its_own_style_sheet_and_pictures_in_the_page_and_nothing_else(page: Page) -> None:
    (policy,) = [a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv")]
    style = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy is not None
    assert policy.split("; ")[:3] == ["default-src 'none'", "img-src data:", f"style-src 'sha256-{style}'"]


def test_strangers_texts_are_shown_and_not_obeyed(page: Page) -> None:
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text


def test_the_page_shows_funnel_reasons_table_1_thresholds_and_that_nobody_reviewed(page: Page) -> None:
    charts = "\n".join(attributes.get("alt") or "" for _, attributes in page.elements)
    assert "ads: 10 ads (−2); frames: 50 frames of 10 ads; " in charts
    for part in (
        "20 too_few_words",
        "50 frames of 10 ads",
        "+5 drawn again",
        "3 frames, 2 ads",
        "No reviewer",
        "abc123",
    ):
        assert part in page.text
    assert "SYNTHETIC" in page.text


def test_a_crawled_release_carries_no_such_banner(real_facts: ReleaseFacts) -> None:
    assert "SYNTHETIC" not in report_html(real_facts, MANIFEST)


def test_thumbnails_are_small_and_what_is_no_picture_is_said_to_be_none(facts: ReleaseFacts, page: Page) -> None:
    pictures = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len([picture for picture in pictures if picture.startswith("data:image/jpeg")]) == 1
    assert "no picture" in page.text
    file = io.BytesIO()
    Image.new("RGBA", (1920, 1080), (200, 10, 10, 128)).save(file, "PNG")
    url = thumbnail(replace(facts.examples[0], image=file.getvalue()))
    assert url is not None
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as small:
        assert small.size == (320, 180)


def test_a_picture_of_absurd_size_is_not_decoded(facts: ReleaseFacts) -> None:
    file = io.BytesIO()
    Image.new("1", (8_000, 6_000)).save(file, "PNG")
    assert thumbnail(replace(facts.examples[0], image=file.getvalue())) is None


def test_a_release_with_nothing_to_plot_still_has_a_report(facts: ReleaseFacts) -> None:
    empty = replace(
        facts,
        funnel=[],
        ad_means=[],
        words_per_frame=[],
        examples=[],
        ads_by_category={},
        decided_by={},
        before=count_table1([]),
        after=count_table1([]),
        engines={},
        table_versions={},
        thresholds=Thresholds(float("inf"), float("-inf")),
    )
    assert "dropped, by reason" in Page(report_html(empty, MANIFEST)).text


def test_a_written_release_holds_its_documents_and_verifies(release: Path) -> None:
    assert verify_release(release) == []
    assert {"README.md", "report.html", "croissant.json"} <= {path.name for path in release.iterdir()}
    assert "data/train-00000-of-00001.parquet" in (release / "report.html").read_text(encoding="utf-8")


def drawn(chart: Chart) -> str:
    return base64.b64decode(chart.url.removeprefix("data:image/svg+xml;base64,")).decode()


def test_a_chart_is_the_same_bytes_again_and_asks_for_nothing() -> None:
    bars = [Bar("ads found", 10, "ten"), Bar("frames", 0, "none", "negative", faint=True)]
    once, again = bar_chart("Counts", bars), bar_chart("Counts", bars)
    assert once == again
    addresses = set(re.findall(r'(?:href|src)="([^"#][^"]*)"|url\(([^#)][^)]*)\)', drawn(once)))
    assert not addresses
    assert "<script" not in drawn(once)


def test_a_chart_says_in_words_all_that_it_shows(page: Page) -> None:
    (funnel, balance, scores, words) = [a["alt"] or "" for tag, a in page.elements if tag == "img"][:4]
    assert "ads: 10 ads (−2)" in funnel
    assert "frames with more than 5 words: 30 frames of 9 ads (−20)" in funnel
    assert "train, positive: 8 rows of 8 frames, 4 ads" in balance
    assert "2.5 to 2.75: 1" in scores
    assert words.startswith("Words per frame. ")


def test_a_value_on_an_edge_is_counted_below_it_as_the_threshold_does() -> None:
    chart = histogram("scores", [-2.5, 2.5, 2.6, 99.0], np.linspace(-5, 5, 5), {"limit": 2.5, "none": math.inf})
    assert chart.alt == "scores. -5 to -2.5: 1; 0 to 2.5: 1; 2.5 to 5: 2."
    assert "limit" in drawn(chart)
    assert "none" not in re.findall(r">([^<]+)</text>", drawn(chart))


def test_a_name_in_a_chart_is_escaped_and_no_formula() -> None:
    chart = bar_chart('"><script>', [Bar("<b>x</b> $x^2$", 1, "<i>1</i>")])
    assert "<b>" not in drawn(chart)
    assert "$x^2$" in drawn(chart)
    assert "<script>" not in drawn(chart)


def test_a_yield_table_of_no_ads_is_shown(facts: ReleaseFacts) -> None:
    none = yield_table(TABLES["ad_sentiment"].schema.empty_table())
    assert "0 ads; * is in force" in Page(report_html(replace(facts, yields=none), MANIFEST)).text


def test_an_example_without_category_or_score_is_shown(facts: ReleaseFacts) -> None:
    example = ExampleRow(b"", "words", "positive", "ad", None, None, "train")
    assert "no category" in Page(report_html(replace(facts, examples=[example]), MANIFEST)).text


def test_numbers_of_words_are_counted_on_a_logarithmic_axis_whose_edge_is_the_limit(facts: ReleaseFacts) -> None:
    """The bins hold every frame once, and none holds both kept and dropped ones."""
    words = [0] * 40 + [1, 5, 6, 7, 8, 30, 31, 240, 1000]
    limit = facts.settings.ocr.more_than_words
    alt = read_alt(report_html(replace(facts, words_per_frame=words), MANIFEST), "Words per frame")
    bins = {(int(low), int(high)): int(n) for low, high, n in re.findall(r"(\d+) to (\d+): (\d+)", alt)}
    assert sum(bins.values()) == len(words)
    assert bins[0, 0] == 40
    for (low, high), count in bins.items():
        assert count == sum(low <= n <= high for n in words)
        assert not low <= limit < high
        assert (high + 1) / max(low, 1) <= 2


def read_alt(page: str, title: str) -> str:
    [alt] = re.findall(rf'alt="({title}\.[^"]*)"', page)
    return str(alt)


def test_one_of_a_kind_is_not_counted_as_many(facts: ReleaseFacts) -> None:
    one = {split: {label: ClassCounts(1, 1, 1) for label in LABELS} for split in SPLITS}
    alone = replace(facts, after=one, before=one, decided_by={"the verifier": 1}, ad_means=[1.0], words_per_frame=[1])
    for document in (report_html(alone, MANIFEST), dataset_card(alone, MANIFEST)):
        assert not re.search(r"(?<![\d.,])\b1 (ads|frames|rows|comments)\b", unescape(document))
        assert "1 ad" in document
