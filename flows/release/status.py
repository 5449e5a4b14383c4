"""State of a catalog: its funnel, as the next release would show it, and its newest release; nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_catalog.catalog import Catalog
from data_catalog.errors import ReleaseError
from data_catalog.inspect import require_catalog
from data_catalog.releases import list_releases
from flows.funnel import FunnelStep, count_funnel
from flows.ocr.texts import read_frames
from flows.release.plan import plan_release
from flows.settings import load_settings


@dataclass(frozen=True)
class Status:
    """A catalog's funnel and newest release."""

    funnel: list[FunnelStep]
    release: str | None
    """Version of the newest release."""
    synthetic: bool
    """Some of its ads were rendered, not crawled."""

    def as_json(self) -> dict[str, Any]:
        """The status as plain values."""
        return {**vars(self), "funnel": [step.as_json() for step in self.funnel]}


def read_status(root: str, config: Path | None) -> Status:
    """Count the funnel and look up the newest release.

    Raises:
        CatalogError: there is no catalog.
    """
    settings = load_settings(config)
    catalog = Catalog(root)
    require_catalog(catalog)
    frames = read_frames(catalog, settings)
    try:
        planned = plan_release(catalog, frames, settings).summary
    except ReleaseError:  # a class has no rows yet
        planned = None
    releases = list_releases(catalog.releases_dir)
    return Status(
        funnel=count_funnel(catalog, settings, frames, planned),
        release=releases[-1].name if releases else None,
        synthetic=bool(catalog.values("ads", "video_id", where="synthetic")),
    )
