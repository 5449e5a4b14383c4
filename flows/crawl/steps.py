"""The steps of one crawl: list candidates, draw ads, read comments, fetch videos. Plain functions, no orchestrator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from data_catalog.catalog import Catalog
from data_catalog.storage import deliver, local_copy, lock, working_folder
from flows.crawl.candidates import CategoryListing, Lister, read_candidates
from flows.crawl.comment_store import CommentStore
from flows.crawl.comments import read_comment_pages
from flows.crawl.data_api.quota import Ledger, utc_now
from flows.crawl.draw import CategoryFiller, Draw
from flows.crawl.ingest import author_key
from flows.crawl.media.store import KeepingLane, Lane, download_videos, media_folder
from flows.crawl.status import (
    CommentWork,
    comments_fingerprint,
    comments_to_read,
    remove_unusable,
    unusable_ads,
    videos_to_fetch,
)
from flows.errors import CrawlPausedError, LaneStoppedError
from flows.settings import Settings
from flows.stages import FRAMES, MEDIA, StageCount

if TYPE_CHECKING:
    from flows.crawl.data_api.client import YouTube

log = logging.getLogger("ytb_ads")

LEDGER_FILE = "quota.sqlite"
LOCK_FILE = ".locks/crawl"

Advance = Callable[[float], None]


class Crawl:
    """The tables, the client and the settings that the steps of a crawl share."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        youtube: YouTube,
        lane: Lane,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.catalog = catalog
        self.settings = settings
        self.youtube = youtube
        self.lane = lane
        self.now = now
        self.pauses: list[CrawlPausedError] = []
        self._tried: set[str] = set()
        """Ads that are not asked for again by another round of this run: a fault that may pass is for a later one."""
        self._failed_lists: set[str] = set()
        """Lists likewise."""
        key = settings.privacy.author_key
        self.author_key = author_key(catalog, key.get_secret_value() if key else None)
        self.forgotten = catalog.forgotten()

    @property
    def max_attempts(self) -> int:
        """Runs that try an ad whose fault may pass."""
        return self.settings.runner.max_attempts

    def list_candidates(self, category: str, advance: Advance) -> CategoryListing:
        """List the candidates of a category until they are enough; a spent quota is noted in `pauses`."""
        lister = Lister(
            self.catalog,
            self.youtube,
            self.settings.crawl,
            self.author_key,
            self.now,
            self.max_attempts,
            self.forgotten.has_ad,
            advance,
            self._failed_lists,
        )
        listing = lister.list_category(category, unusable_ads(self.catalog, self.max_attempts))
        self._failed_lists.update(drop.key for drop in listing.drops if drop.kind == "failed")
        if listing.paused:
            self.pauses.append(listing.paused)
        return listing

    def draw_ads(self, listed: Collection[str], advance: Advance) -> list[Draw]:
        """Draw the ads of the listed categories into `ads`; a spent quota is noted in `pauses`."""
        crawl = self.settings.crawl
        filler = CategoryFiller(self.catalog, self.youtube, crawl, self.author_key, self.now, self.forgotten, advance)
        candidates = {category: read_candidates(self.catalog, category) for category in listed}
        try:
            return filler.fill_all(candidates, unusable_ads(self.catalog, self.max_attempts))
        except CrawlPausedError as pause:
            self.pauses.append(pause)
            return []

    def read_comments(self, advance: Advance, older_than: datetime | None = None) -> CommentCount:
        """Read the comments of every ad that has none, not all, or those of a reading that is too old.

        `advance` counts comments.
        """
        crawl = self.settings.crawl
        fingerprint = comments_fingerprint(self.settings)
        work = self._comments_to_read(older_than)
        store = CommentStore(
            self.catalog,
            work.ads,
            earlier=work.earlier,
            started_at=self.now(),
            fingerprint=fingerprint,
            passed_over=self.forgotten.has_author,
        )
        try:
            for page in read_comment_pages(
                work.ads,
                self.youtube,
                connections=crawl.connections,
                settings=crawl.comments,
                author_key=self.author_key,
                now=self.now,
            ):
                store.take(page)
                if page.fault:
                    self._tried.add(page.video_id)
                advance(len(page.comments))
        except CrawlPausedError as pause:
            self.pauses.append(pause)
        finally:
            store.close()
        return CommentCount(store.count, store.n_comments)

    def comments_expected(self, older_than: datetime | None = None) -> int:
        """Comments that the ads that are still to be read are said to have."""
        return sum(ad.comment_count or 0 for ad in self._comments_to_read(older_than).ads)

    def _comments_to_read(self, older_than: datetime | None) -> CommentWork:
        fingerprint = comments_fingerprint(self.settings)
        return comments_to_read(self.catalog, fingerprint, self.max_attempts, self._tried, older_than)

    def fetch_videos(self, video_ids: Collection[str], advance: Advance) -> StageCount:
        """Fetch the videos of ads; a lane that was stopped is noted in `pauses`."""
        lanes = self.settings.media.lanes
        self._tried.update(video_ids)
        count = MEDIA.count()
        try:
            download_videos(self.catalog, video_ids, self.lane, lanes=lanes, advance=advance, count=count)
        except LaneStoppedError as pause:
            self.pauses.append(pause)
        return count

    def videos_to_fetch(self) -> list[str]:
        """Ads whose video is wanted and not there."""
        wanted = videos_to_fetch(
            self.catalog,
            frames_fingerprint=FRAMES.fingerprint(self.settings),
            max_attempts=self.max_attempts,
        )
        return [video_id for video_id in wanted if video_id not in self._tried]

    def remove_unusable(self) -> list[str]:
        """Remove ads that turned out to be unusable from the tables; their drops say why. Returns which."""
        return remove_unusable(self.catalog, self.max_attempts)


