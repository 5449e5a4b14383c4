"""The sorted list a word is looked up in, and the cache that spares a second look-up.

The original's binary search does not find every wildcard that fits: it looks only a few entries around the place where
the word would stand. Which entry is met, or missed, is part of the answers, so the search is done as described and its
result remembered (docs/sentistrength.md, "Look-up of a word").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

V = TypeVar("V")

_LAST_BMP = "\uffff"


def code_units(text: str) -> str:
    """The text with every character beyond the BMP as its two UTF-16 code units, so that `<` orders by code unit."""
    if text.isascii() or max(text) <= _LAST_BMP:
        return text
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(high << 8 | low) for high, low in zip(units[::2], units[1::2], strict=True))


def sort_unstably(entries: list[tuple[str, int]]) -> None:
    """Order entries by word in place as the original does: a quicksort around the middle element.

    It is not stable: two neighbours with the same word change places. Together with the order in which `SortedList`
    tries its window this decides which strength of a word listed twice is met, as the reference answers have it for
    the emoticons `:-/` (the first), `:-\\` and `XP` (the second).
    """
    pending = [(0, len(entries) - 1)]
    while pending:
        first, last = pending.pop()
        if first >= last:
            continue
        pivot = entries[(first + last) // 2][0]
        left, right = first, last
        while left <= right:
            while entries[left][0] < pivot:
                left += 1
            while pivot < entries[right][0]:
                right -= 1
            if left <= right:
                entries[left], entries[right] = entries[right], entries[left]
                left += 1
                right -= 1
        pending += (first, right), (left, last)


@dataclass(frozen=True)
class Found:
    """The entry that a look-up met and its strength as stored."""

    entry: str
    strength: int


@dataclass(frozen=True)
class SortedList:
    """Words and `stem*` wildcards in the order of UTF-16 code units, searched as the original searches."""

    words: tuple[str, ...]
    strengths: tuple[int, ...]
    keys: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, entries: Iterable[tuple[str, int]]) -> SortedList:
        """Sort entries given in the order of their file."""
        listed = list(entries)
        rows = [(code_units(word), number) for number, (word, _) in enumerate(listed)]
        sort_unstably(rows)
        return cls(
            words=tuple(listed[number][0] for _, number in rows),
            strengths=tuple(listed[number][1] for _, number in rows),
            keys=tuple(key for key, _ in rows),
        )

    def exact(self, word: str) -> Found | None:
        """The entry that is the word itself (docs/sentistrength.md, "Look-up of a word": exact matches)."""
        return self._found(self._exact(code_units(word), self._window(code_units(word))))

    def find(self, word: str) -> Found | None:
        """The entry that is the word, else a wildcard near its place that fits it ("Look-up of a word")."""
        key = code_units(word)
        window = self._window(key)
        position = self._exact(key, window)
        return self._found(self._wildcard(key, window) if position is None else position)

    def exact_strengths(self) -> dict[str, int]:
        """Every entry with the strength that an exact look-up of it meets: the search, done once for all words."""
        met = {word: self.exact(word) for word in dict.fromkeys(self.words)}
        return {word: found.strength for word, found in met.items() if found}

    def _window(self, key: str) -> tuple[int, int]:
        """Halve the list until the word's place is known to within three entries."""
        keys = self.keys
        lower, upper = 0, len(keys) - 1
        while upper - lower > 2:
            middle = (lower + upper) // 2
            if key < keys[middle]:
                upper = middle
            else:
                lower = middle
        return lower, upper

    def _exact(self, key: str, window: tuple[int, int]) -> int | None:
        # The description tries from upper down to lower; the answers for emoticons listed twice say upwards.
        lower, upper = window
        return next((at for at in range(lower, upper + 1) if self.keys[at] == key), None)

    def _wildcard(self, key: str, window: tuple[int, int]) -> int | None:
        lower, upper = max(window[0] - 3, 0), min(window[1] + 1, len(self.keys) - 1)
        near = range(upper, lower - 1, -1)
        return next((at for at in near if self.keys[at][-1] == "*" and key.startswith(self.keys[at][:-1])), None)

    def _found(self, position: int | None) -> Found | None:
        return None if position is None else Found(self.words[position], self.strengths[position])


class Cache(dict[str, V]):
    """Values computed for the strings met lately: at most two generations of `size` strings.

    A full generation becomes the old one and a new one begins; what is asked for again moves over. So memory is
    bounded and frequent words stay. Long strings are computed each time: they hardly ever come back.
    """

    LONGEST = 40

    def __init__(self, compute: Callable[[str], V], size: int) -> None:
        super().__init__()
        self._compute = compute
        self._size = size
        self._old: dict[str, V] = {}

    def __missing__(self, key: str) -> V:
        old = self._old  # another thread may begin a generation meanwhile
        value = old[key] if key in old else self._compute(key)
        if len(key) <= self.LONGEST:
            if len(self) >= self._size:
                self._old = dict(self)
                self.clear()
            self[key] = value
        return value
