"""The release as a Prefect flow: current frames, texts and labels become an immutable folder, if anything changed."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from prefect import flow
from prefect.events import emit_event

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError
from data_catalog.releases import list_releases, next_version, read_manifest, verify_release, write_release
from data_catalog.schemas import SPLITS
from flows.fingerprints import ocr_engine, sentiment_engine, version_of
from flows.funnel import count_funnel
from flows.ocr.texts import read_frames
from flows.release.card import dataset_card
from flows.release.contents import count_categories, example_rows, release_rows
from flows.release.croissant import croissant_json
from flows.release.facts import FunnelStep, ReleaseFacts, Table1, count_table1
from flows.release.plan import STAGE, Plan, plan_release
from flows.release.report import report_html
from flows.sentiment.ads import COUNTS, count_left_out, thresholds_in_force, total
from flows.sentiment.labelling import Thresholds
from flows.sentiment.yield_table import YieldTable, yield_table
from flows.settings import Settings

log = logging.getLogger("ytb_ads")


@dataclass(frozen=True)
class Release:
    """A written release, new or the one that already holds these rows."""

    folder: Path
    new: bool
    synthetic: bool
    funnel: list[FunnelStep]
    table1: Table1
    yields: YieldTable


@flow(name="release", validate_parameters=False)
def release(catalog: Catalog, settings: Settings) -> Release:
    """Write a release of everything that is current and labelled, unless the newest one holds just that.

    Raises:
        ReleaseError: a class is empty (the message says what other thresholds would give), or it cannot be written.
    """
    frames = read_frames(catalog, settings)
    yields = _yields(catalog, settings, Counter(f.video_id for f in frames.values() if _enough(f.n_words, settings)))
    plan = plan_release(
        catalog,
        frames,
        more_than_words=settings.ocr.more_than_words,
        resampling=settings.release.balance,
        ratios=settings.release.ratios,
        seed=settings.release.seed,
        yields=yields.as_text(),
        reuploads=settings.release.reuploads,
    )
    catalog.replace_drops(STAGE, plan.drops)
    funnel = count_funnel(
        catalog,
        list(frames.values()),
        more_than_words=settings.ocr.more_than_words,
        balanced_rows=len(plan.balanced.rows),
    )
    earlier = list_releases(catalog.releases_dir)
    facts = _facts(catalog, settings, plan, funnel, yields, earlier)
    if earlier and _holds(earlier[-1], plan, facts):
        log.info("release: %s holds these rows already, nothing to write", earlier[-1].name)
        return Release(
            earlier[-1], new=False, synthetic=facts.synthetic, funnel=funnel, table1=facts.after, yields=yields
        )
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
    emit_event("ytb-ads.release.written", resource={"prefect.resource.id": f"ytb-ads.release.{folder.name}"})
    log.info("release: wrote %s with %d rows", folder.name, len(plan.balanced.rows))
    return Release(folder, True, facts.synthetic, funnel, facts.after, yields)


def _enough(n_words: int, settings: Settings) -> bool:
    return n_words > settings.ocr.more_than_words


def published(settings: Settings) -> dict[str, Any]:
    """What a release tells of the settings: neither secrets, nor this machine's paths, nor answers of gold entries."""
    return settings.model_dump(
        mode="json",
        exclude={
            "privacy": True,
            "runner": True,
            "ocr": {"model_dir"},
            "sentiment": {"lexicon", "jar", "java"},
            "review": {"store", "page", "host", "port", "quiet_s", "gold"},
        },
    )


def _holds(folder: Path, plan: Plan, facts: ReleaseFacts) -> bool:
    """Whether a release holds the planned rows, decided by the same, and still holds them as they were written."""
    manifest = read_manifest(folder)
    if manifest["row_set_hash"] != plan.row_set_hash or manifest["labels"]["decided_by"] != dict(facts.decided_by):
        return False
    if problems := verify_release(folder):
        raise ReleaseError(f"{folder}: is damaged ({'; '.join(problems)}); move it away and build again")
    return True


def _yields(catalog: Catalog, settings: Settings, frames_per_ad: Counter[str]) -> YieldTable:
    sentiment = settings.sentiment
    return yield_table(
        catalog.read("ad_sentiment"),
        fixed=Thresholds(positive=sentiment.positive, negative=sentiment.negative),
        quantile=sentiment.quantile,
        frames_per_ad=frames_per_ad,
        chosen=(sentiment.aggregation, sentiment.thresholds),
        min_comments=sentiment.min_comments,
    )


def _facts(
    catalog: Catalog,
    settings: Settings,
    plan: Plan,
    funnel: list[FunnelStep],
    yields: YieldTable,
    earlier: list[Path],
) -> ReleaseFacts:
    now = datetime.now(UTC)
    in_release = {row.video_id for row in plan.labelled}
    synthetic = catalog.values("ads", "video_id", where="synthetic")
    telling = f"mean_score IS NOT NULL AND n_scored - n_neutral >= {settings.sentiment.min_comments}"
    means = catalog.values("ad_sentiment", "mean_score", where=telling)
    sentiment = catalog.read("ad_sentiment", ["n_comments", *COUNTS.values()])
    decided = Counter(plan.labels[ad].decided_by for ad in in_release)
    agreements = [
        row["agreement"]
        for row in catalog.read("labels", ["video_id", "agreement"]).to_pylist()
        if row["agreement"] is not None and row["video_id"] in in_release
    ]
    return ReleaseFacts(
        version=next_version(now.date(), [folder.name for folder in earlier]),
        created_at=now.isoformat(timespec="seconds"),
        synthetic=not in_release.isdisjoint(synthetic),
        after=count_table1(plan.balanced.rows),
        before=count_table1(plan.labelled),
        funnel=funnel,
        aggregation=settings.sentiment.aggregation,
        threshold_mode=settings.sentiment.thresholds,
        thresholds=thresholds_in_force(settings.sentiment, means),
        yields=yields,
        resampling=settings.release.balance,
        seed=settings.release.seed,
        ad_means=means,
        n_comments=total(sentiment, "n_comments"),
        left_out=count_left_out(sentiment),
        words_per_frame=[frame.n_words for frame in plan.frames.values()],
        ads_by_category=count_categories(plan),
        decided_by={_DECIDED[how]: count for how, count in sorted(decided.items())},
        agreement=fmean(agreements) if agreements else None,
        min_words=settings.ocr.more_than_words,
        ratios=settings.release.ratios,
        settings=published(settings),
        engines={
            "ocr": version_of(ocr_engine(settings.ocr)),
            "sentiment": version_of(sentiment_engine(settings.sentiment)),
        },
        table_versions=catalog.versions(),
        parent=earlier[-1].name if earlier else None,
        examples=example_rows(catalog, plan, settings.release.seed),
    )


_DECIDED = {
    "comments": "policy auto, reviewed by nobody",
    "reviewers": "the reviewers",
    "verifier": "the verifier",
    "discussion": "the discussion",
}
