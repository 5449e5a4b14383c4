"""Videos of addresses: fetched as the crawl fetches them, looked at, and deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_catalog.catalog import Catalog
from flows.crawl.steps import open_ledger
from flows.settings import Settings
from flows.verdict.judging import Fetch


@contextmanager
def fetching(catalog: Catalog, settings: Settings) -> Iterator[Fetch]:
    """Yield a function that fetches the video of an id, at the pace of the settings.

    While YouTube has asked the crawl of this catalog for a pause, nothing is fetched here either.
    """
    from flows.crawl.media.lane import MediaLane

    with open_ledger(catalog, settings, to_look=True) as ledger, tempfile.TemporaryDirectory(prefix="ytb-ads-") as temp:
        lane = MediaLane(settings.media, ledger, settings.crawl.site, Path(temp))

        @contextmanager
        def fetch(video_id: str) -> Iterator[Path]:
            path = lane.fetch(video_id).path
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

        try:
            yield fetch
        finally:
            lane.stop()
