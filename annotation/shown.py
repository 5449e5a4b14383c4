"""What entries show, as text, and the label that the comments give their ads: read from the catalog in one go."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow.dataset as ds

from annotation.rounds import Entry
from data_catalog.catalog import Catalog
from data_catalog.schemas import Label


@dataclass(frozen=True)
class Shown:
    """What an entry shows, as text; what was forgotten since is not in it."""

    words: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The label that the comments give an ad."""

    label: Label
    support: float | None = None
    """Share of the bootstrap's draws that come to this label."""


def read_shown(catalog: Catalog, entries: Collection[Entry]) -> dict[str, Shown]:
    """Words and comments by entry."""
    frames = sorted({frame_id for entry in entries for frame_id in entry.frame_ids})
    comments = sorted({comment_id for entry in entries for comment_id in entry.comment_ids})
    words = _texts(catalog, "texts", "frame_id", frames)
    written = _texts(catalog, "comments", "comment_id", comments)
    return {
        entry.id: Shown(
            words="\n".join(dict.fromkeys(words[each] for each in entry.frame_ids if words.get(each))),
            comments=tuple(written[each] for each in entry.comment_ids if each in written),
        )
        for entry in entries
    }


def read_predictions(catalog: Catalog) -> dict[str, Prediction]:
    """The comments' label by ad, where there is one."""
    rows = catalog.read("ad_sentiment", ["video_id", "label", "label_support"], "label IS NOT NULL").to_pylist()
    return {row["video_id"]: Prediction(row["label"], row["label_support"]) for row in rows}


def read_categories(catalog: Catalog) -> dict[str, str]:
    """The category by ad, where it has one."""
    rows = catalog.read("ads", ["video_id", "category"], "category IS NOT NULL").to_pylist()
    return {row["video_id"]: row["category"] for row in rows}


def _texts(catalog: Catalog, table: str, key: str, wanted: list[str]) -> dict[str, str]:
    rows = catalog.read(table, [key, "text"], ds.field(key).isin(wanted)).to_pylist()
    return {row[key]: row["text"] or "" for row in rows}
