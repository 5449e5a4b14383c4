"""Parts of a text that the original program reads otherwise than people: emoji, typographic apostrophes, addresses."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

PICTOGRAPHS = (
    "\u203c\u2049\u2139\u2194-\u21aa\u231a-\u23fa\u24c2\u25aa-\u27bf\u2934-\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001faff\U0001fc00-\U0001fffd"
)
"""The inside of a regex class of emoji by Unicode's blocks for them, those that are still to come included."""

_APOSTROPHE = re.compile(
    "[\u2018\u2019\u201b\u2032\u2035\u275b\u275c\uff07\x91\x92\u02b9\u02bb-\u02be\u02c8\u02ca"
    "\u055a\u05f3\u1fbd\u1fbf\ua78b\ua78c]"
)
_ACCENT = re.compile(r"(?<=[^\W\d_])[`´\uff40](?=[^\W\d_])")
"""Typed for an apostrophe between two letters; elsewhere they draw faces."""

_INNER_DOT = re.compile(r"\.\w")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_TOP = r"(?:xn--[a-z0-9-]{1,59}|[^\W\d_]{2,24})"
_NAME = rf"(?:{_LABEL}\.){{1,6}}{_TOP}"
_COMMON_TOP = r"com|org|net|edu|gov|info|biz|io|ai|tv|dev|xyz|example|co\.[a-z]{2}"
_COUNTRY = "de|uk|fr|ru|jp|cn|br|eu|nl|pl|ca|au|ch|gg"  # none that is an English word
_COMMON_NAME = rf"(?:{_LABEL}\.){{1,6}}(?:{_COMMON_TOP}|{_COUNTRY})"
_END = r"(?<![.,;:!?'\u2018\u2019*_~\u2026-])"  # what ends the sentence, or the stress, is no part of an address
_REST = rf"(?:[^\s()<>\[\]{{}}\"\u201c\u201d«»|\\^`{PICTOGRAPHS}]|\([^\s()]*\))+{_END}"
_IP = r"\d{1,3}(?:\.\d{1,3}){3}"
ADDRESS = re.compile(
    rf"(?:https?|ftps?)://{_REST}|(?<![\w.-])www\d?\.{_REST}"
    rf"|(?:\bmailto:)?(?<![\w.+%-])[\w.+%-]{{1,64}}@{_NAME}\b"
    rf"|(?<![\w@.-])(?:{_NAME}|{_IP})(?::\d{{1,5}})?[/?#](?:{_REST})?"
    rf"|(?<![\w@.-])(?:{_NAME}:\d{{1,5}}\b|{_COMMON_NAME}\b)(?!-)",
    re.IGNORECASE,
)
"""A web or e-mail address; a bare name only with a port, a path, or a common ending, for `it.so` is two words."""


def without_addresses(text: str) -> str:
    """The text with a space in the place of every web and e-mail address."""
    if not may_hold_address(text):
        return text
    parts = text.split(" ")  # no address holds a space, and few parts may be one
    return " ".join(ADDRESS.sub(" ", part) if may_hold_address(part) else part for part in parts)


def may_hold_address(text: str) -> bool:
    """False for most texts that hold no address, which is seen sooner than by matching."""
    return _INNER_DOT.search(text) is not None or "://" in text


@dataclass(frozen=True)
class Reading:
    """Departures from the original program, which makes none of them."""

    emoji: bool = False
    """Emoji of the lexicon count like emoticons, wherever they stand."""
    straighten_apostrophes: bool = False
    """Typographic apostrophes are read as `'`, so that `don’t` negates."""
    ignore_addresses: bool = False
    """Words within web and e-mail addresses count for nothing."""

    @property
    def version(self) -> str:
        """Suffix of an engine's version; empty where it reads as the original does."""
        return "".join(f"-{name}" for name, is_on in asdict(self).items() if is_on)

    def scored(self, text: str) -> str:
        """The text that is scored in this one's place."""
        if self.ignore_addresses:
            text = without_addresses(text)
        if self.straighten_apostrophes and ("`" in text or not text.isascii()):
            text = _ACCENT.sub("'", _APOSTROPHE.sub("'", text))
        return text


AS_ORIGINAL = Reading()
