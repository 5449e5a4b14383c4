"""Decide whether a new model replaces the one in service, on test ads that neither has learned from."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError
from data_catalog.releases import list_releases, read_manifest
from data_catalog.releases.comparison import read_splits
from data_catalog.storage import Place, fetch_folder
from fgmfn.data import Rows, Source, open_source
from fgmfn.errors import FgmfnError
from fgmfn.evaluation import score
from fgmfn.inference import load_checkpoint
from fgmfn.scoring import predict_split
from fgmfn.statistics import paired_difference
from flows.errors import ModelError
from flows.models import METRICS, Decision, ModelRun, promote, read_history, refuse, run_in_service
from flows.settings import TrainingSettings

log = logging.getLogger("ytb_ads")


def decide(catalog: Catalog, run: ModelRun, release: Path, settings: TrainingSettings) -> Decision | None:
    """Put a new model in service, or keep the present one; None if that was decided before.

    Args:
        catalog: its models.
        run: the new model.
        release: the release that it was trained on, whose test rows both models predict.
        settings: the rule.
    """
    try:
        present = run_in_service(catalog)
    except ModelError as error:
        return refuse(catalog, run, str(error))
    before = [each for each in read_history(catalog) if each.run == run.name and each.by == "gate"]
    in_service = present.name if present else None
    if in_service == run.name or (before and before[-1].instead_of == in_service):
        return None
    if settings.promote == "never":
        return refuse(catalog, run, "training.promote is `never`: `ytb-ads models promote` puts it in service")
    source = open_source(release)
    if present is None:
        return _first(catalog, run, source)
    try:
        return _compared(catalog, run, present, source, settings)
    except (ModelError, ReleaseError, FgmfnError) as error:
        return refuse(catalog, run, f"cannot be compared with {present.name}: {error}")


def _first(catalog: Catalog, run: ModelRun, source: Source) -> Decision:
    """The first model has to beat the line of always naming the class that most test rows have."""
    rows = source.splits["test"]
    if not len(rows) or not run.record["test"]:
        return refuse(catalog, run, "the release has no test rows")
    most = Counter(rows.label).most_common(1)[0][0]
    line = score(rows.label, [most] * len(rows), len(source.class_names)).macro_f1
    found = run.record["test"]["macro_f1"]
    said = f"macro-F1 {found:.3f}, and {line:.3f} of always naming {source.class_names[most]}"
    measured = {"macro_f1": found, "majority_macro_f1": line, "rows": len(rows)}
    if found > line:
        return promote(catalog, run, f"the first model: {said}", comparison=measured)
    return refuse(catalog, run, f"no better than the majority line: {said}", measured)


def _compared(
    catalog: Catalog, run: ModelRun, present: ModelRun, source: Source, settings: TrainingSettings
) -> Decision:
    versions = [folder.name for folder in list_releases(catalog.releases_dir)]
    if {run.release, present.release} <= set(versions) and versions.index(run.release) < versions.index(
        present.release
    ):
        return refuse(catalog, run, f"its release {run.release} is older than {present.release}, which is in service")
    rows, learned_from = unseen_rows(source.splits["test"], ads_behind(catalog, present))
    ads = len(set(rows.group))
    if ads < settings.min_test_ads:
        return refuse(
            catalog,
            run,
            f"{ads} test ads are too few to compare on (training.min_test_ads = {settings.min_test_ads}); "
            f"{learned_from} more are left out, as {present.name} has learned from them",
        )
    old, new = (_predict(each.folder, source, rows) for each in (present, run))
    gain = paired_difference(rows.label, old, new, rows.group, len(source.class_names))
    said = f"macro-F1 {gain.macro_f1} to {present.name} on {gain.rows} rows of {gain.groups} test ads" + (
        f"; {learned_from} ads left out that {present.name} has learned from" if learned_from else ""
    )
    measured = {**gain.as_json(), "with": present.name, "ads_left_out": learned_from, "tolerance": settings.tolerance}
    if gain.macro_f1.low > -settings.tolerance:
        return promote(catalog, run, said, comparison=measured)
    return refuse(catalog, run, f"may be worse than training.tolerance = {settings.tolerance} allows: {said}", measured)


def ads_behind(catalog: Catalog, run: ModelRun) -> frozenset[str]:
    """Ads that a model has learned from, or whose scores chose its weights, and all re-uploads of them.

    Raises:
        ModelError: its release is gone or is another one by now, so that nobody can tell.
    """
    release = catalog.releases_dir / run.release
    if not release.is_dir() or read_manifest(release)["row_set_hash"] != run.record["row_set_hash"]:
        raise ModelError(
            f"{run.name}: its release is not in {catalog.releases_dir}, so nobody can tell which ads it has learned "
            "from; `ytb-ads models promote` puts the new one in service all the same"
        )
    learned = {ad for ad, split in read_splits(release).items() if split != "test"}
    uploads = {row["video_id"]: row["group_id"] for row in catalog.read("reuploads").to_pylist()}
    groups = {uploads[ad] for ad in learned if ad in uploads}
    return frozenset(learned.union(ad for ad, group in uploads.items() if group in groups))


def unseen_rows(rows: Rows, seen: frozenset[str]) -> tuple[Rows, int]:
    """The rows of ads that are not among those seen, and the number of ads that are left out."""
    unseen = [number for number, ad in enumerate(rows.group) if ad not in seen]
    return rows.take(unseen), len(seen.intersection(rows.group))


def _predict(folder: Place, source: Source, rows: Rows) -> list[int]:
    checkpoint = load_checkpoint(fetch_folder(folder, METRICS))
    # of these rows it is known that it has not learned from them: no warning is due that it may have
    own = replace(source, splits={**source.splits, "test": rows}, row_set_hash=checkpoint.row_set_hash or "")
    predicted: np.ndarray = predict_split(checkpoint, own, "test", progress=False).argmax(axis=1)
    return [int(number) for number in predicted]
