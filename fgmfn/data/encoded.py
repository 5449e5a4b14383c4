"""Outputs of frozen encoders, computed once for all epochs and trainings and kept in the cache of prepared rows.

An entry's name depends on the prepared pictures or words that the encoder reads, its architecture and its weights.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import torch
import transformers
from tqdm import tqdm

from fgmfn.data.batches import Collator, SplitDataset
from fgmfn.data.prepared import GIGABYTE, Cache, Hold
from fgmfn.encoders import digest_of
from fgmfn.processing import FgmfnProcessor

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel

log = logging.getLogger(__name__)

NUMBERS, SHAPES = "encoded.f32", "shapes.npz"
AT_ONCE = 32
"""Rows that are encoded together."""


class EncodedRows:
    """Rows of an entry of the cache: pictures [F], or the states of each row's real tokens, [n, d]."""

    def __init__(self, held: Hold) -> None:
        self._held = held
        self._file = os.open(held.folder / NUMBERS, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        with np.load(held.folder / SHAPES, allow_pickle=False) as shapes:
            self._starts, self._width, self._of_tokens = shapes["starts"], int(shapes["width"]), bool(shapes["tokens"])

    def __reduce__(self) -> tuple[type[EncodedRows], tuple[Hold]]:
        return EncodedRows, (self._held,)

    def read(self, row: int) -> torch.Tensor:
        """Return a row's numbers in float32."""
        start, end = (int(self._starts[number]) for number in (row, row + 1))
        content = bytearray(4 * (end - start))
        os.preadv(self._file, [content], 4 * start)
        numbers = torch.frombuffer(content, dtype=torch.float32)
        return numbers.view(-1, self._width) if self._of_tokens else numbers


def keep_encoded(
    cache: Cache, split: SplitDataset, model: SentimentModel, processor: FgmfnProcessor, name: str, *, progress: bool
) -> None:
    """Let a split return the outputs of the model's frozen encoders in place of pictures and word pieces.

    An encoder is left as it is if its input is drawn anew in each epoch or has no entry in the cache, or if its output
    would fill more than half of the cache or of the free space on its disk.

    Args:
        cache: has the split's pictures and words, and gets the outputs.
        split: the rows.
        model: its frozen parts are the encoders.
        processor: normalises pictures.
        name: name of the rows in the list of the cache.
        progress: show a bar on standard error, if that is a terminal.

    Raises:
        OSError: The cache cannot be written.
    """
    for field in model.frozen_fields():
        if not len(split) or (origin := split.origin(field)) is None:
            continue
        encoder: Any = model.get_submodule(model.encoded_fields[field])
        settings = encoder.config.to_dict() if hasattr(encoder, "config") else {}
        parts = {
            "kind": "encoded",
            "of": origin,
            "normalised": processor.image_processor.to_dict() if field == "pixel_values" else {},
            "encoder": [repr(encoder), {key: value for key, value in settings.items() if not key.startswith("_")}],
            **model.encoding(field),
            "weights": digest_of(encoder.state_dict()),
            "libraries": [torch.__version__, timm.__version__, transformers.__version__],
        }
        # an encoder's settings may have values that JSON lacks
        named = json.loads(json.dumps(parts, default=str))
        writer = _Writer(split, model, processor, field, f"encoding {name}" if progress else "")
        needed = writer.bytes_of_one() * len(split)
        free = shutil.disk_usage(cache.folder).free
        if needed > min(cache.most_bytes, free) / 2:
            log.info(
                "%s: %.1f GB of encoded %s are not kept; they are computed in each epoch",
                name,
                needed / GIGABYTE,
                field,
            )
            continue
        split.encoded[field] = EncodedRows(cache.hold(named, f"{field} of {name}, encoded", writer.write)).read


class _Writer:
    """Runs the encoder over a split."""

    def __init__(
        self, split: SplitDataset, model: SentimentModel, processor: FgmfnProcessor, field: str, title: str
    ) -> None:
        self._device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        self._split, self._model, self._field, self._title = split, model.to(self._device).eval(), field, title
        self._collate = Collator(processor, model.inputs)

    def bytes_of_one(self) -> int:
        """Return the size of a picture's output, or of the states of the longest text."""
        lengths = self._split.lengths if self._field == "input_ids" else []
        row = int(np.argmax(lengths)) if lengths else 0
        return sum(numbers.nbytes for numbers in self._encode([row]))

    def write(self, folder: Path) -> None:
        """Write all rows."""
        starts, rows = [0], list(range(len(self._split)))
        bar = tqdm(total=len(rows), desc=self._title, unit="row", leave=False, disable=None if self._title else True)
        with (folder / NUMBERS).open("wb") as file, bar:
            for first in range(0, len(rows), AT_ONCE):
                for numbers in self._encode(rows[first : first + AT_ONCE]):
                    file.write(numbers.tobytes())
                    starts.append(starts[-1] + numbers.size)
                    bar.update()
        np.savez(folder / SHAPES, starts=starts, width=numbers.shape[-1], tokens=numbers.ndim == 2)

    @torch.inference_mode()
    def _encode(self, rows: list[int]) -> list[np.ndarray]:
        """Return the outputs of some rows, [F] or [n, d] each, in full precision."""
        batch = self._collate([self._split[row] for row in rows])
        batch = {name: values.to(self._device) for name, values in batch.items()}
        with torch.backends.cudnn.flags(allow_tf32=False):
            encoded = self._model.encode(self._field, batch).float().cpu().numpy()
        if encoded.ndim == 2:
            return list(encoded)
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        return [states[:length] for states, length in zip(encoded, lengths, strict=True)]
