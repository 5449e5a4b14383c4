"""Scores texts: one pass over the terms of a text, every term's own facts looked up once and remembered.

The rules are in docs/sentistrength.md, "Scoring a sentence" and "Text result". Sums are in double precision: the
original rounds in single, but no sum of whole numbers, halves and one 0.6 comes near a half without being one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat, takewhile
from math import floor
from pathlib import Path
from typing import Literal, NamedTuple

from flows.sentiment.sentistrength.lexicon import Lexicon
from flows.sentiment.sentistrength.lookup import Cache
from flows.sentiment.sentistrength.reading import AS_ORIGINAL, Reading
from flows.sentiment.sentistrength.tokens import (
    END,
    MARK,
    PLAIN,
    SHARED,
    Kind,
    Term,
    Token,
    Tokenizer,
    emphasises,
    frees_proper,
    looks_proper,
    segments,
    without_modifiers,
)

EMPHASIS = 0.6
_SEGMENTS, _WORDS, _MARKS = 1 << 16, 1 << 15, 1 << 12
_STRONGEST = 5
Source = Literal["list", "idiom", "name"]


class Strength(NamedTuple):
    """A text's pair: positive 1..5, negative -5..-1; (1, -1) is neutral."""

    positive: int
    negative: int


NEUTRAL = Strength(1, -1)
_STRENGTHS = [[Strength(positive, -size) for size in range(_STRONGEST + 1)] for positive in range(_STRONGEST + 1)]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Scoring of one term: the numbers that it went through, for the explanation."""

    term: Term
    score: float
    base: int = 0
    source: Source = "list"
    stress: float = 0.0
    boost: int = 0
    negated: bool = False
    neighbour: int = 0
    added: bool = False
    """An emoticon whose strength went to the counted word before it."""
    exclaimed: bool = False


@dataclass(frozen=True, slots=True)
class Summed:
    """Result of one sentence: its strongest scores, and the strengths that they gave."""

    highest: float
    lowest: float
    rounded: Strength
    missed: bool
    exclaimed: bool
    strength: Strength


Trace = list[Weighed | Summed]


class Scorer:
    """SentiStrength over one lexicon; a copy in another process begins with empty caches.

    Args:
        lexicon: the word lists.
        reading: departures from the original; by default none.
    """

    def __init__(self, lexicon: Lexicon, reading: Reading = AS_ORIGINAL) -> None:
        self.lexicon = lexicon
        self.reading = reading
        self._emoji = lexicon.emoji if reading.emoji else {}
        in_idioms = {word for words, _ in lexicon.idioms for word in words}
        self._idiom_stems = tuple(word[:-1] for word in in_idioms if word.endswith("*"))
        self._idiom_words = frozenset(in_idioms)
        self._tokenizer = Tokenizer(lexicon.emoticons, lexicon.spellings, self._emoji)
        self._shared: dict[tuple[Term, ...], tuple[Term, ...]] = {}
        self._words: Cache[Term] = Cache(self._word, _WORDS)
        self._marks: Cache[Term] = Cache(self._mark, _MARKS)
        self._emoticons: Cache[Term] = Cache(self._emoticon, _MARKS)
        self._segments: Cache[tuple[Term, ...]] = Cache(self._canonical, _SEGMENTS)

    @classmethod
    def of(cls, folder: Path, reading: Reading = AS_ORIGINAL) -> Scorer:
        """A scorer over the lists of a folder (docs/sentistrength.md, "Reading the lists").

        Raises:
            LexiconError: the folder cannot be used.
        """
        return cls(Lexicon.read(folder), reading)

    def __reduce__(self) -> tuple[object, ...]:
        return Scorer, (self.lexicon, self.reading)

    def score(self, text: str) -> Strength:
        """A text's strengths (docs/sentistrength.md, "Text result"); any string has some, the empty one (1, -1)."""
        scored = self.reading.scored(text)
        return weigh(list(chain.from_iterable(map(self._segments.__getitem__, segments(scored)))))

    def score_all(self, texts: Iterable[str]) -> Iterator[Strength]:
        """One strength per text, in their order, as they come: nothing of them is kept."""
        return map(self.score, texts)

    def terms(self, segment: str) -> tuple[Term, ...]:
        """The terms of what stands between two spaces (docs/sentistrength.md, "Sentence to terms")."""
        return tuple(map(self._term, self._tokenizer.tokens(segment)))

    def _canonical(self, segment: str) -> tuple[Term, ...]:
        terms = tuple(self._term(token).canonical for token in self._tokenizer.tokens(segment))
        return self._shared.setdefault(terms, terms) if SHARED.issuperset(terms) and len(terms) < 5 else terms

    def _term(self, token: Token) -> Term:
        kind, written = token
        if kind is Kind.WORD:
            return self._words[written]
        if kind is Kind.PUNCTUATION:
            return self._marks[written]
        return END if kind is Kind.END else self._emoticons[written]

    def _mark(self, written: str, kind: Kind = Kind.PUNCTUATION, spelling: str = "", strength: int = 0) -> Term:
        return Term(
            Token(kind, written),
            spelling=spelling or written.lower(),
            strength=strength,
            frees_proper=frees_proper(written),
            exclaims=kind is Kind.PUNCTUATION and "!" in written,
            in_idioms=self._in_idioms(written.lower()),
        )

    def _emoticon(self, written: str) -> Term:
        if written in self.lexicon.emoticons:
            return self._mark(written, Kind.EMOTICON, strength=self.lexicon.emoticons[written])
        emoji = without_modifiers(written)
        return self._mark(written, Kind.EMOTICON, emoji, self._emoji[emoji])

    def _in_idioms(self, spelling: str) -> bool:
        return spelling in self._idiom_words or spelling.startswith(self._idiom_stems)

    def _word(self, written: str) -> Term:
        spelling, letters = self._tokenizer.spell(written)
        lexicon = self.lexicon
        found = lexicon.find(spelling)
        strength = found.strength if found else 0
        emphasised = emphasises(letters)
        booster = lexicon.boosters.get(spelling, 0)
        negates = spelling in lexicon.negations
        in_idioms = self._in_idioms(spelling)
        opens = tuple(i for i in lexicon.idioms if _fits(i[0][0], spelling)) if in_idioms else ()
        return Term(
            Token(Kind.WORD, written),
            spelling=spelling,
            letters=letters,
            is_word=True,
            found=found,
            strength=strength,
            emphasised=emphasised,
            booster=booster,
            negates=negates,
            opens=opens,
            looks_proper=looks_proper(written),
            frees_proper=frees_proper(written),
            is_miss=spelling == "miss",
            in_idioms=in_idioms,
        )


