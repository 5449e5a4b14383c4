"""`ytb-ads crawl --plan`: what is left of a crawl, what it costs, and on which day it will be done.

Reads the tables, the settings and the ledger. No request is made and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from data_catalog.catalog import Catalog
from flows.crawl.data_api.quota import Ledger, next_reset, pacific_day
from flows.crawl.media.lane import LANE
from flows.crawl.plan.categories import Planner
from flows.crawl.plan.estimates import take_inventory
from flows.crawl.plan.plan import CategoryPlan, Finish, Plan, Resource, lateness
from flows.crawl.plan.schedule import DAY_S, LONGEST_DAYS, Lot, Pace, Timetable, days_alone, lay_out
from flows.crawl.plan.terminal import render_plan
from flows.settings import Settings

__all__ = ["Plan", "plan_crawl", "render_plan"]

_MORE_KEYS = (1, 2, 3, 5, 10)


def plan_crawl(catalog: Catalog, settings: Settings, ledger: Ledger, now: datetime) -> Plan:
    """Work out what is left.

    Args:
        catalog: the tables; they need not exist yet.
        settings: what is to be crawled, and how.
        ledger: what is left of today's quota.
        now: the moment that the plan is made at.

    Raises:
        CrawlError: a file of ids cannot be read or holds something else.
    """
    inventory = take_inventory(catalog, settings)
    planner = Planner(inventory, settings, now)
    strangers = sorted({str(ad["category"]) for ad in inventory.ads} - set(settings.crawl.categories))
    categories = (
        *(planner.category(name) for name in settings.crawl.categories),
        # ads of a category that is no longer in the settings are still read and fetched
        *(planner.stranger(name) for name in strangers),
    )
    pace = _pace(settings, ledger, now, planner.seconds_per_video)
    expected, at_most = _lots(categories, at_most=False), _lots(categories, at_most=True)
    finish = _finish(lay_out(expected, pace), now)
    keys = settings.crawl.given_keys
    return Plan(
        made_at=now,
        keys=max(1, len(keys)),
        has_key=bool(keys),
        categories=categories,
        resources=tuple(_resources(categories, pace, now)),
        finish=finish,
        finish_at_most=_finish(lay_out(at_most, pace), now),
        with_more_keys=tuple(_with_more_keys(expected, pace, settings, finish, now)),
        lanes=settings.media.lanes,
        notes=tuple(_notes(settings, ledger, categories)),
    )


def _pace(settings: Settings, ledger: Ledger, now: datetime, seconds_per_video: float) -> Pace:
    quota = settings.crawl.quota
    keys = [key.get_secret_value() for key in settings.crawl.given_keys]
    paused = ledger.paused(LANE)
    return Pace(
        searches=quota.searches_per_day * max(1, len(keys)),
        units=quota.units_per_day * max(1, len(keys)),
        searches_today=sum(ledger.left(key, "searches") for key in keys) if keys else quota.searches_per_day,
        units_today=sum(ledger.left(key, "units") for key in keys) if keys else quota.units_per_day,
        seconds_today=(next_reset(now) - now).total_seconds(),
        seconds_per_video=seconds_per_video,
        pause_s=max(0.0, (paused.until - now).total_seconds()) if paused else 0.0,
    )


def _lots(categories: Sequence[CategoryPlan], *, at_most: bool) -> list[Lot]:
    """Each category is listed, read and fetched by itself; what it has already need not wait for its listing."""
    lots = []
    for category in categories:
        left = category.left

        def of(cost: str, left: object = left) -> int:
            return round(getattr(getattr(left, cost), "at_most" if at_most else "expected"))

        # describing what searches find is counted with the search itself
        list_units = of("listing") + max(0, of("describing") - of("searches"))
        reading = of("taking") + of("comments")
        lots.append(Lot(list_units, of("searches"), reading, of("videos")))
    return lots


def _finish(timetable: Timetable, now: datetime) -> Finish:
    if timetable.outcome != "finished":
        return Finish(timetable.outcome)
    return _on_day(len(timetable.days) - 1, now)


def _on_day(days: int | None, now: datetime) -> Finish:
    if days is None:
        return Finish("never")
    if days > LONGEST_DAYS:
        return Finish("longer")
    return Finish("finished", pacific_day(now) + timedelta(days=days), days)


def _resources(categories: Sequence[CategoryPlan], pace: Pace, now: datetime) -> Iterator[Resource]:
    """Searches, units and the media lane, each as if nothing else held the crawl up."""
    searches, units, media = [
        [getattr(category.left, name) for category in categories] for name in ("searches", "units", "media_s")
    ]
    media_today = max(0.0, pace.seconds_today - pace.pause_s)
    for name, costs, today, a_day in (
        ("searches", searches, pace.searches_today, pace.searches),
        ("units", units, pace.units_today, pace.units),
        ("media", media, media_today, DAY_S),
    ):
        needed = sum(costs[1:], costs[0])
        yield Resource(
            name=name,  # type: ignore[arg-type]  # mypy widens the names of a tuple
            needed=needed,
            today=today,
            a_day=a_day,
            finish=_alone(needed.expected, today, a_day, now),
            finish_at_most=_alone(needed.at_most, today, a_day, now),
        )


def _alone(needed: float, today: float, a_day: float, now: datetime) -> Finish:
    return _on_day(days_alone(needed, today, a_day), now) if needed else Finish("nothing")


def _with_more_keys(
    lots: Sequence[Lot], pace: Pace, settings: Settings, finish: Finish, now: datetime
) -> Iterator[tuple[int, Finish]]:
    """How much sooner some keys more would do it, as long as each step helps."""
    quota = settings.crawl.quota
    for more in _MORE_KEYS:
        faster = pace.faster(more * quota.searches_per_day, more * quota.units_per_day)
        sooner = _finish(lay_out(lots, faster), now)
        if lateness(sooner) >= lateness(finish):
            return
        yield more, sooner
        finish = sooner


def _notes(settings: Settings, ledger: Ledger, categories: Sequence[CategoryPlan]) -> Iterator[str]:
    """What one has to know to read the numbers."""
    if not settings.crawl.given_keys:
        yield "no key is set: the days are those of one key with the quota of the settings"
    if paused := ledger.paused(LANE):
        yield f"videos rest until {paused.until:%Y-%m-%d %H:%M} UTC: {paused.reason}"
    for category in categories:
        if category.short_by:
            yield f"{category.category}: its lists are not expected to give the last {category.short_by:,} ads"
    if any(category.left.searches.at_most for category in categories):
        yield "a slice of a search that stops at YouTube's limit is halved, and its halves are counted once it has"
