"""Parse fields of untrusted JSON: a value of the expected kind and size, or None."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ids that are safe as keys and file names; YouTube's own are eleven of these characters."""

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
_ID_MAX = 128
_ISO_DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:\.\d+)?)S)?)?")


def clean_text(text: str) -> str:
    """Text that UTF-8 can encode: half of a surrogate pair, which JSON may contain, becomes U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def text_of(value: object) -> str | None:
    """A string that is not empty."""
    return clean_text(value) if isinstance(value, str) and value else None


def video_id_of(value: object) -> str | None:
    """The id of a video."""
    return value if isinstance(value, str) and VIDEO_ID.fullmatch(value) else None


def identifier(value: object) -> str | None:
    """An id: a short string, or an integer as some platforms count."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INT64_MAX:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _ID_MAX:
        return None
    return clean_text(value.strip())


def number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > INT64_MAX:
        return None
    return float(value) if math.isfinite(value) else None


def count(value: object, limit: int = INT64_MAX) -> int | None:
    """A number of things, 0 or more and below `limit`; the Data API writes them as strings of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    found = number(value)
    if found is None or not 0 <= found < limit:
        return None
    return int(value)  # type: ignore[call-overload]  # a number, and exact where float() is not


def duration(value: object) -> float | None:
    """Seconds, 0 or more."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def iso_duration(value: object) -> float | None:
    """Seconds of an ISO 8601 duration such as `PT1M30S`; YouTube writes `P0D` for a live broadcast."""
    if not isinstance(value, str) or len(value) < 3 or not (found := _ISO_DURATION.fullmatch(value)):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def instant(value: object) -> datetime | None:
    """Seconds since 1970."""
    found = number(value)
    if found is None:
        return None
    try:
        return datetime.fromtimestamp(found, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def iso_instant(value: object) -> datetime | None:
    """An instant such as `2019-11-26T15:51:44.000Z`."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    if found.utcoffset() is None:
        return found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        return None


def day(value: object) -> datetime | None:
    """A day as `20191126`."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{8}", value):
        return None
    try:
        return datetime.strptime(value, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def json_type(value: object) -> str:
    """Type of a JSON value in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")
