"""A folder of word lists in SentiStrength's file format: `word<TAB>strength`, `abc*` for every word that begins so."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flows.errors import SentimentError

OPEN_LEXICON = Path(__file__).parent / "open_lexicon"
"""The lists shipped with the project."""

_FILES = ("EmotionLookupTable.txt", "BoosterWordList.txt", "NegatingWordList.txt", "EmoticonLookupTable.txt")


@dataclass(frozen=True)
class Lexicon:
    """Words with strengths -5..-2 or 2..5, boosters -1..2, negations, and emoticons -1 or 1."""

    words: dict[str, int]
    stems: dict[str, int]
    boosters: dict[str, int]
    negations: frozenset[str]
    emoticons: dict[str, int]
    digest: str = ""

    @classmethod
    def read(cls, folder: Path = OPEN_LEXICON) -> Lexicon:
        """Read the four lists of a folder.

        Raises:
            SentimentError: a list is missing, is not UTF-8, or a strength is not a whole number.
        """
        raw = {}
        for name in _FILES:
            try:
                raw[name] = (folder / name).read_bytes()
            except OSError as error:
                raise SentimentError(
                    f"{folder / name}: {error.strerror}; a lexicon folder holds {', '.join(_FILES)}"
                ) from error
        emotion, boosters, negations, emoticons = (_entries(folder / name, raw[name]) for name in _FILES)
        digest = hashlib.sha256(b"\0".join(raw[name] for name in _FILES)).hexdigest()[:16]
        return cls(
            words={entry: s for entry, s in emotion.items() if not entry.endswith("*")},
            stems={entry[:-1]: s for entry, s in emotion.items() if entry.endswith("*")},
            boosters=boosters,
            negations=frozenset(negations),
            emoticons=emoticons,
            digest=digest,
        )

    def strength(self, word: str) -> int:
        """The listed strength of a lower-case word, by itself or by its longest listed stem; 0 if unlisted."""
        return self.words[word] if word in self.words else self._stem_strength(word)

    def knows(self, word: str) -> bool:
        """Whether the lower-case word is in any list."""
        return bool(self.strength(word)) or word in self.boosters or word in self.negations

    def _stem_strength(self, word: str) -> int:
        for length in range(min(len(word), self._longest_stem), 0, -1):
            if word[:length] in self.stems:
                return self.stems[word[:length]]
        return 0

    @cached_property
    def _longest_stem(self) -> int:
        return max(map(len, self.stems), default=0)


def _entries(path: Path, raw: bytes) -> dict[str, int]:
    """Entries of one list in lower case with their strength, 0 where the list gives none."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SentimentError(
            f"{path}: not UTF-8 at byte {error.start}; convert the list with `iconv -t utf-8`"
        ) from error
    entries: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry, _, rest = line.partition("\t")
        value = rest.split("\t")[0].strip()
        if not entry.strip():
            continue
        try:
            entries[entry.strip().lower()] = int(value) if value else 0
        except ValueError as error:
            raise SentimentError(f"{path}, line {number}: {value!r} after {entry!r} is not a whole number") from error
    return entries
