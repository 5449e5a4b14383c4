"""Audience sentiment over time: means of an ad's comments by week, with intervals, and the ad's latest change.

The catalog holds each comment once, as it was last fetched: one that was deleted is in no week any more, one that was
edited counts as it reads now in the week in which it was first written. Which comments count is decided over all of an
ad's comments, as for its label, and only then are they put in weeks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_catalog.catalog import Catalog
from flows.monitor.period import Period, microseconds, monday_of, week_of
from flows.monitor.turning import Change, Threads, find_changes
from flows.sentiment.certainty import MIN_COUNTING, interval_of_mean
from flows.sentiment.labelling import ScoreGroup, value
from flows.sentiment.rows import unread_ads
from flows.sentiment.selection import COMMENT_COLUMNS, SCORE_COLUMNS, reasons_query
from flows.settings import LikeWeights, SentimentSettings

_WEIGHTS: dict[LikeWeights, str] = {"none": "1.0", "log": "1.0 + ln(1.0 + likes)", "linear": "1.0 + likes"}
"""As `like_weight`, in SQL."""


@dataclass(frozen=True)
class Mean:
    """Mean of some comments that count, with its 95 % bootstrap interval; no interval where they are too few."""

    n_comments: int
    """Those that count in it."""
    mean: float | None
    low: float | None
    high: float | None

    @property
    def sign(self) -> int | None:
        """1 or -1 where the interval lies on one side of zero, 0 where it does not; None without one."""
        return None if self.low is None or self.high is None else int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True)
class Week:
    """An ad's comments of one week, from Monday 0:00 UTC on."""

    monday: datetime
    comments: Mean
    is_whole: bool
    """Whether the whole week is in the period."""


@dataclass(frozen=True)
class Audience:
    """Comments of one ad's audience in the period; title and category are untrusted."""

    video_id: str
    title: str
    category: str
    published_at: datetime | None
    n_comments: int
    """Comments of the period, those that do not count included."""
    period: Mean
    weeks: tuple[Week, ...]
    """Those in which a comment counts."""
    is_unread: bool
    """Its comments are not read to the end: no change is looked for."""
    change: Change | None


@dataclass(frozen=True)
class Audiences:
    """The ads on which there are comments in the period, or that were published in it."""

    ads: tuple[Audience, ...]
    """Those with most comments of the period first."""
    n_ads: int
    """All ads of the catalog."""
    n_undated: int
    """Comments without a date, on all ads: they are in no week."""
    n_future: int
    """Comments that are dated after the end of the period."""
    n_unscored: int
    """Comments of the period that have no score by the settings in force, so that they are not counted."""
    n_tested: int
    """Ads with enough comments to look for a change."""


def read_audiences(
    catalog: Catalog, settings: SentimentSettings, period: Period, *, scores_fingerprint: str, least: float
) -> Audiences:
    """Means by week of every ad of the period, and its latest change.

    Args:
        catalog: the tables.
        settings: which comments count, and how.
        period: what is looked at; a change is sought in all that was written before its end.
        scores_fingerprint: of the scores that are current.
        least: change of the mean from which on an audience turned even if its sign stays.
    """
    forgotten = catalog.forgotten()
    columns = ["video_id", "title", "category", "published_at"]
    known = {ad["video_id"]: ad for ad in catalog.read("ads", columns).to_pylist()}
    known = {ad: facts for ad, facts in sorted(known.items()) if not forgotten.has_ad(ad)}
    counts = _count(catalog, period, scores_fingerprint)
    counts = {ad: found for ad, found in counts.items() if ad in known}
    rows = _Comments.read(catalog, settings, period, scores_fingerprint, list(known))
    unread = unread_ads(catalog)
    ids = list(known)
    tested = [number for number, ad in enumerate(ids) if ad not in unread]
    threads = rows.threads()
    changes = dict(
        zip(
            tested,
            find_changes([threads[number] for number in tested], least=least, seeds=[ids[number] for number in tested]),
            strict=True,
        )
    )
    whole, weeks = rows.means(period)
    none, nothing = Mean(0, None, None, None), {"period": 0}
    ads = [
        Audience(
            **facts,
            n_comments=counts.get(ad, nothing)["period"],
            period=whole.get(number, none),
            weeks=tuple(weeks.get(number, ())),
            is_unread=ad in unread,
            change=changes.get(number),
        )
        for number, (ad, facts) in enumerate(known.items())
        if counts.get(ad, nothing)["period"] or _is_within(facts["published_at"], period)
    ]
    return Audiences(
        ads=tuple(sorted(ads, key=lambda ad: (-ad.n_comments, ad.video_id))),
        n_ads=len(known),
        **{f"n_{name}": sum(found[name] for found in counts.values()) for name in ("undated", "future", "unscored")},
        n_tested=sum(threads[number].can_change for number in tested),
    )


