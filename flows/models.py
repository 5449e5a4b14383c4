"""Trained models of a catalog: the one in service, its history, and the release that still needs a training.

`models/CURRENT` names the run in service, `models/history.jsonl` has a line for every decision that was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from data_catalog.catalog import Catalog
from data_catalog.releases import newest_release_if_any, read_manifest
from data_catalog.storage import Place, fetch_folder, lock, replace
from flows.errors import ModelError
from flows.settings import TrainingSettings

CURRENT = "CURRENT"
HISTORY = "history.jsonl"
METRICS = "metrics.json"

Action = Literal["promoted", "refused", "rolled back"]


@dataclass(frozen=True)
class ModelRun:
    """A training."""

    name: str
    """`2026.11.24/fgmfn-3f2a9c81d0`: release and folder, below `models/`."""
    folder: Place
    record: dict[str, Any] = field(repr=False)
    """Its metrics.json."""

    @property
    def release(self) -> str:
        """Version of the release that it was trained on."""
        return self.name.partition("/")[0]

    @property
    def model(self) -> str:
        """Name of the row of the comparison."""
        return str(self.record["model"])

    @property
    def is_finished(self) -> bool:
        """Whether the training has ended; its record exists from the start."""
        return self.record.get("finished") is not False


@dataclass(frozen=True)
class Decision:
    """One line of the history."""

    at: str
    action: Action
    run: str
    instead_of: str | None
    """The run that was in service before."""
    reason: str
    by: Literal["gate", "hand"] = "gate"
    comparison: dict[str, Any] | None = None
    """Measurements of the gate."""


def list_runs(catalog: Catalog) -> list[ModelRun]:
    """Every finished training, by release and name.

    Raises:
        ModelError: a metrics.json is damaged.
    """
    root = catalog.models_dir
    found: list[Place] = [file.parent for file in root.glob(f"*/*/{METRICS}")]
    runs = [_read_run(root, folder) for folder in sorted(found, key=str)]
    return [run for run in runs if run.is_finished]


def find_run(catalog: Catalog, name: str) -> ModelRun:
    """The run of that name, or the only one whose folder is called so.

    Raises:
        ModelError: there is none, or more than one.
    """
    runs = list_runs(catalog)
    found = [run for run in runs if name in (run.name, run.folder.name)]
    if len(found) != 1:
        known = ", ".join(run.name for run in found or runs) or "none yet"
        raise ModelError(f"{name}: {'several runs are called so' if found else 'no such run'}; there are {known}")
    return found[0]


def run_in_service(catalog: Catalog) -> ModelRun | None:
    """The run that `CURRENT` names; None before the first promotion.

    Raises:
        ModelError: the run is gone.
    """
    root = catalog.models_dir
    try:
        name = (root / CURRENT).read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    if not (root / name / METRICS).is_file():
        raise ModelError(f"{root / CURRENT}: names {name}, which is gone; put it back, or promote another run")
    return _read_run(root, root / name)


def model_folder(catalog: Catalog, name: str = CURRENT) -> Path:
    """The folder, on this machine, of a model that is named.

    Args:
        catalog: its models are known by their names.
        name: `CURRENT`, the model in service; the folder of a run; or a run of the catalog.

    Raises:
        ModelError: there is no such model.
    """
    if name == CURRENT:
        run = run_in_service(catalog)
        if run is None:
            raise ModelError(
                f"{catalog.root}: no model is in service; train one (`ytb-ads train`), or name the folder of a run by "
                "--model"
            )
    elif Path(name).is_dir():
        return Path(name)
    else:
        run = find_run(catalog, name)
    return fetch_folder(run.folder, METRICS)


def read_history(catalog: Catalog) -> list[Decision]:
    """All decisions, oldest first; a last line that a killed process left unfinished counts for nothing."""
    try:
        lines = (catalog.models_dir / HISTORY).read_text("utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [Decision(**json.loads(line)) for line in lines if line.endswith("\n")]


def promote(
    catalog: Catalog,
    run: ModelRun,
    reason: str,
    *,
    by: Literal["gate", "hand"] = "gate",
    action: Action = "promoted",
    comparison: dict[str, Any] | None = None,
) -> Decision:
    """Put a run in service."""
    with _only_writer(catalog) as root:
        before = _named(root)
        decision = Decision(_now(), action, run.name, before, reason, by, comparison)
        # first of the two: a decision in the history is not made again
        replace(root / CURRENT, f"{run.name}\n".encode())
        _append(root, decision)
    return decision


def refuse(catalog: Catalog, run: ModelRun, reason: str, comparison: dict[str, Any] | None = None) -> Decision:
    """Keep the model in service, and record the reason."""
    with _only_writer(catalog) as root:
        decision = Decision(_now(), "refused", run.name, _named(root), reason, "gate", comparison)
        _append(root, decision)
    return decision


def roll_back(catalog: Catalog, reason: str = "rolled back by hand") -> Decision:
    """Put the previous run back in service.

    Raises:
        ModelError: there was none, or it is gone.
    """
    present = run_in_service(catalog)
    if present is None:
        raise ModelError(f"{catalog.root}: no model is in service")
    in_service: list[str] = []
    for decision in read_history(catalog):
        if decision.action == "promoted":
            in_service.append(decision.run)
        elif decision.action == "rolled back" and decision.run in in_service:
            del in_service[in_service.index(decision.run) + 1 :]
    earlier = [name for name in in_service if name != present.name]
    if not earlier:
        raise ModelError(f"{catalog.root}: {present.name} is the first model in service; there is none to go back to")
    return promote(catalog, find_run(catalog, earlier[-1]), reason, by="hand", action="rolled back")


def untrained_release(catalog: Catalog, settings: TrainingSettings) -> Place | None:
    """The newest release, if no training of every wanted model has succeeded on its rows."""
    newest = newest_release_if_any(catalog.releases_dir)
    if newest is None:
        return None
    rows, trained = read_manifest(newest)["row_set_hash"], set[str]()
    for file in catalog.models_dir.glob(f"*/*/{METRICS}"):
        with suppress(ModelError):  # a damaged run is none
            run = _read_run(catalog.models_dir, file.parent)
            trained |= {run.model} if run.is_finished and run.record["row_set_hash"] == rows else set()
    return None if trained.issuperset(settings.models) else newest


def _read_run(root: Place, folder: Place) -> ModelRun:
    try:
        record = json.loads((folder / METRICS).read_text("utf-8"))
        record["model"], record["row_set_hash"], record.get("finished") is False or record["test"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / METRICS}: damaged ({error!r}); remove the folder to train again") from error
    return ModelRun(f"{folder.parent.name}/{folder.name}", folder, record)


def _named(root: Place) -> str | None:
    file = root / CURRENT
    return file.read_text("utf-8").strip() if file.is_file() else None


def _append(root: Place, decision: Decision) -> None:
    before = (root / HISTORY).read_bytes() if (root / HISTORY).exists() else b""
    # what a killed process left unfinished would spoil this line
    whole = before[: before.rfind(b"\n") + 1]
    replace(root / HISTORY, whole + json.dumps(asdict(decision)).encode() + b"\n")


@contextmanager
def _only_writer(catalog: Catalog) -> Iterator[Place]:
    with lock(catalog.models_dir / ".lock", wait=True):
        yield catalog.models_dir


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
