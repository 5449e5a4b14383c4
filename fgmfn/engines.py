"""Engines that compute a batch's logits: PyTorch, or ONNX Runtime with an exported folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from fgmfn.errors import InputError, WeightsError
from fgmfn.predictions import file_digest

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel


class Engine(Protocol):
    """Computes the logits of a batch; only one thread may call it at a time."""

    def logits(self, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Return the logits, [B, C] in float32.

        Args:
            batch: the fields that the model's `inputs` name, by name, on the CPU.
        """


class TorchEngine:
    """PyTorch, on the model's device.

    Args:
        model: in evaluation.
    """

    def __init__(self, model: SentimentModel) -> None:
        self._model = model

    @torch.inference_mode()
    def logits(self, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Return the logits, [B, C]."""
        there: dict[str, Any] = {name: values.to(self._model.device) for name, values in batch.items()}
        logits: np.ndarray = self._model(**there).logits.float().cpu().numpy()
        return logits


MANIFEST, GRAPH, FORMAT = "export.json", "model.onnx", 1


def is_export(folder: Path) -> bool:
    """Return whether a folder contains an export, intact or not."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read an export's manifest and check that its files are unaltered since the export.

    Raises:
        WeightsError: The manifest cannot be read, is of another format, or a file is missing or altered.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found, files, inputs = manifest["format"], dict(manifest["files"]), dict(manifest["inputs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / MANIFEST}: cannot be read as an export's manifest: {error!r}") from error
    if found != FORMAT:
        raise WeightsError(f"{folder / MANIFEST}: format {found!r}; this version reads {FORMAT}: export the run again")
    for name in files.keys() | {GRAPH, "config.json"}:
        try:
            digest = file_digest(folder / name)
        except OSError as error:
            raise WeightsError(f"{folder / name}: cannot be read: {error.strerror}; export the run again") from error
        if digest != files.get(name):
            raise WeightsError(
                f"{folder / name}: its SHA-256 is {digest[:12]}..., but {MANIFEST} says {str(files.get(name))[:12]}: "
                f"the file has been altered or damaged; export the run again"
            )
    return manifest | {"inputs": inputs}


class OnnxEngine:
    """ONNX Runtime on the CPU, with an exported folder.

    8-bit layers take the range of their inputs over everything that is computed together. Such an export computes rows
    one at a time and without padding, so that a row's answer does not depend on other rows.

    Args:
        folder: of the export.
        threads: per computation; None: as many as PyTorch would use.

    Raises:
        WeightsError: The folder is no export, or one that is damaged.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self._folder = folder
        self.manifest = read_manifest(folder)
        self._axes: dict[str, list[str]] = self.manifest["inputs"]
        self._session = open_session(folder / GRAPH, threads)
        names = [one.name for one in self._session.get_inputs()]
        if set(names) != set(self._axes):
            raise WeightsError(
                f"{folder}: {GRAPH} reads {', '.join(names)}, but {MANIFEST} says {', '.join(self._axes)}"
            )
        classes = self._session.get_outputs()[0].shape[-1]
        if classes != len(self.manifest["class_names"]):
            raise WeightsError(
                f"{folder}: {GRAPH} gives {classes} logits a row, but {MANIFEST} names the classes "
                f"{', '.join(self.manifest['class_names'])}"
            )

    def refuse_others(self, model: str, inputs: Mapping[str, Sequence[str]], class_names: Sequence[str]) -> None:
        """Refuse a configuration of another model, of other fields, given with what their axes count, or other classes.

        Raises:
            WeightsError: It is not the export's.
        """
        expected = {"model": model, "inputs": {name: [*axes] for name, axes in inputs.items()}}
        for what, value in (expected | {"class_names": [*class_names]}).items():
            if self.manifest.get(what) != value:
                raise WeightsError(
                    f"{self._folder}: {MANIFEST} names the {what} {self.manifest.get(what)}, but config.json {value}; "
                    f"export the run again"
                )

    def logits(self, batch: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Return the logits, [B, C].

        Raises:
            InputError: A field that the graph reads is missing, or not of its type, shape or finite, or logits are not.
        """
        if lacking := [name for name in self._axes if name not in batch]:
            raise InputError(f"{self._folder}: the batch lacks {', '.join(lacking)}; it has {', '.join(batch)}")
        fields = {name: batch[name].numpy() for name in self._axes}
        for name, values in fields.items():
            self._refuse_infinite(name, values)  # 8 bits would turn them into numbers
        rows = len(next(iter(fields.values())))
        parts = [self._alone(fields, row) for row in range(rows)] if self.manifest["rows_apart"] else [fields]
        try:
            logits: np.ndarray = np.concatenate([self._session.run(None, part)[0] for part in parts])
        except Exception as error:  # its exceptions share no base
            shapes = ", ".join(f"{name} {list(values.shape)} {values.dtype}" for name, values in fields.items())
            raise InputError(f"{self._folder}: ONNX Runtime cannot compute {shapes}: {error}") from error
        self._refuse_infinite("the logits", logits)
        return logits

    def _refuse_infinite(self, what: str, values: np.ndarray) -> None:
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
            raise InputError(f"{self._folder}: {what} of row {row + 1} of a batch are not finite")

    def _alone(self, fields: Mapping[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
        """Return one row's fields, as long as its own sentence and target are."""
        masks = {"n": "attention_mask", "m": "target_mask"}
        lengths = {axis: int(fields[mask][row].sum()) for axis, mask in masks.items() if mask in fields}
        return {
            name: fields[name][row : row + 1][(slice(None), *(slice(lengths.get(axis)) for axis in axes))]
            for name, axes in self._axes.items()
        }


def open_session(graph: Path, threads: int | None = None) -> Any:
    """Open a graph in ONNX Runtime on the CPU.

    Raises:
        WeightsError: It cannot be read.
    """
    import onnxruntime

    # if it was imported before fgmfn could set its switch
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # its threads would otherwise busy-wait for more work
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base
        raise WeightsError(f"{graph}: cannot be opened by ONNX Runtime: {error}") from error
