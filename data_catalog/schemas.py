"""Columns of every table with meaning and unit, and its key: the contract between the stages, in one file.

Two columns make a stage an anti-join. `fingerprint` names the settings and engine version that a row was
made with; `upstream_revision` names the content of the upstream row it was made from. A row is current
while both still hold, and is made again when either has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa

Label = Literal["negative", "positive"]
LABELS: tuple[Label, ...] = get_args(Label)
"""Class names in the order of their numbers in a release: negative 0, positive 1."""

DropKind = Literal["filtered", "failed"]
"""`filtered`: did not qualify, final. `failed`: a fault that a later run may cure."""

_TEXT, _REAL, _FLAG = pa.string(), pa.float64(), pa.bool_()
_COUNT, _SMALL = pa.int64(), pa.int32()
_TEXTS = pa.list_(pa.string())
_TIME = pa.timestamp("us", tz="UTC")
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_WORD = pa.struct([("text", pa.string()), ("confidence", pa.float32()), ("box", pa.list_(pa.float32()))])


class Column(NamedTuple):
    """One column: its name, its Arrow type, what it holds, in which unit, and whether it may be null."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    null: bool = False
    of: str = ""
    """`table.column` that holds every value of this one."""

    @property
    def field(self) -> pa.Field[Any]:
        """The column as Arrow stores it, with its meaning; a table keeps the meanings that it was made with."""
        facts = {"meaning": self.meaning, "unit": self.unit, "null": "may be null" if self.null else "", "of": self.of}
        return pa.field(self.name, self.type, metadata={name: fact for name, fact in facts.items() if fact})


