"""The sentiment report: what the labels come to, what they stand on, and the picture of the means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from rich.console import Console

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.errors import SentimentError
from flows.sentiment.report import SentimentReport, draw_distribution, read_report, render_certainty
from flows.settings import SentimentSettings


def ad(number: int, mean: float | None, **changed: Any) -> dict[str, Any]:
    counts = {"n_comments": 10, "n_only_links": 1, "n_other_language": 2, "n_duplicates": 0, "n_repeats": 0}
    means = {f"mean_{name}": mean for name in ("dominant", "dominant_with_neutral", "scale", "score")}
    label = None if mean is None or -2.5 < mean <= 2.5 else "positive" if mean > 0 else "negative"
    return {
        "video_id": f"ad{number}",
        **counts,
        "n_scored": 7,
        "n_neutral": 7 if mean is None else 3,
        **means,
        "label": label,
        "label_support": 0.95,
        **changed,
    }


def reported(folder: Path, *ads: dict[str, Any], **settings: Any) -> SentimentReport:
    catalog = Catalog(folder)
    rows = [{"video_id": row["video_id"], "source": row.pop("source", "folder")} for row in ads]
    catalog.merge("ads", pa.Table.from_pylist(rows, schema=TABLES["ads"].schema))
    catalog.merge("ad_sentiment", pa.Table.from_pylist(list(ads), schema=TABLES["ad_sentiment"].schema))
    return read_report(catalog, SentimentSettings(**settings))


def filled(positive: int, negative: int) -> list[dict[str, Any]]:
    return [ad(n, 3.0 if n < positive else -3.0) for n in range(positive + negative)]


def test_it_counts_comments_ads_and_what_is_left_out(tmp_path: Path) -> None:
    report = reported(tmp_path, ad(0, 3.0), ad(1, None), ad(2, 0.0))
    assert (report.n_ads, report.n_comments, report.n_scored, report.n_neutral) == (3, 30, 21, 13)
    assert report.left_out == {"only_links": 3, "other_language": 6, "duplicate": 0, "repeat": 0}
    assert (report.chosen.positive.ads, report.chosen.negative.ads, report.chosen.dropped) == (1, 0, 2)


def test_thresholds_can_be_tried_that_no_build_has_used(tmp_path: Path) -> None:
    report = reported(tmp_path, ad(0, 3.0), ad(1, 1.0), positive=0.5)
    assert report.chosen.positive.ads == 2


def test_an_empty_or_nearly_empty_class_is_warned_of(tmp_path: Path) -> None:
    empty, few, full = (
        reported(tmp_path / name, *filled(12, negative)).warnings()
        for name, negative in (("empty", 0), ("few", 1), ("full", 10))
    )
    assert len(empty) == 1
    assert "the class negative is empty of 12" in empty[0]
    assert '"quantile" fills both' in empty[0]
    assert "the class negative has 1 ad of 13" in few[0]
    assert full == []


def test_labels_that_hang_on_a_few_comments_are_warned_of(tmp_path: Path) -> None:
    ads = [row | {"label_support": 0.5 if n < 13 else 0.9} for n, row in enumerate(filled(12, 12))]
    report = reported(tmp_path, *ads)
    assert report.n_uncertain == 13
    assert "13 of 24 labels have low support" in report.warnings()[0]


def test_a_label_without_an_interval_hangs_on_a_few_comments(tmp_path: Path) -> None:
    assert reported(tmp_path, ad(0, 3.0, label_support=None), ad(1, 3.0)).n_uncertain == 1


def sure(number: int, mean: float, error: float, **changed: Any) -> dict[str, Any]:
    """An ad with the interval of a mean that has this standard error."""
    low, high = mean - 1.96 * error, mean + 1.96 * error
    return ad(number, mean, aggregation="dominant", mean_low=low, mean_high=high, **changed)


def test_the_nearest_to_a_threshold_come_first_with_the_comments_that_they_need(tmp_path: Path) -> None:
    ads = sure(0, 4.5, 0.5), sure(1, 2.6, 0.2), sure(2, -2.0, 0.4), ad(3, 2.6, aggregation="dominant")
    report = reported(tmp_path, *ads)
    assert [found.video_id for found in report.ads] == ["ad1", "ad2", "ad0", "ad3"]
    near, other, _, unknown = report.ads
    assert [found.is_near for found in report.ads] == [True, False, False, False]
    # four comments count, so a comment's deviation is 0.2 * 2, and (1.645 * 0.4 / 0.1)^2 = 43.3
    assert (near.n_counting, near.n_needed) == (4, 44)
    assert near.distance == pytest.approx(0.1)
    assert near.standard_error == pytest.approx(0.2, rel=1e-3)
    # (1.645 * 0.8 / 0.5)^2 = 6.9
    assert (other.label, other.n_needed) == (None, 7)
    assert (unknown.standard_error, unknown.n_needed) == (None, None)
    said = report.as_json()
    assert (said["n_near"], len(said["ads"])) == (1, 4)
    json.dumps(said, allow_nan=False)


def test_a_mean_on_a_threshold_is_near_and_no_number_of_comments_is_enough(tmp_path: Path) -> None:
    [found] = reported(tmp_path, sure(0, 2.5, 0.2)).ads
    assert (found.is_near, found.n_needed) == (True, None)


def test_an_interval_of_another_mean_says_nothing_of_the_one_in_force(tmp_path: Path) -> None:
    assert reported(tmp_path, sure(0, 2.6, 0.2), aggregation="scale").ads == []


def test_labels_are_counted_by_their_support(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    supports = (0.99, 0.95, 0.9, 0.5, None)
    ads = [sure(n, 3.0, 0.6, label_support=support) for n, support in enumerate(supports)]
    Console(width=100).print(render_certainty(reported(tmp_path, *ads, sure(9, 0.0, 0.1))))
    said = capsys.readouterr().out
    rows = {words[0]: words[1:] for line in said.splitlines() if len(words := line.split()) == 7}
    assert rows["positive"] == ["5", "2", "1", "1", "1", "5"]
    assert rows["negative"] == ["0"] * 6
    assert rows["none"] == ["1", "1", "0", "0", "0", "0"]
    assert "3.00 ± 0.60" in said


def test_quantiles_that_make_negative_of_less_positive_are_warned_of(tmp_path: Path) -> None:
    all_liked = [ad(n, 1.0 + n / 20) for n in range(60)]
    all_disliked = [ad(n, -1.0 - n / 20) for n in range(60)]
    liked, disliked, mixed = (
        " ".join(reported(tmp_path / name, *ads, thresholds="quantile").warnings())
        for name, ads in (("liked", all_liked), ("disliked", all_disliked), ("mixed", filled(30, 30)))
    )
    assert "ads are negative that have a positive mean, up to 1.55" in liked
    assert "ads are positive that have a negative mean, up to 1.60" in disliked
    assert "that have a" not in mixed


def test_only_ads_that_say_enough_are_drawn(tmp_path: Path) -> None:
    assert reported(tmp_path, ad(0, 3.0), ad(1, -3.0, n_neutral=6), min_comments=2).means["dominant"] == [3.0]


def test_ads_whose_comments_are_not_read_to_the_end_are_in_no_number(tmp_path: Path) -> None:
    report = reported(tmp_path, ad(0, 3.0), ad(1, 3.0, source="youtube"))
    assert (report.n_ads, report.n_unread, report.n_comments, report.chosen.positive.ads) == (1, 1, 10, 1)


def test_before_a_build_there_is_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(SentimentError, match="no ad's sentiment is known yet"):
        read_report(Catalog(tmp_path), SentimentSettings())


@pytest.mark.parametrize("means", [[], [None], [3.0, -3.0, 0.1, 5.0, -5.0, 2.5]])
def test_the_picture_is_drawn_whatever_the_means(tmp_path: Path, means: list[float | None]) -> None:
    ads = [ad(n, mean) for n, mean in enumerate(means)] or [ad(0, None)]
    path = tmp_path / "reports" / "sentiment.png"
    draw_distribution(reported(tmp_path / "catalog", *ads), path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size == (1200, 1125)


def test_the_same_ads_give_the_same_picture(tmp_path: Path) -> None:
    report = reported(tmp_path / "catalog", ad(0, 3.0), ad(1, -3.0))
    for name in ("a.png", "b.png"):
        draw_distribution(report, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
