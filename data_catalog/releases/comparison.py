"""Differences between two releases."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_catalog.releases.shards import read_shard, rows_with_pictures, split_of
from data_catalog.releases.verification import Manifest, read_manifest
from data_catalog.schemas import LABELS, SPLITS


@dataclass(frozen=True)
class ReleaseDiff:
    """Differences between two releases: frames by id, ads by id, counts by split."""

    older: str
    newer: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Frames in both whose picture, text, time or category differ."""
    relabelled: dict[str, tuple[str, str]]
    moved: dict[str, tuple[str, str]]
    """Ads that lie in another split than before."""
    counts: dict[str, tuple[dict[str, Any], dict[str, Any]]]


def diff_releases(older: str | os.PathLike[str], newer: str | os.PathLike[str]) -> ReleaseDiff:
    """Compare two releases frame by frame."""
    manifests = read_manifest(older), read_manifest(newer)
    before, after = _frames(Path(older), manifests[0]), _frames(Path(newer), manifests[1])
    both = sorted(before.keys() & after.keys())
    pairs = [(before[frame], after[frame]) for frame in both]
    return ReleaseDiff(
        older=manifests[0]["version"],
        newer=manifests[1]["version"],
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(frame for frame in both if before[frame].content != after[frame].content),
        relabelled={old.video_id: (old.label, new.label) for old, new in pairs if old.label != new.label},
        moved={old.video_id: (old.split, new.split) for old, new in pairs if old.split != new.split},
        counts={split: (manifests[0]["splits"][split], manifests[1]["splits"][split]) for split in SPLITS},
    )


@dataclass(frozen=True)
class _Frame:
    video_id: str
    split: str
    label: str
    content: str


def _frames(folder: Path, manifest: Manifest) -> dict[str, _Frame]:
    """Every frame of a release once, however often it was drawn."""
    frames: dict[str, _Frame] = {}
    for name in manifest["files"]:
        if (split := split_of(name)) is None:
            continue
        for batch in read_shard(folder / name):
            for row, picture in rows_with_pictures(batch):
                content = [
                    row["text"],
                    row["timestamp_s"],
                    row["category"],
                    hashlib.sha256(picture or b"").hexdigest(),
                ]
                frames[row["frame_id"]] = _Frame(row["video_id"], split, LABELS[row["label"]], json.dumps(content))
    return frames
