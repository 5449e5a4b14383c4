"""Settings of the crawl: categories, filters, quota, comments, media."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from flows.settings.secrets import Secret
from flows.settings.section import Section

_CHANNEL = re.compile(r"UC[A-Za-z0-9_-]{22}|@[\w.·-]{3,30}")
_PLAYLIST = re.compile(r"[A-Za-z0-9_-]{10,64}")


class CategorySettings(Section):
    """One category: the number of ads, and the lists of candidates."""

    count: PositiveInt = 1250
    """Number of ads wanted."""
    search: tuple[str, ...] = ()
    """Search phrases; each page of up to 50 candidates costs one search call."""
    channels: tuple[str, ...] = ()
    """Channels, as `UC...` or `@handle`; their uploads cost one unit for 50 candidates."""
    playlists: tuple[str, ...] = ()
    """Playlists, by id; one unit for 50 candidates."""
    ids: Path | None = None
    """File of video ids or watch addresses, one per line; `#` begins a comment. A relative path starts at the working
    directory."""

    @field_validator("channels")
    @classmethod
    def _channels(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        for channel in channels:
            if not _CHANNEL.fullmatch(channel):
                raise ValueError(f"{channel!r} is no channel; expected its id, UC and 22 characters, or its @handle")
        return channels

    @field_validator("playlists")
    @classmethod
    def _playlists(cls, playlists: tuple[str, ...]) -> tuple[str, ...]:
        for playlist in playlists:
            if not _PLAYLIST.fullmatch(playlist):
                raise ValueError(f"{playlist!r} is no playlist id; it follows `list=` in the playlist's address")
        return playlists

    @field_validator("search")
    @classmethod
    def _phrases(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        if not all(phrase.strip() for phrase in phrases):
            raise ValueError("an empty phrase would find everything; remove it")
        return phrases

    @model_validator(mode="after")
    def _listed_somewhere(self) -> CategorySettings:
        if not (self.search or self.channels or self.playlists or self.ids):
            raise ValueError("names no lists of candidates; give search, channels, playlists or ids")
        return self


def _papers_categories() -> dict[str, CategorySettings]:
    """Return the four categories of section IV-A, 5,000 videos in all; the search phrases are ours."""
    phrases = {
        "food and beverages": ("food commercial", "soft drink commercial", "snack advert", "restaurant tv ad"),
        "movie trailers": ("official movie trailer", "official film teaser"),
        "healthcare": ("healthcare commercial", "pharmacy advert", "medicine tv ad", "hospital commercial"),
        "apparel": ("clothing commercial", "sneaker advert", "fashion brand tv ad", "sportswear commercial"),
    }
    return {name: CategorySettings(search=search) for name, search in phrases.items()}


class FilterSettings(Section):
    """Filters that a candidate must pass to become an ad."""

    min_duration_s: NonNegativeFloat = 5
    """Shortest duration of an ad in seconds."""
    max_duration_s: PositiveFloat = 300
    """Longest duration of an ad in seconds."""
    min_comments: Annotated[int, Field(ge=0)] = 1
    """Fewest comments of an ad."""
    language: str | None = "en"
    """Language of the video, if it states one (`en` includes `en-GB`); a video that states none is kept."""
    region: str | None = None
    """Country, such as `US`, in which the video must be available; also the country of the searches."""
    published_after: date = date(2010, 1, 1)
    """First day of publication."""
    published_before: date | None = None
    """Day before which an ad must have been published; none: no limit."""
    paid_product_placement: bool | None = None
    """True: only videos that declare paid product placement; False: only those that do not."""

    @field_validator("language")
    @classmethod
    def _language(cls, language: str | None) -> str | None:
        if language is not None and not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", language):
            raise ValueError(f"{language!r} is no language code, such as en or pt-BR")
        return language

    @field_validator("region")
    @classmethod
    def _region(cls, region: str | None) -> str | None:
        if region is not None and not re.fullmatch(r"[A-Z]{2}", region):
            raise ValueError(f"{region!r} is no country code, such as US")
        return region

    @model_validator(mode="after")
    def _ordered(self) -> FilterSettings:
        if self.min_duration_s > self.max_duration_s:
            raise ValueError(f"min_duration_s = {self.min_duration_s} is above max_duration_s = {self.max_duration_s}")
        if self.published_before and self.published_before <= self.published_after:
            raise ValueError(
                f"published_before = {self.published_before} is not after published_after = {self.published_after}"
            )
        return self


class QuotaSettings(Section):
    """Limits of a key per day of Pacific time."""

    searches_per_day: Annotated[int, Field(ge=0)] = 100
    """Calls of `search.list`; each page is one call."""
    units_per_day: Annotated[int, Field(ge=0)] = 10_000
    """Units of all other calls together."""
    ledger: Path | None = None
    """File that records the quota spent; by default `quota.sqlite` in the catalog. Catalogs that share a key must
    share the file."""


class CommentPageSettings(Section):
    """Extent of the comments to fetch."""

    replies: Literal["all", "embedded", "none"] = "all"
    """Replies to fetch; `embedded`: only the replies, about five, that come with their thread at no extra cost."""
    max_pages: PositiveInt = 10_000
    """Maximum number of pages of 100 threads for one ad."""


class CrawlSettings(Section):
    """Ads to collect from YouTube, the keys to use, and the pace."""

    api_key: Secret | None = None
    """Key of the YouTube Data API v3; better set in YTB_ADS__CRAWL__API_KEY than in a file."""
    api_keys: tuple[Secret, ...] = ()
    """More keys; the next one is used when a key's quota of the day is spent."""
    seed: int = 0
    """Seed of the random draw of ads."""
    categories: dict[str, CategorySettings] = Field(default_factory=_papers_categories)
    candidates_per_ad: Annotated[float, Field(ge=1)] = 2.0
    """Candidates per ad wanted that must pass the filters before the random draw."""
    slice_days: PositiveInt = 365
    """Length of the time slices that a search is divided into, as one query stops near 500 results. A slice that
    reaches this limit is halved while the category is short of candidates."""
    relist_days: PositiveInt = 5
    """Days after which a channel, a playlist or the newest slice is listed again while a category is short. The
    default is below the interval between two rebuilds, as the first one may have run for a day or two."""
    filters: FilterSettings = FilterSettings()
    quota: QuotaSettings = QuotaSettings()
    comments: CommentPageSettings = CommentPageSettings()
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests in flight at once."""
    attempts: PositiveInt = 6
    """Attempts for one page before its fault is left to a later run."""
    backoff_s: NonNegativeFloat = 1.0
    """Longest wait before the second attempt; it doubles with each attempt, up to a minute."""
    timeout_s: PositiveFloat = 30.0
    """Time after which a call of the Data API counts as failed."""
    refresh_days: PositiveInt = 29
    """Age at which `ytb-ads crawl --refresh` fetches a row again."""
    endpoint: str | None = None
    """Address of the Data API; by default Google's."""
    site: str = "https://www.youtube.com"
    """Address of the site whose watch pages give the media."""

    @field_validator("categories")
    @classmethod
    def _named(cls, categories: dict[str, CategorySettings]) -> dict[str, CategorySettings]:
        if not categories:
            raise ValueError("no category is named, so there is nothing to crawl; give one, or remove the table")
        if not all(name.strip() for name in categories):
            raise ValueError('a category is named ""; give it a name')
        return categories

    @field_validator("endpoint", "site")
    @classmethod
    def _address(cls, address: str | None) -> str | None:
        if address is None:
            return None
        parts = urlsplit(address)
        if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
            return address.rstrip("/")
        raise ValueError(f"{address!r}: expected an https:// address, or http:// on this machine")

    @property
    def is_stand_in(self) -> bool:
        """Whether the endpoint is a stand-in on this machine; its ads are invented and marked as synthetic."""
        return self.endpoint is not None and urlsplit(self.endpoint).scheme == "http"

    @property
    def given_keys(self) -> list[Secret]:
        """All keys that are set, each once."""
        given = (self.api_key, *self.api_keys) if self.api_key else self.api_keys
        return list({key.get_secret_value(): key for key in given if key and key.get_secret_value()}.values())


