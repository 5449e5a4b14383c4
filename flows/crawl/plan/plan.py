"""What a crawl still costs and when it will be done: the numbers of a plan, and what each of them rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

from flows.crawl.plan.schedule import Outcome

Basis = Literal["known", "measured", "assumed"]
"""`known`: the tables have it; `measured`: on what was crawled so far; `assumed`: nothing to measure yet."""


@dataclass(frozen=True)
class Cost:
    """What a step takes, if things are as they are taken to be, and if every list is as long as it can be."""

    expected: float = 0
    at_most: float = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.expected + other.expected, self.at_most + other.at_most)


@dataclass(frozen=True)
class Estimate:
    """A number that costs were worked out with."""

    name: str
    value: float
    basis: Basis
    sample: int = 0
    """How many rows it was counted or measured on."""


@dataclass(frozen=True)
class Done:
    """What is in the tables already."""

    listings: int = 0
    """Lists read to their end."""
    candidates: int = 0
    qualified: int = 0
    """Candidates that pass the filters and were not found unusable."""
    ads: int = 0
    with_comments: int = 0
    """Ads whose comments were read to the end."""
    with_video: int = 0
    """Ads whose video was fetched, though it may have been deleted since."""

    def __add__(self, other: Done) -> Done:
        return Done(**{name: getattr(self, name) + getattr(other, name) for name in vars(self)})


@dataclass(frozen=True)
class Steps:
    """What is left to do, step by step."""

    searches: Cost = Cost()
    """Calls of `search.list`."""
    listing: Cost = Cost()
    """Units for pages of playlists and channels, and for looking up handles."""
    describing: Cost = Cost()
    """Units for what is listed: a call for each page."""
    taking: Cost = Cost()
    """Units for the drawn ads, 50 a call."""
    comments: Cost = Cost()
    """Units for pages of threads and of replies."""
    videos: Cost = Cost()
    media_s: Cost = Cost()
    """Seconds that fetching the videos takes on all lanes."""
    media_bytes: Cost = Cost()

    @property
    def units(self) -> Cost:
        """Units of all steps together."""
        return self.listing + self.describing + self.taking + self.comments

    def __add__(self, other: Steps) -> Steps:
        return Steps(**{name: getattr(self, name) + getattr(other, name) for name in vars(self)})


@dataclass(frozen=True)
class CategoryPlan:
    """One category."""

    category: str
    wanted: int
    """Ads."""
    candidates_wanted: int
    """Candidates that pass the filters, for the draw."""
    done: Done
    left: Steps
    ads_to_take: Cost
    comments: Cost
    """Comments that are still to be read."""
    short_by: int
    """Ads that the lists are not expected to yield."""
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class Finish:
    """When something will be done."""

    outcome: Outcome
    day: date | None = None
    """Day of Pacific time."""
    days: int | None = None
    """Days from today."""

    def __str__(self) -> str:
        said = {"nothing": "nothing to do", "longer": "in a year or more", "never": "never"}
        return said[self.outcome] if self.day is None else f"{self.day:%a %Y-%m-%d}"


@dataclass(frozen=True)
class Resource:
    """One thing that there is only so much of in a day, and when the crawl would be done if it were the only one."""

    name: Literal["searches", "units", "media"]
    """Searches and units count calls and units; media count seconds."""
    needed: Cost
    today: float
    a_day: float
    finish: Finish
    finish_at_most: Finish


@dataclass(frozen=True)
class Plan:
    """Everything that is left of a crawl, what it costs, and when it will be done."""

    made_at: datetime
    keys: int
    """Keys that the quota is of; one where none is set yet."""
    has_key: bool
    categories: tuple[CategoryPlan, ...]
    resources: tuple[Resource, ...]
    finish: Finish
    finish_at_most: Finish
    with_more_keys: tuple[tuple[int, Finish], ...]
    """So many keys more, as far as they shorten it."""
    lanes: int
    notes: tuple[str, ...]

    @property
    def left(self) -> Steps:
        """What is left of all categories together."""
        return sum((category.left for category in self.categories), Steps())

    @property
    def done(self) -> Done:
        """What is done of all categories together."""
        return sum((category.done for category in self.categories), Done())

    @property
    def bottleneck(self) -> Resource | None:
        """What the crawl waits for longest; None when all of it can be done today."""
        return max(self.resources, key=lambda one: lateness(one.finish), default=None) if self._takes_days else None

    @property
    def _takes_days(self) -> bool:
        return lateness(self.finish) > 0

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        left = self.left
        categories = [
            {**asdict(category), "left": _steps_as_json(category.left), "estimates": list(_plain(category.estimates))}
            for category in self.categories
        ]
        return {
            "made_at": self.made_at.isoformat(),
            "keys": self.keys,
            "has_key": self.has_key,
            "finish": _finish_as_json(self.finish),
            "finish_at_most": _finish_as_json(self.finish_at_most),
            "bottleneck": self.bottleneck.name if self.bottleneck else None,
            "with_more_keys": [{"keys": keys, **_finish_as_json(finish)} for keys, finish in self.with_more_keys],
            "resources": {
                one.name: {
                    "needed": asdict(one.needed),
                    "today": one.today,
                    "a_day": one.a_day,
                    "finish": _finish_as_json(one.finish),
                    "finish_at_most": _finish_as_json(one.finish_at_most),
                }
                for one in self.resources
            },
            "done": asdict(self.done),
            "left": _steps_as_json(left),
            "categories": categories,
            "lanes": self.lanes,
            "notes": list(self.notes),
        }


def lateness(finish: Finish) -> float:
    """Days from today, for comparing: endless ones come last."""
    endless = {"longer": 1e9, "never": float("inf")}
    return endless.get(finish.outcome, finish.days or 0)


def _plain(estimates: Iterable[Estimate]) -> Iterable[dict[str, Any]]:
    return (asdict(estimate) for estimate in estimates)


def _steps_as_json(steps: Steps) -> dict[str, Any]:
    return {**asdict(steps), "units": asdict(steps.units)}


def _finish_as_json(finish: Finish) -> dict[str, Any]:
    return {**asdict(finish), "day": finish.day.isoformat() if finish.day else None}
