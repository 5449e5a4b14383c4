"""Every stage declared once: its name, tables, fingerprint, step of the funnel, and the reasons of its drops.

The runner, the funnel, the status, the removal of ads, `docs/drops.md` and the tests read these rows; nothing else
repeats them. docs/adding-a-stage.md shows how to add one. Importing this loads no engine and no Prefect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Self, cast

from data_catalog.printing import counted
from data_catalog.schemas import TABLES, DropKind
from data_catalog.tables.drops import Drop

if TYPE_CHECKING:
    from flows.settings import Settings

Unit = Literal["lists", "candidates", "ads", "comments", "frames", "rows"]
"""One item of a stage's input."""


class Reason(StrEnum):
    """Reasons of one stage's drops: the word in the row, its kind, and a sentence; `*` is the rest of a word."""

    kind: DropKind
    meaning: str

    def __new__(cls, word: str, kind: DropKind, meaning: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.kind = kind
        member.meaning = meaning
        return member


class ApiReason(Reason):
    """Faults of the Data API that end a list, or an ad's comments."""

    COMMENTS_DISABLED = "comments_disabled", "filtered", "the owner has turned comments off"
    VIDEO_NOT_FOUND = "video_not_found", "filtered", "deleted or private"
    MEMBERS_ONLY = "members_only", "filtered", "comments that only members of the channel may read"
    PLAYLIST_NOT_FOUND = "playlist_not_found", "filtered", "there is no such list"
    CHANNEL_NOT_FOUND = "channel_not_found", "filtered", "there is no such channel"
    PROCESSING_FAILURE = "processing_failure", "failed", "the server cannot process the page at the moment"
    RATE_LIMITED = "rate_limited", "failed", "too many calls at once, `crawl.attempts` times after doubling waits"
    SERVER_ERROR = "server_error", "failed", "an error of the server"
    CONNECTION = "connection", "failed", "refused, dropped or timed out"
    NOT_JSON = "not_json", "failed", "an answer cut off, empty, or not JSON"
    ANSWER_TOO_LARGE = "answer_too_large", "failed", "an answer larger than 64 MB"
    PAGE_TOKEN = "page_token", "failed", "a page token that is refused even after a start from the first page"
    HTTP = "http_*", "failed", "an unknown error, of the server or of a proxy"
    REFUSED = "*", "filtered", "a call that Google refuses, by Google's own reason, such as `invalid_search_filter`"


class CandidateReason(Reason):
    """Candidates that do not become ads, at the draw or when their metadata is fetched."""

    GONE = "gone", "filtered", "deleted or private: the API leaves such videos out without a reason"
    LIVE = "live", "filtered", "a stream or premiere"
    UNPROCESSED = "unprocessed", "filtered", "an upload that is not ready"
    AGE_RESTRICTED = "age_restricted", "filtered", "restricted by age"
    REGION_BLOCKED = "region_blocked", "filtered", "not available in `filters.region`"
    TOO_SHORT = "too_short", "filtered", "shorter than `filters.min_duration_s`"
    TOO_LONG = "too_long", "filtered", "longer than `filters.max_duration_s`"
    NO_DURATION = "no_duration", "filtered", "the API states no length"
    OUTSIDE_DATES = "outside_dates", "filtered", "published outside the filters' dates"
    OTHER_LANGUAGE = "other_language", "filtered", "stated to be in another language than `filters.language`"
    COMMENTS_DISABLED = "comments_disabled", "filtered", "the API states no number of comments"
    TOO_FEW_COMMENTS = "too_few_comments", "filtered", "fewer comments than `filters.min_comments`"
    PAID_PLACEMENT = "paid_placement", "filtered", "`filters.paid_product_placement` leaves paid placements out"
    NO_PAID_PLACEMENT = "no_paid_placement", "filtered", "`filters.paid_product_placement` asks for paid placements"
    IN_ANOTHER_CATEGORY = "in_another_category", "filtered", "drawn for a category before this one"
    NOT_DRAWN = "not_drawn", "filtered", "it qualified, but others were drawn"


class FileReason(Reason):
    """Files of a folder of ads that are not ads."""

    LEAVES_FOLDER = "leaves_folder", "filtered", "a link to nothing, or to something outside the folder"
    UNUSABLE_NAME = "unusable_name", "filtered", "the name is not UTF-8"
    NOT_A_FILE = "not_a_file", "filtered", "a device, pipe or socket"
    REPEATED_ID = "repeated_id", "filtered", "another file has the same id or name and is used"
    NOT_A_VIDEO = "not_a_video", "filtered", "metadata of a playlist or channel"
    SOUND_ALONE = "sound_alone", "filtered", "an audio file beside an info.json without a video"
    UNFINISHED = "unfinished", "failed", "yt-dlp's file of a download or conversion that was stopped"
    UNUSABLE_ID = "unusable_id", "failed", "neither the metadata nor the file's name gives a usable id"
    INFO_TOO_LARGE = "info_too_large", "failed", "an info.json above the size limit"
    INFO_NOT_UTF8 = "info_not_utf8", "failed", "an info.json that is not UTF-8"
    INFO_NOT_JSON = "info_not_json", "failed", "an info.json that is cut off or not JSON"
    INFO_NOT_AN_OBJECT = "info_not_an_object", "failed", "an info.json that is not a JSON object"
    UNREADABLE = "unreadable", "failed", "the file system refuses to read it"


class CommentReason(Reason):
    """Single comments that cannot be used."""

    MALFORMED_COMMENT = "malformed_comment", "filtered", "without text or id"
    REPEATED_COMMENT = "repeated_comment", "filtered", "an earlier entry has the same id and is kept"
    COMMENT_OF_ANOTHER_AD = "comment_of_another_ad", "filtered", "another ad has a comment of this id"
    COMMENTS_NOT_A_LIST = "comments_not_a_list", "filtered", "an info.json whose comments are not a list"


class MediaReason(Reason):
    """Videos that were not fetched."""

    PRIVATE = "private", "filtered", "the owner has made it private"
    GONE = "gone", "filtered", "deleted, or taken down"
    MEMBERS_ONLY = "members_only", "filtered", "only members of the channel may see it"
    PAID = "paid", "filtered", "it has to be bought"
    AGE_RESTRICTED = "age_restricted", "filtered", "the site asks for the viewer's age"
    REGION_BLOCKED = "region_blocked", "filtered", "not shown in this country"
    DRM = "drm", "filtered", "protected against copying"
    LIVE = "live", "filtered", "a stream or premiere"
    OTHER_VIDEO = "other_video", "filtered", "the site shows another video instead"
    TOO_LARGE = "too_large", "filtered", "larger than `media.max_size_mb`"
    UNUSABLE_ID = "unusable_id", "filtered", "not a valid video id"
    NOT_A_VIDEO = "not_a_video", "failed", "the file has no picture that can be decoded, and was removed"
    NO_FORMAT = "no_format", "failed", "no format is offered, often because a JavaScript runtime is missing"
    NO_FILE = "no_file", "failed", "yt-dlp ended without a file"
    EMPTY_ANSWER = "empty_answer", "failed", "the answer is empty"
    NOT_JSON = "not_json", "failed", "the answer is not JSON"
    FORBIDDEN = "forbidden", "failed", "the media server answers 403"
    NOT_FOUND = "not_found", "failed", "the media server answers 404 or 410"
    SERVER_ERROR = "server_error", "failed", "an error of the media server"
    HTTP = "http_*", "failed", "another HTTP status of the media server"
    CONNECTION = "connection", "failed", "dropped, timed out, or too slow to end"
    PROCESSING = "processing", "failed", "not ready yet"
    UNAVAILABLE = "unavailable", "failed", "a refusal that may be temporary"
    UNEXPLAINED = "unexplained", "failed", "an unknown message"


class FrameReason(Reason):
    """Ads that give no frames, and single moments without a picture."""

    NO_VIDEO = "no_video", "filtered", "no video came with this ad, or in a format that the source does not take"
    UNREADABLE_VIDEO = "unreadable_video", "filtered", "nothing can be decoded: not a video, or only sound"
    NO_PICTURE = "no_picture", "filtered", "one moment (key `ID:3`): the data ends before it, or too few pictures"
    DECODER_TIMEOUT = "decoder_timeout", "failed", "decoding took longer than `frames.timeout_s`"
    DECODER_CRASHED = "decoder_crashed", "failed", "the process that decoded ended; the detail has the signal"
    VIDEO_GONE = "video_gone", "failed", "the file is not where it was; restore it, or crawl again"
    SOURCE_NOT_GIVEN = "source_not_given", "failed", "the ad is from another source; build that one"
    VIDEO_DELETED = "video_deleted", "failed", "deleted after sampling under other settings; crawl it again"


class OcrReason(Reason):
    """Frames whose text cannot be read."""

    UNDECODABLE_PICTURE = "undecodable_picture", "filtered", "the stored picture cannot be decoded"
    ENGINE_FAILED = "engine_failed", "failed", "the OCR engine failed on this picture"


class WordReason(Reason):
    """Frames that are left out for their text."""

    TOO_FEW_WORDS = "too_few_words", "filtered", "not more words than `ocr.more_than_words`; the detail quotes them"
    UNKNOWN_SCRIPT = (
        "unknown_script",
        "filtered",
        "too few words, and most of the text is in letters that the OCR engine does not know; the detail quotes it",
    )


class ScoreReason(Reason):
    """Comments that the engine could not score."""

    ENGINE_ENDED = "engine_ended", "failed", "the Java program ended on this comment"
    ENGINE_SILENT = "engine_silent", "failed", "the Java program gave no answer in time"
    ENGINE_GARBLED = "engine_garbled", "failed", "the Java program's answer has no scores"


class LabelReason(Reason):
    """Ads whose comments give no label."""

    NO_COMMENTS = "no_comments", "filtered", "no comment of the ad has a score"
    TOO_FEW_COMMENTS = "too_few_comments", "filtered", "fewer than `sentiment.min_comments` comments are not neutral"
    BETWEEN_THRESHOLDS = "between_thresholds", "filtered", "the mean lies between the thresholds"
    COMMENTS_UNREAD = "comments_unread", "filtered", "the comments are not read to the end; a later crawl continues"


class ReviewReason(Reason):
    """Ads that people gave no label, and frames that they excluded."""

    EXCLUDED = "excluded_by_people", "filtered", "the discussion excluded the ad"
    NOT_REVIEWED = "not_reviewed", "filtered", "people have not judged the ad"
    FRAME_EXCLUDED = "frame_excluded_by_people", "filtered", "more than half of its reviewers excluded the frame"


class ReleaseReason(Reason):
    """Ads, frames and rows that a release leaves out."""

    NO_FRAME = "no_frame_with_enough_words", "filtered", "none of the ad's frames has enough words"
    FRAME_EXCLUDED = "frame_excluded_by_people", "filtered", "more than half of its reviewers excluded the frame"
    REUPLOAD = "reupload_of", "filtered", 'with `reuploads = "drop"`: the ad was uploaded before; the detail names it'
    UNDERSAMPLED = "undersampled", "filtered", 'with `balance = "undersample"`: removed to balance the classes'
    OF_AD = "ad_*", "filtered", "the frame has enough words, but its ad has no label; the ad's own reason follows `ad_`"


@dataclass(frozen=True)
class Stage:
    """One stage: its input, its output, and the reasons for anything it leaves out."""

    name: str
    """Value of `drops.stage`."""
    title: str
    unit: Unit
    reasons: type[Reason]
    tables: tuple[str, ...] = ()
    """Tables that it writes; the one of its results comes first."""
    upstream: str = ""
    """Table of its input, if each of its rows is made from one row there (see `Catalog.pending`)."""
    columns: tuple[str, ...] = ()
    """Columns of the upstream table that a batch needs."""
    batch: str = ""
    """Setting of `[runner]` that says how many rows go into a batch."""
    fingerprint_of: str = ""
    """Function from settings to the fingerprint of its rows, as `module:name`; imported when called."""
    step: str = ""
    """Step of the funnel that counts its drops; stages may share one. `{more_than_words}` is filled in."""
    step_unit: Unit = "ads"
    """Unit of both ends of that step."""
    asks_youtube: bool = False
    """Its items are fetched from YouTube: `failed` ones are tried again, and an ad may be lost by one."""

    @property
    def table(self) -> str:
        """The table of its results."""
        return self.tables[0]

    def fingerprint(self, settings: Settings) -> str:
        """Fingerprint of the settings and engine versions that its rows depend on.

        Raises:
            YtbAdsError: the engine that the settings name cannot be used.
        """
        module, _, name = self.fingerprint_of.partition(":")
        return cast("Callable[[Settings], str]", getattr(import_module(module), name))(settings)

    def reason(self, word: str) -> Reason:
        """The declared reason that a word stands for.

        Raises:
            ValueError: the stage declares no such reason.
        """
        if isinstance(word, self.reasons):
            return word
        found = next((reason for reason in self.reasons if fnmatchcase(word, reason)), None)
        if found is None:
            raise ValueError(f"stage {self.name} declares no reason {word!r}; add it to flows/stages.py")
        return found

    def drop(
        self,
        key: str,
        video_id: str | None,
        reason: str,
        detail: str = "",
        *,
        kind: DropKind | None = None,
        fingerprint: str = "",
        upstream_revision: str | None = None,
    ) -> Drop:
        """A row of `drops`; `kind` is the reason's own unless it is given.

        Raises:
            ValueError: the stage declares no such reason.
        """
        declared = self.reason(reason)
        word = str.__str__(reason)
        return Drop(self.name, key, video_id, kind or declared.kind, word, detail, fingerprint, upstream_revision)

    def count(self, *, rows_in: int = 0, rows_out: int = 0, drops: Iterable[Drop] = ()) -> StageCount:
        """The count of one batch, or an empty one to add batches to."""
        return StageCount.of(self.name, self.unit, rows_in=rows_in, rows_out=rows_out, drops=drops)


@dataclass
class StageCount:
    """Rows that went into a stage's batches, rows that came out, and the reasons of the rest."""

    stage: str
    unit: str
    """One item of the input: ads, frames, comments."""
    rows_in: int = 0
    rows_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, stage: str, unit: str, *, rows_in: int, rows_out: int, drops: Iterable[Drop] = ()) -> StageCount:
        """The count of one batch."""
        return cls(stage, unit, rows_in, rows_out, Counter(drop.reason for drop in drops))

    def add(self, batch: StageCount) -> None:
        """Add a batch's count."""
        self.rows_in += batch.rows_in
        self.rows_out += batch.rows_out
        self.dropped += batch.dropped

    def __str__(self) -> str:
        if not self.rows_in and not self.dropped:
            return f"{self.stage}: nothing left to do"
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        came, went = counted(self.rows_in, self.unit.removesuffix("s")), counted(self.rows_out, "row")
        return f"{self.stage}: {came} in, {went} out" + (f", dropped: {reasons}" if reasons else "")


