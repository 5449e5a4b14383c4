"""The whole pipeline as one flow, from a source of ads to a release. Read this file first.

Each stage processes only inputs that have no output for the current settings, so a killed run, a weekly rebuild and
a changed setting are handled in the same way: run it again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import deployment as this_deployment
from prefect.runtime import flow_run as this_run

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError, YtbAdsError
from data_catalog.privacy.forget import forget_ad, forget_author, purge_history, unfinished, unpurged
from data_catalog.releases import read_manifest
from fgmfn.errors import FgmfnError
from flows.crawl.data_api.parsing import SOURCE as YOUTUBE_ADS
from flows.crawl.flow import crawl_folder, crawl_youtube, go_on_later, paused, source_folder
from flows.crawl.media.store import delete_sampled, media_folder
from flows.crawl.status import CrawlStatus
from flows.frames.flow import frames
from flows.funnel import FunnelStep
from flows.home import catalog_here, own_catalog
from flows.models import untrained_release
from flows.ocr.flow import ocr
from flows.release.flow import UNTRAINED, Release, release, tell_of_release
from flows.review.flow import review, waits
from flows.review.human import (
    Waiting,
    draw_unjudged,
    lacks_round,
    read_judged,
    read_waiting,
    review_store,
    still_open,
    withdraw_ads,
)
from flows.runner import artifact_key, begin_run, run_name, task_runner, work_on
from flows.sentiment.flow import sentiment
from flows.settings import Settings, load_settings
from flows.stages import FRAMES

log = logging.getLogger("ytb_ads")


def _name_of_build() -> str:
    return run_name("rebuild", str(this_run.parameters["source"]))


def _name_of_release() -> str:
    return run_name("release", Path(this_run.parameters["catalog"] or own_catalog()).name)


@flow(name="build-dataset", flow_run_name=_name_of_build)
def build_dataset(
    source: str,
    catalog: str | None = None,
    config: str | None = None,
    category: str | None = None,
    policy: Literal["auto", "human"] | None = None,
) -> Release | CrawlStatus | Waiting | State[Any]:
    """Bring a catalog up to date with its source and write a release if anything has changed.

    A crawl that has to wait, for tomorrow's quota for example, ends the run as *paused*: meanwhile frames and text are
    processed; labels and the release wait. A run of a deployment schedules another one for the time at which it can
    continue.

    If people settle the labels, a run that finds ads which nobody has judged opens a round for them and ends as
    *waiting*. Until then the release has the ads that were judged in earlier rounds.

    Args:
        source: `youtube`, as the settings say, or `folder:DIR`, with videos and info.json files as yt-dlp
            leaves them.
        catalog: folder of the tables and releases, or their place in a bucket; made if missing. By default that of the
            worker's host: `YTB_ADS_CATALOG` in its environment or `.env`, or else the folder `catalog`.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.
        category: category of a folder's ads that neither a mapping nor a sub-folder gives one.
        policy: who settles the labels, instead of the settings' policy.

    Returns:
        The release; or the status of the crawl or of the open round, if the build has to wait.

    Raises:
        YtbAdsError: a stage cannot do its work; what the stages before it did is kept.
    """
    if given_up := begin_run():
        return given_up
    settings = load_settings(Path(config) if config else None)
    if category is not None:
        settings = settings.model_copy(update={"source": settings.source.model_copy(update={"category": category})})
    if policy is not None:
        settings = _with_policy(settings, policy)
    folder = source_folder(source)
    tables = Catalog(catalog or own_catalog())
    work_on(tables, f"source:{source}")
    said = get_run_logger().info  # each stage says the same in the log of its own run
    crawled = _ingest(tables, folder, settings)
    resumes_at = crawled.resumes_at if crawled else None
    _finish_forgetting(tables, settings)
    with task_runner(settings.runner) as runner:
        if not resumes_at or tables.values("ads", "video_id", where="media_sha256 IS NOT NULL"):
            roots = {"folder": folder} if folder else {YOUTUBE_ADS: media_folder(tables)}
            said("%s", frames.with_options(task_runner=runner)(tables, roots, settings))
            if not folder and not settings.media.keep:
                deleted = delete_sampled(tables, FRAMES.fingerprint(settings))
                log.info("media: deleted %d videos, their frames stay", deleted)
            said("%s", ocr.with_options(task_runner=runner)(tables, settings))
        if crawled and resumes_at:
            go_on_later(resumes_at)
            return paused(crawled)
        said("%s", sentiment.with_options(task_runner=runner)(tables, settings))
    _monitor(tables, settings)
    if settings.review.policy == "human":
        return _release_or_wait(tables, settings)
    said("%s", review(tables, settings))
    return _release(tables, settings)


@flow(name="release-reviewed", flow_run_name=_name_of_release)
def release_reviewed(
    catalog: str | None = None, config: str | None = None, opened_at: datetime | None = None
) -> Release | Waiting | State[Any]:
    """Write the release of what people have judged; the event of a closed round starts this.

    Args:
        catalog: folder of the tables and releases, or their place in a bucket; by default the host's own. Where it does
            not hold the round, the host's own is taken if that does.
        config: TOML file of settings; by default `ytb_ads.toml` of the working directory, if there.
        opened_at: moment at which the round of the event was opened, by which the catalog is known.

    Returns:
        The release; or the round that is open, another one by now, whose end starts this again.

    Raises:
        YtbAdsError: the release cannot be written, or the round is of no catalog that is here.
    """
    if given_up := begin_run():
        return given_up
    settings = _with_policy(load_settings(Path(config) if config else None), "human")
    if opened_at is None:
        tables = Catalog(catalog or own_catalog())
    else:
        tables = catalog_here(catalog, partial(lacks_round, settings=settings.review, opened_at=opened_at))
    work_on(tables)
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
    """Write the release, show the funnel on the server, and ask for a training that never succeeded."""
    written = release(tables, settings)
    folder = written.folder
    get_run_logger().info("release: %s%s", folder.name, "" if written.new else ", which holds these rows already")
    if not written.new and untrained_release(tables, settings.training) == folder:
        log.info("release: %s has no trained model, so its training is asked for again", folder.name)
        tell_of_release(tables, folder, UNTRAINED)
    create_markdown_artifact(
        key=artifact_key("funnel", tables),
        markdown=_funnel_page(written, tables),
        description=f"Funnel of release {folder.name} of {tables.root}",
    )
    return written


def _funnel_page(written: Release, tables: Catalog) -> str:
    """The funnel as a table in Markdown, with the places of report, card and differences."""
    folder, parent = written.folder, read_manifest(written.folder).get("parent")
    rows = (cells._replace(dropped=cells.dropped or ["none"]) for cells in map(FunnelStep.cells, written.funnel))
    return "\n".join(
        [
            f"# Release {folder.name}",
            *(["**Synthetic ads**: rendered, not crawled."] if written.synthetic else []),
            "",
            "| step | in | out | dropped |",
            "|---|---:|---:|---|",
            *(f"| {row.step} | {row.rows_in} | {row.rows_out} | {', '.join(row.dropped)} |" for row in rows),
            "",
            f"- [report]({(folder / 'report.html').as_uri()}) and [card]({(folder / 'README.md').as_uri()})",
            f"- differences from {parent}: `ytb-ads catalog diff {parent} {folder.name} --catalog {tables.root}`"
            if parent
            else "- the first release: nothing to compare it with",
        ]
    )


def _monitor(tables: Catalog, settings: Settings) -> None:
    """Show on the server what audiences say and what has drifted; a build by hand is followed by `ytb-ads monitor`."""
    if not this_deployment.id:
        return
    # here, as deploying this flow would load SciPy too
    from flows.monitor.page import monitor_markdown
    from flows.monitor.report import monitor

    try:
        report = monitor(tables, settings, since=settings.monitor.since, now=datetime.now(UTC))
    except (YtbAdsError, FgmfnError, OSError) as error:  # the dataset does not depend on it
        log.warning("monitor: %s", error)
        return
    create_markdown_artifact(
        key=artifact_key("monitor", tables),
        markdown=monitor_markdown(report),
        description=f"Audiences, answers and drift of {tables.root} since {report.period.since:%Y-%m-%d}",
    )


def _finish_forgetting(tables: Catalog, settings: Settings) -> None:
    """Finish an interrupted removal of an ad or author: otherwise a release would still contain it."""
    ads, authors = unfinished(tables)
    withdraw_ads(tables, settings.review, ads)
    for ad in ads:
        forget_ad(tables, ad)
    for author in authors:
        forget_author(tables, author)
    purge_history(tables, unpurged(tables))
    if ads or authors:
        log.warning("forgotten, and removed only now: %d ads, comments of %d authors", len(ads), len(authors))


def _with_policy(settings: Settings, policy: Literal["auto", "human"]) -> Settings:
    return settings.model_copy(update={"review": settings.review.model_copy(update={"policy": policy})})


def _ingest(tables: Catalog, folder: Path | None, settings: Settings) -> CrawlStatus | None:
    """Bring `ads` and `comments` up to date; returns the status of a crawl of YouTube."""
    said = get_run_logger().info
    if folder is None:
        status = crawl_youtube(tables, settings)
        assert isinstance(status, CrawlStatus)  # noqa: S101 - a state is what Prefect sees, never what a call returns
        said("crawl: %s", status)
        return status
    said("%s", crawl_folder(tables, folder, settings))
    return None
