"""The way of the ads in numbers: from files found to balanced rows, with the reasons of everything left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from data_catalog.catalog import Catalog
from flows.crawl.ads import COMMENT_STAGE
from flows.crawl.ads import STAGE as SOURCE_STAGE
from flows.ocr.kept import STAGE as WORDS_STAGE
from flows.ocr.kept import Frame
from flows.release.facts import FunnelStep
from flows.release.plan import STAGE as RELEASE_STAGE

FRAMES_STAGE = "frames"
OCR_STAGE = "ocr"
SENTIMENT_STAGE = "sentiment"


def count_funnel(
    catalog: Catalog, frames: Sequence[Frame], *, more_than_words: int, balanced_rows: int | None
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
    kept = [frame for frame in frames if frame.n_words > more_than_words]
    labelled = [frame for frame in kept if frame.video_id in labels]
    files, comments = drops[SOURCE_STAGE], drops[COMMENT_STAGE]
    n_comments = catalog.count("comments")
    # reasons of whole ads are drops of the sentiment stage; the release repeats them for each of their frames
    of_frames = Counter({reason: n for reason, n in drops[RELEASE_STAGE].items() if reason.startswith("ad_")})
    of_rows = Counter({r: n for r, n in drops[RELEASE_STAGE].items() if r not in of_frames and not r.startswith("no_")})
    words = drops[OCR_STAGE] + drops[WORDS_STAGE]
    steps = [
        FunnelStep("ads found", n_ads + files.total(), n_ads, files, "ads"),
        FunnelStep("comments", n_comments + comments.total(), n_comments, comments, "comments"),
        FunnelStep("ads labelled by their comments", n_ads, len(labels), drops[SENTIMENT_STAGE], "ads"),
        FunnelStep("frames sampled", n_ads, n_frames, drops[FRAMES_STAGE], "frames"),
        FunnelStep(f"frames with more than {more_than_words} words", n_frames, len(kept), words, "frames"),
        FunnelStep("frames of labelled ads", len(kept), len(labelled), of_frames, "frames"),
    ]
    if balanced_rows is not None:
        steps.append(FunnelStep("balanced rows", len(labelled), balanced_rows, of_rows, "rows"))
    return steps


def _drops_by_stage(catalog: Catalog) -> dict[str, Counter[str]]:
    by_stage: dict[str, Counter[str]] = {
        stage: Counter()
        for stage in (
            SOURCE_STAGE,
            COMMENT_STAGE,
            FRAMES_STAGE,
            OCR_STAGE,
            WORDS_STAGE,
            SENTIMENT_STAGE,
            RELEASE_STAGE,
        )
    }
    for drop in catalog.read("drops", ["stage", "reason"]).to_pylist():
        by_stage.setdefault(drop["stage"], Counter())[drop["reason"]] += 1
    return by_stage
