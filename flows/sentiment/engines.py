"""What scores a comment: a positive strength 1..5 and a negative strength -1..-5, behind one protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from flows.errors import SentimentError
from flows.sentiment.lexicon import OPEN_LEXICON, Lexicon
from flows.sentiment.sentistrength import Scorer, Strength

__all__ = ["LexiconEngine", "NativeEngine", "SentimentEngine", "Strength", "make_engine"]


class SentimentEngine(Protocol):
    """Anything that scores texts; `version` changes whenever an answer might."""

    name: str
    version: str

    def score(self, texts: Sequence[str]) -> list[Strength]:
        """One strength per text, in the order of the texts."""
        ...


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|[\r\n]+|<br\s*/?>", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’\u2010-][^\W_]+)*")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_EMPHASIS = 0.6


class LexiconEngine:
    """SentiStrength's main rules over a lexicon folder.

    A text's strengths are the strongest of its sentences'; a sentence's are the strongest of its words'. A booster
    before a word moves it away from neutral, three or more repeated letters by 0.6; a negation before it, boosters
    between them aside, takes a negative word's strength away and turns half of a positive one's round; the second of
    two strong words of one sign counts one more; an emoticon adds to the word before it; an exclamation mark moves
    the sentence's stronger side by one (Thelwall et al. 2012, section 3).
    """

    name = "lexicon"

    def __init__(self, folder: Path | None = None) -> None:
        self.lexicon = Lexicon.read(folder or OPEN_LEXICON)
        self.version = f"1-{self.lexicon.digest}"

    def score(self, texts: Sequence[str]) -> list[Strength]:
        """One strength per text, in the order of the texts."""
        return [self._text(text) for text in texts]

    def _text(self, text: str) -> Strength:
        sentences = [self._sentence(part) for part in _SENTENCE_END.split(text)]
        return Strength(max(s.positive for s in sentences), min(s.negative for s in sentences))

    def _sentence(self, sentence: str) -> Strength:
        scores = list(self._word_scores(sentence))
        highest, lowest = max(scores, default=0.0), min(scores, default=0.0)
        positive = 1 + _round_away(max(highest, 0.0))
        negative = -1 - _round_away(max(-lowest, 0.0))
        if "!" in sentence and scores:
            if positive >= -negative:
                positive += 1
            else:
                negative -= 1
        return Strength(min(positive, 5), max(negative, -5))

    def _word_scores(self, sentence: str) -> Iterator[float]:
        """Distance from neutral of every word, its emoticons added: 0 neutral, 4 the strongest positive."""
        score: float | None = None
        booster = 0
        negated = False
        for token in sentence.split():
            emoticon = self.lexicon.emoticons.get(token.lower())
            if emoticon is not None:
                score = (score or 0.0) + emoticon
                continue
            for match in _WORD.finditer(token.lower().replace("’", "'")):
                previous = score or 0.0
                if score is not None:
                    yield score
                word = self._spelling(match.group())
                score = self._word_score(word, booster, emphasised=bool(_REPEATED.search(match.group())))
                if negated:
                    score = 0.0 if score < 0 else -0.5 * score
                if min(score, previous) > 1 or max(score, previous) < -1:
                    score += 1 if score > 0 else -1
                booster = self.lexicon.boosters.get(word, 0)
                negated = word in self.lexicon.negations or (negated and booster != 0)
        if score is not None:
            yield score

    def _word_score(self, word: str, booster: int, *, emphasised: bool) -> float:
        strength = self.lexicon.strength(word)
        if strength == 0:
            return 0.0
        sign = 1 if strength > 0 else -1
        size = abs(strength) - 1 + (_EMPHASIS if emphasised else 0) + booster
        return sign * max(size, 0.0)

    def _spelling(self, word: str) -> str:
        """The word with letters repeated for emphasis cut to two, or to one where only that is listed."""
        if self.lexicon.knows(word):
            return word
        for kept in (r"\1\1", r"\1"):
            shorter = _REPEATED.sub(kept, word)
            if self.lexicon.knows(shorter):
                return shorter
        return word


class NativeEngine:
    """SentiStrength's scoring with the original's answers, over any folder of its word lists."""

    name = "native"

    def __init__(self, folder: Path | None = None) -> None:
        self._scorer = Scorer.of(folder or OPEN_LEXICON)
        self.version = f"1-{self._scorer.lexicon.digest}"

    def score(self, texts: Sequence[str]) -> list[Strength]:
        """One strength per text, in the order of the texts."""
        return list(self._scorer.score_all(texts))


def _round_away(size: float) -> int:
    return int(size + 0.5)


def make_engine(name: str, *, lexicon: Path | None = None) -> SentimentEngine:
    """The engine of that name.

    Raises:
        SentimentError: no engine has that name, or its lexicon cannot be read.
    """
    engines = {engine.name: engine for engine in (LexiconEngine, NativeEngine)}
    if name not in engines:
        raise SentimentError(f"sentiment engine {name!r} is not known; expected one of {', '.join(engines)}")
    return engines[name](lexicon)
