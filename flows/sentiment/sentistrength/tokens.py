"""From a text to its sentences and terms, and from a word as written to the spelling that is looked up.

A space splits whatever stands before it from whatever comes after, sentence ends included, so a text is read segment by
segment and nothing carries over: the terms of a segment depend on the segment alone and can be remembered for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from flows.sentiment.sentistrength.lookup import Found
from flows.sentiment.sentistrength.reading import PICTOGRAPHS

_CATEGORIES = "".join(map(unicodedata.category, map(chr, range(0x10000))))
"""Two letters, a capital and a small one, for each character of the BMP; beyond it, a half of one is no letter."""


def _character_class(category: str) -> str:
    """A regex class's inside: the characters whose category matches."""
    runs = re.finditer(f"(?:{category})+", _CATEGORIES)
    return "".join(f"\\u{run.start() // 2:04x}-\\u{run.end() // 2 - 1:04x}" for run in runs)


_LETTER = _character_class("L[a-z]")
_WORD_CHARACTER = _LETTER + _character_class("Nd") + "$£@_"
_TERM = re.compile(
    rf"(?P<word>[{_WORD_CHARACTER}](?:[{_WORD_CHARACTER}]|'(?=[{_LETTER}]))*+)"
    rf"|[^{_WORD_CHARACTER}](?:[^{_WORD_CHARACTER}']|'(?![{_LETTER}]))*+"
)
_BREAK = "<br>"
_END = re.compile(r"<br>|[.!?](?:(?!<br>)[^A-Za-z0-9$£'])*+")
_STOP = re.compile("[.!?]")
_BEGINS_SENTENCE = re.compile(r"""[A-Za-z0-9$£'"]""")
_LAST = "\n"
"""Stands after the last segment of a text, for its last character begins no sentence; no segment holds one itself."""
_REPEATED = re.compile(r"(.)\1+")
_LINE_BREAK = re.compile(r"\r\n|[\r\n]")
_PAIR = re.compile(r"(.)(?=\1)")
_NEVER_DOUBLE = frozenset("ahijkquvxyz")
_NEVER_DOUBLE_AT_THE_END = frozenset("achijkmnpqruvwxyz")
_LAUGHS = ("haha", "hehe")
_NOT_EMPHATIC = ("xx", "ww", "ha")
_MODIFIERS = "\ufe0e\ufe0f\U0001f3fb-\U0001f3ff"


class Kind(Enum):
    """Kind of a term; END closes a sentence and has no text."""

    WORD = "word"
    EMOTICON = "emoticon"
    PUNCTUATION = "punctuation"
    END = "end"


