"""Training rows that are similar to a model: the cosine of its features of picture and words before the last layer.

The index of a run's training rows is written once into its folder. It holds numbers, names, groups and labels, and no
words or pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import nn
from tqdm import tqdm

from fgmfn.baselines.fitted import Features, FittedModel
from fgmfn.data import Collator, Rows, Source, SplitDataset
from fgmfn.data.overlap import linked
from fgmfn.data.pictures import decode
from fgmfn.errors import InputError
from fgmfn.inference import Checkpoint
from fgmfn.predictions import METRICS
from fgmfn.processing import FgmfnProcessor
from fgmfn.sheets import write_file

log = logging.getLogger(__name__)

INDEX = "neighbours.npz"
"""The index, in the folder of its run."""
AT_ONCE = 32
"""Rows that are read together."""


@dataclass(frozen=True)
class Neighbour:
    """A training row."""

    name: str
    group: str
    """Its ad, or the rows that share its picture."""
    label: str
    similarity: float
    """Cosine, up to 1."""
    row: int
    """Its number among the training rows."""


@dataclass(frozen=True)
class Placed:
    """Rows as the model sees them."""

    vectors: Features
    """[rows, d], each of length 1, or 0 where nothing is known of a row."""
    digests: list[str]
    """Of all that the model is given of each row."""


@dataclass(frozen=True)
class Index:
    """The training rows of a run."""

    key: str
    """Names the weights and the rows."""
    placed: Placed
    names: list[str]
    groups: list[str]
    labels: list[str]

    def groups_of(self, digests: Sequence[str]) -> set[str]:
        """Return the groups of the training rows that are given to the model just as rows of these digests are."""
        asked = set(digests)
        return {group for group, own in zip(self.groups, self.placed.digests, strict=True) if own in asked}

    def nearest(self, vector: Features, count: int, without: set[str]) -> list[Neighbour]:
        """Return the nearest row of each of so many groups, the nearest group first.

        Args:
            vector: [1, d], of length 1.
            count: of groups.
            without: groups that are left out.
        """
        product = self.placed.vectors @ vector.T
        similar = np.asarray(product.todense() if isinstance(product, csr_matrix) else product, dtype=float).ravel()
        found: dict[str, Neighbour] = {}
        for row in np.argsort(-similar, kind="stable"):
            group = self.groups[row]
            if len(found) == count:
                break
            if group not in without and group not in found:
                found[group] = Neighbour(self.names[row], group, self.labels[row], float(similar[row]), int(row))
        return list(found.values())


def mean_of(vectors: Sequence[Features]) -> Features:
    """Return the direction of several vectors together, each [1, d], as the frames of an ad have it."""
    if isinstance(vectors[0], csr_matrix):
        return _unit(csr_matrix(vstack(vectors).mean(axis=0)))
    return _unit(np.concatenate(vectors).mean(axis=0, keepdims=True))


def place(checkpoint: Checkpoint, rows: Rows, *, title: str | None = None) -> Placed:
    """Let a model read rows, up to the layer that answers.

    Args:
        checkpoint: a trained model.
        rows: what it reads.
        title: of a bar on standard error, if that is a terminal; None: no bar.

    Raises:
        DataError: A picture that it looks at is missing or cannot be decoded.
    """
    model = checkpoint.model
    numbers = range(len(rows))
    starts = tqdm(numbers[::AT_ONCE], desc=title, unit="batch", leave=False, disable=None if title else True)
    parts: list[Features] = []
    digests: list[str] = []
    if isinstance(model, FittedModel):
        for start in starts:
            part = rows.take(list(numbers[start : start + AT_ONCE]))
            parts.append(model.features(part, progress=False))
            digests += [_digest(_given(part, row, model.modalities)) for row in range(len(part))]
        joined = vstack(parts, format="csr") if isinstance(parts[0], csr_matrix) else np.concatenate(parts)
        return Placed(_unit(joined), digests)
    processor = cast(FgmfnProcessor, checkpoint.processor)
    inputs = replace(model.inputs, shuffled=False)  # each row with its own picture
    dataset, collate = SplitDataset(rows, processor, inputs), Collator(processor, inputs)
    read: list[torch.Tensor] = []
    hook = _answering(model, model.config.num_labels).register_forward_pre_hook(lambda _, given: read.append(given[0]))
    try:
        with torch.inference_mode():
            for start in starts:
                examples = [dataset[row] for row in numbers[start : start + AT_ONCE]]
                digests += map(_digest, examples)
                batch = collate(examples)
                del batch["labels"]
                batch.pop("groups", None)
                model(**{name: values.to(model.device) for name, values in batch.items()})
                parts.append(read[-1].float().cpu().numpy())
    finally:
        hook.remove()
    return Placed(_unit(np.concatenate(parts)), digests)


def _answering(model: nn.Module, classes: int) -> nn.Module:
    """Return the part of a model that computes the logits."""
    for name in ("head", "classifier"):
        if isinstance(part := getattr(model, name, None), nn.Module):
            return part
    return [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == classes][-1]


def _unit(vectors: Features) -> Features:
    if isinstance(vectors, csr_matrix):
        lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)))
        return csr_matrix(vectors.multiply(1 / np.where(lengths, lengths, 1)))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths, lengths, 1)).astype(np.float32)


def _given(rows: Rows, row: int, modalities: Sequence[str]) -> dict[str, Any]:
    """All that a fitted model is given of a row."""
    given: dict[str, Any] = {"words": json.dumps([rows.text[row], rows.target[row]])}
    if "image" in modalities and rows.pictures is not None:
        given["picture"] = np.asarray(decode(rows.pictures.read(row), rows.where(row)))
    return given


def _digest(given: dict[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(given.items()):
        if name not in ("labels", "groups"):
            values = np.ascontiguousarray(value)
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


def open_index(checkpoint: Checkpoint, source: Source | None, *, progress: bool = True) -> Index | None:
    """Return the index of a run, written now where it is not there and the run's training rows are.

    Args:
        checkpoint: of the run.
        source: the data that it was trained on; None: not at hand.
        progress: show a bar on standard error while it is made, if that is a terminal.

    Returns:
        None where there is neither an index of these weights nor the rows to make it of.

    Raises:
        DataError: A training picture is missing or cannot be decoded.
    """
    file = checkpoint.path / INDEX
    key = _key(checkpoint)
    if key and (kept := _read(file, key)) is not None:
        return kept
    if source is None or source.row_set_hash != checkpoint.row_set_hash or not len(source.splits["train"]):
        return None
    rows = source.splits["train"]
    placed = place(checkpoint, rows, title=f"training rows of {source.name}" if progress else None)
    if not isinstance(placed.vectors, csr_matrix):  # as they are kept
        placed = replace(placed, vectors=placed.vectors.astype(np.float16).astype(np.float32))
    labels = [source.class_names[number] for number in rows.label]
    index = Index(key, placed, list(rows.name), linked(rows, grouped=True), labels)
    if key:
        try:
            write_file(checkpoint.path, INDEX, _bytes(index))
        except InputError as error:
            log.warning("%s; the training rows are read again next time", error)
    return index


def _key(checkpoint: Checkpoint) -> str:
    """Name a run's weights and rows; "" where its record does not."""
    try:
        record = json.loads((checkpoint.path / METRICS).read_text(encoding="utf-8"))
        parts = [record["files"], record["checksums"]["train"], checkpoint.row_set_hash]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _bytes(index: Index) -> bytes:
    vectors = index.placed.vectors
    arrays: dict[str, Any] = {name: np.asarray(getattr(index, name)) for name in ("key", "names", "groups", "labels")}
    arrays["digests"] = np.asarray(index.placed.digests)
    if isinstance(vectors, csr_matrix):
        arrays |= {name: getattr(vectors, name) for name in ("data", "indices", "indptr", "shape")}
    else:
        arrays["vectors"] = vectors.astype(np.float16)  # half as large, and as near
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _read(file: Path, key: str) -> Index | None:
    """Return an index if it is the one of that key."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if str(arrays["key"]) != key:
                return None
            if "vectors" in arrays:
                vectors: Features = arrays["vectors"].astype(np.float32)
            else:
                vectors = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=arrays["shape"])
            lists = {name: arrays[name].tolist() for name in ("names", "groups", "labels", "digests")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        log.warning("%s: cannot be read (%s)", file, error)
        return None
    return Index(key, Placed(vectors, lists.pop("digests")), **lists)