@dataclass(frozen=True)
class CommentCount:
    """Ads whose comments were read, and how many comments that were."""

    ads: StageCount
    comments: int


@contextmanager
def open_ledger(catalog: Catalog, settings: Settings, *, to_look: bool = False) -> Iterator[Ledger]:
    """The ledger of a catalog's crawl, or the one that the settings share between catalogs.

    With `to_look` a ledger that does not exist yet is not made where it would lie: nothing is spent.
    """
    quota = settings.crawl.quota
    path = quota.ledger.expanduser() if quota.ledger else working_folder(catalog.place / LEDGER_FILE)
    with TemporaryDirectory() as elsewhere:
        if to_look and not path.exists():
            path = Path(elsewhere) / LEDGER_FILE
        ledger = Ledger(path, limits={"searches": quota.searches_per_day, "units": quota.units_per_day})
        try:
            _take_over(catalog, ledger, quota.ledger is None)
            yield ledger
        finally:
            ledger.close()


def _take_over(catalog: Catalog, ledger: Ledger, is_the_catalogs: bool) -> None:
    """Book what other machines have booked, where the catalog's ledger is on an object store."""
    kept = catalog.place / LEDGER_FILE
    if is_the_catalogs and working_folder(kept) != kept and kept.exists():
        with local_copy(kept) as copy:
            ledger.take_over(copy)


@contextmanager
def _kept(catalog: Catalog, settings: Settings, ledger: Ledger) -> Iterator[None]:
    """Bring the catalog's ledger up to date before a crawl, and to its place after it."""
    kept, is_the_catalogs = catalog.place / LEDGER_FILE, settings.crawl.quota.ledger is None
    _take_over(catalog, ledger, is_the_catalogs)
    try:
        yield
    finally:
        if is_the_catalogs and working_folder(kept) != kept:
            with TemporaryDirectory() as folder:
                ledger.copy_to(Path(folder) / LEDGER_FILE)
                deliver(Path(folder) / LEDGER_FILE, kept)


@contextmanager
def _alone(catalog: Catalog) -> Iterator[None]:
    def wait_for(holder: str) -> None:
        log.warning("another crawl is at work on %s (%s); this one waits until it has ended", catalog.root, holder)

    with lock(catalog.place / LOCK_FILE, wait=True, waiting=wait_for):
        yield


@contextmanager
def open_crawl(catalog: Catalog, settings: Settings) -> Iterator[Crawl]:
    """A crawl of a catalog with these settings; waits for another one that is at work there.

    Two at once would ask for the same things, and pay for them twice.

    Raises:
        CrawlError: no key is given, or the ledger cannot be written.
    """
    # yt-dlp and Google's client take a quarter of a second, which a build from a folder has no use for
    from flows.crawl.data_api.client import YouTube
    from flows.crawl.media.lane import MediaLane

    media = media_folder(catalog)
    with open_ledger(catalog, settings) as ledger, _alone(catalog), _kept(catalog, settings, ledger):
        youtube = YouTube(settings.crawl, ledger)
        try:
            lane = MediaLane(settings.media, ledger, settings.crawl.site, working_folder(media))
            yield Crawl(catalog, settings, youtube, KeepingLane(lane, media))
        finally:
            youtube.close()
