"""A small release described in full, with hostile texts."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from data_catalog.releases import Contents, compare, write_release
from data_catalog.schemas import RELEASE_SCHEMA, SPLITS, TABLES
from flows.funnel import FunnelStep
from flows.release.card import dataset_card
from flows.release.croissant import croissant_json
from flows.release.facts import NAMED, ExampleRow, ReleaseFacts, count_table1
from flows.release.report import report_html
from flows.release.resampling import PlannedRow, balance_rows
from flows.sentiment.labelling import Thresholds
from flows.sentiment.yield_table import yield_table
from flows.settings import ReleaseSettings, Settings, SourceSettings

HOSTILE = (
    "Buy | now <script>alert(1)</script> **50% OFF** [x](javascript:alert(2)) ![y](http://evil.example/p.png)\n"
    "# heading\u202egnp.exe \x1b[31mred\x00 `code` </td></table> www.evil.example $9.99$ 'q' \"d\" {{ 7 * 7 }}"
)
"""Markup of every kind that a frame's words or a title may hold."""


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 40), (shade % 256, 90, 160)).save(file, "PNG")
    return file.getvalue()


def plan() -> list[PlannedRow]:
    sizes = [("train", "positive", 8), ("train", "negative", 3), ("validation", "positive", 2)]
    sizes += [("validation", "negative", 1), ("test", "positive", 2), ("test", "negative", 1)]
    return [
        PlannedRow(split, f"{split}{label}{i // 2}:{i % 2}", 0, f"{split}{label}{i // 2}", label)  # type: ignore[arg-type]
        for split, label, count in sizes
        for i in range(count)
    ]


def ad_sentiment(means: list[float | None]) -> pa.Table:
    rows = [
        {
            "video_id": f"ad{i}",
            "n_comments": 10,
            "n_scored": 10,
            "n_neutral": 10 if mean is None else 4,
            "mean_dominant": mean,
            "mean_dominant_with_neutral": mean,
            "mean_scale": mean and mean / 2,
        }
        for i, mean in enumerate(means)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["ad_sentiment"].schema)


@pytest.fixture(scope="session")
def facts() -> ReleaseFacts:
    means = [3.2, 2.9, 2.6, 2.5, 1.4, 0.3, -0.2, -2.5, -3.1]
    before = plan()
    return ReleaseFacts(
        version="2026.11.24",
        created_at="2026-11-24T03:00:00+00:00",
        synthetic=True,
        sources=frozenset({"folder"}),
        before=count_table1(before),
        after=count_table1(balance_rows(before, seed=7).rows),
        funnel=[
            FunnelStep("ads", 12, 10, {"no_comments": 1, "corrupt_media": 1}, "ads"),
            FunnelStep("frames", 50, 50, {}, "frames", 10),
            FunnelStep("frames with more than 5 words", 50, 30, {"too_few_words": 20}, "frames", 9),
            FunnelStep("labelled frames", 30, 17, {"between_thresholds": 13}, "frames", 9),
            FunnelStep("balanced rows", 17, 22, {}, "rows", 9, repeated=5),
        ],
        settings=Settings(source=SourceSettings(category=HOSTILE), release=ReleaseSettings(seed=7)),
        thresholds=Thresholds(2.5, -2.5),
        yields=yield_table(ad_sentiment([*means]), frames_per_ad={"ad0": 5, "ad8": 3}, chosen=("dominant", "fixed")),
        ad_means=means,
        n_comments=1_234,
        left_out={"only_links": 0, "other_language": 56},
        words_per_frame=[0, 0, 3, 5, 6, 7, 9, 12, 14, 31],
        ads_by_category={"apparel": {"positive": 4, "negative": 2}, HOSTILE: {"positive": 2}},
        decided_by={"policy auto": 8},
        engines={"ocr": "rapidocr 3.10.0", "sentiment": "open lexicon 1"},
        table_versions={"ads": 3, "frames": 4},
        examples=[
            ExampleRow(png(10), HOSTILE, "positive", "vid1", HOSTILE, 2.9, "train"),
            ExampleRow(b"no picture", "six plain words stand right here", "negative", "vid2", None, None, "test"),
        ],
    )


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, facts: ReleaseFacts) -> Path:
    """The release that those facts describe, written; to be read, not changed."""
    rows = balance_rows(plan(), seed=7).rows
    number_of = {frame: number for number, frame in enumerate(dict.fromkeys(row.frame_id for row in rows))}
    tables = {
        split: pa.Table.from_pylist(
            [
                {
                    "image": {"bytes": png(number_of[row.frame_id]), "path": f"{number_of[row.frame_id]}.png"},
                    "text": "six words stand on this frame",
                    "label": ("negative", "positive").index(row.label),
                    "video_id": row.video_id,
                    "frame_id": row.frame_id,
                    "category": "apparel",
                    "timestamp_s": 1.5,
                    "mean_score": 2.75,
                    "n_words": 6,
                    "draw": row.draw,
                }
                for row in rows
                if row.split == split
            ],
            schema=RELEASE_SCHEMA,
        )
        for split in SPLITS
    }
    return write_release(
        tmp_path_factory.mktemp("described") / "releases",
        facts.version,
        tables,
        facts.manifest(),
        lambda manifest: {
            "README.md": dataset_card(facts, manifest),
            "report.html": report_html(facts, manifest),
            "croissant.json": croissant_json(facts, manifest),
        },
    )


@pytest.fixture(scope="session")
def changed_facts(facts: ReleaseFacts) -> ReleaseFacts:
    """The same after another release: an ad came, one went, one moved, many were relabelled, the engine is another."""

    def contents(version: str, engine: str, ads: dict[str, tuple[str, int, float]], settings: object) -> Contents:
        made = {"version": version, "settings": settings, "engines": {"ocr": engine}}
        row = {"text": "words", "timestamp_s": 1.0, "category": None}
        rows = [
            (
                split,
                {
                    **row,
                    "video_id": ad,
                    "frame_id": f"{ad}:0",
                    "label": label,
                    "mean_score": score,
                    "mean_low": score - 0.25,
                    "mean_high": score + 0.25,
                },
                "picture",
            )
            for ad, (split, label, score) in ads.items()
        ]
        return Contents.of(made, rows)

    many = {f"ad{number}": ("train", 0, -3.0) for number in range(NAMED + 1)}
    older = contents(
        "2026.11.23", "a 1", {**many, "gone": ("test", 1, 3.0), "moves": ("test", 1, 3.0)}, {"key": HOSTILE}
    )
    later = dict.fromkeys(many, ("train", 1, 2.75)) | {"came": ("test", 1, 4.0), "moves": ("train", 1, 3.0)}
    changes = compare(older, contents(facts.version, HOSTILE, later, {"key": "new"}))
    return replace(facts, lineage=["2026.11.23"], changes=changes, filled=["came"])


@pytest.fixture(scope="session")
def real_facts(facts: ReleaseFacts) -> ReleaseFacts:
    """The same release, made from ads that were crawled."""
    return replace(facts, synthetic=False, sources=frozenset({"youtube"}))
