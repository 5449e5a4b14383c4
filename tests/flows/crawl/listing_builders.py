"""Small worlds to list and draw from, and a catalog that crawls them with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_catalog.catalog import Catalog
from flows.crawl.candidates import CategoryListing
from flows.crawl.draw import Draw
from flows.crawl.steps import Crawl
from tests.flows.crawl.clocked_crawl import crawl_by, ids_file, nothing, settings_for
from tests.youtube_sandbox import Sandbox, SandboxComment, SandboxPlaylist, SandboxVideo
from tests.youtube_sandbox.world import CHANNEL_ID

MORNING = datetime(2026, 11, 24, 20, tzinfo=UTC)
PLAYLIST = "PL" + "p" * 32
CHANNEL = CHANNEL_ID
ADS = "ads"

Advance = Callable[[float], None]
# a `Place` has a method of the name `list`
Draws = list[Draw]
Ids = list[str]
Requested = list[dict[str, str]]


def video(number: int, **more: Any) -> SandboxVideo:
    """A video that passes the filters: half a minute, English, one comment."""
    given = {"threads": [SandboxComment(f"Ugx{number}", "I love this ad!")], **more}
    return SandboxVideo(f"video{number:06d}", **given)


def videos(count: int, *, start: int = 0, **more: Any) -> list[SandboxVideo]:
    """So many of them, with numbers of their own."""
    return [video(number, **more) for number in range(start, start + count)]


def ids_of(some: Iterable[SandboxVideo]) -> list[str]:
    return [one.video_id for one in some]


def playlist_of(some: Iterable[SandboxVideo], playlist_id: str = PLAYLIST) -> SandboxPlaylist:
    """A playlist of these videos."""
    return SandboxPlaylist(playlist_id, ids_of(some))


@dataclass
class Place:
    """A catalog that crawls a sandbox, and the clock of both."""

    folder: Path
    sandbox: Sandbox
    categories: dict[str, dict[str, Any]]
    given: dict[str, Any] = field(default_factory=dict)
    """More settings of the section `crawl`."""
    max_attempts: int = 3
    now: datetime = MORNING

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.folder / "catalog")

    @property
    def searches(self) -> Requested:
        """Parameters of every search asked for."""
        return [asked for path, asked, _ in self.sandbox.requests if path.endswith("/search")]

    @property
    def units(self) -> int:
        return sum(counts["units"] for counts in self.sandbox.counts.values())

    def crawling(self) -> AbstractContextManager[Crawl]:
        crawl = {"attempts": 2, "categories": self.categories, **self.given}
        settings = settings_for(self.sandbox, crawl, max_attempts=self.max_attempts)
        return crawl_by(lambda: self.now, self.catalog, settings)

    def list(self, category: str = ADS, advance: Advance = nothing) -> CategoryListing:
        """List a category's candidates, as one run does."""
        with self.crawling() as crawl:
            return crawl.list_candidates(category, advance)

    def draw(self, *categories: str) -> Draws:
        """Draw the ads of these categories, by default of all."""
        with self.crawling() as crawl:
            return crawl.draw_ads(categories or list(self.categories), nothing)

    def run(self) -> Draws:
        """List all categories and draw those that are complete, as one run does."""
        with self.crawling() as crawl:
            listings = [crawl.list_candidates(category, nothing) for category in self.categories]
            return crawl.draw_ads([one.category for one in listings if one.complete], nothing)

    def pass_days(self, days: int = 1) -> None:
        self.now += timedelta(days=days)
        self.sandbox.new_day()

    def candidates(self, category: str = ADS) -> Ids:
        return sorted(self.catalog.values("candidates", "video_id", where=f"category = '{category}'"))

    def ads(self, category: str = ADS) -> Ids:
        return sorted(self.catalog.values("ads", "video_id", where=f"category = '{category}'"))

    def drops(self, stage: str) -> dict[str, str]:
        """Reason by key."""
        rows = self.catalog.read("drops", ["key", "reason"], where=f"stage = '{stage}'").to_pylist()
        return {row["key"]: row["reason"] for row in rows}

    def ids_file(self, ids: Iterable[str], name: str = "ids.txt") -> Path:
        return ids_file(self.folder / name, ids)
