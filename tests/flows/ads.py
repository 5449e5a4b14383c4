"""Ads added to a rendered sample."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def add_copy(ads: Path, *, of: str, as_id: str, folder: str = ".") -> Path:
    """Add an ad with the video of another one and comments that say the same.

    Args:
        ads: the sample.
        of: id of the ad that is copied.
        as_id: id of the new ad.
        folder: where it goes, below the sample.

    Returns:
        Its video file.
    """
    info = next(path for path in ads.rglob("*.info.json") if json.loads(path.read_text("utf-8"))["id"] == of)
    video = next(path for path in info.parent.glob(info.name.removesuffix(".info.json") + ".*") if path != info)
    values = json.loads(info.read_text("utf-8")) | {"id": as_id}
    values["comments"] = [comment | {"id": f"new{n}"} for n, comment in enumerate(values["comments"])]
    (ads / folder).mkdir(exist_ok=True)
    (ads / folder / f"{as_id}.info.json").write_text(json.dumps(values), "utf-8")
    return Path(shutil.copy(video, ads / folder / f"{as_id}{video.suffix}"))
