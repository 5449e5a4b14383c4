"""Inputs of a model: it declares its fields, and a batch holds those and no others.

| field | shape | what it is |
|---|---|---|
| `pixel_values` | [B, 3, H, W] | the normalised picture |
| `input_ids`, `attention_mask`, `token_type_ids` | [B, n] | the sentence, or the pair of sentence and target |
| `target_ids`, `target_mask` | [B, m] | the target alone |
| `target_span` | [B, 2] | first token of the target in the sentence, and the one behind its last |
| `groups` | [B, 3] | identities of each row's text, ad and picture (no third without `pixel_values`) |

Masks are 1 where a token is real; every text has at least one real token. A target that does not stand in
the sentence, such as an ad's category or one that was cut off, has the empty span (0, 0): what is right of
it is then the whole sentence, and what is left of it nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

FIELDS = (
    "pixel_values",
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "target_ids",
    "target_mask",
    "target_span",
    "groups",
)
SENTENCE = ("input_ids", "attention_mask")
PAIR = ("input_ids", "attention_mask", "token_type_ids")
TARGET = ("target_ids", "target_mask")
MARK = "$T$"
"""Placeholder of the target in a sentence."""
NOWHERE = (0, 0)
"""The characters of a target that does not stand in the text."""
SEPARATOR = "[SEP]"
"""Separator between a row's text and its auxiliary text, and between the parts of the latter."""
Words = Literal["text", "auxiliary", "both"]
"""Text that models read as a row's sentence: its text, its auxiliary text, or its text followed by the latter."""


def sentence_read(text: str, auxiliary: str, words: Words) -> str:
    """Return what models read as a row's sentence; what stands in the text keeps its place."""
    if words == "both":
        return f"{text} {SEPARATOR} {auxiliary}" if auxiliary.strip() else text
    return auxiliary if words == "auxiliary" else text


@dataclass(frozen=True)
class Sentence:
    """One row's sentence as the tokenizer cut it: what an extra field is computed from."""

    text: str
    target: str
    auxiliary: str
    """Further words that belong to the row, such as a caption; "" where the data has none."""
    input_ids: Sequence[int]
    offsets: Sequence[tuple[int, int]]
    """Characters of `text` behind each token; (0, 0) for special tokens and those of a second segment."""
    target_span: tuple[int, int]


@dataclass(frozen=True)
class Extra:
    """A field of one model's own, computed once per row and padded with zeros.

    Args:
        name: the keyword under which the model's `forward` receives it.
        axes: what each axis counts; `n` and `m` are as long as the batch's sentences and targets, any other
            letter as long as the longest value of the batch.
        value: an array of one row, of integers or floats. It gets the tokenizer too.
    """

    name: str
    axes: tuple[str, ...]
    value: Callable[[Sentence, Any], np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """The fields of one model's batches.

    Args:
        fields: names out of `FIELDS`.
        tokens: word pieces of the model's text encoder, or lower-cased words of the training split.
        pair: whether the target follows the sentence as a second segment: `always` (an ad's category too),
            `real_target` (only where the data has targets) or `never`.
        marked: leave the mark `$T$` in the sentence where the target stood.
        extras: fields of the model's own.
        shuffled: show each row the picture of another ad.

    Raises:
        ValueError: A field is not in `FIELDS`.
    """

    fields: tuple[str, ...]
    tokens: Literal["pieces", "words"] = "pieces"
    pair: Literal["always", "real_target", "never"] = "never"
    marked: bool = False
    extras: tuple[Extra, ...] = ()
    shuffled: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.fields) - set(FIELDS)
        if unknown:
            raise ValueError(f"unknown fields {', '.join(sorted(unknown))}; a batch may hold {', '.join(FIELDS)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that a batch holds beside its labels."""
        return (*self.fields, *(extra.name for extra in self.extras))

    @property
    def pictures(self) -> bool:
        """Whether pictures are read at all."""
        return "pixel_values" in self.fields

    @property
    def sentences(self) -> bool:
        """Whether sentences are cut into tokens."""
        return bool(self.extras) or not {"input_ids", "attention_mask", "token_type_ids", "target_span"}.isdisjoint(
            self.fields
        )

    @property
    def targets(self) -> bool:
        """Whether targets are cut into tokens of their own."""
        return not set(TARGET).isdisjoint(self.fields)

    @property
    def varying(self) -> dict[str, tuple[str, ...]]:
        """Fields that an answer is computed from, and what those of their axes count whose lengths vary, rows apart."""
        fixed = ("pixel_values", "target_span")
        return {name: () if name in fixed else self.axes(name) for name in self.names if name != "groups"}

    def axes(self, name: str) -> tuple[str, ...]:
        """Return what the axes of a field of words count, behind the rows: `n` tokens of sentences, `m` of targets."""
        own = next((extra.axes for extra in self.extras if extra.name == name), None)
        return own or (("m",) if name in TARGET else ("n",))

    def reads_target(self, *, real: bool) -> bool:
        """Return whether the model reads a row's target.

        Args:
            real: the target is what the sentence is about; False: it is only the category of an ad.
        """
        if self.targets or self.pair == "always":
            return True
        return real and (self.pair == "real_target" or self.marked or "target_span" in self.fields or bool(self.extras))


def is_paired(inputs: Inputs, *, has_targets: bool) -> bool:
    """Return whether a model reads the target after the sentence, for rows with or without real targets."""
    return inputs.pair == "always" or (inputs.pair == "real_target" and has_targets)


def find_target(text: str, target: str) -> tuple[int, int]:
    """Return the characters of a target in its text, or `NOWHERE`."""
    start = text.find(target) if target else -1
    return NOWHERE if start < 0 else (start, start + len(target))


def marked(text: str, span: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """Put the mark where a target stands; return the text and the characters of the mark."""
    if span == NOWHERE:
        return text, NOWHERE
    return text[: span[0]] + MARK + text[span[1] :], (span[0], span[0] + len(MARK))


def token_span(offsets: Sequence[tuple[int, int]], characters: tuple[int, int]) -> tuple[int, int]:
    """Return the first token that touches the characters and the one behind the last; (0, 0) if there is none."""
    start, end = characters
    touching = [number for number, (left, right) in enumerate(offsets) if left < end and right > start and right > left]
    return (touching[0], touching[-1] + 1) if touching else (0, 0)
