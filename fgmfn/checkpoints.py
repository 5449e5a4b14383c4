"""A trained model with everything it needs to predict, loaded from the folder of its run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from fgmfn.baselines import model_class, model_of_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.calibration import Calibration
from fgmfn.console import quiet_libraries
from fgmfn.engines import Engine, OnnxEngine, is_export
from fgmfn.errors import WeightsError
from fgmfn.inputs import Words
from fgmfn.predictions import METRICS
from fgmfn.processing import FgmfnProcessor
from fgmfn.sizes import on_meta_device

if TYPE_CHECKING:
    from fgmfn.modeling import SentimentModel


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with everything it needs to predict."""

    path: Path
    name: str
    """The model's name in `fgmfn.baselines.MODELS`."""
    model: SentimentModel | FittedModel
    processor: FgmfnProcessor | None
    """None if the model is fitted and reads the rows themselves."""
    row_set_hash: str | None
    """Hash of the rows it was trained on; None if its metrics.json is missing."""
    has_targets: bool | None = None
    """Whether those rows had targets; None if its metrics.json does not say."""
    words: Words = "text"
    """Words that it reads: the rows' text, auxiliary text or both."""
    engine: Engine | None = None
    """Computes the logits of an export; `model` then has inputs and classes but no weights."""
    calibration: Calibration | None = None
    """None if there were no development rows to calibrate on, or the run is older."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits."""
        return tuple(self.model.config.id2label[number] for number in range(self.model.config.num_labels))

    def reads_target(self, *, real: bool) -> bool:
        """Return whether the model reads a target: a real one, or an ad's category."""
        if isinstance(self.model, FittedModel):
            return real and "text" in self.model.modalities
        return self.model.inputs.reads_target(real=real)


def load_checkpoint(path: Path) -> Checkpoint:
    """Load a trained model from the folder that `fgmfn train` printed, or from an export.

    Raises:
        WeightsError: The folder contains no such model, a damaged one, or an export with altered files.
    """
    engine = OnnxEngine(path) if is_export(path) else None
    config = _read_object(path / "config.json")
    if config is None:
        raise WeightsError(f"{path}: no readable config.json, so this is not a checkpoint of fgmfn train")
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    name = model_of_class(architecture)
    if name is None:
        raise WeightsError(f"{path}: config.json names the model {architecture!r}, which fgmfn does not know")
    record = _read_object(path / METRICS) or {}
    origin = {
        "row_set_hash": record.get("row_set_hash"),
        "has_targets": record.get("has_targets"),
        "words": record.get("words", "text"),
        "calibration": read_calibration(path),
    }
    try:
        with quiet_libraries():
            kind = model_class(name)
            if issubclass(kind, FittedModel):
                return Checkpoint(path, name, kind.from_pretrained(path), None, **origin)
            if engine:
                return _load_export(path, name, kind, origin, engine)
            model, info = kind.from_pretrained(path, local_files_only=True, output_loading_info=True)
            if missing := sorted(info["missing_keys"]):
                raise WeightsError(f"{path}: its weights lack {len(missing)} tensors, such as {missing[0]}")
            processor = FgmfnProcessor.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(f"{path}: the checkpoint is incomplete or damaged: {error}") from error
    return Checkpoint(path, name, model.to(_device()).eval(), processor, **origin)


def _load_export(path: Path, name: str, kind: Any, origin: dict[str, Any], engine: OnnxEngine) -> Checkpoint:
    model: Any = on_meta_device(kind, kind.config_class.from_pretrained(path))
    processor = FgmfnProcessor.from_pretrained(path, local_files_only=True)
    checkpoint = Checkpoint(path, name, model.eval(), processor, **origin, engine=engine)
    engine.refuse_others(name, model.inputs.varying, checkpoint.class_names)
    return checkpoint


def trained_on_targets(path: Path) -> bool | None:
    """Return whether the rows that a model was trained on had targets; None if its folder does not say."""
    return (_read_object(path / METRICS) or {}).get("has_targets")


def read_calibration(path: Path) -> Calibration | None:
    """Read the calibration in a run's folder; None if it has none.

    Raises:
        WeightsError: It is damaged.
    """
    found = (_read_object(path / METRICS) or {}).get("calibration")
    try:
        return None if found is None else Calibration.from_json(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path / METRICS}: its calibration is damaged: {error!r}") from error


def write_calibration(path: Path, calibrated: Calibration) -> None:
    """Write a calibration into the metrics.json of a copy's folder; its other entries stay."""
    record = (_read_object(path / METRICS) or {}) | {"calibration": calibrated.as_json()}
    (path / METRICS).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _read_object(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None if there is none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
