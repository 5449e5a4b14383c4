"""Word vectors and lists of words with their sentiment, from text files; vectors may also be drawn with a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from fgmfn.configuration import WordsConfig
from fgmfn.encoders import Loaded
from fgmfn.errors import WeightsError
from fgmfn.packaged import packaged

SPREAD = 0.25
"""Drawn vectors are uniform in [-0.25, 0.25], about as wide as pretrained ones (Kim, 2014)."""


class WordVectors(nn.Module):
    """An embedding of the training split's words; padding is zero."""

    def __init__(self, config: WordsConfig) -> None:
        super().__init__()
        self.vectors = nn.Embedding(config.vocab_size, config.word_size, padding_idx=0)
        generator = torch.Generator().manual_seed(config.word_seed)
        if not self.vectors.weight.is_meta:
            drawn = torch.rand(config.vocab_size, config.word_size, generator=generator, device="cpu")
            self._set((2 * drawn - 1) * SPREAD)

    def _set(self, vectors: Tensor) -> None:
        vectors[0] = 0
        with torch.no_grad():
            self.vectors.weight.copy_(vectors)

    def forward(self, ids: Tensor) -> Tensor:
        """[B, n] -> [B, n, word_size]."""
        return self.vectors(ids)

    def load_pretrained(self, config: WordsConfig, tokenizer: Any) -> None:
        """Take the vectors of the words that `config.word_vectors` has; the rest stay as drawn.

        Raises:
            WeightsError: The file cannot be read, has vectors of another width, or has none of the words.
        """
        if config.word_vectors:
            vocabulary, packed = tokenizer.get_vocab(), packaged("word_vectors", config.word_vectors)
            if packed is None:
                found = read_vectors(Path(config.word_vectors), vocabulary, config.word_size)
            else:
                found = packed_vectors(packed, vocabulary, config.word_size)
            vectors = self.vectors.weight.detach().clone()
            for number, vector in found.items():
                vectors[number] = torch.from_numpy(vector)
            self._set(vectors)
            digest = hashlib.sha256(vectors.numpy().tobytes()).hexdigest()
            self.loaded = Loaded("word vectors", config.word_vectors, len(found), config.vocab_size, digest, "words")


def read_vectors(file: Path, vocabulary: Mapping[str, int], size: int) -> dict[int, np.ndarray]:
    """Read the vectors of a vocabulary's words, by the words' numbers; a word2vec header line is skipped.

    Raises:
        WeightsError: As `WordVectors.load_pretrained`.
    """
    found: dict[int, np.ndarray] = {}
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                word, *numbers = line.rstrip().rsplit(" ", size)
                if number == 1 and len(numbers) == 1:
                    continue
                if word in vocabulary:
                    found[vocabulary[word]] = _vector(numbers, size, f"{file}: line {number}")
    except OSError as error:
        raise WeightsError(f"word_vectors = {str(file)!r}: cannot be read: {error.strerror}") from error
    if not found:
        raise WeightsError(f"{file}: holds none of the {len(vocabulary)} words of the training texts")
    return found


def packed_vectors(file: Path, vocabulary: Mapping[str, int], size: int) -> dict[int, np.ndarray]:
    """Read the vectors of a vocabulary's words from a matrix; a table next to it lists its words.

    Raises:
        WeightsError: They are of another width, or there is none of the words.
    """
    vectors = np.load(file, mmap_mode="r")
    if vectors.shape[1] != size:
        raise WeightsError(f"{file}: its vectors have {vectors.shape[1]} numbers; set word_size = {vectors.shape[1]}")
    words: list[Any] = pq.read_table(next(file.parent.glob("*_index.parquet"))).column(0).to_pylist()
    found = {vocabulary[word]: np.array(vectors[row]) for row, word in enumerate(words) if word in vocabulary}
    if not found:
        raise WeightsError(f"{file}: holds none of the {len(vocabulary)} words of the training texts")
    return found


def _vector(numbers: list[str], size: int, where: str) -> np.ndarray:
    try:
        vector = np.array([float(number) for number in numbers], dtype=np.float32)
    except ValueError:
        vector = np.empty(0, dtype=np.float32)
    if len(vector) != size or not np.isfinite(vector).all():
        raise WeightsError(f"{where} is not a word and {size} numbers; set word_size to the file's width")
    return vector


def read_word_values(file: Path) -> dict[str, float]:
    """Read lines of a word, a tab and its value; further columns, as in VADER's lists, are ignored.

    Words are lower-cased and whole, without wildcards; if a word occurs twice, the last line counts.

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
