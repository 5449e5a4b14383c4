"""The release as a Prefect flow: current frames, texts and labels become an immutable folder, if anything changed."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow
from prefect.events import emit_event

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError, ReleaseError
from data_catalog.releases import (
    changed_files,
    newest_release_if_any,
    present_row_set_hash,
    read_manifest,
    write_release,
)
from data_catalog.schemas import SPLITS
from data_catalog.storage import Place
from flows.funnel import FunnelStep, count_funnel
from flows.ocr.texts import read_frames
from flows.release.card import dataset_card
from flows.release.croissant import croissant_json
from flows.release.facts import ReleaseFacts, Table1, collect_facts, with_changes, with_checks
from flows.release.plan import Plan, keep_splits, plan_release, release_rows
from flows.release.report import report_html
from flows.sentiment.labelling import Thresholds
from flows.sentiment.rows import unread_ads
from flows.sentiment.yield_table import YieldTable, yield_table
from flows.settings import Settings
from flows.stages import RELEASE

WRITTEN = "ytb-ads.release.written"
"""Event of a new release; starts its training."""
UNTRAINED = "ytb-ads.release.untrained"
"""Event of a release without a successful training, sent by a build with nothing to write; starts the training."""
NAMED_IN_EVENT = 100
"""Ads that an event names of each kind of change; it counts all of them."""

log = logging.getLogger("ytb_ads")


@dataclass(frozen=True)
class Release:
    """A written release, new or the one that already holds these rows."""

    folder: Place
    new: bool
    synthetic: bool
    funnel: list[FunnelStep]
    table1: Table1
    yields: YieldTable


@flow(name="release", flow_run_name="release", validate_parameters=False)
def release(catalog: Catalog, settings: Settings) -> Release:
    """Write a release of everything that is current and labelled, unless the newest one holds just that.

    Raises:
        CatalogError: there are no ads.
        ReleaseError: a class is empty (the message says what other thresholds would give), or it cannot be written.
    """
    if not catalog.count("ads"):
        raise CatalogError(
            f"{catalog.root}: holds no ad, so there is nothing to release; if it held some when this run began, the "
            "folder was moved or removed meanwhile: put it back, or run again"
        )
    frames = read_frames(catalog, settings)
    unread = pa.array(sorted(unread_ads(catalog)), pa.string())
    ad_sentiment = catalog.read("ad_sentiment", where=~pc.field("video_id").isin(unread))
    yields = yield_table(
        ad_sentiment,
        fixed=Thresholds(positive=settings.sentiment.positive, negative=settings.sentiment.negative),
        quantile=settings.sentiment.quantile,
        frames_per_ad=Counter(f.video_id for f in frames.values() if f.n_words > settings.ocr.more_than_words),
        chosen=(settings.sentiment.aggregation, settings.sentiment.thresholds),
        min_comments=settings.sentiment.min_comments,
    )
    plan = plan_release(catalog, frames, settings, yields=yields.as_text())
    catalog.replace_drops(RELEASE.name, plan.drops)
    funnel = count_funnel(catalog, settings, frames, plan.summary)
    # before the release: a run that is killed in between plans the same splits again
    keep_splits(catalog, settings, plan)
    newest = newest_release_if_any(catalog.releases_dir)
    facts = collect_facts(catalog, settings, plan, funnel, yields, ad_sentiment, newest)
    if newest and _holds(newest, plan, facts):
        new, folder = False, newest
    else:
        facts = with_checks(with_changes(facts, plan, newest), catalog, plan)
        new, folder = True, _write(catalog, settings, plan, facts)
    if not new:
        log.info("release: %s holds these rows already, nothing to write", folder.name)
    return Release(folder, new, facts.synthetic, funnel, facts.after, yields)


def tell_of_release(catalog: Catalog, folder: Place, event: str, **payload: Any) -> None:
    """Tell Prefect's server of a release; the event starts the training of that release of that catalog."""
    manifest, place = read_manifest(folder), str(catalog.place.absolute())
    emit_event(
        event,
        resource={"prefect.resource.id": f"ytb-ads.release.{folder.name}", "ytb-ads.catalog": place},
        payload={
            "catalog": place,
            "version": folder.name,
            "row_set_hash": manifest["row_set_hash"],
            "counts": manifest["splits"],
            "synthetic": manifest["synthetic"],
            "parent": manifest.get("parent"),
            **payload,
        },
    )


def _write(catalog: Catalog, settings: Settings, plan: Plan, facts: ReleaseFacts) -> Place:
    folder = write_release(
        catalog.releases_dir,
        facts.version,
        {split: release_rows(catalog, plan, split) for split in SPLITS},
        facts.manifest(),
        lambda manifest: {
            "README.md": dataset_card(facts, manifest),
            "report.html": report_html(facts, manifest),
            "croissant.json": croissant_json(facts, manifest),
        },
        expected_row_set_hash=plan.row_set_hash,
        shard_bytes=settings.release.shard_mb * 1_000_000,
    )
    changes = facts.changes and facts.changes.published(at_most=NAMED_IN_EVENT)
    tell_of_release(catalog, folder, WRITTEN, changes=changes)
    log.info("release: wrote %s with %d rows", folder.name, len(plan.balanced.rows))
    if facts.changes:
        log.info("release: since %s: %s", facts.parent, facts.changes.summary())
    if (of_day := facts.version[:10].replace(".", "-")) > facts.created_at:
        log.warning("release: its parent is of %s, later than the clock says: the version keeps that day", of_day)
    for note in facts.split_notes():
        log.info("release: %s", note)
    for result in facts.checks:
        if result.broken:
            log.warning("check: %s: %s: %d rows: %s", result.verdict, result.rule.meaning, result.broken, result.said)
    return folder


def _holds(folder: Place, plan: Plan, facts: ReleaseFacts) -> bool:
    """Tell whether a release has the planned rows, with labels decided in the same way, and is undamaged."""
    if read_manifest(folder)["labels"]["decided_by"] != dict(facts.decided_by):
        return False
    if present_row_set_hash(folder) != plan.row_set_hash:
        return False
    # a file that is what was written holds the rows that were verified then
    if problems := changed_files(folder):
        raise ReleaseError(f"{folder}: is damaged ({'; '.join(problems)}); move it away and build again")
    return True
