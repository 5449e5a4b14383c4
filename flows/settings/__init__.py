"""Every setting of the pipeline, typed, from one TOML file, `.env` and the environment; the defaults are the paper's.

`YTB_ADS__FRAMES__COUNT=7` overrides `count` in `[frames]` of `ytb_ads.toml`, in the environment as in `.env`, which
gives way to it.
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
    """Why a comment does not count; one has the first of these reasons that holds."""

    ONLY_LINKS = "only_links"
    """It says nothing beside links."""
    OTHER_LANGUAGE = "other_language"
    """It is surely in another language than the word lists."""
    DUPLICATE = "duplicate"
    """Its author said the same under this ad before."""
    REPEAT = "repeat"
    """Its words are copied from an earlier comment under this ad, whoever wrote it."""


class SourceSettings(Section):
    """Categories of ads that a source leaves without one."""

    category: str | None = None
    """Category of ads that neither the mapping nor a sub-folder gives one."""
    categories: dict[str, str] = Field(default_factory=dict)
    """Category by video id, sub-folder name, or the category that the platform gives."""


class PrivacySettings(Section):
    """Keyed hashes in place of the comments' authors."""

    author_key: Secret | None = None
    """Key of the authors' hashes; by default one is drawn once and kept beside the tables."""


class FrameSettings(Section):
    """Timestamps and pictures sampled from an ad (section IV-A: five random frames)."""

    count: Annotated[int, Field(ge=1, le=1000)] = 5
    """Frames sampled from an ad."""
    seed: int = 0
    """Another seed samples other timestamps."""
    margin_start_s: Seconds = 0.0
    """No frame is sampled from the first seconds, where ads show a black picture or a logo."""
    margin_end_s: Seconds = 0.0
    """No frame is sampled from the last seconds. In a short ad both margins shrink until half of the ad is left."""
    min_distance_s: Seconds = 0.0
    """Smallest distance of two timestamps; smaller in an ad that is too short for it."""
    seek: Literal["exact", "keyframe"] = "exact"
    """`exact`: the pictures shown at the timestamps; `keyframe`: the nearest key frames, which is much faster."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """JPEG quality."""
    max_side: Annotated[int, Field(ge=32)] = 1280
    """Longer side of a stored picture in pixels; larger ones are scaled down."""
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    """Decoding one ad is given up after so many seconds, and tried again by a later run."""
    reuploads: Literal["pictures", "files"] = "pictures"
    """`pictures`: ads that look the same are uploads of one ad, for which all are decoded; `files`: equal files."""


class OcrSettings(Section):
    """Reading the text of frames, and the number of words that keeps a frame."""

    engine: Literal["rapidocr", "easyocr", "tesseract"] = "rapidocr"
    """OCR engine; `easyocr` is an extra of the package, `tesseract` a program."""
    sides: Annotated[tuple[Annotated[int, Field(ge=32)], ...], Field(min_length=1)] = (640, 960, 1280)
    """Longer sides, in pixels, of the picture that the detector of `rapidocr` sees: it climbs to the next only where
    it sees small text."""
    detail: Literal["all", "decision"] = "all"
    """`all`: `rapidocr` reads everything on a frame; `decision`: it leaves small print unread once more words than
    `more_than_words` are certain, which changes the text of frames that are kept, and not which are kept."""
    min_confidence: Share = 0.5
    """Words that the engine is less sure of are left out."""
    languages: tuple[str, ...] = ()
    """Languages of `easyocr` (`en`, `de` ...) or `tesseract` (`eng`, `deu` ...); none is English."""
    model_dir: Path | None = None
    """Folder of the models of `easyocr` or the data of `tesseract`; by default where each looks by itself."""
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
    """`native`: SentiStrength's scoring in Python; `java`: the original program, which `jar` names."""
    lexicon: Path | None = None
    """Folder of word lists in SentiStrength's format; by default the open lexicon of the project."""
    emoji: bool | None = None
    """Whether `native` counts emoji, which the original does not; by default with the open lexicon only."""
    straighten_apostrophes: bool | None = None
    """Whether typographic apostrophes are read as `'`, so that they negate; by default with the open lexicon only."""
    ignore_addresses: bool | None = None
    """Whether words in web and e-mail addresses count for nothing; by default with the open lexicon only."""
    jar: Path | None = None
    """The original's archive, for the engine `java`; by default where the package `sentistrength` has it."""
    java: str = "java"
    """Command that starts Java."""
    language: Annotated[str, Field(pattern="^([a-z]{2,3}|any)$")] = "en"
    """Code of the word lists' language: comments surely in another one are left out; `any` keeps all."""
    leave_out: tuple[LeftOut, ...] = tuple(LeftOut)
    """Comments that do not count: `only_links`, `other_language`, `duplicate`, `repeat`; the paper leaves none out."""
    like_weights: LikeWeights = "none"
    """Weight of a comment with n likes: `none` 1, `log` 1 + ln(1 + n), `linear` 1 + n."""
    aggregation: Aggregation = "dominant"
    """Mean that labels an ad: of each comment's stronger pole, without or with neutral comments, or of both poles."""
    thresholds: ThresholdMode = "fixed"
    """`fixed`: `positive` and `negative`; `quantile`: the share `quantile` of the ads at each end."""
    positive: FiniteFloat = 2.5
    """An ad is positive above this mean."""
    negative: FiniteFloat = -2.5
    """An ad is negative at or below this mean."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of ads at each end that `thresholds = "quantile"` labels."""
    min_comments: Annotated[int, Field(ge=1)] = 1
    """Ads with fewer comments that say anything get no label."""

    @model_validator(mode="after")
    def _ordered(self) -> SentimentSettings:
        if self.positive < self.negative:
            raise ValueError(f"positive = {self.positive} lies below negative = {self.negative}")
        return self


