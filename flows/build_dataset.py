"""The whole way as one flow: from a source of ads to a release. Read this file first.

Each stage does what its tables lack and nothing else, so a killed run, a weekly rebuild and a changed setting
are the same case: run it again.
"""

from __future__ import annotations

import logging
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from data_catalog.catalog import Catalog
from flows.crawl.answers import SOURCE as YOUTUBE_ADS
from flows.crawl.flow import crawl_folder, crawl_youtube, go_on_later, paused, source_folder
from flows.crawl.media_store import delete_sampled, media_folder
from flows.crawl.standing import Standing
from flows.fingerprints import frames_fingerprint
from flows.frames.flow import frames
from flows.ocr.flow import ocr
from flows.release.flow import Release, release
from flows.review.flow import review
from flows.runner import make_task_runner
from flows.sentiment.flow import sentiment
from flows.settings import Settings, load_settings

log = logging.getLogger("ytb_ads")


@flow(name="build-dataset")
def build_dataset(
    source: str, catalog: str = "catalog", config: str | None = None, category: str | None = None
) -> Release | Standing | State[Standing]:
    """Bring a catalog up to date with its source and write a release if anything has changed.

    A crawl that has to wait, for tomorrow's quota say, ends the run as *paused*: frames and words of the ads
    that are there are made meanwhile, labels and a release wait for the rest. A deployment's run has itself
    scheduled again for the time at which it can go on.

    Args:
        source: `youtube`, as the settings say, or `folder:DIR`, with videos and info.json files as yt-dlp
            leaves them.
        catalog: folder of the tables and releases; made if missing.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.
        category: category of a folder's ads that neither a mapping nor a sub-folder gives one.

    Returns:
        The release, or how the crawl stands if it has to wait.

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

    standing = _take_in(tables, folder, settings)
    waits = standing is not None and standing.resumes_at is not None
    if not waits or tables.values("ads", "video_id", where="media_sha256 IS NOT NULL"):
        roots = {"folder": folder} if folder else {YOUTUBE_ADS: media_folder(tables)}
        frames.with_options(task_runner=runner)(tables, roots, settings)
        if not folder and not settings.media.keep:
            log.info(
                "media: deleted %d videos, their frames stay", delete_sampled(tables, frames_fingerprint(settings))
            )
        ocr.with_options(task_runner=runner)(tables, settings)
    if standing and standing.resumes_at:
        go_on_later(standing.resumes_at)
        return paused(standing)
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


def _take_in(tables: Catalog, folder: Path | None, settings: Settings) -> Standing | None:
    """Bring `ads` and `comments` up to date; returns how a crawl of YouTube stands."""
    if folder is None:
        standing = crawl_youtube(tables, settings)
        assert isinstance(standing, Standing)  # noqa: S101 - a state is what Prefect sees, never what a call returns
        return standing
    crawl_folder(tables, folder, settings)
    return None
