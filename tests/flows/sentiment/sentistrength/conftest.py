"""A small folder of word lists of our own, in SentiStrength's format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.sentiment.sentistrength import Reading, Scorer

LISTS = {
    "EmotionLookupTable.txt": "good\t2\nlove*\t3\tremark\nwonderful\t4\nbad\t-2\nhate\t-4\nawful\t-3\nfine\t1\n"
    "miss\t-2\n*gate\t-3\n*scam*\t-4\nhaha*\t2\nhehe*\t2\n",
    "BoosterWordList.txt": "very\t1\r\nextremely\t2\r\nslightly\t-1\r\n",
    "NegatingWordList.txt": "not\nnever\ndon't\n",
    "EmoticonLookupTable.txt": ":)\t1\n:(\t-1\n:-|\t0\n",
    "EnglishWordList.txt": "good\nlove\nthis\nthe\nday\nso\nyes\nyou\nhaha\nhorror\n",
    "IdiomLookupTable.txt": "what's up\t2\nshock horror\t-3\nbroken dream*\t-4\n",
    "EmojiLookupTable.txt": "😀\t1\n👍\t1\n😡\t-2\n❤️\t2\n❤️‍🔥\t3\n",
}

Folder = Callable[..., Path]


def write(folder: Path, lists: dict[str, str | bytes | None]) -> Path:
    """Write the small lists, with these in place of theirs; None leaves a file out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ({**LISTS, **lists}).items():
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes the small lists, changed by what it is called with, and tells where."""
    return lambda lists=None: write(tmp_path / "lists", lists or {})


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A scorer over the small lists."""
    return Scorer.of(write(tmp_path_factory.mktemp("small") / "lists", {}))


@pytest.fixture(scope="session")
def small_with_emoji(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """A scorer over the small lists that counts emoji."""
    return Scorer.of(write(tmp_path_factory.mktemp("emoji") / "lists", {}), Reading(emoji=True))