class ReviewNotifySettings(Section):
    """Messages of `ytb-ads annotate serve` that a discussion waits for somebody; they do not say what was said."""

    webhook: Secret | None = None
    """Address that takes `{"text": ...}` by POST, as Slack and Mattermost do."""
    mail_host: str = ""
    """Mail server; without one no mail is sent."""
    mail_port: Annotated[int, Field(ge=1, le=65_535)] = 587
    """Port of the mail server."""
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection to the mail server is secured."""
    mail_user: str = ""
    """User of the mail server; without one nobody logs in."""
    mail_password: Secret | None = None
    """Password of that user."""
    mail_from: str = ""
    """Sender's address."""
    addresses: dict[str, str] = Field(default_factory=dict)
    """Addresses by people's names; whoever has none gets no mail."""

    @model_validator(mode="after")
    def _complete(self) -> ReviewNotifySettings:
        if self.mail_host and not self.mail_from:
            raise ValueError(f"mail_host = {self.mail_host!r} without a sender; give one as mail_from")
        return self


ReviewChoice = Literal["positive", "negative", "uncertain"]


class ReviewSettings(Section):
    """Settling of labels, by comments or by people (section IV-A: five reviewers, a verifier, a discussion)."""

    policy: Literal["auto", "human"] = "auto"
    """`auto`: the label of the comments stands, recorded as reviewed by nobody; `human`: people judge every ad that the
    comments label, and what they have not judged stays out of the release."""
    reviewers: Annotated[int, Field(ge=1)] = 5
    """Reviewers who judge each ad."""
    verifiers: Annotated[int, Field(ge=1)] = 1
    """Verifiers who decide where reviewers do not agree."""
    agreement: Literal["majority", "unanimity"] = "majority"
    """Agreement that settles a label; a tie and any "uncertain" go to the verifier."""
    show_video: bool = True
    """Whether people can watch the ad: on the page where its video is kept, else by a link to its page on the web."""
    videos: str = ""
    """Folder of the ads' videos, of a catalog that was built from a folder; crawled videos are found in the catalog."""
    seed: int = 0
    """Of the sample of comments, of what comes twice, and of everybody's order."""
    comments: Annotated[int, Field(ge=0)] = 20
    """Comments shown of an ad."""
    question: Annotated[str, Field(min_length=1, max_length=200)] = "How does the ad come across?"
    """What people judge; stands on the screen."""
    choice_names: dict[ReviewChoice, Annotated[str, Field(min_length=1, max_length=30)]] = Field(default_factory=dict)
    """What the pages call a choice, such as `positive = "appealing"`; files, tables and releases keep its name."""
    language: Literal["en", "de"] = "en"
    """Of the reviewers' pages, and of the project's own guidelines."""
    guidelines: Path | None = None
    """Markdown file of the guidelines that a new round's reviewers read first; by default the project's own."""
    training: dict[str, Literal["negative", "positive"]] = Field(default_factory=dict)
    """Known answers by video id of ads that every reviewer judges first, with feedback; they are not in the round."""
    training_share: Share = 0.8
    """Share of the training's answers that have to be right before a reviewer starts; the training is repeated until
    then."""
    least_look_ms: Annotated[int, Field(ge=0, le=10_000)] = 400
    """Milliseconds for which an ad must be on the screen, its picture painted, before a key or a click judges it."""
    repeat_share: Share = 0.0
    """Share of the ads that come twice, which tells how far people agree with themselves."""
    discussion_names: Literal["names", "pseudonyms"] = "names"
    """Who is who in a discussion, and where a verifier decides; a pseudonym stays the same in a round."""
    verifier_first: bool = False
    """A verifier decides before seeing the reviewers' votes and notes; they are shown when the decision is recorded."""
    gold_share: Share = 0.0
    """Share of ads whose answer is known, from `gold`, mixed in."""
    gold: dict[str, Literal["negative", "positive"]] = Field(default_factory=dict)
    """Known answers by video id."""
    store: Secret | None = None
    """File of what people did, or `postgresql://USER:PASSWORD@HOST/DATABASE`; by default a file in the catalog."""
    page: Annotated[str, Field(pattern=r"^(https?://[^\s/?#]+/?)?$")] = ""
    """Address by which people reach the page, where that is not `host` and `port`."""
    pseudonyms: bool = False
    """Whether exports name people by pseudonyms, which are the same in every file."""
    quiet_s: Annotated[float, Field(ge=0)] = 60.0
    """A round in which everything is judged is closed when nothing was done for so many seconds. Open pages count them
    down; meanwhile everything can be taken back, and a verifier or admin can hold the end."""
    host: str = "127.0.0.1"
    """Address that the page is served on; the default is reached from this machine alone."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8440
    """Port that the page is served on."""
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
        from annotation.web.hardening import reachable  # brings a web server along, which few commands need

        host = reachable(self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class SplitSettings(Section):
    """Method of splitting; the shares and the seed are those of `[release]`."""

    method: Literal["hash", "stratified"] = "hash"
    """`hash`: an ad's split follows from the ad and stays; `stratified`: exact shares, every release is split anew."""