def _is_within(at: datetime | None, period: Period) -> bool:
    return at is not None and period.since <= at < period.until


def _count(catalog: Catalog, period: Period, scores_fingerprint: str) -> dict[str, dict[str, int]]:
    """Comments of each ad: of the period, without a date, of the future, and of the period without a score."""
    counted = catalog.query(
        """
        WITH scored AS (
            SELECT comment_id, coalesce(upstream_revision, '') AS revision, true AS has_score
            FROM comment_scores WHERE fingerprint = $fingerprint),
        held AS (
            SELECT video_id, comment_id, coalesce(text_sha256, '') AS revision, epoch_us(published_at) AS at_us
            FROM comments)
        SELECT video_id,
            count(*) FILTER (WHERE at_us >= $since AND at_us < $until) AS period,
            count(*) FILTER (WHERE at_us IS NULL) AS undated,
            count(*) FILTER (WHERE at_us >= $until) AS future,
            count(*) FILTER (WHERE at_us >= $since AND at_us < $until AND has_score IS NULL) AS unscored
        FROM held LEFT JOIN scored USING (comment_id, revision) GROUP BY video_id
        """,
        tables=("comments", "comment_scores"),
        params={
            "fingerprint": scores_fingerprint,
            "since": microseconds(period.since),
            "until": microseconds(period.until),
        },
    )
    return {row.pop("video_id"): row for row in counted.to_pylist()}


