"""Audiences written into a catalog: ads, comments and their scores, without a word scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from data_catalog.catalog import Catalog
from flows.settings import Settings
from flows.stages import SCORES
from tests.data_catalog.builders import rows

NOW = datetime(2026, 11, 30, 15, tzinfo=UTC)
FINGERPRINT = SCORES.fingerprint(Settings())
Said = tuple[datetime | None, int, int]
"""When a comment was written, and its two strengths."""


def write_ad(catalog: Catalog, video_id: str, said: Iterable[Said] = (), **changes: Any) -> None:
    """An ad with its comments, each by another person and in other words."""
    ad = {"video_id": video_id, "title": f"Ad {video_id}", "description": "", "category": "apparel", "source": "folder"}
    facts = {"synthetic": True, "media_status": "present", "files_stamp": "", "fetched_at": NOW}
    catalog.merge("ads", rows("ads", {**ad, **facts, **changes}))
    write_comments(catalog, [comment(video_id, number, *one) for number, one in enumerate(said)])


def comment(
    video_id: str, number: int, at: datetime | None, positive: int, negative: int, **changes: Any
) -> dict[str, Any]:
    """One comment with its strengths, which `write_comments` takes apart."""
    comment_id = f"{video_id}.{number}"
    return {
        "comment_id": comment_id,
        "video_id": video_id,
        "text": f"text of {comment_id}",
        "like_count": 0,
        "published_at": at,
        "author_hash": f"author of {comment_id}",
        "by_uploader": False,
        "fetched_at": NOW,
        "positive": positive,
        "negative": negative,
        "language": "en",
        "n_words": 6,
        "only_links": False,
        **changes,
    }


def write_comments(catalog: Catalog, comments: Sequence[dict[str, Any]], *, scored: bool = True) -> None:
    """Comments, and their scores under the settings' defaults."""
    held = [{**one, "text_sha256": hashlib.sha256(one["text"].encode()).hexdigest()} for one in comments]
    of_scores = ("positive", "negative", "n_words", "only_links", "words_digest")
    kept = [{name: value for name, value in one.items() if name not in of_scores} for one in held]
    catalog.merge("comments", rows("comments", *kept))
    if scored:
        scores = [
            {name: one[name] for name in ("comment_id", "video_id", "language", *of_scores[:-1])}
            | {"words_digest": one.get("words_digest", int(one["text_sha256"][:15], 16))}
            | {"engine": "native", "fingerprint": FINGERPRINT, "upstream_revision": one["text_sha256"]}
            for one in held
        ]
        catalog.merge("comment_scores", rows("comment_scores", *scores))


def opinions(chance: np.random.Generator, number: int, liking: float, begin: datetime, days: float) -> list[Said]:
    """Comments at random times, so large a share of which is positive; none is neutral."""
    at = np.sort(chance.uniform(0, days * 86_400, number))
    likes, strength = chance.random(number) < liking, chance.integers(2, 5, number)
    return [
        (begin + timedelta(seconds=float(second)), int(by) if liked else 1, -1 if liked else -int(by))
        for second, liked, by in zip(at, likes, strength, strict=True)
    ]
