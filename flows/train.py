"""Training as one flow: the newest release of a catalog trains FGMFN and its text-only row, on CPU or GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from data_catalog.catalog import Catalog
from data_catalog.releases import fetch_release, find_release, list_releases, newest_release
from data_catalog.storage import Place, deliver_folder, fetch_folder, folders_of, working_folder
from fgmfn.inference import METRICS
from fgmfn.training import CHECKPOINTS, TrainedModel, train_models
from flows.settings import load_settings

log = logging.getLogger("ytb_ads")


@flow(name="train")
def train(
    catalog: str = "catalog",
    release: str | None = None,
    config: str | None = None,
    models: Sequence[str] | None = None,
    from_scratch: bool | None = None,
    settings_file: str | None = None,
) -> list[TrainedModel]:
    """Train on a release, by default the newest of `catalog`; what is already trained is not trained again.

    Args:
        catalog: folder of the catalog, or its place on an object store; models go to its `models/`.
        release: a release's version or folder.
        config: name of a configuration of `fgmfn/configs` or path of a TOML file; by default the settings' one.
        models: rows to train; by default the settings', FGMFN and text only.
        from_scratch: start without pretrained weights; by default the settings'.
        settings_file: TOML file of the pipeline's settings.

    Raises:
        ReleaseError: there is no such release.
        FgmfnError: the release or the configuration cannot be trained on.
    """
    settings = load_settings(Path(settings_file) if settings_file else None).training
    root = Catalog(catalog)
    folder = fetch_release(release_folder(root, release))
    log.info("training %s on release %s", ", ".join(models or settings.models), folder.name)
    place, names = root.place / "models" / folder.name, tuple(models or settings.models)
    for done in folders_of(place, METRICS):
        if done.name.rpartition("-")[0] in names:  # trained on another machine
            fetch_folder(done, METRICS)
    trained = train_models(
        data=folder,
        config=config or settings.config,
        output=working_folder(place),
        models=names,
        seed=settings.seed,
        from_scratch=settings.from_scratch if from_scratch is None else from_scratch,
    )
    for model in trained:
        deliver_folder(model.checkpoint, place / model.checkpoint.name, METRICS, skip=(CHECKPOINTS, ".lock"))
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
