"""Make the open lexicon from VADER's word ratings: `python -m flows.sentiment.open_lexicon.build`.

VADER's list (Hutto and Gilbert 2014, MIT licence) holds the mean of ten people's ratings from -4 to 4. `CUTS` makes
one of SentiStrength's strengths -5..-2 or 2..5 of a rating; what falls short of the first cut is neutral and left out.
What VADER lacks, from boosters to emoji and the words of today's comments, is in `own_words.toml`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tomllib
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flows.errors import SentimentError

FOLDER = Path(__file__).parent
OWN: dict[str, Any] = tomllib.loads((FOLDER / "own_words.toml").read_text("utf-8"))
"""Entries that VADER lacks: words, boosters, negations, idioms, emoticons and emoji."""

CUTS = {1: (1.4, 2.8, 3.4, 3.8), -1: (0.1, 1.8, 2.7, 3.2)}
"""By sign: the least |rating| of the strengths 2, 3, 4 and 5.

Not symmetric, because SentiStrength's scale is not: it is sparing with praise, and no word that VADER rates is a 5.
They are chosen so that one half of some real comments and tweets came as near as it could to the strengths that
SentiStrength's own lists give them, and were checked on the other half; no single word was looked up there.
"""

EMOTICON_CUT = 0.5
"""The least |rating| of an emoticon that counts: even a faint one, such as `;)`, was set to say how a text is meant."""

VADER_SHA256 = "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5"
"""Of the `vader_lexicon.txt` of vaderSentiment 3.3.2."""

_IN_WHEEL = "vaderSentiment/vader_lexicon.txt"
_WORD = re.compile(r"[a-z][a-z'-]+")


def strength(rating: float) -> int:
    """A VADER mean rating (-4..4) as a SentiStrength strength (-5..-2, 0 for neutral, 2..5)."""
    sign = 1 if rating > 0 else -1
    cuts_passed = bisect_right(CUTS[sign], abs(rating))
    return sign * (1 + cuts_passed) if cuts_passed else 0


def installed_vader() -> Path:
    """Path of the list of the installed vaderSentiment.

    Raises:
        SentimentError: it is not installed.
    """
    package = find_spec("vaderSentiment")
    if package is None or package.origin is None:
        raise SentimentError("vaderSentiment is not installed; pip install vaderSentiment==3.3.2, or give --vader")
    return Path(package.origin).with_name("vader_lexicon.txt")


def read_vader(source: Path, *, any_version: bool = False) -> bytes:
    """VADER's list from the wheel of vaderSentiment or from the file itself.

    Raises:
        SentimentError: it cannot be read, or is not the list that the shipped lexicon is made from.
    """
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as wheel:
                raw = wheel.read(_IN_WHEEL)
        else:
            raw = source.read_bytes()
    except KeyError:
        raise SentimentError(f"{source}: holds no {_IN_WHEEL}; expected the wheel of vaderSentiment") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise SentimentError(f"{source}: cannot be read: {error}") from error
    found = hashlib.sha256(raw).hexdigest()
    if found != VADER_SHA256 and not any_version:
        raise SentimentError(
            f"{source}: the list's sha256 is {found}, expected {VADER_SHA256} (vaderSentiment 3.3.2); "
            "pass --any-version to convert it all the same"
        )
    return raw


def convert(vader: bytes) -> dict[str, str]:
    """The lists by file name, every entry in the order of its characters.

    Args:
        vader: lines of `token<TAB>mean rating<TAB>...`.

    Raises:
        SentimentError: a line is none of these, or a word that emoji stand for has no strength.
    """
    ratings = dict(_ratings(vader))
    boosters = _entries("boosters")
    negations = OWN["negations"].split()
    words = {token: strength(rating) for token, rating in ratings.items() if _WORD.fullmatch(token)}
    words |= _entries("words")
    acting = {*boosters, *negations}
    return {
        "EmotionLookupTable.txt": _lines({w: s for w, s in words.items() if abs(s) > 1 and w not in acting}),
        "BoosterWordList.txt": _lines(boosters),
        "NegatingWordList.txt": "".join(f"{word}\n" for word in sorted(negations)),
        "EmoticonLookupTable.txt": _lines(_emoticons(ratings)),
        "IdiomLookupTable.txt": _lines(_entries("idioms", "|")),
        "EmojiLookupTable.txt": _lines(_emoji(words)),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.sentiment.open_lexicon.build", description="Make the open lexicon from VADER's ratings."
    )
    parser.add_argument("--vader", type=Path, help="wheel of vaderSentiment 3.3.2 or its list (default: the installed)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the lists (default: the one shipped)")
    parser.add_argument("--any-version", action="store_true", help="convert a list of another version too")
    options = parser.parse_args(arguments)
    try:
        lists = convert(read_vader(options.vader or installed_vader(), any_version=options.any_version))
        options.out.mkdir(parents=True, exist_ok=True)
        for name, text in lists.items():
            (options.out / name).write_bytes(text.encode("utf-8"))
    except (SentimentError, OSError) as error:
        sys.exit(f"error: {error}")
    for name, text in lists.items():
        sys.stdout.write(f"{name}: {text.count(chr(10)):,} entries\n")


def _ratings(vader: bytes) -> Iterator[tuple[str, float]]:
    try:
        lines = vader.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise SentimentError(f"VADER's list is not UTF-8 at byte {error.start}") from error
    for number, line in enumerate(lines, 1):
        token, _, rest = line.rstrip("\r").partition("\t")
        if not token:
            continue
        try:
            yield token, float(rest.split("\t")[0])
        except ValueError:
            raise SentimentError(f"VADER's list, line {number}: no rating after {token[:40]!r}") from None


def _emoticons(ratings: Mapping[str, float]) -> dict[str, int]:
    """VADER's emoticons, 1 or -1 each: they are added to the word before, and many are written twice."""
    rated = {e: r for e, r in ratings.items() if abs(r) >= EMOTICON_CUT and not (e[0].isalnum() or " " in e)}
    return {emoticon: 1 if rating > 0 else -1 for emoticon, rating in rated.items()} | _entries("emoticons")


def _emoji(words: Mapping[str, int]) -> dict[str, int]:
    """Every emoji with what its word adds to a sentence: one less than the word's strength."""
    unrated = [word for word in OWN["emoji"] if abs(words.get(word, 0)) < 2]
    if unrated:
        raise SentimentError(f"emoji stand for {', '.join(map(repr, unrated))}, to which the list gives no strength")
    meant = {emoji: words[word] for word, listed in OWN["emoji"].items() for emoji in listed.split()}
    neutral = dict.fromkeys(OWN["neutral_emoji"].split(), 0)
    return {emoji: value - (1 if value > 0 else -1) for emoji, value in meant.items()} | neutral


def _entries(table: str, separator: str = " ") -> dict[str, int]:
    """The entries of a table of own words with their numbers."""
    listed = ((" ".join(entries.split()), int(number)) for number, entries in OWN[table].items())
    return {entry: number for entries, number in listed for entry in entries.split(separator)}


def _lines(entries: Mapping[str, int]) -> str:
    return "".join(f"{entry}\t{number}\n" for entry, number in sorted(entries.items()))


if __name__ == "__main__":
    main()
