"""Every table's columns, types and key: the contract between the stages, in one file.

Two columns make a stage an anti-join. `fingerprint` names the settings and engine version that a row was
made with; `upstream_revision` names the content of the upstream row it was made from. A row is current
while both still hold, and is made again when either has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import pyarrow as pa

Label = Literal["negative", "positive"]
LABELS: tuple[Label, ...] = get_args(Label)
"""Class names in the order of their numbers in a release: negative 0, positive 1."""

DropKind = Literal["filtered", "failed"]
"""`filtered`: did not qualify, final. `failed`: a fault that a later run may cure."""

_TIME = pa.timestamp("us", tz="UTC")
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_WORD = pa.struct(
    [
        ("text", pa.string()),
        ("confidence", pa.float32()),
        # x_min, y_min, x_max, y_max in pixels of the frame
        ("box", pa.list_(pa.float32())),
    ]
)
_PROVENANCE: list[tuple[str, pa.DataType]] = [("fingerprint", pa.string()), ("upstream_revision", pa.string())]


@dataclass(frozen=True)
class Table:
    """One working table: its columns, its key, and the column that says which content a row holds."""

    name: str
    key: tuple[str, ...]
    columns: list[tuple[str, pa.DataType]]
    revision: str | None = None
    """Column that changes when the row's content does; downstream stages compare it."""
    wide: bool = False
    """Rows carry image bytes: small row groups, no statistics on the bytes."""
    computed: bool = False
    """Rows are computed from other tables alone: the folder may be removed, the next build makes it anew."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        return pa.schema(self.columns)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "listings",
            key=("listing_id",),
            columns=[
                ("listing_id", pa.string()),
                ("category", pa.string()),
                # search, channel, playlist or ids
                ("kind", pa.string()),
                # the phrase; of a channel or playlist only a keyed hash
                ("query", pa.string()),
                ("published_after", _TIME),
                ("published_before", _TIME),
                # open: more pages to come; complete; capped: stopped near 500 results, though there may be more
                ("state", pa.string()),
                ("next_page_token", pa.string()),
                ("pages", pa.int32()),
                ("n_results", pa.int32()),
                ("fetched_at", _TIME),
            ],
        ),
        Table(
            "candidates",
            key=("category", "video_id"),
            columns=[
                ("category", pa.string()),
                ("video_id", pa.string()),
                ("listing_id", pa.string()),
                ("query", pa.string()),
                # public, gone, live, unprocessed
                ("availability", pa.string()),
                ("published_at", _TIME),
                ("duration_s", pa.float64()),
                ("language", pa.string()),
                # null where comments are disabled
                ("comment_count", pa.int64()),
                ("age_restricted", pa.bool_()),
                ("paid_product_placement", pa.bool_()),
                ("allowed_regions", pa.list_(pa.string())),
                ("blocked_regions", pa.list_(pa.string())),
                ("fetched_at", _TIME),
            ],
        ),
        Table(
            "ads",
            key=("video_id",),
            revision="media_sha256",
            columns=[
                ("video_id", pa.string()),
                ("title", pa.string()),
                ("description", pa.string()),
                ("category", pa.string()),
                ("query", pa.string()),
                ("source", pa.string()),
                ("url", pa.string()),
                ("channel_hash", pa.string()),
                ("duration_s", pa.float64()),
                ("width", pa.int32()),
                ("height", pa.int32()),
                ("language", pa.string()),
                ("published_at", _TIME),
                ("view_count", pa.int64()),
                ("like_count", pa.int64()),
                ("comment_count", pa.int64()),
                ("synthetic", pa.bool_()),
                ("media_path", pa.string()),
                ("media_status", pa.string()),
                ("media_sha256", pa.string()),
                ("media_size_bytes", pa.int64()),
                # what fetched the video, with its version
                ("media_tool", pa.string()),
                # size and modification time of the files read: unchanged means not read again
                ("files_stamp", pa.string()),
                ("fetched_at", _TIME),
            ],
        ),
        Table(
            "comments",
            key=("comment_id",),
            revision="text_sha256",
            columns=[
                ("comment_id", pa.string()),
                ("video_id", pa.string()),
                ("parent_id", pa.string()),
                ("text", pa.string()),
                ("text_sha256", pa.string()),
                ("like_count", pa.int64()),
                ("published_at", _TIME),
                ("language", pa.string()),
                ("author_hash", pa.string()),
                ("by_uploader", pa.bool_()),
                ("fetched_at", _TIME),
            ],
        ),
        Table(
            "comment_fetches",
            key=("video_id",),
            columns=[
                ("video_id", pa.string()),
                # open: more pages to come; complete
                ("state", pa.string()),
                # last_page, page_cap, repeating_pages or looping_token
                ("ended_by", pa.string()),
                ("next_page_token", pa.string()),
                ("pages", pa.int32()),
                ("units", pa.int32()),
                ("n_comments", pa.int64()),
                ("fingerprint", pa.string()),
                ("started_at", _TIME),
                ("fetched_at", _TIME),
                # when the comments were last read to the end; a reading anew leaves it until it is over
                ("completed_at", _TIME),
            ],
        ),
        Table(
            "frames",
            key=("frame_id",),
            revision="image_sha256",
            wide=True,
            columns=[
                ("frame_id", pa.string()),
                ("video_id", pa.string()),
                ("frame_index", pa.int32()),
                # the moment that was drawn, and when the picture taken for it came up
                ("requested_s", pa.float64()),
                ("timestamp_s", pa.float64()),
                ("width", pa.int32()),
                ("height", pa.int32()),
                ("image", _IMAGE),
                ("image_sha256", pa.string()),
                ("perceptual_hash", pa.string()),
                # the ad's earlier frames that show the same picture
                ("duplicates", pa.list_(pa.string())),
                *_PROVENANCE,
            ],
        ),
        # what an ad looks like over its length, at moments that do not depend on its id
        Table(
            "looks",
            key=("video_id",),
            columns=[
                ("video_id", pa.string()),
                ("duration_s", pa.float64()),
                ("times_s", pa.list_(pa.float64())),
                ("hashes", pa.list_(pa.string())),
                *_PROVENANCE,
            ],
        ),
        # the ads that are one ad uploaded more than once; all others have no row
        Table(
            "reuploads",
            key=("video_id",),
            computed=True,
            columns=[
                ("video_id", pa.string()),
                # names the group by its content: no ad's id
                ("group_id", pa.string()),
                # the other ads of the group
                ("duplicates", pa.list_(pa.string())),
            ],
        ),
        Table(
            "texts",
            key=("frame_id",),
            computed=True,
            columns=[
                ("frame_id", pa.string()),
                ("video_id", pa.string()),
                ("text", pa.string()),
                ("n_words", pa.int32()),
                ("words", pa.list_(_WORD)),
                ("mean_confidence", pa.float32()),
                ("engine", pa.string()),
                ("engine_version", pa.string()),
                *_PROVENANCE,
            ],
        ),
        Table(
            "comment_scores",
            key=("comment_id",),
            computed=True,
            columns=[
                ("comment_id", pa.string()),
                ("video_id", pa.string()),
                ("positive", pa.int8()),
                ("negative", pa.int8()),
                # as identified; null where the text says too little to tell
                ("language", pa.string()),
                ("n_words", pa.int32()),
                # equal for comments of the same words, however they are written
                ("words_digest", pa.int64()),
                ("only_links", pa.bool_()),
                ("engine", pa.string()),
                *_PROVENANCE,
            ],
        ),
        Table(
            "ad_sentiment",
            key=("video_id",),
            computed=True,
            columns=[
                ("video_id", pa.string()),
                # all that are scored, and of these the ones left out of the means, each for its first reason
                ("n_comments", pa.int64()),
                ("n_only_links", pa.int64()),
                ("n_other_language", pa.int64()),
                ("n_duplicates", pa.int64()),
                ("n_repeats", pa.int64()),
                # in the means, and of these the neutral ones
                ("n_scored", pa.int64()),
                ("n_neutral", pa.int64()),
                ("mean_dominant", pa.float64()),
                ("mean_dominant_with_neutral", pa.float64()),
                ("mean_scale", pa.float64()),
                ("aggregation", pa.string()),
                ("mean_score", pa.float64()),
                # 95 % bootstrap interval of mean_score
                ("mean_low", pa.float64()),
                ("mean_high", pa.float64()),
                # share of the bootstrap's draws that come to the same label, or to none
                ("label_support", pa.float64()),
                ("label", pa.string()),
                ("fingerprint", pa.string()),
            ],
        ),
        Table(
            "reviews",
            key=("review_id",),
            columns=[
                ("review_id", pa.string()),
                ("video_id", pa.string()),
                ("reviewer", pa.string()),
                ("verdict", pa.string()),
                ("excluded_frames", pa.list_(pa.string())),
                ("note", pa.string()),
                ("at", _TIME),
            ],
        ),
        Table(
            "labels",
            key=("video_id",),
            computed=True,
            columns=[
                ("video_id", pa.string()),
                ("label", pa.string()),
                ("decided_by", pa.string()),
                ("n_reviewers", pa.int32()),
                ("agreement", pa.float64()),
                ("mean_score", pa.float64()),
                ("fingerprint", pa.string()),
            ],
        ),
        Table(
            "forgotten",
            key=("digest",),
            columns=[
                # of an ad: sha256 of its id; of an author: the keyed hash that the comments carried
                ("digest", pa.string()),
                # ad or author
                ("kind", pa.string()),
                ("at", _TIME),
            ],
        ),
        Table(
            "drops",
            key=("stage", "key"),
            columns=[
                ("stage", pa.string()),
                ("key", pa.string()),
                ("video_id", pa.string()),
                ("kind", pa.string()),
                ("reason", pa.string()),
                ("detail", pa.string()),
                ("attempts", pa.int32()),
                *_PROVENANCE,
                ("at", _TIME),
            ],
        ),
    )
}

RELEASE_SCHEMA = pa.schema(
    [
        ("image", _IMAGE),
        ("text", pa.string()),
        ("label", pa.int64()),
        ("video_id", pa.string()),
        ("frame_id", pa.string()),
        ("category", pa.string()),
        ("timestamp_s", pa.float64()),
        ("mean_score", pa.float64()),
        ("n_words", pa.int32()),
        # 0 for a row's first appearance; 1, 2, ... for the times that resampling drew it again
        ("draw", pa.int32()),
    ]
)
"""Columns of a release's Parquet files; `label` is an index into `LABELS`."""

SPLITS: tuple[str, ...] = ("train", "validation", "test")
