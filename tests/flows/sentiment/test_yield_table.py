"""The yield table: classes of the same ads under every aggregation and threshold."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from data_catalog.schemas import TABLES
from flows.sentiment.labelling import Thresholds
from flows.sentiment.yield_table import YieldTable, yield_table


def ads(**means: list[float | None]) -> pa.Table:
    count = len(next(iter(means.values())))
    rows = [
        {"video_id": f"ad{i}", "n_comments": 10, "n_scored": 10, "n_neutral": 4}
        | {f"mean_{name}": values[i] for name, values in means.items()}
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["ad_sentiment"].schema)


def found(table: YieldTable, aggregation: str, mode: str) -> tuple[int, int, int]:
    (row,) = [row for row in table.rows if (row.aggregation, row.mode) == (aggregation, mode)]
    return row.positive.ads, row.negative.ads, row.dropped


def test_every_aggregation_is_counted_on_its_own_means() -> None:
    table = yield_table(ads(dominant=[3.0, 2.6, -2.5, 0.0], scale=[1.0, 0.5, -1.0, 0.0]))
    assert found(table, "dominant", "fixed") == (2, 1, 1)
    assert found(table, "scale", "fixed") == (0, 0, 4)


def test_the_edges_are_the_papers() -> None:
    table = yield_table(ads(dominant=[2.5, 2.5001, -2.5, -2.4999]))
    assert found(table, "dominant", "fixed") == (1, 1, 2)


def test_quantile_thresholds_fill_both_classes_where_fixed_ones_leave_one_empty() -> None:
    table = yield_table(ads(dominant=[i / 10 for i in range(20)]), quantile=0.2)
    assert found(table, "dominant", "fixed") == (0, 0, 20)
    assert found(table, "dominant", "quantile") == (4, 4, 12)


def test_an_ad_without_a_mean_is_dropped_by_every_rule() -> None:
    table = yield_table(ads(dominant=[None, 3.0]))
    assert found(table, "dominant", "fixed") == (1, 0, 1)
    assert found(table, "scale", "fixed") == (0, 0, 2)


def test_the_frames_behind_a_class_are_counted_and_an_ad_without_kept_frames_brings_none() -> None:
    table = yield_table(ads(dominant=[3.0, 3.0, -3.0]), frames_per_ad={"ad0": 4, "ad2": 2})
    row = table.rows[0]
    assert (row.positive.ads, row.positive.with_frames, row.positive.frames) == (2, 1, 4)
    assert (row.negative.ads, row.negative.frames) == (1, 2)


def test_own_thresholds_are_used_and_shown() -> None:
    table = yield_table(ads(dominant=[1.5, -1.5]), fixed=Thresholds(1.0, -1.0))
    assert found(table, "dominant", "fixed") == (1, 1, 0)
    assert "> 1.00," in table.as_text()
    assert "fixed: > 1.00, &lt;= -1.00" in table.as_markdown()


def test_eighty_columns_hold_the_table_of_a_large_release_without_a_number_torn() -> None:
    frames_per_ad = {f"ad{number}": 5 for number in range(4000)} | {"ad4000": 1}
    means: list[float | None] = [*[3.0] * 4000, -3.0]
    large = ads(dominant=means)
    many = yield_table(large, frames_per_ad=frames_per_ad, chosen=("dominant_with_neutral", "fixed"))
    text = many.as_text()
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    for part in ("4,000", "20,000", "dominant_with_neutral", "quantile:", "-2.50", "*"):
        assert part in words
    assert "1 ad, 1 with 1 frame |" in many.as_markdown()
    assert not re.search(r"\b1 (ads|frames)\b", " ".join(words) + many.as_markdown())


def test_the_choice_in_force_is_marked_once() -> None:
    table = yield_table(ads(dominant=[3.0, -3.0]), chosen=("dominant", "quantile"))
    assert [row.mode for row in table.rows if row.chosen] == ["quantile"]
    assert table.as_text().split().count("*") == 2, "one of them in the line above the table"


@pytest.mark.parametrize("style", ["as_text", "as_markdown"])
def test_no_ads_at_all_still_give_a_table(style: str) -> None:
    text = getattr(yield_table(ads(dominant=[])), style)()
    assert "dominant_with_neutral" in text
    assert "0 ads" in text


def test_an_ad_of_too_few_comments_is_dropped_as_its_label_is() -> None:
    enough = yield_table(ads(dominant=[3.0, -3.0], dominant_with_neutral=[1.0, 1.0], scale=[0.0, 0.0]), min_comments=6)
    assert (enough.rows[0].positive.ads, enough.rows[0].dropped) == (1, 0)
    too_few = yield_table(ads(dominant=[3.0, -3.0], dominant_with_neutral=[1.0, 1.0], scale=[0.0, 0.0]), min_comments=7)
    assert (too_few.rows[0].positive.ads, too_few.rows[0].dropped) == (0, 2)
