"""The funnel of a catalog as it stands, without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_catalog.catalog import Catalog
from data_catalog.inspect import require_catalog
from data_catalog.releases import list_releases, read_manifest
from flows.fingerprints import frames_fingerprint, texts_fingerprint
from flows.funnel import count_funnel
from flows.ocr.texts import read_frames
from flows.release.facts import FunnelStep
from flows.settings import load_settings


@dataclass(frozen=True)
class Status:
    """A catalog as it stands."""

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
    frames = read_frames(
        catalog, frames_fingerprint=frames_fingerprint(settings), texts_fingerprint=texts_fingerprint(settings)
    )
    releases = list_releases(catalog.releases_dir)
    rows = sum(split["rows"] for split in read_manifest(releases[-1])["splits"].values()) if releases else None
    more_than = settings.ocr.more_than_words
    funnel = count_funnel(catalog, list(frames.values()), more_than_words=more_than, balanced_rows=rows)
    return Status(
        funnel=funnel,
        release=releases[-1].name if releases else None,
        synthetic=bool(catalog.values("ads", "video_id", where="synthetic")),
    )
