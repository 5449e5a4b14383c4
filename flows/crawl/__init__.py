"""Where ads come from: a source yields ads with their comments, and drops for what is none."""

from __future__ import annotations

from flows.crawl.ads import Ad, Comment, FoundAd, UnchangedAd
from flows.crawl.folder import scan_folder

__all__ = ["Ad", "Comment", "FoundAd", "UnchangedAd", "scan_folder"]
