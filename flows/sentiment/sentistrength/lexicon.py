"""Folders of SentiStrength word lists (docs/sentistrength.md, "Reading the lists")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from flows.errors import SentimentError
from flows.sentiment.sentistrength.lookup import Found, SortedList
from flows.sentiment.sentistrength.tokens import without_modifiers

SENTIMENT = ("EmotionLookupTable.txt", "SentimentLookupTable.txt")
BOOSTERS = ("BoosterWordList.txt",)
NEGATIONS = ("NegatingWordList.txt",)
EMOTICONS = ("EmoticonLookupTable.txt",)
SPELLINGS = ("EnglishWordList.txt", "Dictionary.txt")
IDIOMS = ("IdiomLookupTable.txt",)
EMOJI = ("EmojiLookupTable.txt",)
"""The names that each list may have, the preferred first. Question words and irony terms never act by default."""

STRONGEST = 5
_NUMBER = re.compile(r"[+-]?[0-9]+")
_BLANK = "".join(map(chr, range(0x21)))
_BOMS = (("utf-8-sig", b"\xef\xbb\xbf"), ("utf-16", b"\xff\xfe"), ("utf-16", b"\xfe\xff"))


class LexiconError(SentimentError):
    """A folder of word lists cannot be used; `path` and, where there is one, `line` say where."""

    def __init__(self, path: Path, reason: str, line: int | None = None) -> None:
        super().__init__(path, reason, line)  # all three, so that it can be pickled
        self.path = path
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return f"{self.path}{'' if self.line is None else f', line {self.line}'}: {self.reason}"


@dataclass(frozen=True)
class Entry:
    """One line of a list: the word or phrase, and its number as listed."""

    word: str
    number: int
    line: int


@dataclass(frozen=True)
class Lexicon:
    """The lists of one folder, ready to be looked up; strengths of words and idioms one nearer to 0 than listed."""

    sentiment: SortedList
    endings: tuple[Found, ...]
    """`*abc` and `*abc*`, tried in the order of the file after the sorted list."""
    boosters: dict[str, int]
    negations: frozenset[str]
    emoticons: dict[str, int]
    emoji: dict[str, int]
    """Without skin tones and variation selectors."""
    spellings: frozenset[str]
    idioms: tuple[tuple[tuple[str, ...], int], ...]
    digest: str
    """Changes whenever a byte of a list does."""
    notices: tuple[str, ...]
    """Lines that are read all the same, with file, line and what is odd about them, for the author of the lists."""

    @classmethod
    def read(cls, folder: Path) -> Lexicon:
        """Read the lists of a folder (docs/sentistrength.md, "Reading the lists").

        The words, boosters, negations and emoticons must be there. Without a list of spellings the words and
        stems of the other lists are the known ones; without idioms or emoji there are none.

        Raises:
            LexiconError: a list is missing, is not text, or a strength is beyond 5; with the file and the line.
        """
        shelf = _Shelf(folder)
        sentiment = shelf.entries(SENTIMENT)
        boosters = shelf.entries(BOOSTERS)
        negations = shelf.entries(NEGATIONS, numbered=False)
        emoticons = shelf.entries(EMOTICONS)
        spellings = shelf.entries(SPELLINGS, required=False, numbered=False)
        idioms = shelf.entries(IDIOMS, required=False)
        emoji = shelf.entries(EMOJI, required=False)
        known = spellings or [*sentiment, *boosters, *negations]
        return cls(
            sentiment=SortedList.of([(e.word, _stored(e.number)) for e in sentiment if e.word[0] != "*"]),
            endings=tuple(Found(e.word, _stored(e.number)) for e in sentiment if e.word[0] == "*"),
            boosters=SortedList.of([(e.word, e.number) for e in boosters]).exact_strengths(),
            negations=frozenset(e.word for e in negations),
            emoticons=SortedList.of([(e.word, e.number) for e in emoticons]).exact_strengths(),
            emoji={word: e.number for e in emoji if (word := without_modifiers(e.word))},
            spellings=frozenset(e.word.strip("*") for e in known),
            idioms=tuple((tuple(e.word.split(" ")), _stored(e.number)) for e in idioms),
            digest=shelf.digest(),
            notices=tuple(shelf.notices),
        )

    def find(self, word: str) -> Found | None:
        """The entry of the sentiment list that a lower-case word meets ("Look-up of a word")."""
        return self.sentiment.find(word) or next((end for end in self.endings if _fits(end.entry, word)), None)


class _Shelf:
    """The files of a folder as they are read, with notices about odd lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notices: list[str] = []
        self._digest = hashlib.sha256()

    def digest(self) -> str:
        return self._digest.hexdigest()[:16]

    def entries(self, names: tuple[str, ...], *, required: bool = True, numbered: bool = True) -> list[Entry]:
        """The entries of the first of these files that is there."""
        path = next((self.folder / name for name in names if (self.folder / name).is_file()), None)
        if path is None:
            if required:
                raise LexiconError(self.folder / names[0], self._missing(names))
            return []
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise LexiconError(path, f"cannot be read: {error.strerror}") from error
        text = decode(raw, words=names not in (EMOTICONS, EMOJI))
        self._digest.update(b"%s\0%d\0%s" % (path.name.encode(), len(raw), raw))
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        found = [self._entry(path, number, line, numbered=numbered) for number, line in enumerate(lines, 1)]
        entries = [entry for entry in found if entry]
        if required and not entries:
            raise LexiconError(path, "holds no entry")
        self._notice_repeated(path, entries)
        return entries

    def _missing(self, names: tuple[str, ...]) -> str:
        if not self.folder.is_dir():
            return f"{self.folder} is not a folder"
        needed = [SENTIMENT, BOOSTERS, NEGATIONS, EMOTICONS]
        also = f" (or {', '.join(names[1:])})" if names[1:] else ""
        return f"missing{also}; a lexicon folder holds at least {', '.join(n[0] for n in needed)}"

    def _entry(self, path: Path, number: int, line: str, *, numbered: bool) -> Entry | None:
        word, *columns = (column.strip(_BLANK) for column in line.split("\t"))
        if "\0" in line:
            raise LexiconError(path, "not a text file: it holds a NUL", number)
        if not word:
            return None
        if not word.strip("*") and path.name in SENTIMENT:
            raise LexiconError(path, f"{word!r} would match every word", number)
        if not numbered:
            return Entry(word, 0, number)
        listed = columns[0] if columns else ""
        if not _NUMBER.fullmatch(listed):
            self.notices.append(f"{path}, line {number}: {word!r} has no whole number after it and counts as 0")
            return Entry(word, 0, number)
        if len(listed) > 9 or abs(int(listed)) > STRONGEST:
            raise LexiconError(path, f"strength {listed[:20]} of {word!r}; expected -5 to 5", number)
        return Entry(word, int(listed), number)

    def _notice_repeated(self, path: Path, entries: list[Entry]) -> None:
        first: dict[str, Entry] = {}
        for entry in entries:
            before = first.setdefault(entry.word, entry)
            if before.number != entry.number:
                what = f"{entry.word!r} is {entry.number} here and {before.number} in line {before.line}"
                self.notices.append(f"{path}, line {entry.line}: {what}")


def decode(raw: bytes, *, words: bool) -> str:
    r"""The text of a list, whose encoding has to be found.

    UTF-8, or UTF-16 with its mark. A list of words that is neither is taken for cp1252, or for latin-1 where cp1252
    has no such byte. Emoticons, and a list that is UTF-8 in the main, keep what the original makes of stray bytes,
    each a U+FFFD: the reference answers have the emoticon `:\ufffd(` where the list has `:`, 0x85, `(`.
    """
    for encoding, mark in _BOMS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    marked = raw.decode("utf-8", "surrogateescape")
    is_stray = ["\udc80" <= c <= "\udcff" for c in marked if c > "\x7f"]
    if words and is_stray and all(is_stray):
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    return raw.decode("utf-8", "replace")


def _stored(number: int) -> int:
    """Distance from neutral: the lists' 1 and -1 are neutral already."""
    return number - 1 if number > 0 else number + 1 if number < 0 else 0


def _fits(ending: str, word: str) -> bool:
    return ending[1:-1] in word if ending.endswith("*") else word.endswith(ending[1:])
