"""The funnel: rows in and out of every step from candidates to balanced rows, with the reasons of what was dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_catalog.catalog import Catalog
from data_catalog.inspect import require_catalog
from data_catalog.releases import list_releases, read_manifest
from flows.ocr.texts import TextFrame, read_frames
from flows.settings import load_settings
from flows.stages import (
    COMMENTS,
    DRAW,
    FRAMES,
    OCR,
    RELEASE,
    REVIEW,
    SENTIMENT,
    SOURCE,
    STAGES,
    WORDS,
    FunnelStep,
    ReleaseReason,
    ReviewReason,
    Stage,
    WordReason,
)

_Drops = dict[str, Counter[str]]


@dataclass(frozen=True)
class Status:
    """A catalog's funnel and newest release."""

    funnel: list[FunnelStep]
    release: str | None
    """Version of the newest release."""
    synthetic: bool
    """Some of its ads were rendered, not crawled."""

    def as_json(self) -> dict[str, Any]:
        """The status as plain values."""
        return {**vars(self), "funnel": [step.as_json() for step in self.funnel]}


def read_status(root: str, config: Path | None) -> Status:
    """Count the funnel and look up the newest release, without running anything.

    Raises:
        CatalogError: there is no catalog.
    """
    settings = load_settings(config)
    catalog = Catalog(root)
    require_catalog(catalog)
    frames = read_frames(catalog, settings)
    releases = list_releases(catalog.releases_dir)
    rows = sum(split["rows"] for split in read_manifest(releases[-1])["splits"].values()) if releases else None
    more_than = settings.ocr.more_than_words
    return Status(
        funnel=count_funnel(catalog, list(frames.values()), more_than_words=more_than, balanced_rows=rows),
        release=releases[-1].name if releases else None,
        synthetic=bool(catalog.values("ads", "video_id", where="synthetic")),
    )


def count_funnel(
    catalog: Catalog, frames: Sequence[TextFrame], *, more_than_words: int, balanced_rows: int | None
) -> list[FunnelStep]:
    """Count the funnel from the tables: one step for each `Stage.step`, in the order of `STAGES`.

    Args:
        catalog: the tables.
        frames: every current frame with its text.
        more_than_words: frames with more words are kept.
        balanced_rows: rows of the release; None while there is none, and then that step is left out.
    """
    drops = _drops_by_stage(catalog)
    counted = _counted(catalog, drops, frames, more_than_words, balanced_rows)
    steps: list[FunnelStep] = []
    for title in dict.fromkeys(stage.step for stage in STAGES if stage.step):
        stages = [stage for stage in STAGES if stage.step == title]
        steps += counted[title] if title in counted else [_generic(catalog, stages, drops)]
    return steps


def _generic(catalog: Catalog, stages: Sequence[Stage], drops: _Drops) -> FunnelStep:
    """A step of stages whose input and output are whole tables."""
    first, last = stages[0], stages[-1]
    reasons = sum((drops[stage.name] for stage in stages), Counter[str]())
    return FunnelStep(first.step, catalog.count(first.upstream), catalog.count(last.table), reasons, last.step_unit)


def _counted(
    catalog: Catalog, drops: _Drops, frames: Sequence[TextFrame], more_than_words: int, balanced_rows: int | None
) -> dict[str, list[FunnelStep]]:
    """The steps that need more than the sizes of two tables, by title; no step where there is nothing to show."""
    n_ads, n_frames, n_comments = (catalog.count(table) for table in ("ads", "frames", "comments"))
    labels = set(catalog.values("labels", "video_id"))
    unjudged = Counter({why: n for why, n in drops[REVIEW.name].items() if why != ReviewReason.FRAME_EXCLUDED})
    n_labelled = len(labels) + unjudged.total()
    people_judge = unjudged or catalog.values("labels", "video_id", where="n_reviewers > 0")
    kept = [frame for frame in frames if frame.n_words > more_than_words]
    labelled = [frame for frame in kept if frame.video_id in labels]
    words = drops[OCR.name] + Counter({WordReason.TOO_FEW_WORDS.value: len(frames) - len(kept)})
    # under other settings than the last build's, some frames have no text of theirs yet
    words["awaits_the_next_build"] = n_frames - len(frames) - drops[OCR.name].total()
    # the release's drops are of frames for their ad's sake, of ads for their frames' sake, and of rows
    of_release = {reason: (RELEASE.reason(reason), count) for reason, count in drops[RELEASE.name].items()}
    of_frames = Counter({reason: n for reason, (kind, n) in of_release.items() if kind is ReleaseReason.OF_AD})
    not_rows = (ReleaseReason.OF_AD, ReleaseReason.NO_FRAME)
    of_rows = Counter({reason: n for reason, (kind, n) in of_release.items() if kind not in not_rows})
    files, comments = drops[SOURCE.name], drops[COMMENTS.name]

    def step(stage: Stage, rows_in: int, rows_out: int, reasons: Counter[str]) -> FunnelStep:
        title = stage.step.format(more_than_words=more_than_words)
        return FunnelStep(title, rows_in, rows_out, reasons, stage.step_unit)

    return {
        DRAW.step: [_candidates(catalog)] if catalog.count("candidates") else [],
        SOURCE.step: [step(SOURCE, n_ads + files.total(), n_ads, files)],
        # far more than ads: shown only where some were dropped
        COMMENTS.step: [step(COMMENTS, n_comments + comments.total(), n_comments, comments)] if comments else [],
        SENTIMENT.step: [step(SENTIMENT, n_ads, n_labelled, drops[SENTIMENT.name])],
        REVIEW.step: [step(REVIEW, n_labelled, len(labels), unjudged)] if people_judge else [],
        FRAMES.step: [step(FRAMES, n_ads, n_frames, drops[FRAMES.name])],
        WORDS.step: [step(WORDS, n_frames, len(kept), +words)],  # without reasons that count nothing
        RELEASE.step: [
            FunnelStep("frames of labelled ads", len(kept), len(labelled), of_frames, "frames"),
            *([] if balanced_rows is None else [step(RELEASE, len(labelled), balanced_rows, of_rows)]),
        ],
    }


def _candidates(catalog: Catalog) -> FunnelStep:
    """Count every candidate that a crawl listed as an ad, a drop of the draw, or a drop of a later stage."""
    ads = catalog.read("ads", ["video_id", "category"], where="source = 'youtube'").to_pylist()
    category_of = {ad["video_id"]: ad["category"] for ad in ads}
    drops = catalog.read("drops", ["stage", "key", "reason"]).to_pylist()
    losing = {stage.name for stage in STAGES if stage.asks_youtube}
    undrawn = {drop["key"]: drop["reason"] for drop in drops if drop["stage"] == DRAW.name}
    lost = {drop["key"]: drop["reason"] for drop in drops if drop["stage"] in losing}
    reasons: Counter[str] = Counter()
    candidates = catalog.read("candidates", ["category", "video_id"]).to_pylist()
    for row in candidates:
        if category_of.get(row["video_id"]) == row["category"]:
            continue
        reason = undrawn.get(f"{row['category']}/{row['video_id']}") or lost.get(row["video_id"])
        reasons[reason or "awaits_the_draw"] += 1
    return FunnelStep(DRAW.step, len(candidates), len(candidates) - reasons.total(), reasons, DRAW.step_unit)


def _drops_by_stage(catalog: Catalog) -> _Drops:
    by_stage: _Drops = defaultdict(Counter)
    for drop in catalog.read("drops", ["stage", "reason"]).to_pylist():
        by_stage[drop["stage"]][drop["reason"]] += 1
    return by_stage
