"""What the sentiment of the ads comes to: how many labels, under every aggregation, and what they stand on.

At the paper's thresholds the negative class of real comments is one ad in a hundred or less; whoever chooses thresholds
must see that before a model is trained on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from flows.errors import SentimentError
from flows.sentiment.ads import count_left_out, unread_ads
from flows.sentiment.bootstrap import FEWEST
from flows.sentiment.labelling import AGGREGATIONS, Aggregation, Thresholds
from flows.sentiment.yield_table import Yield, YieldTable, yield_table
from flows.settings import SentimentSettings

FEW_ADS = 10
"""A class of fewer ads is nearly empty: split by ad, dev and test would hold one or none of them."""
FIRM = 0.8
"""A label is firm when so many of the bootstrap's draws come to it."""


@dataclass(frozen=True)
class SentimentReport:
    """The ads whose comments are read, by every aggregation and threshold."""

    n_ads: int
    n_unread: int
    """Ads whose comments are not read to the end; they are in no other number here."""
    n_comments: int
    n_scored: int
    left_out: dict[str, int]
    """Comments that do not count, by reason."""
    n_neutral: int
    n_labelled: int
    """Ads that the build labelled, under the thresholds that it had."""
    n_infirm: int
    """Of these, ads whose label hangs on a few comments."""
    means: dict[Aggregation, list[float]]
    yields: YieldTable

    @property
    def chosen(self) -> Yield:
        """What the settings in force give."""
        return next(row for row in self.yields.rows if row.chosen)

    def warnings(self) -> list[str]:
        """What to think of before training on these labels."""
        return list(_warnings(self))

    def as_json(self) -> dict[str, Any]:
        """The report for other programs."""
        return {
            **{name: getattr(self, name) for name in ("n_ads", "n_unread", "n_comments", "n_scored", "left_out")},
            "n_neutral": self.n_neutral,
            "n_labelled": self.n_labelled,
            "n_infirm": self.n_infirm,
            "yields": [asdict(row) for row in self.yields.rows],
            "warnings": self.warnings(),
        }


def read_report(catalog: Catalog, settings: SentimentSettings) -> SentimentReport:
    """The report on the present rows of `ad_sentiment`.

    Raises:
        SentimentError: no ad has been labelled yet.
    """
    unread = unread_ads(catalog)
    table = catalog.read("ad_sentiment")
    if not table.num_rows:
        raise SentimentError(
            f"{catalog}: no ad's sentiment is known yet; `ytb-ads build` scores the comments and labels the ads"
        )
    rows = [row for row in table.to_pylist() if row["video_id"] not in unread]
    ads = pa.Table.from_pylist(rows, schema=table.schema)
    telling = ads.filter(pc.field("n_scored") - pc.field("n_neutral") >= settings.min_comments)
    yields = yield_table(
        ads,
        fixed=Thresholds(positive=settings.positive, negative=settings.negative),
        quantile=settings.quantile,
        chosen=(settings.aggregation, settings.thresholds),
        min_comments=settings.min_comments,
    )
    return SentimentReport(
        n_ads=len(rows),
        n_unread=table.num_rows - len(rows),
        n_comments=sum(row["n_comments"] for row in rows),
        n_scored=sum(row["n_scored"] for row in rows),
        left_out=count_left_out(ads),
        n_neutral=sum(row["n_neutral"] for row in rows),
        n_labelled=sum(row["label"] is not None for row in rows),
        n_infirm=sum(row["label"] is not None and (row["label_support"] or 0) < FIRM for row in rows),
        means={name: [m for m in telling.column(f"mean_{name}").to_pylist() if m is not None] for name in AGGREGATIONS},
        yields=yields,
    )


def _warnings(report: SentimentReport) -> Iterator[str]:
    chosen = report.chosen
    for label, found in (("positive", chosen.positive), ("negative", chosen.negative)):
        if found.ads < FEW_ADS:
            held = "is empty" if not found.ads else f"has {found.ads} ad{'s' * (found.ads > 1)}"
            yield (
                f"the class {label} {held} of {report.n_ads}: a model would learn those ads, not the sentiment. "
                + (
                    'sentiment.thresholds = "quantile" fills both classes; more ads help, too'
                    if chosen.mode == "fixed"
                    else "More ads, or a larger sentiment.quantile, would fill it"
                )
            )
    if 2 * report.n_infirm > report.n_labelled:
        yield (
            f"{report.n_infirm} of {report.n_labelled} labels hang on a few comments: fewer than {FEWEST} "
            f"count, or, drawn anew, they come to another label in more than {1 - FIRM:.0%} of the draws"
        )