@dataclass(frozen=True)
class _Comments:
    """The dated comments that count, in the order of ads and times; arrays are [N]."""

    ids: Sequence[str]
    """Of the ads."""
    ad: NDArray[np.int32]
    """Number of each one's ad."""
    thread: NDArray[np.uint64]
    at: NDArray[np.int64]
    value: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def read(
        cls,
        catalog: Catalog,
        settings: SentimentSettings,
        period: Period,
        scores_fingerprint: str,
        ads: Sequence[str],
    ) -> _Comments:
        """Those written before the end of the period on some ads, which are numbered in their order."""
        reasons, params = reasons_query(settings.language, settings.leave_out)
        found = catalog.query(
            f"""
            WITH scores AS (
                SELECT {", ".join(SCORE_COLUMNS)}, coalesce(upstream_revision, '') AS revision
                FROM comment_scores WHERE fingerprint = $fingerprint),
            held AS (
                SELECT {", ".join(COMMENT_COLUMNS)}, parent_id, coalesce(text_sha256, '') AS revision FROM comments),
            selected AS (
                {reasons}, hash(coalesce(parent_id, comment_id)) AS thread, epoch_us(published_at) AS at_us
                FROM scores JOIN held USING (comment_id, revision)),
            numbered AS (SELECT unnest($ads) AS video_id, unnest(range(len($ads)))::INTEGER AS ad),
            kinds (positive, negative, value) AS (VALUES {_values(settings)})
            SELECT ad, thread, at_us, value::DOUBLE AS value, ({_WEIGHTS[settings.like_weights]})::DOUBLE AS weight
            FROM selected JOIN numbered USING (video_id) JOIN kinds USING (positive, negative)
            WHERE left_out IS NULL AND at_us < $until
            ORDER BY ad, at_us, comment_id
            """,  # noqa: S608 - names of ours
            tables=("comment_scores", "comments"),
            params={
                "fingerprint": scores_fingerprint,
                "ads": list(ads),
                "until": microseconds(period.until),
                **params,
            },
        )
        columns = [_array(found, name) for name in ("ad", "thread", "at_us", "value", "weight")]
        return cls(ads, *columns)

    def threads(self) -> list[Threads]:
        """The threads of every ad."""
        # by ad and thread; of each its first comment
        order = np.lexsort((self.at, self.thread, self.ad))
        ad, thread = self.ad[order], self.thread[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (ad[1:] != ad[:-1]) | (thread[1:] != thread[:-1])
        begins = np.flatnonzero(is_first)
        weight = self.weight[order]
        total = np.add.reduceat(self.value[order] * self.weight[order], begins) if len(begins) else self.value
        weight = np.add.reduceat(self.weight[order], begins) if len(begins) else self.weight
        at, comments = self.at[order][begins], np.diff(np.append(begins, len(order)))
        by_time = np.lexsort((at, ad[begins]))
        ad, at = ad[begins][by_time], at[by_time]
        total, weight, comments = total[by_time], weight[by_time], comments[by_time]
        parts = np.searchsorted(ad, np.arange(len(self.ids) + 1))
        return [
            Threads(at[part], total[part], weight[part], comments[part])
            for part in itertools.starmap(slice, itertools.pairwise(parts.tolist()))
        ]

    def means(self, period: Period) -> tuple[dict[int, Mean], dict[int, list[Week]]]:
        """The mean of each ad over the period, and over each of its weeks, by the ad's number."""
        begin = microseconds(period.since)
        inside = _Comments(self.ids, *(each[self.at >= begin] for each in self._arrays()))
        whole: dict[int, Mean] = {}
        weeks: dict[int, list[Week]] = {}
        every_ad = np.searchsorted(inside.ad, np.arange(len(self.ids) + 1))
        week = week_of(inside.at)
        for ad in np.flatnonzero(np.diff(every_ad)).tolist():
            part = slice(every_ad[ad], every_ad[ad + 1])
            whole[ad] = inside.mean(part, self.ids[ad])
            cuts = [part.start, *(np.flatnonzero(np.diff(week[part])) + 1 + part.start), part.stop]
            weeks[ad] = [
                inside.week(int(week[begin]), slice(begin, end), ad, period) for begin, end in itertools.pairwise(cuts)
            ]
        return whole, weeks

    def week(self, number: int, part: slice, ad: int, period: Period) -> Week:
        """An ad's comments of a week, which are a part of all."""
        monday, following = monday_of(number), monday_of(number + 1)
        is_whole = period.since <= monday and following <= period.until
        return Week(monday, self.mean(part, f"{self.ids[ad]}:{number}"), is_whole)

    def mean(self, part: slice, seed: str) -> Mean:
        """The mean of a part of the comments."""
        weight = self.weight[part]
        total, size = self.value[part] * weight, len(weight)
        ends = interval_of_mean(total, weight, seed) if size >= MIN_COUNTING else (None, None)
        return Mean(size, float(total.sum() / weight.sum()), *ends)

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.ad, self.thread, self.at, self.value, self.weight


def _values(settings: SentimentSettings) -> str:
    """Rows of SQL: every pair of strengths that counts, and its value in the mean."""
    pairs = ((positive, -negative) for positive in range(1, 6) for negative in range(1, 6))
    counted = ((*pair, value(ScoreGroup(*pair, 1.0, 1), settings.aggregation)) for pair in pairs)
    return ", ".join(f"({positive}, {negative}, {of}.0)" for positive, negative, of in counted if of is not None)


def _array(table: pa.Table, name: str) -> NDArray[Any]:
    return np.asarray(table[name].combine_chunks().to_numpy(zero_copy_only=False))
