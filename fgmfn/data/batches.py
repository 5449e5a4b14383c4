"""Rows as a model's inputs: tokens and shrunk pictures, from a cache or prepared here, padded to a batch.

A batch has exactly the fields that the model's `Inputs` declare: for a model without pictures, none are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from fgmfn.data.prepared import (
    Cache,
    CachedPictures,
    CachedWords,
    FreshPictures,
    ShrunkPictures,
    prepare_pictures,
    prepare_words,
)
from fgmfn.data.rows import Rows, identity, shuffled
from fgmfn.errors import DataError
from fgmfn.inputs import Inputs, Sentence, is_paired, token_span
from fgmfn.inputs import marked as mark
from fgmfn.processing import UNCUT, Augmentation, FgmfnProcessor, readable

MULTIPLE = 8
"""Sentences and targets are padded to multiples of it, for a GPU's matrix units, but never beyond the limit."""


def encode_words(rows: Rows, processor: FgmfnProcessor, inputs: Inputs) -> list[dict[str, Any]]:
    """Return the text fields of a model's inputs, one dictionary of unpadded values per row."""
    examples: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    if not len(rows):
        return examples
    if inputs.sentences:
        _add_sentences(examples, rows, processor, inputs)
    if inputs.targets:
        cut = processor.tokenize(rows.target, limit=processor.max_target_tokens)
        for example, ids in zip(examples, cut["input_ids"], strict=True):
            example["target_ids"], example["target_mask"] = ids, [1] * len(ids)
    return [{name: value for name, value in example.items() if name in inputs.names} for example in examples]


def _add_sentences(examples: list[dict[str, Any]], rows: Rows, processor: FgmfnProcessor, inputs: Inputs) -> None:
    texts, spans = _sentences(rows, marked=inputs.marked)
    targets = [readable(target) for target in rows.target]
    located = bool(inputs.extras) or "target_span" in inputs.fields
    cut = processor.tokenize(texts, targets if _is_paired(rows, inputs) else None, offsets=located)
    for number, example in enumerate(examples):
        example |= {name: values[number] for name, values in cut.items()}
        if not located:
            continue
        offsets = example.pop("offset_mapping")
        example["target_span"] = token_span(offsets, spans[number])
        further = readable(rows.auxiliary[number]) if rows.auxiliary else ""
        sentence = Sentence(
            texts[number], targets[number], further, example["input_ids"], offsets, example["target_span"]
        )
        example |= {extra.name: extra.value(sentence, processor.tokenizer) for extra in inputs.extras}


def sentence_lengths(rows: Rows, processor: FgmfnProcessor, inputs: Inputs) -> list[int]:
    """Return the number of tokens of each sentence as a model reads it, before it is cut."""
    texts, _ = _sentences(rows, marked=inputs.marked)
    pair = [readable(target) for target in rows.target] if _is_paired(rows, inputs) else None
    return [len(ids) for ids in processor.tokenize(texts, pair, limit=UNCUT)["input_ids"]] if texts else []


def _is_paired(rows: Rows, inputs: Inputs) -> bool:
    return is_paired(inputs, has_targets=rows.has_targets)


def _sentences(rows: Rows, *, marked: bool) -> tuple[list[str], list[tuple[int, int]]]:
    texts, spans = [readable(text) for text in rows.text], rows.span
    if not marked:
        return texts, spans
    with_mark = [mark(text, span) for text, span in zip(texts, spans, strict=True)]
    return [text for text, _ in with_mark], [span for _, span in with_mark]


