"""A word list with the sentiment of each word, from a text file."""

from __future__ import annotations

import math
from pathlib import Path

from fgmfn.errors import WeightsError


def read_word_values(file: Path) -> dict[str, float]:
    """Read lines of a word, a tab and its value; further columns, such as VADER's lists have, are not looked at.

    Words are lower-cased, whole ones, without wildcards; of one that stands there twice the last line counts.

    Returns:
        Values scaled so that the strongest is 1 or -1.

    Raises:
        WeightsError: The file cannot be read, a line has no number, or all values are 0.
    """
    try:
        lines = file.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    values = dict(_entry(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    strongest = max(map(abs, values.values()), default=0.0)
    if not strongest:
        raise WeightsError(f"{file}: no word has a value; expected lines of a word, a tab and a number")
    return {word: value / strongest for word, value in values.items()}


def _entry(file: Path, number: int, line: str) -> tuple[str, float]:
    word, *rest = line.split("\t")
    try:
        value = float(rest[0])
    except (IndexError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise WeightsError(f"{file}: line {number} is {line[:80]!r}; expected a word, a tab and a number")
    return word.strip().lower(), value