LISTINGS = Stage(
    "listings",
    "Searching YouTube and listing channels and playlists",
    unit="lists",
    tables=("listings", "candidates"),
    reasons=ApiReason,
    asks_youtube=True,
)
DRAW = Stage(
    "draw",
    "Filtering candidates and drawing ads from them",
    unit="candidates",
    reasons=CandidateReason,
    step="candidates listed",
    step_unit="candidates",
)
VIDEOS = Stage(
    "videos",
    "Fetching the metadata of the drawn ads",
    unit="ads",
    tables=("ads",),
    reasons=CandidateReason,
    step="candidates listed",
    asks_youtube=True,
)
SOURCE = Stage(
    "source",
    "Reading a folder of ads",
    unit="ads",
    tables=("ads",),
    reasons=FileReason,
    step="ads found",
)
COMMENTS = Stage(
    "comments",
    "Reading single comments, of a folder or of YouTube",
    unit="comments",
    tables=("comments",),
    reasons=CommentReason,
    step="comments",
    step_unit="comments",
)
COMMENT_PAGES = Stage(
    "comment_pages",
    "Fetching the comments of an ad, page by page",
    unit="ads",
    tables=("comments", "comment_fetches"),
    reasons=ApiReason,
    step="candidates listed",
    asks_youtube=True,
)
MEDIA = Stage(
    "media",
    "Fetching videos",
    unit="ads",
    tables=("ads",),
    reasons=MediaReason,
    step="candidates listed",
    asks_youtube=True,
)
FRAMES = Stage(
    "frames",
    "Sampling frames",
    unit="ads",
    tables=("frames",),
    upstream="ads",
    columns=("video_id", "source", "media_path", "media_status", "media_sha256"),
    batch="batch_ads",
    fingerprint_of="flows.frames.sampling:frames_fingerprint",
    reasons=FrameReason,
    step="frames sampled",
    step_unit="frames",
)
LOOKS = Stage(
    "looks",
    "Fingerprinting ads and finding re-uploads",
    unit="ads",
    tables=("looks", "likenesses", "reuploads"),
    upstream="ads",
    columns=("video_id", "source", "media_path", "media_status", "media_sha256"),
    batch="batch_ads",
    fingerprint_of="flows.frames.sampling:looks_fingerprint",
    reasons=FrameReason,
)
OCR = Stage(
    "ocr",
    "Reading the text of frames",
    unit="frames",
    tables=("texts",),
    upstream="frames",
    columns=("frame_id", "video_id", "image", "image_sha256"),
    batch="batch_frames",
    fingerprint_of="flows.ocr.registry:texts_fingerprint",
    reasons=OcrReason,
    step="frames with more than {more_than_words} words",
    step_unit="frames",
)
WORDS = Stage(
    "words",
    "Keeping frames with enough words",
    unit="frames",
    reasons=WordReason,
    step="frames with more than {more_than_words} words",
    step_unit="frames",
)
SCORES = Stage(
    "scores",
    "Scoring comments",
    unit="comments",
    tables=("comment_scores",),
    upstream="comments",
    columns=("comment_id", "video_id", "text", "text_sha256"),
    batch="batch_comments",
    fingerprint_of="flows.sentiment.engines:scores_fingerprint",
    reasons=ScoreReason,
    step="comments scored",
    step_unit="comments",
)
SENTIMENT = Stage(
    TABLES["ad_sentiment"].stage,
    "Labelling ads by their comments",
    unit="ads",
    tables=("ad_sentiment",),
    reasons=LabelReason,
    step="ads labelled by their comments",
)
REVIEW = Stage(
    "review",
    "Settling labels, by the comments or by people",
    unit="ads",
    tables=("labels", "reviews"),
    reasons=ReviewReason,
    step="ads labelled by people",
)
RELEASE = Stage(
    "release",
    "Planning and writing a release",
    unit="frames",
    reasons=ReleaseReason,
    step="balanced rows",
    step_unit="rows",
)

STAGES: tuple[Stage, ...] = (
    LISTINGS,
    DRAW,
    VIDEOS,
    SOURCE,
    COMMENTS,
    COMMENT_PAGES,
    MEDIA,
    FRAMES,
    LOOKS,
    OCR,
    WORDS,
    SCORES,
    SENTIMENT,
    REVIEW,
    RELEASE,
)
"""All stages in the order in which a build runs them, which is the order of the funnel."""
