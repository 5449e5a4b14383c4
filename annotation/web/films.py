"""The video files of ads, where the catalog or the folder that it was built from keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from data_catalog.catalog import Catalog
from data_catalog.privacy.references import MEDIA_DIR
from data_catalog.storage import Place

COLUMNS = ("source", "url", "duration_s", "media_path", "media_status", "media_sha256")
"""Columns of `ads` that say where an ad can be watched."""

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
}
"""Media types that browsers play, by suffix."""


@dataclass(frozen=True)
class Film:
    """An ad's video file."""

    path: Place
    media_type: str
    sha256: str
    duration_s: float | None


def film_roots(catalog: Catalog, videos: str = "") -> dict[str, Place]:
    """Folders that `media_path` is relative to, by source.

    Args:
        catalog: of the ads.
        videos: folder of the videos of a catalog that was built from one.
    """
    roots: dict[str, Place] = {"folder": Path(videos).expanduser()} if videos else {}
    return roots | {"youtube": catalog.place / MEDIA_DIR}


def find_film(ad: Mapping[str, Any], roots: Mapping[str, Place]) -> Film | None:
    """An ad's video file, if it is there and a browser may play it.

    Args:
        ad: row of `ads` with `COLUMNS`.
        roots: what `media_path` is below, by source.
    """
    root, name = roots.get(ad["source"] or ""), PurePosixPath(ad["media_path"] or "")
    if root is None or ad["media_status"] != "present" or name.is_absolute() or ".." in name.parts:
        return None
    media_type, path = _TYPES.get(name.suffix.lower()), root / name
    if media_type is None or not path.is_file():
        return None
    return Film(path, media_type, ad["media_sha256"] or "", ad["duration_s"])


def web_address(url: str | None) -> str:
    """An address that a link may lead to; empty where it is none of the web."""
    try:
        split = urlsplit(url or "")
    except ValueError:
        return ""
    return (url or "") if split.scheme in ("http", "https") and split.hostname else ""
