"""Explanations of a text's strengths and of an ad's label, as tables for people or JSON for programs.

Texts come from strangers: every piece of them is printed as plain text with its control characters escaped, and of a
very long one only a readable part is explained and shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_catalog.printing import plain, printable, shown
from flows.errors import SentimentError
from flows.sentiment.sentistrength import Explanation, Scorer, Strength, explain
from flows.sentiment.sentistrength.reasons import Rule, SentenceExplanation, Step
from flows.sentiment.sentistrength.tokens import Kind

if TYPE_CHECKING:
    from data_catalog.catalog import Catalog
    from flows.settings import SentimentSettings

EXPLAINED_CHARACTERS = 100_000
"""Of a longer text only the beginning is explained; its strengths are the whole text's."""
COMMENT_CHARACTERS = 10_000
"""Of a comment, at most, are explained; YouTube takes none that is longer."""
SENTENCES_SHOWN, WORDS_SHOWN, WORD_CHARACTERS, REASON_CHARACTERS = 20, 40, 40, 160
SCORED_CHARACTERS = 400
AD_TEXT_CHARACTERS, AD_WORD_CHARACTERS, AD_WORDS_SHOWN = 80, 24, 4
AD_RULES = (Rule.EMPHASIS, Rule.BOOSTED, Rule.NEGATED, Rule.NEIGHBOUR, Rule.IDIOM, Rule.EMOTICON)
"""Named beside a word of an ad's comment, in this order; most words are listed."""


@dataclass(frozen=True)
class Explained:
    """A whole text's strengths, and the reasons as far as the text was explained."""

    text: str
    strength: Strength
    explanation: Explanation

    @property
    def is_whole(self) -> bool:
        """The whole text is explained."""
        return len(self.explanation.text) == len(self.text)

    def as_json(self) -> dict[str, Any]:
        """Text, strengths and sentences as plain values, nothing shortened."""
        return {
            "text": self.text,
            "scored_text": self.explanation.scored,
            **self.strength._asdict(),
            "explained_characters": len(self.explanation.text),
            "sentences": [
                {
                    **sentence.strength._asdict(),
                    "reasons": list(sentence.reasons),
                    "words": [_step_as_json(step) for step in sentence.steps],
                }
                for sentence in self.explanation.sentences
            ],
        }


def explain_text(scorer: Scorer, text: str, at_most: int = EXPLAINED_CHARACTERS) -> Explained:
    """Score a text and explain it; of one longer than `at_most` characters only the beginning, up to a space."""
    if len(text) <= at_most:
        explanation = explain(scorer, text)
        return Explained(text, explanation.strength, explanation)
    beginning = text[:at_most].rpartition(" ")[0] or text[:at_most]
    return Explained(text, scorer.score(text), explain(scorer, beginning))


def render_explanation(explained: Explained) -> RenderableType:
    """A table for every sentence, then the text's strengths and the sentences that they come from."""
    sentences = explained.explanation.sentences
    deciding = _deciding(explained.explanation)
    numbers = [n for n in range(1, len(sentences) + 1) if n <= SENTENCES_SHOWN or n in deciding]
    parts = [part for n in numbers for part in _render_sentence(n, sentences[n - 1])]
    if explained.explanation.scored != explained.explanation.text:
        parts.append(Text(f"scored as: {shown(explained.explanation.scored, SCORED_CHARACTERS)}"))
    if hidden := len(sentences) - len(numbers):
        parts.append(Text(f"{hidden:,} more sentences, none of them stronger; --json tells of all"))
    if not explained.is_whole:
        part, whole = len(explained.explanation.text), len(explained.text)
        parts.append(Text(f"explained: the first {part:,} of {whole:,} characters; scored: all of them"))
    sides = zip(("positive", "negative"), explained.strength, explained.explanation.strength, deciding, strict=True)
    parts.append(Text(", ".join(f"{side} {size}{_from(size, part, n)}" for side, size, part, n in sides), "bold"))
    return Group(*parts)


def _deciding(explanation: Explanation) -> tuple[int | None, int | None]:
    """Numbers of the first sentences that are as positive and as negative as the text; None where it is neutral."""
    (positive, negative), sentences = explanation.strength, explanation.sentences
    return (
        next((n for n, s in enumerate(sentences, 1) if s.strength.positive == positive > 1), None),
        next((n for n, s in enumerate(sentences, 1) if s.strength.negative == negative < -1), None),
    )


