"""Why an ad has its label: what its comments came to, then the comments themselves, the strongest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_catalog.catalog import Catalog
from data_catalog.inspect import require_catalog
from data_catalog.printing import plain, shown
from flows.errors import SentimentError
from flows.sentiment.explaining import explain_text
from flows.sentiment.selection import COMMENT_COLUMNS, SCORE_COLUMNS, with_reasons
from flows.sentiment.sentistrength import Explanation, Scorer, Strength
from flows.settings import SentimentSettings

EXPLAINED_CHARACTERS = 10_000
"""Of each comment, at most; YouTube takes none that is longer."""
TEXT_CHARACTERS, WORD_CHARACTERS, WORDS_SHOWN = 80, 24, 4
_TELLING = ("emphasised", "boosted", "negated", "second strong word", "idiom", "emoticon")
"""Beginnings of the reasons that are told beside a word; that it is listed goes without saying."""
_COLUMNS = ("strengths", "likes", "left out", "text", "made by")


@dataclass(frozen=True)
class ExplainedComment:
    """A comment with the strengths that the catalog has for it, and the words that made them."""

    comment_id: str
    positive: int
    negative: int
    likes: int
    left_out: str | None
    """Why it does not count in the ad's mean."""
    text: str
    words: list[str]
    """Such as `love +3 boosted`, the strongest first."""
    scored_otherwise: Strength | None
    """What the present word lists make of it, where that is not what the catalog has."""


@dataclass(frozen=True)
class ExplainedAd:
    """An ad's row of `ad_sentiment` and its strongest comments."""

    sentiment: dict[str, Any]
    comments: list[ExplainedComment]
    n_more: int
    n_without_score: int

    def as_json(self) -> dict[str, Any]:
        """The ad as plain values."""
        sentiment = {name: plain(value) for name, value in self.sentiment.items() if name != "fingerprint"}
        comments = [
            {**asdict(c), "scored_otherwise": c.scored_otherwise and c.scored_otherwise._asdict()}
            for c in self.comments
        ]
        return {**sentiment, "comments": comments, "n_more": self.n_more, "n_without_score": self.n_without_score}


def explain_ad(
    catalog: Catalog, video_id: str, scorer: Scorer, settings: SentimentSettings, *, limit: int
) -> ExplainedAd:
    """The ad's sentiment and its strongest comments, explained by the scorer.

    Args:
        catalog: where the ad and its scores are.
        video_id: the ad.
        scorer: explains the comments.
        settings: tell which comments do not count.
        limit: comments at most.

    Raises:
        CatalogError: there is no catalog.
        SentimentError: there is no such ad, or it is not scored.
    """
    require_catalog(catalog)
    of_ad = pc.field("video_id") == video_id
    sentiment = catalog.read("ad_sentiment", where=of_ad).to_pylist()
    if not sentiment:
        raise SentimentError(_why_missing(catalog, video_id, known=bool(catalog.values("ads", "video_id", of_ad))))
    comments = catalog.read("comments", ["text", *COMMENT_COLUMNS], of_ad)
    texts = dict(zip(comments["comment_id"].to_pylist(), comments["text"].to_pylist(), strict=True))
    scores = catalog.read("comment_scores", SCORE_COLUMNS, of_ad)
    scored = with_reasons(scores, comments, language=settings.language, leave_out=settings.leave_out).to_pylist()
    scored.sort(key=lambda c: (-max(c["positive"], -c["negative"]), -c["likes"], c["comment_id"]))
    return ExplainedAd(
        sentiment=sentiment[0],
        comments=[_explain_comment(scorer, comment, texts[comment["comment_id"]] or "") for comment in scored[:limit]],
        n_more=len(scored[limit:]),
        n_without_score=comments.num_rows - len(scored),
    )


def render_ad(ad: ExplainedAd) -> RenderableType:
    """Label, mean and counts, then one line for each comment."""
    row = ad.sentiment
    counts = ", ".join(f"{row[name]:,} {name.removeprefix('n_').replace('_', ' ')}" for name in _counts(row))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(
            name, no_wrap=name in ("strengths", "likes", "left out")
        )  # the others give way where it is narrow
    for comment in ad.comments:
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in _cells(comment)))
    return Group(
        Text(f"ad {shown(row['video_id'])}: {row['label'] or 'no label'}, {_mean(row)}", "bold"),
        Text(counts),
        *([table] if ad.comments else []),
        *map(Text, _notes(ad)),
    )


def _mean(row: dict[str, Any]) -> str:
    if row["mean_score"] is None:
        return f"no mean ({row['aggregation']})"
    interval = "" if row["mean_low"] is None else f", 95 % interval {row['mean_low']:.2f} to {row['mean_high']:.2f}"
    support = "" if row["label_support"] is None else f"; {row['label_support']:.0%} of the draws come to this label"
    return f"mean {row['mean_score']:.2f} ({row['aggregation']}){interval}{support}"


def _cells(comment: ExplainedComment) -> tuple[str, ...]:
    strengths = f"{comment.positive:+d} {comment.negative:+d}"
    words = ", ".join(comment.words)
    left_out = (comment.left_out or "").replace("_", " ")
    said = (shown(text, TEXT_CHARACTERS) for text in (comment.text, words))
    return strengths, f"{comment.likes:,}", left_out, *said


def _counts(row: dict[str, Any]) -> Iterator[str]:
    return (name for name in row if name.startswith("n_") and row[name] is not None)


def _notes(ad: ExplainedAd) -> Iterator[str]:
    if ad.n_more:
        yield f"{ad.n_more:,} more comments, none of them stronger; --limit shows more"
    if ad.n_without_score:
        yield f"comments without a score: {ad.n_without_score:,}"
    if otherwise := sum(comment.scored_otherwise is not None for comment in ad.comments):
        yield (
            f"comments that come out otherwise with the word lists that explain them: {otherwise:,}; "
            "the catalog was scored with others, or by the engine java"
        )


def _explain_comment(scorer: Scorer, comment: dict[str, Any], text: str) -> ExplainedComment:
    explained = explain_text(scorer, text, EXPLAINED_CHARACTERS)
    strength = Strength(comment["positive"], comment["negative"])
    return ExplainedComment(
        comment_id=comment["comment_id"],
        positive=strength.positive,
        negative=strength.negative,
        likes=comment["likes"],
        left_out=comment["left_out"],
        text=text,
        words=_words(explained.explanation),
        scored_otherwise=None if explained.strength == strength else explained.strength,
    )


def _words(explanation: Explanation) -> list[str]:
    steps = [step for sentence in explanation.sentences for step in sentence.steps if step.score]
    steps.sort(key=lambda step: -abs(step.score))
    words = (
        " ".join([shown(step.written, WORD_CHARACTERS), f"{step.score:+g}", *_telling(step.reasons)]) for step in steps
    )
    return list(dict.fromkeys(words))[:WORDS_SHOWN]


def _telling(reasons: Sequence[str]) -> Iterator[str]:
    return (word for word in _TELLING if any(reason.startswith(word) for reason in reasons))


def _why_missing(catalog: Catalog, video_id: str, *, known: bool) -> str:
    if known:
        return f"{catalog.root}: ad {video_id!r} is not scored yet; `ytb-ads build` scores its comments"
    return f"{catalog.root}: no ad {video_id!r} here; `ytb-ads catalog show ads --columns video_id,title` lists them"
