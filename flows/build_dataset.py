"""The whole way as one flow: from a source of ads to a release. Read this file first.

Each stage does what its tables lack and nothing else, so a killed run, a weekly rebuild and a changed setting
are the same case: run it again.
"""

from __future__ import annotations

import logging
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact

from data_catalog.catalog import Catalog
from flows.crawl.flow import crawl, source_folder
from flows.frames.flow import frames
from flows.ocr.flow import ocr
from flows.release.flow import Release, release
from flows.review.flow import review
from flows.runner import make_task_runner
from flows.sentiment.flow import sentiment
from flows.settings import load_settings

log = logging.getLogger("ytb_ads")


@flow(name="build-dataset")
def build_dataset(
    source: str, catalog: str = "catalog", config: str | None = None, category: str | None = None
) -> Release:
    """Bring a catalog up to date with its source and write a release if anything has changed.

    Args:
        source: `folder:DIR`, with videos and info.json files as yt-dlp leaves them.
        catalog: folder of the tables and releases; made if missing.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.
        category: category of ads that neither a mapping nor a sub-folder gives one.

    Raises:
        YtbAdsError: a stage cannot do its work; what the stages before it did is kept.
    """
    settings = load_settings(Path(config) if config else None)
    if category is not None:
        settings = settings.model_copy(update={"source": settings.source.model_copy(update={"category": category})})
    folder = source_folder(source)
    tables = Catalog(catalog)
    # a place that releases cannot be written to is refused now, not after hours of work
    log.debug("releases go to %s", tables.releases_dir)
    runner = make_task_runner(settings.runner)

    crawl(tables, folder, settings)
    frames.with_options(task_runner=runner)(tables, folder, settings)
    ocr.with_options(task_runner=runner)(tables, settings)
    sentiment.with_options(task_runner=runner)(tables, settings)
    review(tables, settings.review)
    written = release(tables, settings)

    note = " Synthetic ads: rendered, not crawled." if written.synthetic else ""
    create_table_artifact(
        key="funnel",
        table=[
            {"stage": step.name, "in": step.rows_in, "out": step.rows_out, "of": step.unit, "dropped": dict(step.drops)}
            for step in written.funnel
        ],
        description=f"The way of the ads to release {written.folder.name}.{note}",
    )
    return written
