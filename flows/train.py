"""Training as one flow: train FGMFN and its text-only baseline on a release, and put the better model in service."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run as this_run

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError
from data_catalog.releases import (
    changed_files,
    fetch_release,
    find_release,
    list_releases,
    newest_release,
    read_manifest,
)
from data_catalog.storage import Place, deliver_folder, fetch_folder, folders_of, working_folder
from fgmfn.baselines import MODELS, unproven
from flows.home import catalog_here, own_catalog
from flows.models import METRICS, Decision, ModelRun, find_run, run_in_service
from flows.runner import artifact_key, begin_run, run_name, work_on
from flows.settings import load_settings

if TYPE_CHECKING:
    from fgmfn.callbacks import Epoch
    from fgmfn.training import TrainedModel

TRAINED = "ytb-ads.model.trained"
"""Event of a finished training."""
DECIDED = "ytb-ads.model.{action}"
"""Event of what the gate decided: promoted or refused."""
_BARS = "▁▂▃▄▅▆▇█"

log = logging.getLogger("ytb_ads")
# that a training goes on where it was stopped
logging.getLogger("fgmfn").setLevel(logging.INFO)


def _name_of_training() -> str:
    return run_name("train", this_run.parameters["release"] or "newest release")


@flow(name="train", flow_run_name=_name_of_training)
def train(
    catalog: str | None = None,
    release: str | None = None,
    row_set_hash: str | None = None,
    config: str | None = None,
    models: Sequence[str] | None = None,
    from_scratch: bool | None = None,
    settings_file: str | None = None,
) -> list[Any] | State[Any]:
    """Train on a release, by default the newest of `catalog`; what is already trained is not trained again.

    The first of the models then goes in service, unless it may be worse than the one that is (`training.promote`).

    Args:
        catalog: folder of the catalog, or its place in a bucket; models go to its `models/`. By default that of the
            worker's host: `YTB_ADS_CATALOG` in its environment or `.env`, or else the folder `catalog`.
        release: a release's version or folder.
        row_set_hash: hash of the release's rows, as its event has it. Where `catalog` does not hold such a release, the
            host's own catalog is taken if that does.
        config: name of a configuration of `fgmfn/configs` or path of a TOML file; by default the settings' one.
        models: rows to train; by default the settings', FGMFN and text only.
        from_scratch: start without pretrained weights; by default the settings'.
        settings_file: TOML file of the pipeline's settings.

    Returns:
        `fgmfn.TrainedModel` of each model.

    Raises:
        CatalogError: the release of that hash is in no catalog that is here.
        ReleaseError: there is no such release, or it is damaged.
        FgmfnError: the release or the configuration cannot be trained on.
    """
    # here, as deploying this flow would load PyTorch too
    from fgmfn.training import CHECKPOINTS, train_models
    from flows.gate import decide

    if given_up := begin_run():
        return given_up
    settings = load_settings(Path(settings_file) if settings_file else None).training
    if row_set_hash is None:
        root = Catalog(catalog or own_catalog())
    else:
        root = catalog_here(catalog, partial(_lacks_release, release=release, row_set_hash=row_set_hash))
    work_on(root)
    folder, wanted = fetch_release(release_folder(root, release)), tuple(models or settings.models)
    if problems := changed_files(folder):
        raise ReleaseError(f"{folder}: is damaged ({'; '.join(problems)}); restore it, or build another release")
    place = root.models_dir / folder.name
    for done in folders_of(place, METRICS):
        if done.name.rpartition("-")[0] in wanted:  # trained on another machine
            fetch_folder(done, METRICS)
    log.info("training %s on release %s", ", ".join(wanted), folder.name)
    trained = train_models(
        data=folder,
        config=config or settings.config,
        output=working_folder(place),
        models=wanted,
        seed=settings.seed,
        from_scratch=settings.from_scratch if from_scratch is None else from_scratch,
        on_epoch=_Watch(root, folder.name, len(wanted)),
    )
    for one in trained:
        deliver_folder(one.checkpoint, place / one.checkpoint.name, METRICS, skip=(CHECKPOINTS, ".lock"))
    runs = [find_run(root, f"{folder.name}/{one.checkpoint.name}") for one in trained]
    decision = decide(root, runs[0], folder, settings)
    if decision:
        log.info("%s: %s: %s", decision.run, decision.action, decision.reason)
    _tell(root, folder, trained, decision)
    create_markdown_artifact(
        key=artifact_key("training", root),
        markdown=training_page(root, folder, runs, decision),
        description=f"Models trained on release {folder.name} of {root.root}",
    )
    return trained


def release_folder(catalog: Catalog, name: str | None) -> Place:
    """The folder of a release given as a version of the catalog or as a path; by default the newest.

    Raises:
        ReleaseError: there is no release.
    """
    if name is None:
        return newest_release(catalog.releases_dir)
    versions = {folder.name for folder in list_releases(catalog.releases_dir)}
    return Path(name) if name not in versions and Path(name).is_dir() else find_release(catalog.releases_dir, name)


def _lacks_release(catalog: Catalog, release: str | None, row_set_hash: str) -> str | None:
    try:
        found = release_folder(catalog, release)
        rows = read_manifest(found)["row_set_hash"]
    except ReleaseError as error:
        return str(error)
    return (
        None if rows == row_set_hash else f"{found.name} there has other rows, {rows[:16]} and not {row_set_hash[:16]}"
    )


class _Watch:
    """Shows every epoch: a line in the log of the run, and a bar on the server, which may be away meanwhile."""

    def __init__(self, catalog: Catalog, release: str, n_models: int) -> None:
        self._key, self._n_models = artifact_key("progress", catalog), n_models
        self._description = f"Training on release {release} of {catalog.root}"
        self._bar: UUID | None = None
        self._models: list[str] = []

    def __call__(self, epoch: Epoch) -> None:
        log.info("%s", epoch)
        if epoch.model not in self._models:
            self._models.append(epoch.model)
        done = 100 * (len(self._models) - 1 + epoch.number / epoch.of) / self._n_models
        try:
            if self._bar is None:
                self._bar = create_progress_artifact(done, key=self._key, description=self._description)  # type: ignore[assignment]  # a coroutine only inside another
            else:
                update_progress_artifact(self._bar, progress=done, description=f"{self._description}: {epoch}")
        except httpx.HTTPError as error:
            log.warning("the server does not show this epoch: %s", error)


def _tell(catalog: Catalog, release: Path, trained: Sequence[TrainedModel], decision: Decision | None) -> None:
    place = str(catalog.place.absolute())
    for one in trained:
        emit_event(
            TRAINED,
            resource={
                "prefect.resource.id": f"ytb-ads.model.{release.name}.{one.checkpoint.name}",
                "ytb-ads.catalog": place,
            },
            payload={"catalog": place, "release": release.name, **one.as_json()},
        )
    if decision:
        emit_event(
            DECIDED.format(action=decision.action),
            resource={
                "prefect.resource.id": f"ytb-ads.model.{decision.run.replace('/', '.')}",
                "ytb-ads.catalog": place,
            },
            payload={"catalog": place, **vars(decision)},
        )


def training_page(catalog: Catalog, release: Path, runs: Sequence[ModelRun], decision: Decision | None) -> str:
    """The results of a training in Markdown: scores, decision, curves, confusion matrices, and where all of it lies."""
    from fgmfn.card import confusion_lines
    from fgmfn.evaluation import Metrics, surety_lines

    present = run_in_service(catalog)
    lines = [
        f"# Models of release {release.name}",
        *(["**Synthetic ads**: the scores say nothing about real ones."] if runs[0].record["synthetic"] else []),
        "",
        "| model | validation accuracy | validation macro-F1 | test accuracy | test macro-F1 | seconds | |",
        "|---|---:|---:|---:|---:|---:|---|",
        *(_score_row(run) for run in runs),
        "",
        *([missing, ""] if (missing := unproven([run.model for run in runs])) else []),
        f"{decision.run}: **{decision.action}**. {decision.reason}" if decision else "Decided before.",
        "",
        f"In service: {present.name if present else 'no model yet'}.",
        "",
        f"- [report of the release]({(release / 'report.html').absolute().as_uri()})",
        f"- [card of the release]({(release / 'README.md').absolute().as_uri()})",
    ]
    for run in runs:
        sure = surety_lines(Metrics.from_json(run.record["test"])) if run.record["test"] else []
        lines += ["", f"## {MODELS[run.model].title}", "", *_curves(run), *(f"- {line}" for line in sure), ""]
        lines += confusion_lines(run.record)
    return "\n".join([*lines, ""])


def _score_row(run: ModelRun) -> str:
    figures = [
        f"{run.record[split][name]:.1%}{_interval(run.record[split], name)}" if run.record[split] else "-"
        for split in ("dev", "test")
        for name in ("accuracy", "macro_f1")
    ]
    card = f"[model card]({(run.folder / 'README.md').absolute().as_uri()})"
    return f"| {MODELS[run.model].title} | {' | '.join(figures)} | {run.record['seconds']:.0f} | {card} |"


def _interval(metrics: Mapping[str, Any], name: str) -> str:
    from fgmfn.evaluation import bracket

    interval = metrics.get(f"{name}_interval")
    return f" {bracket(interval)}" if interval else ""


def _curves(run: ModelRun) -> list[str]:
    """A line for each quantity, its course as bars: `loss 0.693 ▇▅▂▁ 0.210`."""
    found: dict[str, list[float]] = {}
    for entry in run.record.get("history", []):
        for name, value in entry.items():
            if name.endswith("loss") or name in ("eval_accuracy", "eval_macro_f1"):
                found.setdefault(name.replace("eval_", "validation ").replace("_", " "), []).append(float(value))
    return [
        "| by epoch | first | course | last |",
        "|---|---:|---|---:|",
        *(f"| {name} | {values[0]:.3f} | {_course(values)} | {values[-1]:.3f} |" for name, values in found.items()),
        "",
    ] * bool(found)


def _course(values: Sequence[float]) -> str:
    low, span = min(values), (max(values) - min(values)) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)