@dataclass(frozen=True)
class Table:
    """One working table: its columns, its key, and the column that says which content a row holds."""

    name: str
    meaning: str
    """Description of a row."""
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    revision: str | None = None
    """Column that changes when the row's content does; downstream stages compare it."""
    wide: bool = False
    """Rows carry image bytes: small row groups, no statistics on the bytes."""
    sums_up: str = ""
    """Table whose rows of one ad are summed up in a row here; if one of them is removed, the row is computed again."""
    stage: str = ""
    """Name of the stage that writes the table, if the catalog has to know it to find the drops."""
    computed: bool = False
    """Rows are computed from other tables alone: if you remove the folder, the next build computes it again."""
    upstream: tuple[str, ...] = ()
    """Tables that its rows are made from; the one that gives the key comes first."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        return pa.schema([column.field for column in self.columns])

    def described(self) -> list[dict[str, str]]:
        """Every column in words."""
        return [
            {
                "table": self.name,
                "column": column.name,
                "type": str(column.type),
                "unit": column.unit,
                "key": "yes" if column.name in self.key else "",
                "null": "yes" if column.null else "",
                "of": column.of,
                "meaning": column.meaning,
            }
            for column in self.columns
        ]


_VIDEO = Column("video_id", _TEXT, "the ad: YouTube's id of the video, or the name of its file in a folder")
_COMMENT = Column("comment_id", _TEXT, "YouTube's id of the comment; a reply's begins with its parent's")
_FRAME = Column("frame_id", _TEXT, "`video_id:frame_index`")
_OF_AD = _VIDEO._replace(of="ads.video_id")
_CATEGORY = Column("category", _TEXT, "the category of ads that it was searched for or filed under")
_FETCHED = Column("fetched_at", _TIME, "when it was last fetched")
_LANGUAGE = Column("language", _TEXT, "language code that YouTube gives, or null", null=True)
_FINGERPRINT = Column("fingerprint", _TEXT, "digest of the settings and engine version that made the row")
_PROVENANCE = (
    _FINGERPRINT,
    Column("upstream_revision", _TEXT, "revision of the upstream row that the row was made from", null=True),
)
_MEAN_SCORE = Column(
    "mean_score", _REAL, "the mean score of the ad's comments that decides its label, -5 to 5", null=True
)
_MEAN_LOW = Column("mean_low", _REAL, "lower end of mean_score's 95 % bootstrap interval", null=True)
_MEAN_HIGH = Column("mean_high", _REAL, "upper end of that interval", null=True)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "listings",
            "one search, channel, playlist or list of ids that the crawl goes through",
            key=("listing_id",),
            columns=(
                Column("listing_id", _TEXT, "digest of the request: the same in every run"),
                _CATEGORY,
                Column("kind", _TEXT, "`search`, `channel`, `playlist` or `ids`"),
                Column("query", _TEXT, "the phrase; of a channel or playlist only a keyed hash"),
                Column("published_after", _TIME, "begin of the window of upload times that is searched", null=True),
                Column("published_before", _TIME, "end of that window", null=True),
                Column("state", _TEXT, "`open`: more pages to come; `complete`; `capped`: stopped near 500 results"),
                Column("next_page_token", _TEXT, "where an open listing goes on", null=True),
                Column("pages", _SMALL, "pages fetched"),
                Column("n_results", _SMALL, "videos named on them"),
                _FETCHED,
            ),
        ),
        Table(
            "candidates",
            "one video that a listing named, with the facts that decide whether it may be drawn",
            key=("category", "video_id"),
            upstream=("listings",),
            columns=(
                _CATEGORY,
                _VIDEO,
                Column("listing_id", _TEXT, "the listing that named it first", null=True),
                Column("query", _TEXT, "that listing's query", null=True),
                Column("availability", _TEXT, "`public`, `gone`, `live` or `unprocessed`"),
                Column("published_at", _TIME, "when it was uploaded", null=True),
                Column("duration_s", _REAL, "length", "seconds", null=True),
                _LANGUAGE,
                Column(
                    "comment_count", _COUNT, "comments as YouTube counts them; null where they are disabled", null=True
                ),
                Column("age_restricted", _FLAG, "whether only adults may see it"),
                Column("paid_product_placement", _FLAG, "whether its uploader declares paid placement"),
                Column("allowed_regions", _TEXTS, "country codes where alone it plays, or null", null=True),
                Column("blocked_regions", _TEXTS, "country codes where it does not play, or null", null=True),
                _FETCHED,
            ),
        ),
        Table(
            "ads",
            "one ad with its metadata as fetched and the state of its video file",
            key=("video_id",),
            revision="media_sha256",
            columns=(
                _VIDEO,
                Column("title", _TEXT, "title"),
                Column("description", _TEXT, "description"),
                _CATEGORY,
                Column("query", _TEXT, "the query that found it", null=True),
                Column("source", _TEXT, "where it comes from: `youtube` or `folder`"),
                Column("url", _TEXT, "address of its page", null=True),
                Column("channel_hash", _TEXT, "keyed hash of the uploader's channel", null=True),
                Column("duration_s", _REAL, "length", "seconds", null=True),
                Column("width", _SMALL, "width of the video", "pixels", null=True),
                Column("height", _SMALL, "height of the video", "pixels", null=True),
                _LANGUAGE,
                Column("published_at", _TIME, "when it was uploaded", null=True),
                Column("view_count", _COUNT, "views", null=True),
                Column("like_count", _COUNT, "likes", null=True),
                Column("comment_count", _COUNT, "comments as YouTube counts them", null=True),
                Column("synthetic", _FLAG, "whether it was rendered, not crawled"),
                Column(
                    "media_path",
                    _TEXT,
                    "its video file: a name below the media store, or a path of the folder",
                    null=True,
                ),
                Column(
                    "media_status",
                    _TEXT,
                    "`present`, `missing`: not fetched yet, or `deleted` after sampling",
                ),
                Column("media_sha256", _TEXT, "sha256 of the video file; null before it was fetched", null=True),
                Column("media_size_bytes", _COUNT, "size of the video file", "bytes", null=True),
                Column("media_tool", _TEXT, "the tool that fetched the video, with its version", null=True),
                Column("files_stamp", _TEXT, "size and modification time of the files read: equal, not read again"),
                _FETCHED,
            ),
        ),
        Table(
            "comments",
            "one comment on an ad, or a reply to one",
            key=("comment_id",),
            upstream=("ads",),
            revision="text_sha256",
            columns=(
                _COMMENT,
                _OF_AD,
                Column("parent_id", _TEXT, "of a reply: the comment that it answers", null=True),
                Column("text", _TEXT, "the text as written"),
                Column("text_sha256", _TEXT, "sha256 of the text"),
                Column("like_count", _COUNT, "likes", null=True),
                Column("published_at", _TIME, "when it was written", null=True),
                _LANGUAGE,
                Column("author_hash", _TEXT, "keyed hash of the author's channel", null=True),
                Column("by_uploader", _FLAG, "whether the ad's own uploader wrote it"),
                _FETCHED,
            ),
        ),
        Table(
            "comment_fetches",
            "the progress of fetching the comments of one ad",
            key=("video_id",),
            upstream=("ads",),
            columns=(
                _OF_AD,
                Column("state", _TEXT, "`open`: more pages to come; `complete`"),
                Column("ended_by", _TEXT, "`last_page`, `page_cap`, `repeating_pages` or `looping_token`", null=True),
                Column("next_page_token", _TEXT, "where an open one goes on", null=True),
                Column("pages", _SMALL, "pages fetched"),
                Column("units", _SMALL, "units of the quota spent"),
                Column("n_comments", _COUNT, "comments fetched"),
                _FINGERPRINT,
                Column("started_at", _TIME, "when the present pass began"),
                _FETCHED,
                Column(
                    "completed_at",
                    _TIME,
                    "when a pass last reached the end; a new pass leaves it until it is over",
                    null=True,
                ),
            ),
        ),
        Table(
            "frames",
            "one frame sampled from an ad, with its picture",
            key=("frame_id",),
            upstream=("ads",),
            revision="image_sha256",
            wide=True,
            columns=(
                _FRAME,
                _OF_AD,
                Column("frame_index", _SMALL, "its place among the ad's frames, from 0"),
                Column("requested_s", _REAL, "the timestamp that was drawn", "seconds"),
                Column("timestamp_s", _REAL, "the timestamp of the picture taken for it", "seconds"),
                Column("width", _SMALL, "width of the picture", "pixels"),
                Column("height", _SMALL, "height of the picture", "pixels"),
                Column("image", _IMAGE, "the picture's file: its bytes and a name"),
                Column("image_sha256", _TEXT, "sha256 of the bytes"),
                Column("perceptual_hash", _TEXT, "hash that is near for pictures that look alike, in hexadecimal"),
                Column("duplicates", _TEXTS, "the ad's earlier frames that show the same picture"),
                *_PROVENANCE,
            ),
        ),
        Table(
            "looks",
            "an ad's fingerprint: small pictures at times that do not depend on its id; none if nothing is visible",
            key=("video_id",),
            upstream=("ads",),
            columns=(
                _OF_AD,
                Column("duration_s", _REAL, "length", "seconds"),
                Column("times_s", pa.list_(pa.float64()), "times; from the start again without a border", "seconds"),
                Column("hashes", _TEXTS, "the picture at each: 24 by 24 fields in 64 greys, a character for each"),
                *_PROVENANCE,
            ),
        ),
        Table(
            "likenesses",
            "an ad whose fingerprint was compared with all others that existed at the time",
            key=("video_id",),
            upstream=("looks",),
            computed=True,
            columns=(
                _OF_AD,
                Column("alike", _TEXTS, "`media_sha256` of the files that show the same ad"),
                *_PROVENANCE,
            ),
        ),
        Table(
            "reuploads",
            "one of several uploads of the same ad; all other ads have no row",
            key=("video_id",),
            upstream=("likenesses", "ads"),
            computed=True,
            columns=(
                _OF_AD,
                Column("group_id", _TEXT, "names the group by its content: no ad's id"),
                Column("duplicates", _TEXTS, "the other ads of the group"),
            ),
        ),
        Table(
            "texts",
            "the words that were read on one frame",
            key=("frame_id",),
            upstream=("frames",),
            computed=True,
            columns=(
                _FRAME._replace(of="frames.frame_id"),
                _OF_AD,
                Column("text", _TEXT, "the words in reading order"),
                Column("n_words", _SMALL, "how many words; at least, where the engine's version ends in `+decisionN`"),
                Column(
                    "words",
                    pa.list_(_WORD),
                    "each word: text, confidence 0 to 1, box x_min y_min x_max y_max in pixels",
                ),
                Column("mean_confidence", pa.float32(), "mean confidence of the words, 0 to 1", null=True),
                Column("unread", _TEXT, "lines in letters that the engine does not know, if most are", null=True),
                Column("engine", _TEXT, "the OCR engine"),
                Column(
                    "engine_version",
                    _TEXT,
                    "its version; `+decisionN`: small print was left unread once more than N words were certain",
                ),
                *_PROVENANCE,
            ),
        ),
        Table(
            "comment_scores",
            "the sentiment of one comment",
            key=("comment_id",),
            upstream=("comments",),
            computed=True,
            columns=(
                _COMMENT._replace(of="comments.comment_id"),
                _OF_AD,
                Column("positive", pa.int8(), "positive strength, 1 to 5"),
                Column("negative", pa.int8(), "negative strength, -5 to -1"),
                Column(
                    "language", _TEXT, "language as identified; null where the text says too little to tell", null=True
                ),
                Column("n_words", _SMALL, "how many words"),
                Column("words_digest", _COUNT, "equal for comments of the same words, however they are written"),
                Column("only_links", _FLAG, "whether the text is nothing but links"),
                Column("engine", _TEXT, "the engine that scored it"),
                *_PROVENANCE,
            ),
        ),
        Table(
            "ad_sentiment",
            "the sentiment of one ad by its comments",
            key=("video_id",),
            upstream=("comment_scores", "comments"),
            sums_up="comments",
            stage="sentiment",
            computed=True,
            columns=(
                _OF_AD,
                Column("n_comments", _COUNT, "comments that are scored"),
                Column("n_only_links", _COUNT, "of these left out of the means because they are links alone"),
                Column("n_other_language", _COUNT, "left out for their language"),
                Column("n_duplicates", _COUNT, "left out because their author said the same under this ad before"),
                Column("n_repeats", _COUNT, "left out as copies of an earlier comment under this ad, whoever wrote it"),
                Column("n_scored", _COUNT, "comments in the means"),
                Column("n_neutral", _COUNT, "of these the neutral ones"),
                Column(
                    "mean_dominant", _REAL, "mean of the stronger of both scores, neutral comments left out", null=True
                ),
                Column("mean_dominant_with_neutral", _REAL, "the same with neutral comments as 0", null=True),
                Column("mean_scale", _REAL, "mean of positive plus negative strength", null=True),
                Column("aggregation", _TEXT, "which of the three means decides the label"),
                _MEAN_SCORE,
                _MEAN_LOW,
                _MEAN_HIGH,
                Column(
                    "label_support",
                    _REAL,
                    "share of the bootstrap's draws that come to the same label, or to none",
                    null=True,
                ),
                Column("label", _TEXT, "`negative`, `positive`, or null between the thresholds", null=True),
                _FINGERPRINT,
            ),
        ),
        Table(
            "reviews",
            "one person's verdict on one ad",
            key=("review_id",),
            columns=(
                Column("review_id", _TEXT, "`round:entry:person:kind`"),
                _VIDEO,
                Column("reviewer", _TEXT, "the person's id, which names nobody"),
                Column(
                    "verdict",
                    _TEXT,
                    "a choice, `flagged:`, `now:`, `decided:` or `settled:` and a word, or `excluded`",
                ),
                Column("excluded_frames", _TEXTS, "frames that the person would leave out"),
                Column("note", _TEXT, "the person's note"),
                Column("at", _TIME, "when it was given"),
            ),
        ),
        Table(
            "labels",
            "the settled label of one ad",
            key=("video_id",),
            upstream=("ad_sentiment", "reviews"),
            computed=True,
            columns=(
                _OF_AD,
                Column("label", _TEXT, "`negative` or `positive`"),
                Column("decided_by", _TEXT, "`comments`, `reviewers`, `verifier` or `discussion`"),
                Column("n_reviewers", _SMALL, "reviewers who judged it"),
                Column(
                    "agreement",
                    _REAL,
                    "share of the reviewers who chose the label, 0 to 1; null without reviewers",
                    null=True,
                ),
                _MEAN_SCORE,
                _FINGERPRINT,
            ),
        ),
        Table(
            "splits",
            "the split of one ad in releases; it does not change while the ad is in the catalog",
            key=("fingerprint", "video_id"),
            upstream=("labels", "reuploads", "ads"),
            columns=(
                Column("fingerprint", _TEXT, "digest of the shares and the seed: others give another division"),
                _VIDEO,
                Column("split", _TEXT, "`train`, `validation` or `test`"),
                Column(
                    "decided_by",
                    _TEXT,
                    "`hash`: of the ad or its oldest upload; `reupload`: another upload of it had this split before; "
                    "`filled`: the split would have had no ad of its class",
                ),
                Column("at", _TIME, "when it came into this split"),
            ),
        ),
        Table(
            "forgotten",
            "one ad or author that was removed on request and must not come back",
            key=("digest",),
            columns=(
                Column("digest", _TEXT, "of an ad: sha256 of its id; of an author: the keyed hash of the comments"),
                Column("kind", _TEXT, "`ad` or `author`"),
                Column("at", _TIME, "when it was removed"),
            ),
        ),
        Table(
            "drops",
            "one key without a row in a stage's table, and the reason",
            key=("stage", "key"),
            columns=(
                Column("stage", _TEXT, "the stage"),
                Column("key", _TEXT, "the key of the upstream row"),
                Column("video_id", _TEXT, "the ad that it belongs to, if it belongs to one", null=True),
                Column("kind", _TEXT, "`filtered`: did not qualify; `failed`: a fault that a later run may cure"),
                Column("reason", _TEXT, "the reason's name"),
                Column("detail", _TEXT, "what was found, in words"),
                Column("attempts", _SMALL, "how often it was tried with these settings and this content"),
                *_PROVENANCE,
                Column("at", _TIME, "when it was dropped"),
            ),
        ),
    )
}

RELEASE = Table(
    "release",
    "one frame of a release with its words and its ad's label",
    key=("frame_id", "draw"),
    upstream=("frames", "texts", "labels"),
    columns=(
        Column("image", _IMAGE, "the frame's picture: its bytes and a name"),
        Column("text", _TEXT, "the words on the frame"),
        Column("label", _COUNT, "index into the class names: negative 0, positive 1"),
        _VIDEO,
        _FRAME,
        _CATEGORY,
        Column("timestamp_s", _REAL, "where in the video the frame was taken", "seconds"),
        _MEAN_SCORE,
        _MEAN_LOW,
        _MEAN_HIGH,
        Column("n_words", _SMALL, "how many words"),
        Column("draw", _SMALL, "0 for a row's first appearance; 1, 2, ... for the times that resampling drew it again"),
    ),
)
"""Rows of a release's Parquet files; `label` is an index into `LABELS`."""
RELEASE_SCHEMA = RELEASE.schema

SPLITS: tuple[str, ...] = ("train", "validation", "test")
