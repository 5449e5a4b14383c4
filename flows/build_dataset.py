"""The whole pipeline as one flow, from a source of ads to a release. Read this file first.

Each stage processes only inputs that have no output for the current settings, so a killed run, a weekly rebuild and
a changed setting are handled in the same way: run it again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError
from flows.crawl.data_api.parsing import SOURCE as YOUTUBE_ADS
from flows.crawl.flow import crawl_folder, crawl_youtube, go_on_later, paused, source_folder
from flows.crawl.media.store import delete_sampled, media_folder
from flows.crawl.status import CrawlStatus
from flows.frames.flow import frames
from flows.funnel import FunnelStep
from flows.ocr.flow import ocr
from flows.release.flow import Release, release
from flows.review.flow import review, waits
from flows.review.human import Waiting, draw_unjudged, read_judged, read_waiting, review_store, still_open
from flows.runner import make_task_runner
from flows.sentiment.flow import sentiment
from flows.settings import Settings, load_settings
from flows.stages import FRAMES

log = logging.getLogger("ytb_ads")


@flow(name="build-dataset")
def build_dataset(
    source: str,
    catalog: str = "catalog",
    config: str | None = None,
    category: str | None = None,
    policy: Literal["auto", "human"] | None = None,
) -> Release | CrawlStatus | Waiting | State[CrawlStatus] | State[Waiting]:
    """Bring a catalog up to date with its source and write a release if anything has changed.

    A crawl that has to wait, for tomorrow's quota for example, ends the run as *paused*: meanwhile frames and text are
    processed; labels and the release wait. A run of a deployment schedules another one for the time at which it can
    continue.

    Where people settle the labels, a run that finds ads which nobody has judged opens a round over them and ends as
    *waiting*. Meanwhile the release is of what was judged in the rounds before.

    Args:
        source: `youtube`, as the settings say, or `folder:DIR`, with videos and info.json files as yt-dlp
            leaves them.
        catalog: folder of the tables and releases; made if missing.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.
        category: category of a folder's ads that neither a mapping nor a sub-folder gives one.
        policy: who settles the labels, instead of what the settings say.

    Returns:
        The release; or the status of the crawl or of the open round, if the build has to wait.

    Raises:
        YtbAdsError: a stage cannot do its work; what the stages before it did is kept.
    """
    settings = load_settings(Path(config) if config else None)
    if category is not None:
        settings = settings.model_copy(update={"source": settings.source.model_copy(update={"category": category})})
    if policy is not None:
        settings = _with_policy(settings, policy)
    folder = source_folder(source)
    tables = Catalog(catalog)
    runner = make_task_runner(settings.runner)

    crawled = _ingest(tables, folder, settings)
    resumes_at = crawled.resumes_at if crawled else None
    if not resumes_at or tables.values("ads", "video_id", where="media_sha256 IS NOT NULL"):
        roots = {"folder": folder} if folder else {YOUTUBE_ADS: media_folder(tables)}
        frames.with_options(task_runner=runner)(tables, roots, settings)
        if not folder and not settings.media.keep:
            deleted = delete_sampled(tables, FRAMES.fingerprint(settings))
            log.info("media: deleted %d videos, their frames stay", deleted)
        ocr.with_options(task_runner=runner)(tables, settings)
    if crawled and resumes_at:
        go_on_later(resumes_at)
        return paused(crawled)
    sentiment.with_options(task_runner=runner)(tables, settings)
    if settings.review.policy == "human":
        return _release_or_wait(tables, settings)
    review(tables, settings)
    return _release(tables, settings)


@flow(name="release-reviewed")
def release_reviewed(catalog: str = "catalog", config: str | None = None) -> Release | Waiting | State[Waiting]:
    """Write the release of what people have judged; the event of a closed round starts this.

    Args:
        catalog: folder of the tables and releases.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.

    Returns:
        The release; or the round that is open, another one by now, whose end starts this again.

    Raises:
        YtbAdsError: the release cannot be written.
    """
    settings = _with_policy(load_settings(Path(config) if config else None), "human")
    tables = Catalog(catalog)
    with review_store(tables, settings.review, must_exist=True) as store:
        if current := still_open(store):
            return waits(read_waiting(store, current, settings.review, opened=False))
    review(tables, settings)
    return _release(tables, settings)


def _release_or_wait(tables: Catalog, settings: Settings) -> Release | State[Waiting]:
    """Release what people have judged, and open a round for the ads that nobody has judged."""
    with review_store(tables, settings.review) as store:
        current = still_open(store)
        review(tables, settings)
        if current:
            waiting = read_waiting(store, current, settings.review, opened=False)
        else:
            judged = read_judged(store, frozenset(tables.values("ads", "video_id")))
            unjudged = draw_unjudged(tables, settings, judged)
            if unjudged is None:
                return _release(tables, settings)
            waiting = read_waiting(store, store.rounds.open(unjudged), settings.review, opened=True)
    written = _release_if_any(tables, settings)
    return waits(replace(waiting, release=written.folder if written else None))


def _release_if_any(tables: Catalog, settings: Settings) -> Release | None:
    """The release of what was judged in earlier rounds, if that is enough for one."""
    if not tables.count("labels"):
        return None
    try:
        return _release(tables, settings)
    except ReleaseError as error:
        log.warning("no release of what is judged so far, the next round may make one possible: %s", error)
        return None


def _release(tables: Catalog, settings: Settings) -> Release:
    """Write the release, and show the funnel on the server."""
    written = release(tables, settings)
    note = " Synthetic ads: rendered, not crawled." if written.synthetic else ""
    create_table_artifact(
        key="funnel",
        table=[
            {
                "step": cells.step,
                "in": cells.rows_in,
                "out": cells.rows_out,
                "dropped": ", ".join(cells.dropped) or "none",
            }
            for cells in map(FunnelStep.cells, written.funnel)
        ],
        description=f"Funnel of release {written.folder.name}.{note}",
    )
    return written


def _with_policy(settings: Settings, policy: Literal["auto", "human"]) -> Settings:
    return settings.model_copy(update={"review": settings.review.model_copy(update={"policy": policy})})


def _ingest(tables: Catalog, folder: Path | None, settings: Settings) -> CrawlStatus | None:
    """Bring `ads` and `comments` up to date; returns the status of a crawl of YouTube."""
    if folder is None:
        status = crawl_youtube(tables, settings)
        assert isinstance(status, CrawlStatus)  # noqa: S101 - a state is what Prefect sees, never what a call returns
        return status
    crawl_folder(tables, folder, settings)
    return None
