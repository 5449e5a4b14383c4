"""Immutable releases: write, verify, list and compare them.

A release is a folder of Parquet files with a `manifest.json` that names every file's sha256. It appears
whole or not at all, and nothing in it is ever written again.
"""

from __future__ import annotations

from data_catalog.releases.comparison import Contents, ReleaseDiff, compare, diff_releases, read_contents, read_splits
from data_catalog.releases.fetching import fetch_release
from data_catalog.releases.lineage import (
    find_release,
    line_of,
    lineage_of,
    list_releases,
    newest_of,
    newest_release,
    newest_release_if_any,
    next_version,
    read_manifests,
    survey_releases,
    versions_given,
)
from data_catalog.releases.shards import row_set_hash
from data_catalog.releases.verification import (
    changed_files,
    present_row_set_hash,
    read_manifest,
    verify_release,
)
from data_catalog.releases.writing import write_release

__all__ = [
    "Contents",
    "ReleaseDiff",
    "changed_files",
    "compare",
    "diff_releases",
    "fetch_release",
    "find_release",
    "line_of",
    "lineage_of",
    "list_releases",
    "newest_of",
    "newest_release",
    "newest_release_if_any",
    "next_version",
    "present_row_set_hash",
    "read_contents",
    "read_manifest",
    "read_manifests",
    "read_splits",
    "row_set_hash",
    "survey_releases",
    "verify_release",
    "versions_given",
    "write_release",
]
