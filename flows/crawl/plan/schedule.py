"""`ytb-ads crawl --plan`: the work that is left, laid out over the days of the quota.

Reads the tables, the settings and the ledger. No request is made and nothing is written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from data_catalog.catalog import Catalog
from flows.crawl.data_api.quota import Ledger, Pause, next_reset, pacific_day
from flows.crawl.media.lane import LANE
from flows.crawl.plan.estimates import CategoryPlan, Cost, Done, Estimate, Planner, Steps, Sums
from flows.settings import Settings

LONGEST_DAYS = 365
"""A crawl that takes longer is not laid out to its end."""
DAY_S = 86_400.0
_CRUMB = 1e-6
"""Less of a video than this is what floating point leaves of one."""
_MORE_KEYS = (1, 2, 3, 5, 10)

_LABELS = {
    "pass_share": "share of candidates that pass the filters",
    "pass_share_of_ids": "share of listed ids that pass the filters",
    "pages_per_search": "pages of a search",
    "pages_per_list": "pages of a playlist or channel",
    "new_per_search_page": "new candidates on a page of a search",
    "new_per_list_page": "new candidates on a page of a list",
    "comments_per_ad": "comments of an ad",
    "units_per_comment": "units for a comment",
    "bytes_per_video": "MB of a video",
}
_CATEGORY_COLUMNS = ("wanted", "there", "searches", "listing", "taking", "comments", "videos")
_RESOURCE_COLUMNS = ("needed", "left today", "a day", "done by", "at the latest")

Outcome = Literal["nothing", "finished", "longer", "never"]
"""`nothing` was left to do; `longer` than a year; `never`, as what a day holds is nothing."""


@dataclass
class CategoryWork:
    """Work that is left on one category: lists are read, then comments, then videos are fetched.

    Once a part of the comments is read, as large a part of the videos can be fetched.
    """

    list_units: int = 0
    """Units that listing takes before its first search."""
    searches: int = 0
    """Calls of `search.list`; each one costs a unit besides, for describing what it found."""
    reading_units: int = 0
    """Units for describing the drawn ads and reading their comments."""
    videos: int = 0
    read: int = 0
    """Units of the reading that are spent."""
    fetched: float = 0.0
    """Videos that are fetched."""

    @property
    def is_over(self) -> bool:
        """Whether no work is left."""
        return not (self.list_units or self.searches or self.reading_units > self.read or self.videos_waiting)

    @property
    def videos_waiting(self) -> float:
        """Videos that can be fetched now."""
        if self.list_units or self.searches:
            return 0.0
        ready = self.videos * self.read // self.reading_units if self.reading_units else self.videos
        return ready - self.fetched if ready - self.fetched > _CRUMB else 0.0


@dataclass(frozen=True)
class Day(Sums):
    """Work that a day has room for, or that is done on it; every key's quota and all lanes together."""

    searches: int
    units: int
    videos: float


@dataclass(frozen=True)
class Finish:
    """The day on which something will be done."""

    outcome: Outcome
    day: date | None = None
    """Day of Pacific time."""
    days: int | None = None
    """Days from today."""

    def __str__(self) -> str:
        said = {"nothing": "nothing to do", "longer": "in a year or more", "never": "never"}
        return said[self.outcome] if self.day is None else f"{self.day:%a %Y-%m-%d}"

    @property
    def lateness(self) -> float:
        """Days from today, for comparing: endless ones come last."""
        return {"longer": 1e9, "never": math.inf}.get(self.outcome, self.days or 0)


@dataclass(frozen=True)
class FinishWithKeys(Finish):
    """The day on which a crawl with some keys more will be done."""

    keys: int = 0


@dataclass(frozen=True)
class Resource:
    """A resource of which a day has only so much, and the end of the crawl if it were the only one."""

    needed: Cost
    today: float
    a_day: float
    finish: Finish
    finish_at_most: Finish


@dataclass(frozen=True)
class Plan:
    """Everything that is left of a crawl, its cost, and the day on which it will be done."""

    made_at: datetime
    keys: int
    """Keys that the quota is of; one where none is set yet."""
    has_key: bool
    finish: Finish
    finish_at_most: Finish
    bottleneck: str | None
    """The resource that the crawl waits for longest; None when all of it can be done today."""
    with_more_keys: tuple[FinishWithKeys, ...]
    """As far as they shorten it."""
    resources: dict[str, Resource]
    """`searches` and `units` count calls and units; `media` counts seconds."""
    done: Done
    left: Steps
    categories: tuple[CategoryPlan, ...]
    lanes: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=lambda at: at.isoformat()))
        return plain


