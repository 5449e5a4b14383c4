"""Health of a catalog: its newest release, failures, overdue rows, open annotation, and its disk."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pyarrow.compute as pc

from annotation.outcomes import progress, round_status
from annotation.protocol import FINAL
from data_catalog.catalog import Catalog
from data_catalog.errors import YtbAdsError
from data_catalog.inspect import require_catalog
from data_catalog.releases import newest_release_if_any, read_manifest
from data_catalog.releases.lineage import created_at
from data_catalog.storage import nearest, working_folder
from flows.checks import Check, age_in_words
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.data_api.quota import utc_now
from flows.crawl.plan.schedule import plan_crawl
from flows.crawl.preflight import check_lanes, check_quota
from flows.crawl.steps import open_ledger
from flows.models import run_in_service, untrained_release
from flows.review.human import has_store, review_store
from flows.settings import Settings

_LATEST_TRAINING = timedelta(days=2)
"""A release without a model is no news before."""
_LATEST_REFRESH = timedelta(days=2)
"""Rows that are due for longer were passed over by two nights' refreshes."""


def check_catalog(catalog: Catalog, settings: Settings, now: datetime | None = None) -> list[Check]:
    """Check everything that can be known from a catalog, its disk and its annotation's store.

    A check that cannot be made is a failed one that says why.
    """
    now = now or utc_now()
    try:
        require_catalog(catalog)
    except YtbAdsError as error:
        return [Check("catalog", False, str(error), "restore it, or name another one by --catalog")]
    checks: dict[str, Callable[[], Iterator[Check]]] = {
        "release": lambda: _release(catalog, settings, now),
        "training": lambda: _training(catalog, settings, now),
        "failures": lambda: _failures(catalog, settings, now),
        "refresh": lambda: _refresh(catalog, settings, now),
        "crawl": lambda: _crawl(catalog, settings, now),
        "annotation": lambda: _annotation(catalog, settings, now),
        "disk": lambda: _disk(catalog, settings),
    }
    found: list[Check] = []
    for name, made in checks.items():
        try:
            found += made()
        except (YtbAdsError, OSError) as error:
            found.append(Check(name, False, str(error), "mend this first: nothing else is known of it"))
    return found


def _release(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Check]:
    newest = newest_release_if_any(catalog.releases_dir)
    if newest is None:
        yield Check("release", None, "there is none yet", "ytb-ads build")
        return
    age = now - created_at(newest.name, read_manifest(newest))
    said = f"{newest.name}, {age_in_words(age)} old"
    is_old = age > timedelta(days=settings.health.release_days)
    todo = "no rebuild brought anything new, or none ran: look at the runs, and at `ytb-ads status`"
    yield Check("release", None, said, todo) if is_old else Check("release", True, said)


def _training(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Check]:
    present = run_in_service(catalog)
    service = f"in service: {present.name if present else 'no model yet'}"
    untrained = untrained_release(catalog, settings.training)
    if untrained is None or now - created_at(untrained.name, read_manifest(untrained)) < _LATEST_TRAINING:
        if present:
            yield Check("training", True, service)
        return
    said = f"none has succeeded on {untrained.name}; {service}"
    yield Check("training", None, said, "look at the runs of train-on-gpu; the next rebuild starts it again")


def _failures(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Check]:
    """Faults that another run may cure, by stage and reason."""
    failed = pc.field("kind") == "failed"
    rows = catalog.read("drops", ["stage", "reason", "attempts", "at"], where=failed).to_pylist()
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in rows:
        times[row["stage"], row["reason"]].append(row["at"])
    given_up = sum(row["attempts"] >= settings.runner.max_attempts for row in rows)
    if not rows:
        yield Check("failures", True, "none")
        return
    each = (
        f"{stage}: {len(of_reason):,} {reason}, since {age_in_words(now - min(of_reason))}"
        for (stage, reason), of_reason in sorted(times.items(), key=lambda item: (-len(item[1]), item[0]))
    )
    oldest = now - min(row["at"] for row in rows)
    said = "; ".join(each) + (f"; {given_up:,} given up" if given_up else "")
    is_old = oldest > timedelta(days=settings.health.failure_days)
    todo = "ytb-ads catalog show drops says what; a later run tries those again that are not given up"
    yield Check("failures", None, said, todo) if given_up or is_old else Check("failures", True, said)


def _refresh(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Check]:
    """Rows of YouTube's API, which its terms let nobody keep for longer than 30 days without asking again."""
    fetched = catalog.values("ads", "fetched_at", where=pc.field("source") == SOURCE)
    fetched += catalog.values("candidates", "fetched_at")
    if not fetched:
        return
    limit = now - timedelta(days=settings.crawl.refresh_days)
    due, overdue = (sum(at < moment for at in fetched) for moment in (limit, limit - _LATEST_REFRESH))
    said = f"{due:,} of {len(fetched):,} rows are older than {settings.crawl.refresh_days} days"
    todo = "ytb-ads crawl --refresh; look why the daily one does not do it"
    if overdue:
        yield Check("refresh", False, f"{said}, {overdue:,} of them by two days or more", todo)
    else:
        yield (
            Check("refresh", None, said, "the next daily refresh is to fetch them again")
            if due
            else Check("refresh", True, said)
        )


def _crawl(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Check]:
    """Quota that is left, and the day on which the crawl will be done."""
    keys = settings.crawl.given_keys
    if not keys:
        return
    with open_ledger(catalog, settings, to_look=True) as ledger:
        for key in keys:
            yield check_quota(key.get_secret_value(), ledger)
        yield check_lanes(ledger)
        plan = plan_crawl(catalog, settings, ledger, now)
    said = f"done by {plan.finish}" if plan.finish.day else str(plan.finish)
    if plan.finish.outcome in ("longer", "never"):
        yield Check("crawl", None, said, "ytb-ads crawl --plan says what it waits for")
    else:
        yield Check("crawl", True, said)


def _annotation(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Check]:
    """The open round, and reviewers who have something to do and do nothing."""
    if not has_store(catalog, settings.review):
        return
    with review_store(catalog, settings.review) as store:
        current = store.rounds.current()
        if current is None:
            yield Check("annotation", True, "no round is open")
            return
        status = round_status(store, current.id)
        people = progress(store, current.id)
    settled = sum(count for state, count in status.by_state.items() if state in FINAL)
    said = f"round {current.id}: {settled:,} of {status.n_entries:,} entries settled"
    limit = timedelta(days=settings.health.idle_days)
    idle = [
        f"{one.person.name} ({age_in_words(now - (one.last_at or current.opened_at))}, {one.total - one.done:,} to do)"
        for one in people
        if one.done < one.total and one.person.may_enter(now) and now - (one.last_at or current.opened_at) > limit
    ]
    if not people:
        yield Check("annotation", None, f"{said}; nobody is invited", "ytb-ads annotate invite")
    elif idle:
        yield Check("annotation", None, f"{said}; idle: {', '.join(idle)}", "remind them, or invite others")
    else:
        yield Check("annotation", True, said)


def _disk(catalog: Catalog, settings: Settings) -> Iterator[Check]:
    usage = shutil.disk_usage(nearest(working_folder(catalog.place)))
    said = f"{usage.free / 1e9:,.1f} GB of {usage.total / 1e9:,.1f} GB free"
    least = settings.health.free_gb
    if usage.free < least * 1e8:
        yield Check("disk", False, said, f"make room in {catalog.root}")
    else:
        yield (
            Check("disk", None, said, f"make room in {catalog.root}")
            if usage.free < least * 1e9
            else Check("disk", True, said)
        )