class ReleaseSettings(Section):
    """Splits, resampling and files of a release."""

    balance: Literal["oversample", "undersample", "none"] = "oversample"
    """Method that makes the classes of the training rows equally frequent."""
    reuploads: Literal["keep", "drop"] = "keep"
    """`keep`: all uploads of one ad go in, in one split; `drop`: only the one that was published first."""
    train: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the ads in the training split."""
    validation: Share = 0.1
    """Share of the ads in the validation split."""
    test: Share = 0.1
    """Share of the ads in the test split."""
    seed: int = 0
    """Another seed gives other splits and other resampled rows."""
    shard_mb: Annotated[int, Field(ge=1)] = 500
    """Size of a Parquet file in MB, at most."""
    checks: tuple[Path, ...] = ()
    """Files of further data-quality rules, as `ytb-ads catalog check --rules` takes them."""

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
    """Runs tasks in threads of this process, in processes of this machine, or on a cluster."""
    workers: Annotated[int, Field(ge=1)] = Field(default_factory=lambda: os.cpu_count() or 1)
    """Tasks that run at a time."""
    address: str | None = None
    """Address of a Ray or Dask cluster; without it a local one is started."""
    batch_ads: Annotated[int, Field(ge=1)] = 8
    """Ads per task that samples frames."""
    batch_frames: Annotated[int, Field(ge=1)] = 32
    """Frames per task that reads their text."""
    batch_comments: Annotated[int, Field(ge=1)] = 5_000
    """Comments per task that scores them."""
    max_attempts: Annotated[int, Field(ge=1)] = 3
    """Runs that try a failed row before it is left alone."""


class HealthSettings(Section):
    """Limits beyond which `ytb-ads health` warns."""

    release_days: Annotated[float, Field(gt=0)] = 15.0
    """Age of the newest release in days: two weekly rebuilds that brought nothing new."""
    failure_days: Annotated[float, Field(gt=0)] = 14.0
    """Age in days of a fault that later runs try to cure."""
    idle_days: Annotated[float, Field(gt=0)] = 3.0
    """Days without a judgement of a reviewer who has something to judge."""
    free_gb: Annotated[float, Field(ge=0)] = 5.0
    """Free space of the catalog's disk in GB; a tenth of it is a failure."""
    late_minutes: Annotated[float, Field(gt=0)] = 15.0
    """Minutes after its time at which a scheduled run that has not begun is late."""
    silent_minutes: Annotated[float, Field(gt=0)] = 10.0
    """Minutes without a heartbeat of a run that is said to be running."""