def plan_crawl(catalog: Catalog, settings: Settings, ledger: Ledger, now: datetime) -> Plan:
    """Plan what is left of a crawl.

    Args:
        catalog: the tables; they need not exist yet.
        settings: what is to be crawled, and how.
        ledger: what is left of today's quota.
        now: the moment that the plan is made at.

    Raises:
        CrawlError: a file of ids cannot be read or holds something else.
    """
    planner = Planner(catalog, settings, now)
    categories = planner.plan_all()
    left = sum((category.left for category in categories), Steps())
    quota, media_lane = settings.crawl.quota, ledger.paused(LANE)
    keys = [key.get_secret_value() for key in settings.crawl.given_keys]
    a_key = Day(quota.searches_per_day, quota.units_per_day, 0.0)
    daily = Day(a_key.searches * max(1, len(keys)), a_key.units * max(1, len(keys)), DAY_S / planner.seconds_per_video)
    left_s = (next_reset(now) - now).total_seconds()
    pause_s = max(0.0, (media_lane.until - now).total_seconds()) if media_lane else 0.0
    today = replace(daily, videos=left_s / planner.seconds_per_video)
    if keys:
        searches, units = (sum(ledger.left(key, budget) for key in keys) for budget in ("searches", "units"))
        today = Day(searches, units, today.videos)

    def finish_of(which: Literal["expected", "at_most"], more_keys: int = 0) -> Finish:
        more = replace(a_key, searches=a_key.searches * more_keys, units=a_key.units * more_keys)
        work = [_work(category, which) for category in categories]
        outcome, days = lay_out(work, today + more, daily + more, pause_s / planner.seconds_per_video)
        return _on_day(len(days) - 1, now) if outcome == "finished" else Finish(outcome)

    finish = finish_of("expected")
    resources = {
        "searches": _resource(left.searches, today.searches, daily.searches, now),
        "units": _resource(left.units, today.units, daily.units, now),
        "media": _resource(left.media_s, max(0.0, left_s - pause_s), DAY_S, now),
    }
    return Plan(
        made_at=now,
        keys=max(1, len(keys)),
        has_key=bool(keys),
        finish=finish,
        finish_at_most=finish_of("at_most"),
        bottleneck=max(resources, key=lambda name: resources[name].finish.lateness) if finish.lateness > 0 else None,
        with_more_keys=tuple(_with_more_keys(finish, lambda more: finish_of("expected", more))),
        resources=resources,
        done=sum((category.done for category in categories), Done()),
        left=left,
        categories=categories,
        lanes=settings.media.lanes,
        notes=tuple(_notes(settings, media_lane, categories)),
    )


def lay_out(
    work: Sequence[CategoryWork], today: Day, daily: Day, paused_videos: float = 0.0
) -> tuple[Outcome, list[Day]]:
    """Lay the work out over days, today first: listing before reading, category after category in each.

    Args:
        work: of the categories; unchanged.
        today: room that is left of this day.
        daily: room of every later day.
        paused_videos: videos that there would be time for while they are still paused.
    """
    work = [replace(one) for one in work]
    days: list[Day] = []
    while not all(one.is_over for one in work):
        if len(days) > LONGEST_DAYS:
            return "longer", days
        room = daily if days else today
        done = _spend_day(work, replace(room, videos=max(0.0, room.videos - paused_videos)))
        if days and paused_videos <= 0 and done == Day(0, 0, 0.0):
            return "never", days
        paused_videos = max(0.0, paused_videos - room.videos)
        days.append(done)
    return "finished" if days else "nothing", days


def days_alone(needed: float, today: float, a_day: float) -> int | None:
    """Days besides today that one kind of work takes if nothing else holds it up; None when it never ends."""
    if needed <= today:
        return 0
    return math.ceil((needed - today) / a_day) if a_day > 0 else None


def _spend_day(work: Sequence[CategoryWork], room: Day) -> Day:
    left_searches, left_units, left_videos = room.searches, room.units, room.videos
    for one in work:
        listed = min(one.list_units, left_units)
        one.list_units -= listed
        left_units -= listed
        searched = 0 if one.list_units else min(one.searches, left_searches, left_units)
        one.searches -= searched
        left_searches -= searched
        left_units -= searched
    for one in work:
        read = 0 if one.list_units or one.searches else min(one.reading_units - one.read, left_units)
        one.read += read
        left_units -= read
    for one in work:
        fetched = min(one.videos_waiting, left_videos)
        one.fetched += fetched
        left_videos -= fetched
    return Day(room.searches - left_searches, room.units - left_units, room.videos - left_videos)


def _work(category: CategoryPlan, which: Literal["expected", "at_most"]) -> CategoryWork:
    """Each category is listed, read and fetched by itself; what it has already need not wait for its listing."""
    units = {name: round(getattr(cost, which)) for name, cost in vars(category.left).items()}
    # describing what searches find is counted with the search itself
    list_units = units["listing"] + max(0, units["describing"] - units["searches"])
    return CategoryWork(list_units, units["searches"], units["taking"] + units["comments"], units["videos"])


def _on_day(days: int | None, now: datetime) -> Finish:
    if days is None or days > LONGEST_DAYS:
        return Finish("never" if days is None else "longer")
    return Finish("finished", pacific_day(now) + timedelta(days=days), days)


