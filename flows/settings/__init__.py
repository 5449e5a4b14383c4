"""Every setting of the pipeline, typed, from one TOML file, `.env` and the environment; the defaults are the paper's.

`YTB_ADS__FRAMES__COUNT=7` in the environment or in `.env` overrides `count` in `[frames]` of `ytb_ads.toml`; the
environment overrides `.env`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from flows.env_file import ENV_FILE, export_env_file, read_env_file
from flows.errors import SettingsError
from flows.settings.crawl import CrawlSettings, MediaSettings
from flows.settings.deploy import DeploySettings
from flows.settings.secrets import Secret
from flows.settings.section import Section
from flows.settings.serve import ServeSettings

ENV_PREFIX = "YTB_ADS__"
DEFAULT_FILE = Path("ytb_ads.toml")

Aggregation = Literal["dominant", "dominant_with_neutral", "scale"]
ThresholdMode = Literal["fixed", "quantile"]
LikeWeights = Literal["none", "log", "linear"]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]


class LeftOut(StrEnum):
    """Reasons why a comment does not count; the first one that holds is used."""

    ONLY_LINKS = "only_links"
    """The comment has nothing but links."""
    OTHER_LANGUAGE = "other_language"
    """The comment is surely in another language than the word lists."""
    DUPLICATE = "duplicate"
    """The author wrote the same under this ad before."""
    REPEAT = "repeat"
    """The words are copied from an earlier comment under this ad, by any author."""


class SourceSettings(Section):
    """Categories of ads for which the source gives none."""

    category: str | None = None
    """Category of ads that get none from the mapping or a sub-folder."""
    categories: dict[str, str] = Field(default_factory=dict)
    """Category by video id, sub-folder name, or the platform's category."""


class PrivacySettings(Section):
    """Keyed hashes instead of the authors of comments."""

    author_key: Secret | None = None
    """Key of the authors' hashes; by default a random key, drawn once and kept beside the tables."""


class FrameSettings(Section):
    """Timestamps and pictures sampled from an ad (section IV-A: five random frames)."""

    count: Annotated[int, Field(ge=1, le=1000)] = 5
    """Frames sampled from an ad."""
    seed: int = 0
    """Seed of the timestamps."""
    margin_start_s: Seconds = 0.0
    """Seconds at the start from which no frame is sampled: ads often show a black picture or a logo there."""
    margin_end_s: Seconds = 0.0
    """Seconds at the end from which no frame is sampled. In a short ad both margins shrink until half of it is left."""
    min_distance_s: Seconds = 0.0
    """Smallest distance between two timestamps; reduced in an ad that is too short for it."""
    seek: Literal["exact", "keyframe"] = "exact"
    """`exact`: the pictures shown at the timestamps; `keyframe`: the nearest key frames, which are read much faster."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """JPEG quality."""
    max_side: Annotated[int, Field(ge=32)] = 1280
    """Longer side of a stored picture in pixels; larger pictures are scaled down."""
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    """Time limit for decoding one ad in seconds; a later run tries again."""
    reuploads: Literal["pictures", "files"] = "pictures"
    """`pictures`: ads that look the same are uploads of one ad; all ads are decoded to compare them. `files`: only ads
    with equal files are."""


class OcrSettings(Section):
    """Reading the text of frames, and the number of words that a frame needs to be kept."""

    engine: Literal["rapidocr", "easyocr", "tesseract"] = "rapidocr"
    """OCR engine; `easyocr` is an extra of the package, `tesseract` a program."""
    sides: Annotated[tuple[Annotated[int, Field(ge=32)], ...], Field(min_length=1)] = (640, 960, 1280)
    """Longer sides, in pixels, of the detector's input in `rapidocr`; the next larger one is used only if the picture
    has small text."""
    detail: Literal["all", "decision"] = "all"
    """`all`: `rapidocr` reads everything on a frame; `decision`: it skips small print once more than `more_than_words`
    words are certain. This changes the text of kept frames, but not which frames are kept."""
    min_confidence: Share = 0.5
    """Lowest confidence of a word; words below it are left out."""
    languages: tuple[str, ...] = ()
    """Languages of `easyocr` (`en`, `de` ...) or `tesseract` (`eng`, `deu` ...); if empty, English."""
    model_dir: Path | None = None
    """Folder of the models of `easyocr` or the data of `tesseract`; by default the engine's own."""
    more_than_words: Annotated[int, Field(ge=0)] = 5
    """Frames with more words than this are kept."""

    @model_validator(mode="after")
    def _rising(self) -> OcrSettings:
        if list(self.sides) != sorted(set(self.sides)):
            raise ValueError(f"sides = {list(self.sides)}; each must be larger than the one before")
        return self


