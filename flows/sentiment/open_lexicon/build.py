"""Make the open lexicon from VADER's word values: `python -m flows.sentiment.open_lexicon.build vader_lexicon.txt`.

VADER's list (Hutto and Gilbert 2014, MIT licence) holds the mean of ten people's ratings from -4 to 4. A rating
becomes one of SentiStrength's strengths 2..5 by `CUTS`, which are not symmetric: on SentiStrength's scale an
everyday "good" or "like" is a 2, while "terrible" is a 4. With these cuts each strength has about the share of the
words that it has in SentiStrength's own lists, counted over the words that VADER rates too (2,218 positive, 3,417
negative); what falls below the first cut is neutral and left out. Boosters and negations are written by hand below.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from pathlib import Path

FOLDER = Path(__file__).parent

CUTS = {1: (1.3, 2.1, 2.9, 3.4), -1: (0.6, 1.8, 2.5, 3.6)}
"""By sign: the least |rating| of the strengths 2, 3, 4 and 5."""

BOOSTERS = {
    1: "absolutely amazingly completely definitely deeply especially exceptionally flipping freaking fully greatly "
    "highly intensely particularly purely quite really remarkably seriously soo sooo substantially super thoroughly "
    "total totally truly unbelievably utterly very",
    2: "extremely fucking fuckin hugely incredibly insanely overwhelmingly tremendously",
    -1: "barely could hardly just kinda less little marginally may might occasionally partly scarcely should "
    "slightly somewhat sorta would",
}
NEGATIONS = (
    "ain't aint aren't arent can't cannot cant couldn't couldnt didn't didnt doesn't doesnt don't dont hasn't hasnt "
    "haven't havent isn't isnt neither never no nobody none nor not nothing nowhere shouldn't shouldnt wasn't wasnt "
    "weren't werent without won't wont wouldn't wouldnt"
)
_WORD = re.compile(r"[a-z][a-z'-]*")


def strength(rating: float) -> int:
    """A VADER mean rating (-4..4) as a SentiStrength strength (-5..-2, 0 for neutral, 2..5)."""
    sign = 1 if rating > 0 else -1
    cuts_passed = bisect_right(CUTS[sign], abs(rating))
    return sign * (1 + cuts_passed) if cuts_passed else 0


def convert(vader: Path, folder: Path = FOLDER) -> dict[str, int]:
    """Write the four lists into `folder`; returns the number of entries of each file."""
    words: dict[str, int] = {}
    emoticons: dict[str, int] = {}
    for line in vader.read_text("utf-8").splitlines():
        token, rating, *_ = line.split("\t")
        value = strength(float(rating))
        if _WORD.fullmatch(token):
            words[token] = value
        elif not any(c.isspace() for c in token) and not token[0].isalnum():
            emoticons[token] = 1 if value > 0 else -1 if value < 0 else 0
    boosters = {word: by for by, listed in BOOSTERS.items() for word in listed.split()}
    negations = dict.fromkeys(NEGATIONS.split(), "")
    lists: dict[str, dict[str, int] | dict[str, str]] = {
        "EmotionLookupTable.txt": {w: s for w, s in words.items() if s and w not in boosters and w not in negations},
        "EmoticonLookupTable.txt": {e: s for e, s in emoticons.items() if s},
        "BoosterWordList.txt": boosters,
        "NegatingWordList.txt": negations,
    }
    for name, entries in lists.items():
        lines = [f"{entry}\t{value}".rstrip("\t") for entry, value in sorted(entries.items())]
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return {name: len(entries) for name, entries in lists.items()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m flows.sentiment.open_lexicon.build VADER_LEXICON_TXT")
    for name, count in convert(Path(sys.argv[1])).items():
        sys.stdout.write(f"{name}: {count} entries\n")
