"""Why a text has its strengths, for people and for programs: a table for every sentence, or JSON.

Texts come from strangers: every piece of them is printed as plain text with its control characters escaped, and of a
very long one only as much is explained and shown as anybody could read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from data_catalog.printing import printable, shown
from flows.sentiment.sentistrength import Explanation, Scorer, Strength, explain
from flows.sentiment.sentistrength.explanation import SentenceExplanation, Step
from flows.sentiment.sentistrength.tokens import Kind

EXPLAINED_CHARACTERS = 100_000
"""Of a longer text only the beginning is explained; its strengths are the whole text's."""
SENTENCES_SHOWN, WORDS_SHOWN, WORD_CHARACTERS, REASON_CHARACTERS = 20, 40, 40, 160


@dataclass(frozen=True)
class Explained:
    """A whole text's strengths, and the reasons as far as the text was explained."""

    text: str
    strength: Strength
    explanation: Explanation

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left unexplained."""
        return len(self.explanation.text) == len(self.text)

    def as_json(self) -> dict[str, Any]:
        """Text, strengths and sentences as plain values, nothing shortened."""
        return {
            "text": self.text,
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
    """Score a text and say why; of a text longer than `at_most` characters only the beginning, up to a space."""
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
    telling = _most_telling(steps)
    for step in telling:
        score = f"{step.score:+g}" if step.score else "0" if step.reasons else ""
        why = shown("; ".join(step.reasons), REASON_CHARACTERS)
        table.add_row(Text(shown(step.written, WORD_CHARACTERS)), score, Text(why))
    yield table
    if hidden := len(steps) - len(telling):
        yield Text(f"  {hidden:,} more words, none of them stronger; --json tells of all")
    yield from (Text(f"  = {printable(reason)}") for reason in sentence.reasons)
    yield Text()


def _most_telling(steps: Sequence[Step]) -> list[Step]:
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