class SentimentSettings(Section):
    """Scoring of comments, and thresholds for an ad's label (section IV-A)."""

    engine: Literal["native", "java"] = "native"
    """`native`: SentiStrength's scoring in Python; `java`: the original program, see `jar`."""
    lexicon: Path | None = None
    """Folder of word lists in SentiStrength's format; by default the open lexicon of the project."""
    emoji: bool | None = None
    """Whether `native` counts emoji (the original does not); by default with the open lexicon only."""
    straighten_apostrophes: bool | None = None
    """Whether typographic apostrophes are read as `'`, so that they negate; by default with the open lexicon only."""
    ignore_addresses: bool | None = None
    """Whether words in web and e-mail addresses are ignored; by default with the open lexicon only."""
    jar: Path | None = None
    """SentiStrength.jar, for the engine `java`; by default that of the package `sentistrength`."""
    java: str = "java"
    """Command that starts Java."""
    language: Annotated[str, Field(pattern="^([a-z]{2,3}|any)$")] = "en"
    """Language code of the word lists; comments surely in another language are left out. `any` keeps all."""
    leave_out: tuple[LeftOut, ...] = tuple(LeftOut)
    """Comments that do not count: `only_links`, `other_language`, `duplicate`, `repeat`; the paper leaves none out."""
    like_weights: LikeWeights = "none"
    """Weight of a comment with n likes: `none` 1, `log` 1 + ln(1 + n), `linear` 1 + n."""
    aggregation: Aggregation = "dominant"
    """Mean that decides an ad's label: of each comment's stronger pole without (`dominant`) or with neutral comments
    (`dominant_with_neutral`), or of the sum of both poles (`scale`)."""
    thresholds: ThresholdMode = "fixed"
    """`fixed`: the thresholds `positive` and `negative`; `quantile`: the share `quantile` of the ads at each end."""
    positive: FiniteFloat = 2.5
    """Threshold above which an ad is positive."""
    negative: FiniteFloat = -2.5
    """Threshold at or below which an ad is negative."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of ads at each end that `thresholds = "quantile"` labels."""
    min_comments: Annotated[int, Field(ge=1)] = 1
    """Fewest non-neutral comments that an ad needs for a label."""

    @model_validator(mode="after")
    def _ordered(self) -> SentimentSettings:
        if self.positive < self.negative:
            raise ValueError(f"positive = {self.positive} lies below negative = {self.negative}")
        return self


class ReviewNotifySettings(Section):
    """Messages of `ytb-ads annotate serve` that a discussion waits for a person; they do not quote the discussion."""

    webhook: Secret | None = None
    """Address that accepts `{"text": ...}` by POST, as Slack and Mattermost do."""
    mail_host: str = ""
    """Mail server; without one no mail is sent."""
    mail_port: Annotated[int, Field(ge=1, le=65_535)] = 587
    """Port of the mail server."""
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption of the connection to the mail server."""
    mail_user: str = ""
    """User name at the mail server; without one there is no login."""
    mail_password: Secret | None = None
    """Password of that user."""
    mail_from: str = ""
    """Sender's address."""
    addresses: dict[str, str] = Field(default_factory=dict)
    """Mail addresses by people's names; people without an address get no mail."""

    @model_validator(mode="after")
    def _complete(self) -> ReviewNotifySettings:
        if self.mail_host and not self.mail_from:
            raise ValueError(f"mail_host = {self.mail_host!r} without a sender; give one as mail_from")
        return self


ReviewChoice = Literal["positive", "negative", "uncertain"]


