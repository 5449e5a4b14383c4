"""The way of the ads in numbers: from files found to balanced rows, with the reasons of everything left behind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from data_catalog.catalog import Catalog
from flows.crawl.draw import STAGE as DRAW_STAGE
from flows.crawl.records import COMMENT_STAGE
from flows.crawl.records import STAGE as SOURCE_STAGE
from flows.crawl.status import LOSING_STAGES
from flows.frames.sampling import STAGE as FRAMES_STAGE
from flows.ocr.texts import STAGE as OCR_STAGE
from flows.ocr.texts import TOO_FEW, TextFrame
from flows.release.facts import FunnelStep
from flows.release.plan import NO_FRAME, OF_AD
from flows.release.plan import STAGE as RELEASE_STAGE
from flows.review.human import FRAME_EXCLUDED
from flows.review.human import STAGE as REVIEW_STAGE
from flows.sentiment.ads import STAGE as SENTIMENT_STAGE


def count_funnel(
    catalog: Catalog, frames: Sequence[TextFrame], *, more_than_words: int, balanced_rows: int | None
) -> list[FunnelStep]:
    """Count the funnel from the tables.

    Args:
        catalog: the tables.
        frames: every current frame with its text.
        more_than_words: frames with more words are kept.
        balanced_rows: rows of the release; None while there is none, and then that step is left out.
    """
    drops = _drops_by_stage(catalog)
    n_ads = catalog.count("ads")
    n_frames = catalog.count("frames")
    labels = set(catalog.values("labels", "video_id"))
    unjudged = Counter({why: count for why, count in drops[REVIEW_STAGE].items() if why != FRAME_EXCLUDED})
    n_labelled = len(labels) + unjudged.total()
    kept = [frame for frame in frames if frame.n_words > more_than_words]
    labelled = [frame for frame in kept if frame.video_id in labels]
    files, comments = drops[SOURCE_STAGE], drops[COMMENT_STAGE]
    # the release's drops are of frames for their ad's sake, of ads for their frames' sake, and of rows
    of_release = drops[RELEASE_STAGE]
    of_frames = Counter({reason: count for reason, count in of_release.items() if reason.startswith(OF_AD)})
    of_rows = of_release - of_frames - Counter({NO_FRAME: of_release[NO_FRAME]})
    words = drops[OCR_STAGE] + Counter({TOO_FEW: len(frames) - len(kept)})
    # under other settings than the last build's, some frames have no text of theirs yet
    words["awaits_the_next_build"] = n_frames - len(frames) - drops[OCR_STAGE].total()
    words = +words  # without what counts nothing
    people_judge = unjudged or catalog.values("labels", "video_id", where="n_reviewers > 0")
    by_people = [FunnelStep("ads labelled by people", n_labelled, len(labels), unjudged, "ads")] if people_judge else []
    steps = [
        FunnelStep("ads found", n_ads + files.total(), n_ads, files, "ads"),
        FunnelStep("ads labelled by their comments", n_ads, n_labelled, drops[SENTIMENT_STAGE], "ads"),
        *by_people,
        FunnelStep("frames sampled", n_ads, n_frames, drops[FRAMES_STAGE], "frames"),
        FunnelStep(f"frames with more than {more_than_words} words", n_frames, len(kept), words, "frames"),
        FunnelStep("frames of labelled ads", len(kept), len(labelled), of_frames, "frames"),
    ]
    if catalog.count("candidates"):
        steps.insert(0, _candidates(catalog))
    if comments:
        # not a step on the way of the ads, and far more of them: shown only where it has something to tell
        n_comments = catalog.count("comments")
        after = next(i for i, step in enumerate(steps) if step.name == "ads found") + 1
        steps.insert(after, FunnelStep("comments", n_comments + comments.total(), n_comments, comments, "comments"))
    if balanced_rows is not None:
        steps.append(FunnelStep("balanced rows", len(labelled), balanced_rows, of_rows, "rows"))
    return steps


def _candidates(catalog: Catalog) -> FunnelStep:
    """What became of every candidate that a crawl listed: an ad, a drop of the draw, or one of a later step."""
    ads = catalog.read("ads", ["video_id", "category"], where="source = 'youtube'").to_pylist()
    category_of = {ad["video_id"]: ad["category"] for ad in ads}
    drops = catalog.read("drops", ["stage", "key", "reason"]).to_pylist()
    undrawn = {drop["key"]: drop["reason"] for drop in drops if drop["stage"] == DRAW_STAGE}
    lost = {drop["key"]: drop["reason"] for drop in drops if drop["stage"] in LOSING_STAGES}
    reasons: Counter[str] = Counter()
    candidates = catalog.read("candidates", ["category", "video_id"]).to_pylist()
    for row in candidates:
        if category_of.get(row["video_id"]) == row["category"]:
            continue
        reason = undrawn.get(f"{row['category']}/{row['video_id']}") or lost.get(row["video_id"])
        reasons[reason or "awaits_the_draw"] += 1
    return FunnelStep("candidates listed", len(candidates), len(candidates) - reasons.total(), reasons, "ads")


def _drops_by_stage(catalog: Catalog) -> dict[str, Counter[str]]:
    by_stage: dict[str, Counter[str]] = defaultdict(Counter)
    for drop in catalog.read("drops", ["stage", "reason"]).to_pylist():
        by_stage[drop["stage"]][drop["reason"]] += 1
    return by_stage
