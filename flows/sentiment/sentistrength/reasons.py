"""Reasons for a text's strengths: the rules that acted on each word, then the sum of each sentence.

The steps are those that the scoring itself records while it runs, so that a text is never explained by anything other
than what scored it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from flows.sentiment.sentistrength.scorer import Scorer, Strength, Summed, Trace, Weighed, weigh
from flows.sentiment.sentistrength.tokens import Kind, segments


class Rule(StrEnum):
    """A rule that acted on a term; the value is its name in a few words."""

    SPELLING = "spelling"
    IDIOM = "idiom"
    NAME = "name"
    LISTED = "listed"
    EMPHASIS = "emphasised"
    BOOSTED = "boosted"
    NEGATED = "negated"
    NEIGHBOUR = "second strong word"
    BOOSTS = "boosts"
    NEGATES = "negates"
    EMOTICON = "emoticon"
    EXCLAMATION = "exclamation"


@dataclass(frozen=True, slots=True)
class Step:
    """One term of a sentence: as written, as looked up, its score, and the rules that acted, in their order."""

    written: str
    kind: Kind
    spelling: str
    score: float
    """From 0: +1 is a word listed as 2. Of an emoticon, its own strength."""
    rules: Mapping[Rule, str]
    """Each with a phrase that says what it did."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The phrases of the rules."""
        return tuple(self.rules.values())


@dataclass(frozen=True, slots=True)
class SentenceExplanation:
    """The steps of one sentence, its strengths, and the way from its strongest words to them."""

    steps: tuple[Step, ...]
    strength: Strength
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A text's strengths and the sentences that they come from: the strongest of either sign."""

    text: str
    scored: str
    """The text that was scored in its place: it differs where the scorer reads otherwise than the original."""
    strength: Strength
    sentences: tuple[SentenceExplanation, ...]


def explain(scorer: Scorer, text: str) -> Explanation:
    """Score a text and keep the reasons; the strength is that of `scorer.score`."""
    trace: Trace = []
    scored = scorer.reading.scored(text)
    terms = [term for segment in segments(scored) for term in scorer.terms(segment)]
    strength = weigh(terms, trace)
    return Explanation(text, scored, strength, tuple(_sentences(trace)))


def _sentences(trace: Trace) -> Iterator[SentenceExplanation]:
    """Cut the scoring's steps where it summed a sentence up; sentences without a term, such as `<br>`'s, left out."""
    steps: list[Step] = []
    for step in trace:
        if isinstance(step, Weighed):
            steps.append(_step(step))
        elif steps:
            yield SentenceExplanation(tuple(steps), step.strength, tuple(_reasons_for_sentence(step)))
            steps = []


def _step(weighed: Weighed) -> Step:
    token = weighed.term.token
    rules = _rules_of_word(weighed) if token.kind is Kind.WORD else _rules_of_mark(weighed)
    return Step(token.written, token.kind, weighed.term.spelling, weighed.score, dict(rules))


def _rules_of_word(weighed: Weighed) -> Iterator[tuple[Rule, str]]:
    term = weighed.term
    if term.spelling != term.token.written.lower():
        yield Rule.SPELLING, f"spelt {term.spelling!r}"
    if weighed.source == "idiom":
        yield Rule.IDIOM, f"idiom {weighed.base:+d}"
    elif weighed.source == "name":
        if term.strength:
            yield Rule.NAME, "a name, so not scored"
    elif term.found:
        yield Rule.LISTED, f"listed as {term.found.entry!r} {weighed.base:+d}"
    if weighed.stress:
        yield Rule.EMPHASIS, f"emphasised by {term.letters!r} {weighed.stress:+g}"
    if weighed.boost:
        yield Rule.BOOSTED, f"boosted by the word before {weighed.boost:+d}"
    if weighed.negated and (weighed.base or weighed.stress):
        yield Rule.NEGATED, "negated"
    if weighed.neighbour:
        yield Rule.NEIGHBOUR, f"second strong word in a row {weighed.neighbour:+d}"
    if term.booster:
        yield Rule.BOOSTS, f"boosts the next word {term.booster:+d}"
    if term.negates:
        yield Rule.NEGATES, "negates what follows"


def _rules_of_mark(weighed: Weighed) -> Iterator[tuple[Rule, str]]:
    if weighed.term.token.kind is Kind.EMOTICON:
        yield Rule.EMOTICON, "emoticon, added to the word before" if weighed.added else "emoticon"
    elif weighed.term.exclaims:
        yield Rule.EXCLAMATION, "exclamation" if weighed.exclaimed else "exclamation before any word, not counted"


def _reasons_for_sentence(summed: Summed) -> Iterator[str]:
    """The way from the strongest scores to the sentence's strengths ("Sentence result")."""
    positive, negative = summed.rounded
    yield f"strongest {summed.highest:+g} and {summed.lowest:+g}, one further from 0 and rounded: {positive} {negative}"
    if summed.missed and positive == 1:
        positive = 2
        yield "with 'miss' in it, a positive of 1 is 2"
    if summed.exclaimed:
        stronger = "positive" if positive >= -negative else "negative"
        yield f"the exclamation mark makes the {stronger} strength one stronger"
    if summed.strength.positive == 5 or summed.strength.negative == -5:
        yield "5 and -5 are the strongest there are"