def _resource(needed: Cost, today: float, a_day: float, now: datetime) -> Resource:
    """One resource, as if nothing else held the crawl up."""
    expected, at_most = (
        _on_day(days_alone(number, today, a_day), now) if number else Finish("nothing")
        for number in (needed.expected, needed.at_most)
    )
    return Resource(needed, today, a_day, expected, at_most)


def _with_more_keys(finish: Finish, finish_with: Callable[[int], Finish]) -> Iterator[FinishWithKeys]:
    """The end with some keys more, as long as each step makes it earlier."""
    for more in _MORE_KEYS:
        sooner = finish_with(more)
        if sooner.lateness >= finish.lateness:
            return
        yield FinishWithKeys(**vars(sooner), keys=more)
        finish = sooner


def _notes(settings: Settings, media_lane: Pause | None, categories: Sequence[CategoryPlan]) -> Iterator[str]:
    """Remarks without which the numbers would be misread."""
    if not settings.crawl.given_keys:
        yield "no key is set: the days are those of one key with the quota of the settings"
    if media_lane:
        yield f"videos are paused until {media_lane.until:%Y-%m-%d %H:%M} UTC: {media_lane.reason}"
    for category in categories:
        if category.short_by:
            yield f"{category.category}: its lists are not expected to give the last {category.short_by:,} ads"
    if any(category.left.searches.at_most for category in categories):
        yield "a slice of a search that stops at YouTube's limit is halved, and its halves are counted once it has"


def render_plan(plan: Plan) -> RenderableType:
    """Everything within 80 columns: costs as expected, and in brackets below what they can come to at most."""
    categories = [_row(escape(one.category), one.wanted, one.done, one.left) for one in plan.categories]
    if len(categories) > 1:
        categories += [[], _row("all", sum(one.wanted for one in plan.categories), plan.done, plan.left)]
    total = ["all of it", "", "", "", str(plan.finish), str(plan.finish_at_most)]
    keys = "1 key" if plan.keys == 1 else f"{plan.keys} keys"
    parts = [
        _table("Left, by category (in brackets: at most)", ["category"], _CATEGORY_COLUMNS, categories),
        _table(f"Needed and available, with {keys}", [""], _RESOURCE_COLUMNS, [*_resources(plan), [], total]),
    ]
    if numbers := list(_numbers(plan)):
        parts.append(_table("Worked out with", ["number", "of", "basis"], [], numbers))
    return Group(*parts, *map(Text, _sentences(plan)))


def _row(name: str, wanted: int, done: Done, left: Steps) -> list[str]:
    costs = (left.searches, left.listing + left.describing, left.taking, left.comments, left.videos)
    return [name, f"{wanted:,}", f"{done.ads:,}", *map(_cost, costs)]


def _resources(plan: Plan) -> Iterator[list[str]]:
    for name, one in plan.resources.items():
        amounts = [_cost(one.needed), f"{one.today:,.0f}", f"{one.a_day:,.0f}"]
        if name == "media":
            hours = _cost(one.needed * (1 / 3600), 1, " h")
            amounts = [hours, f"{one.today / 3600:.1f} h", f"{one.a_day / 3600:.0f} h"]
        yield [name, *amounts, str(one.finish), str(one.finish_at_most)]


def _numbers(plan: Plan) -> Iterator[list[str]]:
    """The numbers that the costs were worked out with, each once."""
    used: dict[Estimate, list[str]] = {}
    for category in plan.categories:
        for estimate in category.estimates:
            used.setdefault(estimate, []).append(category.category)
    for estimate, categories in used.items():
        value, digits = estimate.value, ",.3g" if estimate.value < 100 else ",.0f"
        said = f"{value / 1e6:,.1f}" if estimate.name == "bytes_per_video" else f"{value:{digits}}"
        whose = "" if len(categories) == len(plan.categories) else f", {', '.join(categories)}"
        basis = estimate.basis if estimate.basis == "assumed" else f"{estimate.basis}, on {estimate.sample:,}"
        yield [said, escape(f"{_LABELS[estimate.name]}{whose}"), basis]


def _sentences(plan: Plan) -> Iterator[str]:
    if plan.left.media_bytes.at_most:
        yield f"disk for the videos: {plan.left.media_bytes.expected / 1e9:,.2f} GB"
    if plan.bottleneck:
        yield f"bottleneck: {plan.bottleneck}"
    for more in plan.with_more_keys:
        yield f"with {more.keys} more key{'s' if more.keys > 1 else ''}: {more}"
    yield from plan.notes


def _cost(cost: Cost, digits: int = 0, unit: str = "") -> str:
    expected, at_most = (f"{number:,.{digits}f}{unit}" for number in (cost.expected, cost.at_most))
    return expected if expected == at_most else f"{expected}\n({at_most})"


def _table(title: str, texts: Iterable[str], numbers: Iterable[str], rows: Iterable[list[str]]) -> Table:
    """A table with columns of texts and of numbers; an empty row is a line."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row) if row else table.add_section()
    return table
