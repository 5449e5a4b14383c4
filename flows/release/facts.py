"""Facts of a release: counted from its plan and the catalog, read by the card, the report and the terminal."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.checks import Result, all_rules, check
from data_catalog.errors import CatalogError
from data_catalog.printing import counted
from data_catalog.releases import (
    Contents,
    ReleaseDiff,
    compare,
    lineage_of,
    next_version,
    read_contents,
    read_manifest,
    versions_given,
)
from data_catalog.schemas import LABELS, SPLITS, Label
from data_catalog.storage import Place
from flows.funnel import FunnelStep
from flows.ocr.registry import ocr_engine
from flows.release.plan import Plan
from flows.release.resampling import PlannedRow
from flows.sentiment.engines import sentiment_engine
from flows.sentiment.labelling import Thresholds
from flows.sentiment.rows import count_left_out, thresholds_in_force, total
from flows.sentiment.yield_table import YieldTable
from flows.settings import Settings
from flows.settings.section import version_of

"""Meaning of each column of a release."""
NAMED = 20
"""Ads of one kind of change that the card and the report name."""


@dataclass(frozen=True)
class ClassCounts:
    """The rows of one class in one split, and the distinct frames and ads behind them."""

    rows: int = 0
    frames: int = 0
    ads: int = 0

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(self.rows + other.rows, self.frames + other.frames, self.ads + other.ads)

    def __str__(self) -> str:
        rows, frames, ads = counted(self.rows, "row"), counted(self.frames, "frame"), counted(self.ads, "ad")
        return f"{rows} of {frames}, {ads}"


Table1 = Mapping[str, Mapping[Label, ClassCounts]]
"""Counts by split and class, every split and class present."""


@dataclass(frozen=True)
class ExampleRow:
    """A row to look at: the picture, its words and its label."""

    image: bytes
    text: str
    label: Label
    video_id: str
    category: str | None
    mean_score: float | None
    split: str


@dataclass(frozen=True)
class ReleaseFacts:
    """One release, described."""

    version: str
    created_at: str
    synthetic: bool
    """The ads were rendered, not crawled: no result on them says anything about advertising."""
    sources: frozenset[str]
    """Sources of the ads: `youtube`, `folder`, or both."""
    after: Table1
    """Counts of the release."""
    before: Table1
    """The same before the training rows were resampled."""
    funnel: Sequence[FunnelStep]
    settings: Settings
    thresholds: Thresholds
    """The thresholds in force."""
    yields: YieldTable
    ad_means: Sequence[float]
    """Mean score of every ad that has one, labelled or not, under the aggregation in force."""
    n_comments: int
    """Scored comments of all ads."""
    left_out: Mapping[str, int]
    """Those of them that do not count in a mean, by reason."""
    words_per_frame: Sequence[int]
    """Words that OCR read on every frame, kept or not."""
    ads_by_category: Mapping[str, Mapping[Label, int]]
    decided_by: Mapping[str, int]
    """Number of ads by the way in which their labels were decided: `{"policy auto": 22}`."""
    agreement: float | None = None
    """Mean agreement of the reviewers; None where nobody reviewed."""
    engines: Mapping[str, str] = field(default_factory=dict)
    table_versions: Mapping[str, int] = field(default_factory=dict)
    split_reasons: Mapping[str, int] = field(default_factory=dict)
    """Number of ads by what decided their split."""
    filled: Sequence[str] = ()
    """Ads in a split that would otherwise have had no ad of their class."""
    filled_before: frozenset[str] = frozenset()
    """Those of the parent."""
    lineage: Sequence[str] = ()
    """Versions of its ancestors, the parent first."""
    changes: ReleaseDiff | None = None
    """Changes since the parent; None if there is none."""
    examples: Sequence[ExampleRow] = ()
    checks: Sequence[Result] = ()
    """Results of the data-quality rules."""

    @property
    def parent(self) -> str | None:
        """Version of the release that it follows."""
        return self.lineage[0] if self.lineage else None

    @property
    def moved(self) -> Mapping[str, tuple[str, str]]:
        """Ads that changed their split since the parent, with the old and the new one."""
        return self.changes.moved if self.changes else {}

    def split_notes(self) -> list[str]:
        """Notes on the splits: ads that moved, ads newly placed to fill a split, and splits that are still empty."""
        why = ""
        if self.changes is None:
            why = " (the first release: there is no parent)"
        elif self.changes.is_new_division:
            why = " (method, seed or shares are others, so this is a new division)"
        notes = [f"ads that changed their split since the parent: {len(self.moved)}{why}"]
        divided_anew = self.changes is None or self.changes.is_new_division
        placed = set(self.filled) - (frozenset() if divided_anew else self.filled_before)
        if placed:
            since = "" if self.changes is None else " since the parent"
            notes.append(f"ads placed{since} where a split had no ad of their class: {len(placed)}")
        return notes + self.empty_cells()

    def empty_cells(self) -> list[str]:
        """Splits that have a share and no ad of a class, in words."""
        return [
            f"{split} has no {label} ad"
            for split, ratio in self.settings.release.ratios.items()
            for label in LABELS
            if ratio and not self.after[split][label].ads
        ]

    @property
    def from_youtube(self) -> bool:
        """Whether YouTube's terms apply to any of the ads."""
        return "youtube" in self.sources

    def published_settings(self) -> dict[str, Any]:
        """Settings as a release shows them: no secrets, no paths of this machine, no answers of gold entries."""
        return self.settings.model_dump(
            mode="json",
            exclude={
                "privacy": True,
                "runner": True,
                # an ad from a folder does not depend on it
                **({} if self.from_youtube else {"crawl": True}),
                "ocr": {"model_dir"},
                "sentiment": {"lexicon", "jar", "java"},
                "release": {"checks"},
                "review": {"store", "page", "host", "port", "quiet_s", "gold", "notify"},
            },
        )

    def manifest(self) -> dict[str, Any]:
        """The part of the manifest that `write_release` leaves to its caller."""
        return {
            "created_at": self.created_at,
            "synthetic": self.synthetic,
            "settings": self.published_settings(),
            "seed": self.settings.release.seed,
            "engines": dict(self.engines),
            "table_versions": dict(self.table_versions),
            "parent": self.parent,
            "lineage": list(self.lineage),
            "split": {
                "method": self.settings.split.method,
                "decided_by": dict(self.split_reasons),
                "filled": list(self.filled),
                "moved": {ad: list(splits) for ad, splits in self.moved.items()},
                "empty": self.empty_cells(),
            },
            "changes": self.changes and self.changes.published(),
            "funnel": [step.as_json() for step in self.funnel],
            "labels": {
                "aggregation": self.settings.sentiment.aggregation,
                "threshold_mode": self.settings.sentiment.thresholds,
                "thresholds": asdict(self.thresholds),
                "decided_by": dict(self.decided_by),
                "agreement": self.agreement,
            },
            "resampling": self.settings.release.balance,
            "ratios": self.settings.release.ratios,
        }


