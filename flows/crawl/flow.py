"""The sources as Prefect flows: a folder of ads, or YouTube, into the catalog."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.runtime import deployment as this_deployment
from prefect.runtime import flow_run as this_run
from prefect.states import Completed

from data_catalog.catalog import Catalog
from flows.console import progress
from flows.crawl.candidates import CategoryListing
from flows.crawl.draw import Draw
from flows.crawl.folder.folder import scan_folder
from flows.crawl.ingest import author_key, ingest
from flows.crawl.refresh import Refreshed, close_refresh, refresh_comments, refresh_videos, too_old
from flows.crawl.status import CrawlStatus, read_status
from flows.crawl.steps import CommentCount, Crawl, open_crawl
from flows.errors import SourceError
from flows.home import own_catalog
from flows.review.human import withdraw_ads
from flows.runner import begin_run, run_name, work_on
from flows.settings import Settings, load_settings
from flows.stages import StageCount

log = logging.getLogger("ytb_ads")

YOUTUBE = "youtube"
SOURCES = f"folder:DIR or {YOUTUBE}"
_SERVER_CLOCK_LAG = timedelta(minutes=10)
"""A call before the server's new day begins would be taken as the end of our day's quota."""


@task(name="ingest-folder", cache_policy=NO_CACHE)
def ingest_task(catalog: Catalog, folder: Path, settings: Settings) -> StageCount:
    """Bring `ads` and `comments` up to date with a folder."""
    held = catalog.read("ads", columns=["video_id", "files_stamp"]).to_pydict()
    key = settings.privacy.author_key
    results = scan_folder(
        folder,
        author_key=author_key(catalog, key.get_secret_value() if key else None),
        categories=settings.source.categories,
        category=settings.source.category,
        known=dict(zip(held["video_id"], held["files_stamp"], strict=True)),
    )
    with progress("source: ads", None) as advance:
        return ingest(catalog, results, advance=advance)


@flow(name="crawl-folder", flow_run_name="crawl-folder", validate_parameters=False)
def crawl_folder(catalog: Catalog, folder: Path, settings: Settings) -> StageCount:
    """Ads and comments of a folder into the catalog; returns what was new.

    Raises:
        SourceError: the folder cannot be read or holds no ads.
    """
    count = ingest_task(catalog, folder, settings)
    if not catalog.count("ads"):
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(count.dropped.items()))
        raise SourceError(f"{folder}: not one usable ad ({reasons}); `ytb-ads catalog show drops` says why")
    log.info("%s", count)
    return count


@task(name="list-candidates", cache_policy=NO_CACHE)
def listing_task(crawl: Crawl, category: str) -> CategoryListing:
    """List the candidates of one category until there are enough."""
    with progress(f"{category}: candidates", None) as advance:
        return crawl.list_candidates(category, advance)


@task(name="draw-ads", cache_policy=NO_CACHE)
def draw_task(crawl: Crawl, listed: Collection[str]) -> list[Draw]:
    """Draw the ads of the categories whose candidates are all listed."""
    with progress("drawn: ads", None) as advance:
        return crawl.draw_ads(listed, advance)


@task(name="read-comments", cache_policy=NO_CACHE)
def comments_task(crawl: Crawl) -> CommentCount:
    """Read the comments of every ad that has none, or not all."""
    with progress("comments", crawl.comments_expected()) as advance:
        return crawl.read_comments(advance)


@task(name="fetch-videos", cache_policy=NO_CACHE)
def videos_task(crawl: Crawl) -> StageCount:
    """Fetch the video of every ad whose comments are there."""
    wanted = crawl.videos_to_fetch()
    with progress("videos", len(wanted)) as advance:
        return crawl.fetch_videos(wanted, advance)


@flow(name="crawl-youtube", flow_run_name="crawl-youtube", validate_parameters=False)
def crawl_youtube(catalog: Catalog, settings: Settings) -> CrawlStatus | State[CrawlStatus]:
    """Collect ads, comments and videos until the categories are full, used up, or nothing more can be done today.

    A crawl that has to wait ends in the state *Paused*; whoever calls it gets the status all the same.

    Raises:
        CrawlError: no key is given or accepted, the ledger or the media folder cannot be written.
    """
    with open_crawl(catalog, settings) as crawl:
        draws: list[Draw] = []
        while True:
            listings = [listing_task(crawl, category) for category in settings.crawl.categories]
            draws = draw_task(crawl, [listing.category for listing in listings if listing.complete])
            comments = comments_task(crawl)
            videos = videos_task(crawl)
            log.info("candidates: %d new", sum(listing.new_candidates for listing in listings))
            for count in (comments.ads, videos):
                if count.rows_in or not crawl.pauses:  # where nothing could be done, much may be left
                    log.info("%s", count)
            # the place of an ad that turned out to be unusable is drawn again
            if not crawl.remove_unusable() or crawl.pauses:
                break
        wanted = {name: category.count for name, category in settings.crawl.categories.items()}
        status = read_status(catalog, wanted, draws, crawl.pauses, crawl.max_attempts)
    return paused(status) if status.resumes_at else status


@task(name="refresh-videos", cache_policy=NO_CACHE)
def refresh_videos_task(crawl: Crawl, refreshed: Refreshed) -> None:
    """Fetch the metadata of old ads and candidates again and remove those that are gone."""
    with progress("videos asked for", None) as advance:
        refresh_videos(crawl, refreshed, advance)


@task(name="refresh-comments", cache_policy=NO_CACHE)
def refresh_comments_task(crawl: Crawl, refreshed: Refreshed) -> None:
    """Read comments anew whose last reading is too old."""
    with progress("comments", crawl.comments_expected(too_old(crawl))) as advance:
        refresh_comments(crawl, refreshed, advance)


def _name_of_refresh() -> str:
    return run_name("refresh", Path(this_run.parameters["catalog"] or own_catalog()).name)


@flow(name="refresh", flow_run_name=_name_of_refresh)
def refresh(catalog: str | None = None, config: str | None = None) -> Refreshed | State[Any]:
    """Fetch rows of the API again that are older than `crawl.refresh_days`, and remove what is gone there.

    Args:
        catalog: folder of the tables, or their place in a bucket; by default that of the worker's host.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.

    Raises:
        CrawlError: no key is given or accepted, or so much is gone that it looks like a fault of the API.
    """
    if given_up := begin_run():
        return given_up
    settings = load_settings(Path(config) if config else None)
    tables = Catalog(catalog or own_catalog())
    work_on(tables)
    refreshed = Refreshed()
    if not tables.count("ads") and not tables.count("candidates"):
        return refreshed
    with open_crawl(tables, settings) as crawl:
        refresh_videos_task(crawl, refreshed)
        refresh_comments_task(crawl, refreshed)
        close_refresh(crawl, refreshed)
    withdraw_ads(tables, settings.review, refreshed.ads_gone)
    log.info("%s", refreshed)
    if refreshed.resumes_at:
        go_on_later(refreshed.resumes_at)
        return paused(refreshed)
    return refreshed


Waiting = TypeVar("Waiting", CrawlStatus, Refreshed)


def paused(found: Waiting) -> State[Waiting]:
    """State of a run that has to wait: it has ended, as it holds nothing while it waits, and is named *paused*."""
    return Completed(name="Paused", message="; ".join(found.paused), data=found)


def go_on_later(resumes_at: datetime) -> bool:
    """Schedule a run that continues this one, if this is a run of a deployment; returns whether it is."""
    if not this_deployment.id:
        return False
    run_deployment(
        this_deployment.id,
        parameters=this_run.parameters,
        scheduled_time=resumes_at + _SERVER_CLOCK_LAG,
        timeout=0,
        as_subflow=False,
        idempotency_key=f"{this_deployment.id} {resumes_at.isoformat()}",
    )
    return True


def source_folder(source: str) -> Path | None:
    """The folder of a source given as `folder:DIR`; None for `youtube`.

    Raises:
        SourceError: another kind of source.
    """
    if source == YOUTUBE:
        return None
    kind, _, place = source.partition(":")
    if kind != "folder" or not place:
        raise SourceError(f"source {source!r} is not known; expected {SOURCES}")
    return Path(place).expanduser()
