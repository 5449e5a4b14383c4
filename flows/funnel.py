"""The funnel: rows in and out of every step from candidates to balanced rows, with the reasons of what was dropped.

An item leaves once, at the first step that does not keep it, so a step's input is the output of the previous step of
the same unit. Card, report, terminal and artifact show these steps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from data_catalog.catalog import Catalog
from data_catalog.printing import counted, readable
from data_catalog.schemas import TABLES
from flows.ocr.texts import TextFrame
from flows.settings import Settings
from flows.settled import Settled
from flows.stages import (
    COMMENTS,
    DRAW,
    FRAMES,
    OCR,
    RELEASE,
    REVIEW,
    SCORES,
    SENTIMENT,
    SOURCE,
    STAGES,
    WORDS,
    Reason,
    ReleaseReason,
    ReviewReason,
    Stage,
    Unit,
    WordReason,
)

AWAITS_BUILD = "awaits_the_next_build"
"""Reason of items that have neither a row nor a drop for these settings."""
AWAITS_DRAW = "awaits_the_draw"
"""Reason of candidates that a draw has not come to."""
OF_AD = ReleaseReason.OF_AD.removesuffix("*")
ROWS_LOOKED_AT = 10_000
"""Rows in memory while those without a result are counted."""

_Reasons = Mapping[str, Mapping[str, str]]
"""Reasons of the drops, by stage and key."""


@dataclass(frozen=True)
class FunnelStep:
    """One step of the funnel: `rows_in + repeated == rows_out + sum(drops)`, all of one unit."""

    name: str
    rows_in: int
    rows_out: int
    drops: Mapping[str, int] = field(default_factory=dict)
    """Dropped items by reason."""
    unit: Unit = "rows"
    n_ads: int | None = None
    """Distinct ads behind `rows_out`, where the unit is another."""
    repeated: int = 0
    """Rows that resampling drew again."""

    def as_json(self) -> dict[str, Any]:
        """The step as plain values."""
        # not asdict: it takes a Counter's items for things to count
        return {**vars(self), "drops": dict(sorted(self.drops.items()))}

    def cells(self) -> StepCells:
        """The step in words, as every table shows it; most frequent reasons first."""
        left_over = counted(self.rows_out, self.unit.removesuffix("s"))
        if self.n_ads is not None:
            left_over += f" of {counted(self.n_ads, 'ad')}"
        drops = sorted(self.drops.items(), key=lambda drop: (-drop[1], drop[0]))
        left = [f"{count:,} {readable(reason)}" for reason, count in drops if count]
        again = [f"+{self.repeated:,} drawn again"] if self.repeated else []
        return StepCells(readable(self.name), f"{self.rows_in:,}", left_over, [*left, *again])


class StepCells(NamedTuple):
    """A step of the funnel as text."""

    step: str
    rows_in: str
    rows_out: str
    dropped: list[str]


def count_funnel(
    catalog: Catalog, settings: Settings, frames: Mapping[str, TextFrame], planned: PlannedRelease | None
) -> list[FunnelStep]:
    """Count the funnel from the tables: the steps of each `Stage.step`, in the order of `STAGES`.

    Args:
        catalog: the tables.
        settings: those under which rows are current.
        frames: the result of `read_frames` under these settings.
        planned: the release; None where there can be none, and then its steps are left out.
    """
    reasons = _reasons(catalog, settings)
    counted = _of_found(catalog, settings, reasons) | _of_ads(catalog, settings, reasons, frames, planned)
    steps: list[FunnelStep] = []
    for stage in STAGES:
        if stage.step not in counted:
            counted[stage.step] = [_row_by_row(catalog, settings, stage, reasons)] if stage.step else []
        steps += counted[stage.step]
        counted[stage.step] = []
    return steps


@dataclass(frozen=True)
class PlannedRelease:
    """The number of rows of a planned release, and the reason of each frame that is not in it."""

    n_rows: int
    left_out: Mapping[str, str]


def _of_found(catalog: Catalog, settings: Settings, reasons: _Reasons) -> dict[str, list[FunnelStep]]:
    """The steps up to the ads and their comments, by title; no step where there is nothing to show."""
    n_ads, n_comments = catalog.count("ads"), catalog.count("comments")
    files, comments = (Counter(reasons[stage.name].values()) for stage in (SOURCE, COMMENTS))
    found = FunnelStep(COMMENTS.step, n_comments + comments.total(), n_comments, comments, "comments")
    scored = _row_by_row(catalog, settings, SCORES, reasons)
    return {
        DRAW.step: [_candidates(catalog, reasons)] if catalog.count("candidates") else [],
        SOURCE.step: [FunnelStep(SOURCE.step, n_ads + files.total(), n_ads, files, "ads")],
        # far more than ads: shown only where some were dropped
        COMMENTS.step: [found] if found.drops else [],
        SCORES.step: [scored] if scored.drops else [],
    }


def _of_ads(
    catalog: Catalog,
    settings: Settings,
    reasons: _Reasons,
    frames: Mapping[str, TextFrame],
    planned: PlannedRelease | None,
) -> dict[str, list[FunnelStep]]:
    """The steps of ads and of their frames, side by side: each goes on with what the one before kept."""
    more_than = settings.ocr.more_than_words

    def why(stage: Stage) -> Callable[[str], str]:
        return lambda key: reasons[stage.name].get(key, AWAITS_BUILD)

    ads: list[str] = catalog.values("ads", "video_id")
    ad_of = _current_frames(catalog, settings)
    sampled = set(ad_of.values())
    no_picture = {key: reason for key, reason in reasons[FRAMES.name].items() if key.rpartition(":")[0] in sampled}
    frame_steps = [
        _step("ads with frames", ads, sampled, why(FRAMES)),
        _step(FRAMES.step, [*ad_of, *no_picture], ad_of, no_picture.__getitem__, ad_of),
    ]

    kept = {key for key, frame in frames.items() if key in ad_of and frame.n_words > more_than}
    worded = {ad_of[key] for key in kept}
    unread = {ad for key, ad in ad_of.items() if key not in frames and key not in reasons[OCR.name]}
    word_steps = [
        _step(
            WORDS.step.format(more_than_words=more_than),
            ad_of,
            kept,
            lambda key: reasons[WORDS.name].get(key, WordReason.TOO_FEW_WORDS) if key in frames else why(OCR)(key),
            ad_of,
        ),
        _step(
            "ads with such frames",
            [ad for ad in ads if ad in sampled],
            worded,
            lambda ad: AWAITS_BUILD if ad in unread else ReleaseReason.NO_FRAME,
        ),
    ]

    settled: set[str] = set(catalog.values("labels", "video_id"))
    people_decide = {ad for ad, reason in reasons[REVIEW.name].items() if reason != ReviewReason.FRAME_EXCLUDED}
    by_comments = {*catalog.values("ad_sentiment", "video_id", where="label IS NOT NULL"), *settled, *people_decide}
    commented = [ad for ad in ads if ad in worded and ad in by_comments]
    review = _step(REVIEW.step, commented, settled, why(REVIEW))
    people = review.drops or catalog.values("labels", "video_id", where="n_reviewers > 0")
    of_kept = [key for key in ad_of if key in kept]
    of_labelled = [key for key in of_kept if ad_of[key] in settled]
    labelled = _step(
        "frames of labelled ads",
        of_kept,
        set(of_labelled),
        lambda key: OF_AD + why(REVIEW if ad_of[key] in by_comments else SENTIMENT)(ad_of[key]),
        ad_of,
    )
    released = _released([ad for ad in commented if ad in settled], of_labelled, ad_of, planned) if planned else []
    return {
        FRAMES.step: frame_steps,
        WORDS.step: word_steps,
        SENTIMENT.step: [_step(SENTIMENT.step, [ad for ad in ads if ad in worded], by_comments, why(SENTIMENT))],
        REVIEW.step: [review] if people else [],
        RELEASE.step: [labelled, *released],
    }


def _current_frames(catalog: Catalog, settings: Settings) -> dict[str, str]:
    """The ad of each current frame, by frame id."""
    columns = ["frame_id", "video_id"]
    frames = catalog.current("frames", upstream="ads", fingerprint=FRAMES.fingerprint(settings), columns=columns)
    return {frame["frame_id"]: frame["video_id"] for frame in frames.to_pylist()}


def _released(
    ads: Sequence[str], frames: Sequence[str], ad_of: Mapping[str, str], planned: PlannedRelease
) -> list[FunnelStep]:
    """The last steps: labelled ads and their frames, and the rows that they become."""
    of_ad: dict[str, list[str]] = defaultdict(list)
    for key in frames:
        of_ad[ad_of[key]].append(planned.left_out.get(key, ""))
    order: list[Reason] = list(ReleaseReason)
    released = {key for key in frames if key not in planned.left_out}

    def last_reason(ad: str) -> str:
        # its frames may have left for several reasons: the one that took the last of them
        return max(of_ad[ad], key=lambda reason: order.index(RELEASE.reason(reason)))

    in_release = {ad_of[key] for key in released}
    n_repeated = planned.n_rows - len(released)
    return [
        _step("ads in the release", ads, in_release, last_reason),
        _step("frames in the release", frames, released, planned.left_out.__getitem__, ad_of),
        FunnelStep(RELEASE.step, len(released), planned.n_rows, {}, "rows", len(in_release), n_repeated),
    ]


def _step(
    title: str,
    items: Collection[str],
    kept: Collection[str],
    why: Callable[[str], str],
    ad_of: Mapping[str, str] | None = None,
) -> FunnelStep:
    """A step that keeps some of its items; with `ad_of`, these are frames."""
    gone = Counter(str(why(item)) for item in items if item not in kept)
    n_ads = len({ad_of[item] for item in items if item in kept}) if ad_of is not None else None
    return FunnelStep(title, len(items), len(items) - gone.total(), gone, "ads" if ad_of is None else "frames", n_ads)


def _row_by_row(catalog: Catalog, settings: Settings, stage: Stage, reasons: _Reasons) -> FunnelStep:
    """The step of a stage that makes its rows one by one from all rows of another table."""
    why = reasons[stage.name]
    drops = Counter(why.get(item, AWAITS_BUILD) for item in _without_row(catalog, settings, stage, why))
    rows_in = catalog.count(stage.upstream)
    return FunnelStep(stage.step, rows_in, rows_in - drops.total(), drops, stage.step_unit)


def _without_row(catalog: Catalog, settings: Settings, stage: Stage, dropped: Collection[str]) -> Iterator[str]:
    """Keys of the upstream rows that the stage has no current row of."""
    if not dropped and Settled.of_stage(catalog, stage, settings).is_noted():
        return
    [key] = TABLES[stage.upstream].key
    # of no stage: its drops settle none
    without = catalog.pending(
        stage.table,
        upstream=stage.upstream,
        stage="",
        fingerprint=stage.fingerprint(settings),
        size=ROWS_LOOKED_AT,
        columns=[key],
    )
    for rows in without:
        keys: list[Any] = rows[key].to_pylist()
        yield from keys


def _candidates(catalog: Catalog, reasons: _Reasons) -> FunnelStep:
    """Count every candidate that a crawl listed as an ad, a drop of the draw, or a drop of a later stage."""
    ads = catalog.read("ads", ["video_id", "category"], where="source = 'youtube'").to_pylist()
    category_of = {ad["video_id"]: ad["category"] for ad in ads}
    lost = {ad: reason for stage in STAGES if stage.asks_youtube for ad, reason in reasons[stage.name].items()}
    drops: Counter[str] = Counter()
    candidates = catalog.read("candidates", ["category", "video_id"]).to_pylist()
    for row in candidates:
        ad, category = row["video_id"], row["category"]
        if category_of.get(ad) != category:
            drops[reasons[DRAW.name].get(f"{category}/{ad}") or lost.get(ad) or AWAITS_DRAW] += 1
    n_ads = len(candidates) - drops.total()
    return FunnelStep(DRAW.step, len(candidates), n_ads, drops, DRAW.step_unit, n_ads)


def _reasons(catalog: Catalog, settings: Settings) -> _Reasons:
    """The reasons of all drops; one that a stage dropped under other settings is to be decided anew."""
    current = {stage.name: stage.fingerprint(settings) for stage in STAGES if stage.upstream}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for drop in catalog.read("drops", ["stage", "key", "reason", "fingerprint"]).to_pylist():
        if drop["fingerprint"] == current.get(drop["stage"], drop["fingerprint"]):
            found[drop["stage"]][drop["key"]] = drop["reason"]
    return found