class ReviewSettings(Section):
    """Deciding labels, by comments or by people (section IV-A: five reviewers, a verifier, a discussion)."""

    policy: Literal["auto", "human"] = "auto"
    """`auto`: the comments' label is used and recorded as reviewed by nobody; `human`: people judge every ad that the
    comments label, and ads that they have not judged stay out of the release."""
    reviewers: Annotated[int, Field(ge=1)] = 5
    """Number of reviewers who judge each ad."""
    verifiers: Annotated[int, Field(ge=1)] = 1
    """Number of verifiers who decide where reviewers do not agree."""
    agreement: Literal["majority", "unanimity"] = "majority"
    """Agreement of reviewers that settles a label; ties and any "uncertain" go to the verifier."""
    show_video: bool = True
    """Whether people can watch the ad: on the review page if its video is kept, else by a link to its web page."""
    videos: str = ""
    """Folder of the videos, if the catalog was built from a folder; crawled videos are found in the catalog."""
    seed: int = 0
    """Seed of the sample of comments, of the repeated ads, and of each person's order."""
    comments: Annotated[int, Field(ge=0)] = 20
    """Number of comments shown with an ad."""
    question: Annotated[str, Field(min_length=1, max_length=200)] = "How does the ad come across?"
    """Question that people answer; shown on the page."""
    choice_names: dict[ReviewChoice, Annotated[str, Field(min_length=1, max_length=30)]] = Field(default_factory=dict)
    """Display names of choices, such as `positive = "appealing"`; files, tables and releases keep their own names."""
    language: Literal["en", "de"] = "en"
    """Language of the reviewers' pages and of the project's own guidelines."""
    guidelines: Path | None = None
    """Markdown file of the guidelines that a new round's reviewers read first; by default the project's own."""
    training: dict[str, Literal["negative", "positive"]] = Field(default_factory=dict)
    """Known answers, by video id, of ads that every reviewer judges first, with feedback; they are not in the round."""
    training_share: Share = 0.8
    """Share of right answers in the training that a reviewer needs before the round; the training is repeated until
    then."""
    least_look_ms: Annotated[int, Field(ge=0, le=10_000)] = 400
    """Milliseconds that an ad must be on the screen, with its picture painted, before a key or a click judges it."""
    repeat_share: Share = 0.0
    """Share of ads that are shown twice, to measure how far people agree with themselves."""
    discussion_names: Literal["names", "pseudonyms"] = "names"
    """Names shown in a discussion and to a verifier; a pseudonym stays the same within a round."""
    verifier_first: bool = False
    """Whether verifiers decide before they see the reviewers' votes and notes, which are shown after the decision."""
    gold_share: Share = 0.0
    """Share of ads with a known answer, from `gold`, that are mixed in."""
    gold: dict[str, Literal["negative", "positive"]] = Field(default_factory=dict)
    """Known answers, by video id."""
    store: Secret | None = None
    """Annotation store: a file, or `postgresql://USER:PASSWORD@HOST/DATABASE`; by default a file in the catalog."""
    page: Annotated[str, Field(pattern=r"^(https?://[^\s/?#]+/?)?$")] = ""
    """Address at which people reach the page, if it differs from `host` and `port`."""
    pseudonyms: bool = False
    """Whether exports use pseudonyms of people, which are the same in every file."""
    quiet_s: Annotated[float, Field(ge=0)] = 60.0
    """Seconds without any action after which a fully judged round is closed. Open pages show the countdown; until it
    ends, everything can be taken back, and a verifier or admin can hold the end."""
    host: str = "127.0.0.1"
    """Address to serve the page on; the default is reachable from this machine only."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8440
    """Port to serve the page on."""
    notify: ReviewNotifySettings = ReviewNotifySettings()

    @model_validator(mode="after")
    def _known(self) -> ReviewSettings:
        if self.gold_share and not self.gold:
            raise ValueError(f"gold_share = {self.gold_share} of no known answers; give some in review.gold")
        called = {choice: choice for choice in get_args(ReviewChoice)} | self.choice_names
        if len({name.strip().casefold() for name in called.values()}) < len(called):
            raise ValueError(f"choice_names = {self.choice_names} calls two choices the same")
        if both := self.gold.keys() & self.training.keys():
            raise ValueError(f"{min(both)} is in review.gold and in review.training, which tells its answer")
        return self

    @property
    def address(self) -> str:
        """Address of the page."""
        if self.page:
            return self.page.rstrip("/")
        from annotation.web.hardening import reachable  # loads a web server, which few commands need

        host = reachable(self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class SplitSettings(Section):
    """Split method; `[release]` has the shares and the seed."""

    method: Literal["hash", "stratified"] = "hash"
    """`hash`: an ad's split depends on the ad alone and stays; `stratified`: exact shares, split anew each release."""


