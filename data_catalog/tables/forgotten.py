"""Digests of removed ads and authors, by which the crawl leaves them out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Forgotten:
    """The rows of `forgotten`, to ask of every ad and author that a crawl meets."""

    ads: frozenset[str] = frozenset()
    """Digests, as `digest_of_ad` makes them."""
    authors: frozenset[str] = frozenset()
    """Keyed hashes, as the column `author_hash` holds them."""

    def has_ad(self, video_id: str) -> bool:
        """Tell whether this ad was forgotten."""
        return bool(self.ads) and digest_of_ad(video_id) in self.ads

    def has_author(self, author_hash: str | None) -> bool:
        """Tell whether the author with this keyed hash was forgotten."""
        return author_hash in self.authors


def digest_of_ad(video_id: str) -> str:
    """The digest that is kept of a forgotten ad: enough to recognise it, not enough to find it."""
    return hashlib.sha256(video_id.encode()).hexdigest()