def _from(size: int, explained_size: int, sentence: int | None) -> str:
    if size != explained_size:
        return " (further on than is explained)"
    return f" (sentence {sentence})" if sentence else ""


def _render_sentence(number: int, sentence: SentenceExplanation) -> Iterator[RenderableType]:
    title = f"sentence {number}: {sentence.strength.positive} {sentence.strength.negative}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("word", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    steps = [step for step in sentence.steps if step.reasons or step.kind is Kind.WORD]
    strongest = _strongest(steps)
    for step in strongest:
        score = f"{step.score:+g}" if step.score else "0" if step.reasons else ""
        why = shown("; ".join(step.reasons), REASON_CHARACTERS)
        table.add_row(Text(shown(step.written, WORD_CHARACTERS)), score, Text(why))
    yield table
    if hidden := len(steps) - len(strongest):
        yield Text(f"  {hidden:,} more words, none of them stronger; --json tells of all")
    yield from (Text(f"  = {printable(reason)}") for reason in sentence.reasons)
    yield Text()


def _strongest(steps: Sequence[Step]) -> list[Step]:
    """The strongest of a sentence's words in their order, all of them if they are few."""
    places = sorted(range(len(steps)), key=lambda place: (-abs(steps[place].score), not steps[place].reasons))
    return [steps[place] for place in sorted(places[:WORDS_SHOWN])]


def _step_as_json(step: Step) -> dict[str, Any]:
    return {
        "written": step.written,
        "spelling": step.spelling,
        "kind": step.kind.value,
        "score": round(step.score, 6),
        "reasons": list(step.reasons),
    }


@dataclass(frozen=True)
class ExplainedComment:
    """A comment with the strengths that the catalog has for it, and the words that made them."""

    comment_id: str
    positive: int
    negative: int
    likes: int
    left_out: str | None
    """Reason why it does not count in the ad's mean."""
    text: str
    words: list[str]
    """Such as `love +3 boosted`, the strongest first."""
    scored_otherwise: Strength | None
    """Its strengths by the present word lists, where they differ from the catalog's."""


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
    import pyarrow.compute as pc

    from data_catalog.inspect import require_catalog
    from flows.sentiment.selection import COMMENT_COLUMNS, SCORE_COLUMNS, with_reasons

    require_catalog(catalog)
    of_ad = pc.field("video_id") == video_id
    sentiment = catalog.read("ad_sentiment", where=of_ad).to_pylist()
    if not sentiment:
        if catalog.values("ads", "video_id", of_ad):
            raise SentimentError(
                f"{catalog.root}: ad {video_id!r} is not scored yet; `ytb-ads build` scores its comments"
            )
        hint = "`ytb-ads catalog show ads --columns video_id,title` lists them"
        raise SentimentError(f"{catalog.root}: no ad {video_id!r} here; {hint}")
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
    counted = {name.removeprefix("n_").replace("_", " "): row[name] for name in row if name.startswith("n_")}
    counts = ", ".join(f"{count:,} {name}" for name, count in counted.items() if count is not None)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("strengths", "likes", "left out", "text", "made by"):
        table.add_column(name, no_wrap=name not in ("text", "made by"))  # these give way where it is narrow
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
    said = (shown(text, AD_TEXT_CHARACTERS) for text in (comment.text, words))
    return strengths, f"{comment.likes:,}", left_out, *said


def _notes(ad: ExplainedAd) -> Iterator[str]:
    if ad.n_more:
        yield f"{ad.n_more:,} more comments, none of them stronger; `sentiment explain --ad ID --limit N` shows more"
    if ad.n_without_score:
        yield f"comments without a score: {ad.n_without_score:,}"
    if otherwise := sum(comment.scored_otherwise is not None for comment in ad.comments):
        yield (
            f"comments that come out otherwise with the word lists that explain them: {otherwise:,}; "
            "the catalog was scored with others, or by the engine java"
        )


def _explain_comment(scorer: Scorer, comment: dict[str, Any], text: str) -> ExplainedComment:
    explained = explain_text(scorer, text, COMMENT_CHARACTERS)
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
        " ".join([shown(step.written, AD_WORD_CHARACTERS), f"{step.score:+g}", *filter(step.rules.get, AD_RULES)])
        for step in steps
    )
    return list(dict.fromkeys(words))[:AD_WORDS_SHOWN]