class ReleaseSettings(Section):
    """Splits, resampling and files of a release."""

    balance: Literal["oversample", "undersample", "none"] = "oversample"
    """Method that balances the classes of the training rows."""
    reuploads: Literal["keep", "drop"] = "keep"
    """`keep`: all uploads of an ad are included, in one split; `drop`: only the first published one."""
    train: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the ads in the training split."""
    validation: Share = 0.1
    """Share of the ads in the validation split."""
    test: Share = 0.1
    """Share of the ads in the test split."""
    seed: int = 0
    """Seed of the splits and of the resampling."""
    shard_mb: Annotated[int, Field(ge=1)] = 500
    """Largest size of a Parquet file in MB."""
    checks: tuple[Path, ...] = ()
    """Files of additional data-quality rules, in the format of `ytb-ads catalog check --rules`."""

    @model_validator(mode="after")
    def _whole(self) -> ReleaseSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            total = self.train + self.validation + self.test
            raise ValueError(f"train + validation + test = {total:g}; the three shares must add up to 1")
        return self

    @property
    def ratios(self) -> dict[str, float]:
        """Share of the ads of each split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class RunnerSettings(Section):
    """Task runner, and the size of its batches."""

    kind: Literal["threads", "processes", "ray", "dask"] = "threads"
    """Task runner: threads of this process, processes of this machine, or a cluster."""
    workers: Annotated[int, Field(ge=1)] = Field(default_factory=lambda: os.cpu_count() or 1)
    """Number of tasks that run at the same time."""
    address: str | None = None
    """Address of a Ray or Dask cluster; without one a local cluster is started."""
    batch_ads: Annotated[int, Field(ge=1)] = 8
    """Ads per task that samples frames."""
    batch_frames: Annotated[int, Field(ge=1)] = 32
    """Frames per task that reads their text."""
    batch_comments: Annotated[int, Field(ge=1)] = 5_000
    """Comments per task that scores them."""
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """Number of runs that try a failed row before it is given up."""


class HealthSettings(Section):
    """Limits beyond which `ytb-ads health` warns."""

    release_days: Annotated[float, Field(gt=0)] = 15.0
    """Age of the newest release in days; the default allows for two weekly rebuilds without anything new."""
    failure_days: Annotated[float, Field(gt=0)] = 14.0
    """Age in days of a fault that later runs try again."""
    idle_days: Annotated[float, Field(gt=0)] = 3.0
    """Days without a judgement by a reviewer who has something to judge."""
    free_gb: Annotated[float, Field(ge=0)] = 5.0
    """Free space of the catalog's disk in GB below which `health` warns; below a tenth of it is a failure."""
    late_minutes: Annotated[float, Field(gt=0)] = 15.0
    """Minutes after the scheduled time at which a run that has not begun is late."""
    silent_minutes: Annotated[float, Field(gt=0)] = 10.0
    """Minutes without a heartbeat of a run that is marked as running."""


class MonitorSettings(Section):
    """Period and limits of `ytb-ads monitor` and of the weekly run."""

    since: str = "30d"
    """Start of the period: days or weeks before now (`30d`, `2w`), or a date."""
    turn: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    """Smallest change of an ad's mean score that counts as a turn of its audience even if the sign stays the same."""
    answers: Annotated[int, Field(ge=0)] = 200
    """Maximum number of ads to run the model on; 0: none."""


class NotifySettings(Section):
    """Messages that the Prefect server sends when something needs attention; `ytb-ads deploy` sets them up."""

    block: str = ""
    """Notification block of the server as `TYPE/NAME`, such as `slack-webhook/ytb-ads`; without one nothing is sent."""

    @field_validator("block")
    @classmethod
    def _of_a_block(cls, block: str) -> str:
        if block and not re.fullmatch("[a-z0-9-]+/[a-z0-9-]+", block):
            raise ValueError(f"{block!r} is no block; expected TYPE/NAME, such as slack-webhook/ytb-ads")
        return block


class TrainingSettings(Section):
    """Training by `ytb-ads train` and its deployment, and the promotion of models."""

    config: str = "ytb_ads"
    """Name of a configuration in `fgmfn/configs`, or path of a TOML file."""
    models: tuple[str, ...] = ("fgmfn", "text_only")
    """Models of the comparison to train."""
    seed: int | None = None
    """Seed, instead of the configuration's."""
    from_scratch: bool = False
    """Start without pretrained weights."""
    promote: Literal["not_worse", "never"] = "not_worse"
    """`not_worse`: a new model goes in service if the lower end of the 95 % interval of its difference in macro-F1 to
    the model in service is above minus `tolerance`, both measured on the new release's test ads that neither has
    learned from; the first model, if it is better than always predicting the most frequent class. `never`: only by
    hand."""
    tolerance: Share = 0.02
    """Largest loss of macro-F1 that a new model may bring."""
    min_test_ads: Annotated[int, Field(ge=1)] = 10
    """Fewest test ads that neither model has learned from, for a comparison; with fewer the old model stays."""