class Token(NamedTuple):
    """A term as written."""

    kind: Kind
    written: str


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A term with all that it means by itself, whatever stands around it."""

    token: Token
    spelling: str = ""
    """The looked-up form: lower case, of a word mended, of an emoji without its modifiers."""
    letters: str = ""
    """Characters taken out of a word for it."""
    is_word: bool = False
    found: Found | None = None
    strength: int = 0
    emphasised: bool = False
    booster: int = 0
    negates: bool = False
    opens: tuple[tuple[tuple[str, ...], int], ...] = ()
    """Idioms whose first word it fits."""
    looks_proper: bool = False
    frees_proper: bool = False
    """A name-like word after it is scored all the same."""
    exclaims: bool = False
    is_miss: bool = False
    ends: bool = False
    in_idioms: bool = False
    """It fits a word of some idiom, not only the first."""

    @property
    def canonical(self) -> Term:
        """The term that stands for all that count the same: one object for most words, marks and sentence ends."""
        if self.strength or self.frees_proper or self.in_idioms:
            return self
        if self.is_word:
            plain = not (self.emphasised or self.booster or self.negates or self.is_miss)
            return PLAIN if plain else self
        return END if self.ends else self if self.exclaims else MARK


PLAIN = Term(Token(Kind.WORD, ""), is_word=True)
MARK = Term(Token(Kind.PUNCTUATION, ""))
END = Term(Token(Kind.END, ""), ends=True)
SHARED = frozenset((PLAIN, MARK, END))


class Tokenizer:
    """Cuts segments into terms, knowing the emoticons, the dictionary and, if they are to count, the emoji."""

    def __init__(self, emoticons: Collection[str], spellings: Collection[str], emoji: Collection[str] = ()) -> None:
        self._emoticons = emoticons
        self._spellings = spellings
        self._emoji = _any_emoji(emoji) if emoji else None
        self._longest_emoticon = max(map(len, emoticons), default=0)
        self._longest_spelling = max(map(len, spellings), default=0)

    def tokens(self, segment: str) -> Iterator[Token]:
        """The terms of what stands between two spaces, an END after every sentence that ends in it.

        docs/sentistrength.md, "Paragraph to sentences" and "Sentence to terms".
        """
        is_last = segment.endswith(_LAST)
        for piece, ends in sentence_pieces(segment.removesuffix(_LAST).replace('"', "'"), is_last=is_last):
            for chunk in self._chunks(piece):
                yield from self._terms(chunk)
            if ends:
                yield END.token

    def spell(self, word: str) -> tuple[str, str]:
        """A word's spelling in lower case, and the letters taken out of it (docs/sentistrength.md, "A word").

        The description lets both letter lists hold for capitals; the answers for `DIII` and `XXXly` say they do not.
        """
        word, emphasis = cut_repeated_characters(word)
        lower = word.lower()
        if "@" in word or lower in self._spellings:
            return lower, emphasis
        if len(lower) <= self._longest_spelling + 1:
            for pair in _PAIR.finditer(word):  # of one case: `soO` is no `so`
                shorter = (word[: pair.end()] + word[pair.end() + 1 :]).lower()
                if shorter in self._spellings:
                    return shorter, emphasis + pair.group()
        if len(word) > 6:
            for laugh in _LAUGHS:
                at = word.find(laugh)  # small letters only: AHAHAHA keeps its spelling in the answers
                if at > 0:
                    # "what was between": after the third letter, up to the laugh's second half
                    return laugh, emphasis + word[3 : at + 2]
        return lower, emphasis

    def _chunks(self, piece: str) -> Iterable[str]:
        """The piece cut around its emoji, which are pieces of their own; without emoji, the piece."""
        return (piece,) if self._emoji is None else filter(None, self._emoji.split(piece))

    def _terms(self, piece: str) -> Iterator[Token]:
        if self._emoji is not None and self._emoji.fullmatch(piece):
            yield Token(Kind.EMOTICON, piece)
            return
        for match in _TERM.finditer(piece):
            start = match.start()
            if len(piece) - start <= self._longest_emoticon and piece[start:] in self._emoticons:
                yield Token(Kind.EMOTICON, piece[start:])
                return
            yield Token(Kind.WORD if match.lastgroup else Kind.PUNCTUATION, match.group())


def segments(text: str) -> list[str]:
    """The parts of a text between its spaces; a line break is one, for the original is given a text as one line.

    One that ends the text within a sentence of its own has a mark at its end, for `sentence_pieces`.
    """
    if "\n" in text or "\r" in text:
        text = _LINE_BREAK.sub(" ", text)
    *before, last = text.split(" ")
    return [*before, last + _LAST if _BEGINS_SENTENCE.match(last[-1:]) and _STOP.search(last) else last]


def sentence_pieces(segment: str, *, is_last: bool = False) -> Iterator[tuple[str, bool]]:
    """The parts of a segment that belong to different sentences, and whether the sentence ends with the part.

    docs/sentistrength.md, "Paragraph to sentences": after `.`, `!` or `?` the next letter a-z, digit, `$`, `£` or `'`
    is the next sentence's first character, and the end of the segment ends the sentence. `<br>` ends one at once. The
    last character of a text begins no sentence.
    """
    start = 0
    for match in _END.finditer(segment):
        if match.group() == _BREAK:
            yield segment[start : match.start()], True
            start = match.end()
        elif not segment.startswith(_BREAK, match.end()) and not (is_last and match.end() == len(segment) - 1):
            yield segment[start : match.end()], True
            start = match.end()
    if start < len(segment):
        yield segment[start:], False


def cut_repeated_characters(word: str) -> tuple[str, str]:
    """A word with at most two of a character in a row, one where no word doubles it, and the characters taken out.

    docs/sentistrength.md, "A word", step 1: `loooove` gives `loove` and `oo`, `10000` gives `100` and `00`.
    """
    kept, taken, end = [], [], 0
    for run in _REPEATED.finditer(_folded(word)):
        never_double = _NEVER_DOUBLE_AT_THE_END if run.end() == len(word) else _NEVER_DOUBLE
        cut = run.start() + (1 if word[run.end() - 1] in never_double else 2)
        kept.append(word[end:cut])
        taken.append(word[cut : run.end()])
        end = run.end()
    return "".join([*kept, word[end:]]), "".join(taken)


def _folded(word: str) -> str:
    """The word for a comparison that ignores case, character by character as Java has it; dotless i is an i."""
    return word.lower() if word.isascii() else "".join(map(_fold, word))


def _fold(character: str) -> str:
    if character == "İ":  # by itself it has a small form of two characters
        return "i"
    upper = character.upper()
    lower = (upper if len(upper) == 1 else character).lower()
    return lower if len(lower) == 1 else character


def emphasises(letters: str) -> bool:
    """True if letters taken out of a word stress it (docs/sentistrength.md, "Scoring a sentence", rule 2)."""
    return len(letters) > 1 and not any(part in letters.lower() for part in _NOT_EMPHATIC)


def looks_proper(written: str) -> bool:
    """Rule 1: first letter upper case and all others lower case, more than one letter, not starting with `I'`."""
    first, rest = written[:1], written[1:]
    return rest != "" and first != first.lower() and rest == rest.lower() and not written.startswith("I'")


def frees_proper(written: str) -> bool:
    """Rule 1: the term before is exactly `:`, or is longer than three characters and starts with `@`."""
    return written == ":" or (len(written) > 3 and written[0] == "@")


def without_modifiers(emoji: str) -> str:
    """An emoji as listed: without skin tones and variation selectors."""
    return re.sub(f"[{_MODIFIERS}]", "", emoji)


def _any_emoji(emoji: Iterable[str]) -> re.Pattern[str]:
    """Matches any of these emoji, the longest first, whatever modifiers stand in it.

    One that is joined to others is a part of another emoji (🤝 in "people holding hands", 🙂 in "head shaking"); a
    joined sign of gender or direction only says who or where to.
    """
    modifiers = f"[{_MODIFIERS}]*+"
    longest_first = sorted(filter(None, map(without_modifiers, emoji)), key=len, reverse=True)
    listed = "|".join("".join(re.escape(c) + modifiers for c in entry) for entry in longest_first)
    joined_before = f"(?<![{PICTOGRAPHS}]\u200d)(?<![{PICTOGRAPHS}][{_MODIFIERS}]\u200d)"
    return re.compile(f"{joined_before}((?:{listed})(?!\u200d(?![♀♂➡])[{PICTOGRAPHS}]))")