class MediaSettings(Section):
    """Size, pace and retention of the videos."""

    height: Annotated[int, Field(ge=144, le=4320)] = 360
    """Wanted height of the picture in pixels: the tallest format up to it is fetched, else the smallest one."""
    keep: bool = True
    """Whether a video is kept after its frames were sampled."""
    pause_s: tuple[NonNegativeFloat, NonNegativeFloat] = (10.0, 20.0)
    """Shortest and longest wait between two videos."""
    request_pause_s: NonNegativeFloat = 0.75
    """Wait between two requests for one video's page data."""
    lanes: Annotated[int, Field(ge=1, le=8)] = 1
    """Number of videos fetched at the same time."""
    max_size_mb: PositiveInt = 500
    """Largest size of a video in MB; larger ones are not fetched."""
    timeout_s: PositiveFloat = 60.0
    """Time without data after which a transfer counts as failed."""
    wall_pause_h: PositiveFloat = 24.0
    """Hours without a request after YouTube has shown a robot check."""
    cookies: Path | None = None
    """File of cookies in Netscape's format, for videos that need a signed-in account."""

    @model_validator(mode="after")
    def _ordered(self) -> MediaSettings:
        if self.pause_s[0] > self.pause_s[1]:
            raise ValueError(f"pause_s = {list(self.pause_s)}: the first is the shorter wait")
        return self