def weigh(terms: Sequence[Term], trace: Trace | None = None) -> Strength:
    """A text's strengths from its terms; with a trace, one step for every term and what each sentence came to.

    For a trace the terms must be the text's own, not those that stand for all equal ones. The numbers below are the
    rules' in docs/sentistrength.md, "Scoring a sentence".
    """
    positive, negative = 1, -1
    highest = lowest = last = 0.0  # over the counted words before the last one, and the last one's score
    booster, since_negation = 0, 2
    counted = exclaimed = missed = False
    before: Term | None = None
    idioms: dict[int, int] = {}
    source: Source
    for at, term in enumerate(terms):
        if term is PLAIN:  # what the branch below does for a word that counts 0 and changes nothing else
            if last:
                highest, lowest, last = max(highest, last), min(lowest, last), 0.0
            booster = 0
            since_negation += 1
            counted = True
            before = term
        elif term is MARK:
            before = term
        elif term.is_word:
            if term.opens:
                idioms.update(_idioms_from(terms, at))
            proper = term.looks_proper and before is not None and not before.frees_proper
            if proper:  # 1
                base, source = 0, "name"
            elif at in idioms:
                base, source = idioms[at], "idiom"
            else:
                base, source = term.strength, "list"
            if last:
                highest, lowest = max(highest, last), min(lowest, last)
            if base or term.emphasised or trace is not None:
                last = _word_score(term, base, source, last, booster, since_negation <= 0, trace)
            else:
                last = 0.0
            booster = term.booster  # 3, its end
            if term.negates:  # 5
                since_negation = -1
            if not booster:
                since_negation += 1
            missed = missed or term.is_miss
            counted = True
            before = term
        elif term.ends:
            if highest or lowest or last or missed or exclaimed or trace is not None:
                strength = _sentence_strength(max(highest, last), min(lowest, last), missed, exclaimed, trace)
                positive, negative = max(positive, strength.positive), min(negative, strength.negative)
                highest = lowest = last = 0.0
            booster, since_negation = 0, 2
            counted = exclaimed = missed = False
            before = None
        else:
            if trace is not None:
                trace.append(Weighed(term, float(term.strength), added=counted, exclaimed=term.exclaims and counted))
            exclaimed = exclaimed or (term.exclaims and counted)
            last += term.strength
            counted = counted or term.strength != 0
            before = term
    strength = _sentence_strength(max(highest, last), min(lowest, last), missed, exclaimed, trace)
    return _STRENGTHS[max(positive, strength.positive)][-min(negative, strength.negative)]


def _word_score(
    term: Term, base: int, source: Source, last: float, booster: int, negated: bool, trace: Trace | None
) -> float:
    """A counted word's score from its base and from what stands before it: rules 2, 3, 4 and 6."""
    stress = 0.0 if not term.emphasised else -EMPHASIS if base < 0 else EMPHASIS  # 2
    score = base + stress
    boost = 0 if not score else booster if score > 0 else -booster  # 3
    score += boost
    if negated:  # 4
        score = 0.0 if score < 0 else -0.5 * score
    neighbour = -1 if score < -1 and last < -1 else 1 if score > 1 and last > 1 else 0  # 6
    score += neighbour
    if trace is not None:
        trace.append(Weighed(term, score, base, source, stress, boost, negated, neighbour))
    return score


def _sentence_strength(highest: float, lowest: float, missed: bool, exclaimed: bool, trace: Trace | None) -> Strength:
    """A sentence's strengths from its strongest scores ("Sentence result")."""
    rounded = positive, negative = floor(highest + 1.5), floor(lowest - 0.5)
    if missed and positive == 1:
        positive = 2
    if exclaimed:
        if positive >= -negative:
            positive += 1
        else:
            negative -= 1
    strength = _STRENGTHS[min(positive, _STRONGEST)][-max(negative, -_STRONGEST)]
    if trace is not None:
        trace.append(Summed(highest, lowest, Strength(*rounded), missed, exclaimed, strength))
    return strength


def _idioms_from(terms: Sequence[Term], at: int) -> Iterator[tuple[int, int]]:
    """Strengths by position of the idioms that begin here and fit into the sentence ("Idioms first")."""
    for words, strength in terms[at].opens:
        spelt = [term.spelling for term in takewhile(lambda term: not term.ends, terms[at : at + len(words)])]
        if len(spelt) == len(words) and all(map(_fits, words, spelt)):
            yield from zip(range(at, at + len(words)), chain((strength,), repeat(0)), strict=False)


def _fits(listed: str, word: str) -> bool:
    return word.startswith(listed[:-1]) if listed.endswith("*") else word == listed