class MonitorSettings(Section):
    """What `ytb-ads monitor` and the weekly run look at."""

    since: str = "30d"
    """Begin of the period: days or weeks before now (`30d`, `2w`), or a date."""
    turn: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    """Change of the mean of an ad's comments from which on its audience turned, though it stays on its side of zero."""
    answers: Annotated[int, Field(ge=0)] = 200
    """Ads that the model is asked about, at most; 0: none."""


class NotifySettings(Section):
    """Messages that the Prefect server sends where somebody should look; `ytb-ads deploy` sets them up."""

    block: str = ""
    """Notification block of the server as `TYPE/NAME`, such as `slack-webhook/ytb-ads`; without one nothing is sent."""

    @field_validator("block")
    @classmethod
    def _of_a_block(cls, block: str) -> str:
        if block and not re.fullmatch("[a-z0-9-]+/[a-z0-9-]+", block):
            raise ValueError(f"{block!r} is no block; expected TYPE/NAME, such as slack-webhook/ytb-ads")
        return block


class TrainingSettings(Section):
    """Models that `ytb-ads train` and its deployment train."""

    config: str = "ytb_ads"
    """Name of a configuration shipped in `fgmfn/configs` or path of a TOML file."""
    models: tuple[str, ...] = ("fgmfn", "text_only")
    """Rows of the comparison that are trained."""
    seed: int | None = None
    """Instead of the configuration's seed."""
    from_scratch: bool = False
    """Start without pretrained weights."""
    promote: Literal["not_worse", "never"] = "not_worse"
    """`not_worse`: a new model goes in service if the lower end of the 95 % interval of its difference in macro-F1 to
    the one in service is above minus `tolerance`, both on the new release's test ads that neither has learned from;
    the first, if it is better than always naming the most frequent class. `never`: only by hand."""
    tolerance: Share = 0.02
    """Loss of macro-F1 that a new model may bring, at worst."""
    min_test_ads: Annotated[int, Field(ge=1)] = 10
    """With fewer test ads that neither model has learned from, a comparison says nothing and the old model stays."""


class PredictSettings(Section):
    """Verdicts for ads that are in no catalog."""

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
        """Leave out what is inside: Prefect asks again for every flow that takes settings, half a second in all."""
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
        """The environment above `.env` above what the file gave, and nothing else."""
        # pydantic's own source of `.env` takes variables without the prefix for sections
        in_file = EnvSettingsSource(settings_cls)
        in_file.env_vars = {name.lower(): value for name, value in read_env_file().items()}
        return env_settings, in_file, init_settings


def load_settings(file: Path | None = None) -> Settings:
    """Settings from `file` (default: `ytb_ads.toml` of this folder, if there) under `.env` under the environment.

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
    """What a settings file sets, unchecked; nothing if none is named and the default one is not there.

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
    """A misspelt section in the environment would otherwise be passed over in silence."""
    for where, variables in (("environment variable", os.environ), (f"{ENV_FILE}: variable", read_env_file())):
        for variable in sorted(variables):
            if not variable.upper().startswith(ENV_PREFIX):
                continue
            section = variable[len(ENV_PREFIX) :].split("__")[0].lower()
            if section not in Settings.model_fields:
                raise SettingsError(_unknown([section], f"{where} {variable}: "))


def _sentences(error: ValidationError) -> Iterator[str]:
    """One line a fault: the key, what is wrong, and where the key can be set."""
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
        if get_origin(known) is dict:  # a table of tables: `part` is a name that the owner chose
            known = get_args(known)[1]
        elif _is_section(known):
            known = known.model_fields[part].annotation
    return list(known.model_fields) if _is_section(known) else []


def _is_section(known: object) -> bool:
    return isinstance(known, type) and issubclass(known, BaseModel)
