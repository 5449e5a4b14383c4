"""Four rows of each kind of data for the tests of every model: ads, and tweets with targets, of several lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fgmfn.data import Rows
from fgmfn.data.rows import NOWHERE
from tests.fgmfn.release_builder import picture

COLOURS = ((200, 40, 40), (40, 40, 200), (40, 200, 40), (90, 90, 90))
ADS = ("new shoes now", "so good to be home again this year", "bad", "now or never , go")
TWEETS = ("so sad that $T$ is gone", "$T$ !", "good game of $T$", "the best of us all go to $T$ now")
TARGETS = ("Tom", "New York", "us", "Ann Lee")


@dataclass(frozen=True)
class Drawn:
    """Pictures that are drawn where they are read."""

    def read(self, row: int) -> bytes:
        """A picture of the row's colour."""
        return picture(COLOURS[row % 4], seed=row)


def ad_split() -> Rows:
    """Four ads: the target is their category, which does not stand in the text."""
    names = [f"ad{number}:0" for number in range(4)]
    return Rows(
        names,
        names,
        list(ADS),
        ["apparel", "food", "apparel", "film"],
        [NOWHERE] * 4,
        [0, 1, 2, 0],
        names,
        Drawn(),
        False,
    )


def tweet_split(texts: Sequence[str] | None = None, targets: Sequence[str] = TARGETS) -> Rows:
    """Four tweets, each about a target that stands in it; other texts are taken as they are."""
    marked = list(texts or TWEETS)
    starts = [text.find("$T$") for text in marked]
    spans = [NOWHERE if at < 0 else (at, at + len(target)) for at, target in zip(starts, targets, strict=True)]
    whole = [text.replace("$T$", target) for text, target in zip(marked, targets, strict=True)]
    names = [f"tweet{number}" for number in range(len(marked))]
    return Rows(names, names, whole, list(targets), spans, [0, 1, 2, 0][: len(marked)], names, Drawn(), True)
