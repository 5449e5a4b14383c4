"""Make untrusted texts harmless to display; the templates escape their markup.

A comment, a word on a frame or a name may hold characters that turn the reading direction round, move what
stands after it, or are not to be seen at all. What is left of each text is set apart from what is around it.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup, escape

MAX_SHOWN = 4_000
"""Longest text that is shown, in characters; what is longer is cut, and says so."""

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates: they last beyond the text if it does not close them."""
_RESERVED = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))
"""Not assigned, and invisible if they ever are; every other character that is newer than Python's Unicode is shown."""
_INVISIBLE = frozenset("\ufeff\u2028\u2029\ufff9\ufffa\ufffb\u2060\u2061\u2062\u2063\u2064")
_MARK = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_TOWERS = re.compile(f"({_MARK}{{4}}){_MARK}+")
"""More marks on one letter than any language sets: they would cover the lines above and below."""
_FIRST_STRONG_ISOLATE, _POP = "\u2068", "\u2069"


def harmless(text: str, limit: int = MAX_SHOWN) -> str:
    """The text without characters that act on their surroundings; those are shown as the replacement character."""
    cut = text[:limit].replace("\r\n", "\n")
    kept = "".join(c if c in "\n\t" or not _acts(c) else "\ufffd" for c in cut)
    return _TOWERS.sub(r"\1", kept) + (" … (cut)" if len(text) > limit else "")


def isolated(text: str, limit: int = MAX_SHOWN) -> str:
    """A harmless text that does not turn what is around it, for where no markup can stand: attributes, titles."""
    return f"{_FIRST_STRONG_ISOLATE}{' '.join(harmless(text, limit).split())}{_POP}"


def bdi(text: str, limit: int = MAX_SHOWN) -> Markup:
    """A harmless, escaped text in an element that does not turn what is around it."""
    return Markup("<bdi>") + escape(harmless(text, limit)) + Markup("</bdi>")


def _acts(character: str) -> bool:
    if character in _TURNING or character in _INVISIBLE:
        return True
    category = unicodedata.category(character)
    if category == "Cn":
        code = ord(character)
        is_noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
        return is_noncharacter or any(code in reserved for reserved in _RESERVED)
    return category in ("Cc", "Cs", "Co")