def collect_facts(
    catalog: Catalog,
    settings: Settings,
    plan: Plan,
    funnel: Sequence[FunnelStep],
    yields: YieldTable,
    ad_sentiment: pa.Table,
    parent: Place | None,
) -> ReleaseFacts:
    """Describe a planned release.

    Args:
        catalog: the tables.
        settings: all settings.
        plan: the rows of the release.
        funnel: its steps.
        yields: how many ads other thresholds would label.
        ad_sentiment: rows of the ads whose comments are read to the end.
        parent: folder of the newest release before.
    """
    now = datetime.now(UTC)
    before = read_manifest(parent) if parent else None
    given = versions_given(catalog.releases_dir, catalog.models_dir)
    included = {row.video_id: row for row in plan.balanced.rows}
    counting = pc.field("n_scored") - pc.field("n_neutral") >= settings.sentiment.min_comments
    means: list[Any] = ad_sentiment.filter(counting).column("mean_score").drop_null().to_pylist()
    decided = Counter(plan.labels[ad].decided_by for ad in included)
    agreements = [
        row["agreement"]
        for row in catalog.read("labels", ["video_id", "agreement"]).to_pylist()
        if row["agreement"] is not None and row["video_id"] in included
    ]
    origin = {ad["video_id"]: ad for ad in catalog.read("ads", ["video_id", "source", "synthetic"]).to_pylist()}
    categories = Counter((plan.frames[row.frame_id].category, row.label) for row in included.values())
    return ReleaseFacts(
        version=next_version(now.date(), given, parent.name if parent else None),
        created_at=now.isoformat(timespec="seconds"),
        synthetic=any(origin[ad]["synthetic"] for ad in included),
        sources=frozenset(source for ad in included if (source := origin[ad]["source"])),
        after=count_table1(plan.balanced.rows),
        before=count_table1(plan.labelled),
        funnel=funnel,
        settings=settings,
        thresholds=thresholds_in_force(settings.sentiment, means),
        yields=yields,
        ad_means=means,
        n_comments=total(ad_sentiment, "n_comments"),
        left_out=count_left_out(ad_sentiment),
        words_per_frame=[frame.n_words for frame in plan.frames.values()],
        ads_by_category={
            category: {label: categories[category, label] for label in LABELS}
            for category in sorted({category for category, _ in categories})
        },
        decided_by={_DECIDED[how]: count for how, count in sorted(decided.items())},
        agreement=fmean(agreements) if agreements else None,
        engines={
            "ocr": version_of(ocr_engine(settings.ocr)),
            "sentiment": version_of(sentiment_engine(settings.sentiment)),
        },
        table_versions=catalog.versions(),
        split_reasons=dict(sorted(Counter(plan.splits[ad].decided_by for ad in included).items())),
        filled=sorted(ad for ad in included if plan.splits[ad].decided_by == "filled"),
        filled_before=frozenset(((before or {}).get("split") or {}).get("filled") or []),
        lineage=[parent.name, *lineage_of(before)] if parent and before else [],
        examples=_examples(catalog, plan, settings.release.seed),
    )


