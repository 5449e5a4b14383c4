"""A crawl that goes by a test's own clock and waits for nothing, its settings, and rows to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.crawl.data_api.client import YouTube
from flows.crawl.data_api.quota import Ledger
from flows.crawl.media.lane import MediaLane
from flows.crawl.steps import Crawl
from flows.settings import Settings
from tests.youtube_sandbox import Sandbox, World


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


def settings_for(
    sandbox: Sandbox | None, crawl: dict[str, Any], *, max_attempts: int = 3, **sections: dict[str, Any]
) -> Settings:
    """Settings that crawl a sandbox without a pause; `sections` other than `crawl` are added to them."""
    address = {"endpoint": sandbox.url, "site": sandbox.url} if sandbox else {}
    given: dict[str, dict[str, Any]] = {
        "crawl": {"api_key": "k1", "backoff_s": 0, **address},
        "media": {"pause_s": [0, 0], "request_pause_s": 0, "timeout_s": 5, "max_size_mb": 1},
        "runner": {"max_attempts": max_attempts},
    }
    for name, section in {"crawl": crawl, **sections}.items():
        given[name] = {**given.get(name, {}), **section}
    return Settings.model_validate(given)


def put(catalog: Catalog, table: str, *rows: dict[str, Any]) -> None:
    """Merge rows into a table; columns that they lack are null."""
    catalog.merge(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))


def put_ads(catalog: Catalog, world: World) -> None:
    """Every video of a world as an ad whose comments and video are still to come."""
    ad = {"source": "youtube", "media_status": "missing"}
    put(
        catalog,
        "ads",
        *(ad | {"video_id": id_, "comment_count": video.n_comments} for id_, video in world.videos.items()),
    )


def ids_file(path: Path, ids: Any) -> Path:
    """A file of ids, as a category names one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(ids))
    return path


def nothing(more: float) -> None:
    """Show no progress."""
