"""The source as a Prefect flow: ads and comments into the catalog."""

from __future__ import annotations

import logging
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog.catalog import Catalog
from flows.counts import StageCount
from flows.crawl.folder import scan_folder
from flows.crawl.intake import author_key, take_in
from flows.errors import SourceError
from flows.runner import progress
from flows.settings import Settings

log = logging.getLogger("ytb_ads")

SOURCES = "folder:DIR"


@task(name="take-in-folder", cache_policy=NO_CACHE)
def take_in_folder(catalog: Catalog, folder: Path, settings: Settings) -> StageCount:
    """Bring `ads` and `comments` up to date with a folder."""
    held = catalog.read("ads", columns=["video_id", "files_stamp"]).to_pydict()
    key = settings.privacy.author_key
    results = scan_folder(
        folder,
        author_key=author_key(catalog, key.get_secret_value() if key else None),
        categories=settings.source.categories,
        category=settings.source.category,
        known=dict(zip(held["video_id"], held["files_stamp"], strict=True)),
    )
    with progress("source: ads", None) as advance:
        return take_in(catalog, results, advance=advance)


@flow(name="crawl", validate_parameters=False)
def crawl(catalog: Catalog, folder: Path, settings: Settings) -> StageCount:
    """Ads and comments of a source into the catalog; returns what was new.

    Raises:
        SourceError: the folder cannot be read or holds no ads.
    """
    count = take_in_folder(catalog, folder, settings)
    if not catalog.count("ads"):
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(count.dropped.items()))
        raise SourceError(f"{folder}: not one usable ad ({reasons}); `ytb-ads catalog show drops` says why")
    log.info("%s", count)
    return count


def source_folder(source: str) -> Path:
    """The folder of a source given as `folder:DIR`.

    Raises:
        SourceError: another kind of source.
    """
    kind, _, place = source.partition(":")
    if kind != "folder" or not place:
        raise SourceError(f"source {source!r} is not known; expected {SOURCES}")
    return Path(place).expanduser()
