"""A crawl that goes by a test's own clock and waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from data_catalog.catalog import Catalog
from flows.crawl.data_api.client import YouTube
from flows.crawl.data_api.quota import Ledger
from flows.crawl.media.lane import MediaLane
from flows.crawl.steps import Crawl
from flows.settings import Settings


@contextmanager
def crawl_by(now: Callable[[], datetime], catalog: Catalog, settings: Settings) -> Iterator[Crawl]:
    """One run of a crawl of a local catalog; the ledger and the videos lie where they always do."""
    folder, quota = Path(catalog.root), settings.crawl.quota
    limits = {"searches": quota.searches_per_day, "units": quota.units_per_day}
    ledger = Ledger(folder / "quota.sqlite", limits=limits, now=now)  # type: ignore[arg-type]
    youtube = YouTube(settings.crawl, ledger, sleep=lambda seconds: None, seed=0)
    lane = MediaLane(settings.media, ledger, settings.crawl.site, folder / "media", sleep=lambda seconds: None)
    try:
        yield Crawl(catalog, settings, youtube, lane, now=now)
    finally:
        youtube.close()
        ledger.close()