class PredictSettings(Section):
    """Verdicts for ads that are not in a catalog."""

    fetch: bool = False
    """Whether `ytb-ads predict` fetches addresses from YouTube, as the crawl does."""


class Settings(BaseSettings):
    """All sections."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    source: SourceSettings = SourceSettings()
    crawl: CrawlSettings = CrawlSettings()
    media: MediaSettings = MediaSettings()
    privacy: PrivacySettings = PrivacySettings()
    frames: FrameSettings = FrameSettings()
    ocr: OcrSettings = OcrSettings()
    sentiment: SentimentSettings = SentimentSettings()
    review: ReviewSettings = ReviewSettings()
    split: SplitSettings = SplitSettings()
    release: ReleaseSettings = ReleaseSettings()
    runner: RunnerSettings = RunnerSettings()
    training: TrainingSettings = TrainingSettings()
    serve: ServeSettings = ServeSettings()
    predict: PredictSettings = PredictSettings()
    health: HealthSettings = HealthSettings()
    monitor: MonitorSettings = MonitorSettings()
    deploy: DeploySettings = DeploySettings()
    notify: NotifySettings = NotifySettings()

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: object) -> JsonSchemaValue:
        """Leave out the fields: Prefect asks for the schema of every flow with settings, half a second in all."""
        return {"type": "object", "title": cls.__name__}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides `.env`, which overrides the file; there are no other sources."""
        # pydantic's own source of `.env` takes variables without the prefix for sections
        in_file = EnvSettingsSource(settings_cls)
        in_file.env_vars = {name.lower(): value for name, value in read_env_file().items()}
        return env_settings, in_file, init_settings


def load_settings(file: Path | None = None) -> Settings:
    """Load settings from `file` (default: `ytb_ads.toml` of this folder, if any), `.env` and the environment.

    Raises:
        SettingsError: the file cannot be read, a key is unknown (the nearest known one is named) or a value is wrong.
    """
    _refuse_unknown_variables()
    export_env_file()
    try:
        return Settings(**read_file(file))
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error))) from None
    except PydanticSettingsError as error:  # `error parsing value for field "crawl" from source ...`
        variable = ENV_PREFIX + str(error).split('"')[1].upper()
        raise SettingsError(
            f"environment or {ENV_FILE}: {variable} is not JSON, as a whole table or list must be"
        ) from None


def read_file(file: Path | None) -> dict[str, Any]:
    """Read a settings file, unchecked; empty if none is named and the default file does not exist.

    Raises:
        SettingsError: it cannot be read.
    """
    if file is None:
        if not DEFAULT_FILE.is_file():
            return {}
        file = DEFAULT_FILE
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}; --config names a TOML file of settings") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not TOML: {error}") from error


def _refuse_unknown_variables() -> None:
    """Refuse variables of unknown sections, which would otherwise be ignored silently."""
    for where, variables in (("environment variable", os.environ), (f"{ENV_FILE}: variable", read_env_file())):
        for variable in sorted(variables):
            if not variable.upper().startswith(ENV_PREFIX):
                continue
            section = variable[len(ENV_PREFIX) :].split("__")[0].lower()
            if section not in Settings.model_fields:
                raise SettingsError(_unknown([section], f"{where} {variable}: "))


def _sentences(error: ValidationError) -> Iterator[str]:
    """One line per fault: the key, the fault, and where the key can be set."""
    for fault in error.errors(include_url=False, include_input=False):
        path = [str(part) for part in fault["loc"]]
        if fault["type"] == "extra_forbidden":
            yield _unknown(path)
        else:
            variable = ENV_PREFIX + "__".join(path).upper()
            message = fault["msg"].removeprefix("Value error, ")
            yield f"setting {'.'.join(path)}: {message} (set in the settings file or as {variable})"


def _unknown(path: list[str], where: str = "") -> str:
    near = difflib.get_close_matches(path[-1], _known_keys(path[:-1]), n=1, cutoff=0)
    return f"{where}unknown setting {'.'.join(path)!r}; the nearest known one is {'.'.join([*path[:-1], *near])!r}"


def _known_keys(path: list[str]) -> list[str]:
    known: Any = Settings
    for part in path:
        if get_origin(known) is dict:  # a table of tables: `part` is a name that the user chose
            known = get_args(known)[1]
        elif _is_section(known):
            known = known.model_fields[part].annotation
    return list(known.model_fields) if _is_section(known) else []


def _is_section(known: object) -> bool:
    return isinstance(known, type) and issubclass(known, BaseModel)