class SplitDataset(Dataset[dict[str, Any]]):
    """Rows of one split as a model's inputs, not yet padded to a batch.

    Args:
        rows: the split.
        processor: cuts texts and pictures.
        inputs: what the model reads.
        augmentation: of training pictures; None shows them as in evaluation.
        cache: source of tokens and shrunk pictures; None: texts are tokenized here, and a picture is decoded whenever
            it is read. The model's inputs are the same.
        name: name of the rows in the list of the cache.
        progress: show a bar on standard error while the cache is filled, if that is a terminal.

    Raises:
        DataError: The model reads pictures and the rows have none, or none of other ads, or some cannot be decoded
            while the cache is filled.
        OSError: The cache cannot be written.
    """

    def __init__(
        self,
        rows: Rows,
        processor: FgmfnProcessor,
        inputs: Inputs,
        *,
        augmentation: Augmentation | None = None,
        cache: Cache | None = None,
        name: str = "",
        progress: bool = False,
    ) -> None:
        self.rows = rows
        self.encoded: dict[str, Callable[[int], torch.Tensor]] = {}
        """Functions that return a row's output of a frozen encoder, by the field that it replaces."""
        self._inputs = inputs
        self._processor = processor
        self._augmentation = augmentation
        # Shared, since loader processes that persist from epoch to epoch must see the new one.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

        def encode() -> list[dict[str, Any]]:
            return encode_words(rows, processor, inputs)

        words = prepare_words(cache, rows, processor, inputs, name, encode) if cache else None
        self._words: Sequence[Mapping[str, Any]] = encode() if words is None else words
        self._pictures: ShrunkPictures | None = None
        if inputs.pictures and len(rows):
            if rows.pictures is None:
                raise DataError(
                    "this model looks at pictures and the data brings none: name their folder (--images DIR)"
                )
            zoom = 1.0 if augmentation is None else augmentation.zoom
            cached = prepare_pictures(cache, rows, processor, zoom, name, progress=progress) if cache else None
            self._pictures = cached or FreshPictures(rows, rows.pictures, processor, zoom)
        self._shown = shuffled(rows.group) if inputs.shuffled else range(len(rows))

    @property
    def epoch(self) -> int:
        """The epoch for which places are drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's places from now on."""
        self._epoch.fill_(epoch)

    @property
    def lengths(self) -> list[int]:
        """Return the tokens of each row's sentence; empty if the model reads none."""
        return [len(words["input_ids"]) for words in self._words] if "input_ids" in self._inputs.fields else []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return a row's values; the picture is bytes [3, H, W] unless it is encoded."""
        example = {**self._words[row], "labels": self.rows.label[row]}
        groups = [identity(self.rows.text[row]), identity(self.rows.group[row])]
        if self._pictures is not None:
            image, picture = self._pictures.read(self._shown[row])
            groups.append(picture)
            if "pixel_values" not in self.encoded:
                example["pixel_values"] = self._processor.raw_pixels([self._square(image, row)])[0]
        example |= {field: encoded(row) for field, encoded in self.encoded.items()}
        return example | ({"groups": groups} if "groups" in self._inputs.fields else {})

    def _square(self, image: Image.Image, row: int) -> Image.Image:
        if self._augmentation is None:
            return self._processor.square(image)
        return self._augmentation(image, self._processor, epoch=self.epoch, row=row)

    def origin(self, field: str) -> str | None:
        """Return the cache entry behind `pixel_values` or `input_ids`; None: none, or drawn anew in each epoch."""
        held: Any = self._pictures if field == "pixel_values" else self._words
        if not isinstance(held, CachedPictures | CachedWords):
            return None
        if field != "pixel_values":
            return held.key
        # the entry's pictures, in the order of the rows
        return None if self._augmentation else f"{held.key} {list(self._shown) if self._inputs.shuffled else ''}"


@dataclass(frozen=True)
class Collator:
    """Pads the rows of a batch to one length and stacks them: input_ids [B, n], pixel_values [B, 3, H, W] and so on.

    Args:
        processor: has the limits of length.
        inputs: what the model reads.
        normalize: False keeps pictures as bytes, a quarter as large, which the processor normalises on the device.
    """

    processor: FgmfnProcessor
    inputs: Inputs
    normalize: bool = True

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the batch's tensors by name."""
        sizes = self._sizes(examples)
        batch: dict[str, torch.Tensor] = {}
        for name in examples[0]:
            values = [example[name] for example in examples]
            if name == "pixel_values":
                batch[name] = torch.stack(values)
                if self.normalize and batch[name].ndim == 4:
                    batch[name] = self.processor.normalize(batch[name])
            elif name in ("labels", "groups", "target_span"):
                batch[name] = torch.from_numpy(np.asarray(values))
            else:
                arrays = [np.asarray(value) for value in values]
                encoded = name == "input_ids" and arrays[0].ndim == 2
                axes, fill = (("n", "d"), 0) if encoded else self._layout(name)
                batch[name] = _padded(arrays, [sizes.get(axis) for axis in axes], fill)
        return batch

    def _sizes(self, examples: list[dict[str, Any]]) -> dict[str, int]:
        """Return the common lengths of the batch's sentences and targets."""
        limits = {"n": ("input_ids", self.processor.max_tokens), "m": ("target_ids", self.processor.max_target_tokens)}
        sizes = {}
        for axis, (name, limit) in limits.items():
            if name in examples[0]:
                longest = max(len(example[name]) for example in examples)
                sizes[axis] = max(longest, min(limit, -(-longest // MULTIPLE) * MULTIPLE))
        return sizes

    def _layout(self, name: str) -> tuple[tuple[str, ...], int]:
        fill = self.processor.tokenizer.pad_token_id if name in ("input_ids", "target_ids") else 0
        return self.inputs.axes(name), fill


def _padded(values: list[np.ndarray], sizes: list[int | None], fill: int) -> torch.Tensor:
    """Stack arrays, each axis padded to its size, or to the longest if it has none."""
    shape = [size or max(value.shape[axis] for value in values) for axis, size in enumerate(sizes)]
    whole = np.full((len(values), *shape), fill, dtype=values[0].dtype)
    for row, value in zip(whole, values, strict=True):
        row[tuple(slice(length) for length in value.shape)] = value
    return torch.from_numpy(whole)