def first_of(changes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The first changed ads, as many as a page names."""
    return list(changes.items())[:NAMED]


def with_changes(facts: ReleaseFacts, plan: Plan, parent: Place | None) -> ReleaseFacts:
    """The facts with what changed since the parent, which is read for it.

    Raises:
        ReleaseError: the parent cannot be read.
    """
    if parent is None:
        return facts
    planned = Contents.of(facts.manifest() | {"version": facts.version}, plan.rows())
    return replace(facts, changes=compare(read_contents(parent), planned))


def with_checks(facts: ReleaseFacts, catalog: Catalog, plan: Plan) -> ReleaseFacts:
    """The facts with what the data-quality rules find in the tables and the planned rows.

    Raises:
        CatalogError: a rule of the settings' files is wrong.
    """
    rows = pa.Table.from_pylist([{"split": row.split, **plan.values(row)} for row in plan.balanced.rows])
    rules = all_rules(*facts.settings.release.checks)
    results = check(catalog, rules, rows)
    for result in results:
        if result.fault:
            raise CatalogError(f"rule {result.rule.name}: {result.fault}")
    return replace(facts, checks=results)


_DECIDED = {
    "comments": "policy auto, reviewed by nobody",
    "reviewers": "the reviewers",
    "verifier": "the verifier",
    "discussion": "the discussion",
}


def _examples(catalog: Catalog, plan: Plan, seed: int) -> list[ExampleRow]:
    """A few rows of each class with their pictures."""
    chosen = choose_examples(plan.balanced.rows, seed=seed)
    wanted = pa.array([row.frame_id for row in chosen], pa.string())
    images = catalog.read("frames", ["frame_id", "image"], where=pc.field("frame_id").isin(wanted)).to_pylist()
    image_of = {row["frame_id"]: row["image"]["bytes"] for row in images}
    return [
        ExampleRow(
            image=image_of[row.frame_id],
            text=(frame := plan.frames[row.frame_id]).text,
            label=row.label,
            video_id=row.video_id,
            category=frame.category,
            mean_score=plan.labels[row.video_id].mean_score,
            split=row.split,
        )
        for row in chosen
    ]


def count_table1(rows: Iterable[PlannedRow]) -> Table1:
    """Count rows, distinct frames and distinct ads by split and class."""
    cells: dict[tuple[str, str], list[PlannedRow]] = {(split, label): [] for split in SPLITS for label in LABELS}
    for row in rows:
        cells[row.split, row.label].append(row)
    counts = {
        cell: ClassCounts(
            rows=len(found),
            frames=len({row.frame_id for row in found}),
            ads=len({row.video_id for row in found}),
        )
        for cell, found in cells.items()
    }
    return {split: {label: counts[split, label] for label in LABELS} for split in SPLITS}


def sum_counts(table1: Table1, label: Label | None = None, split: str | None = None) -> ClassCounts:
    """The sum over all splits and classes, or over the one that is named; no ad is in two of them."""
    return sum(
        (
            counts
            for name, by_label in table1.items()
            for of, counts in by_label.items()
            if label in (None, of) and split in (None, name)
        ),
        start=ClassCounts(),
    )


def choose_examples(rows: Iterable[PlannedRow], *, per_class: int = 6, seed: int = 0) -> list[PlannedRow]:
    """Choose rows to show, at random: as many of each class, no ad twice while there are others."""
    chosen: list[PlannedRow] = []
    drawn = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.frame_id}".encode()).digest())
    for label in LABELS:
        seen: set[str] = set()
        first: list[PlannedRow] = []
        again: list[PlannedRow] = []
        for row in drawn:
            if row.label == label and not row.draw:
                (again if row.video_id in seen else first).append(row)
                seen.add(row.video_id)
        chosen += [*first, *again][:per_class]
    return chosen
