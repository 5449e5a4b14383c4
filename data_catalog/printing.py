"""Make values safe to print, and convert them to JSON's types.

Texts in the tables are untrusted. Characters that could move a cursor, hide or reorder text, or act as
markup are printed as escapes, never sent to the terminal.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any

CELL_CHARACTERS = 80
"""Longest text that a printed cell shows."""

_PICTURES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"RIFF": "webp", b"GIF8": "gif"}


def shown(value: Any, characters: int = CELL_CHARACTERS) -> str:
    """One value as a short, printable text; pictures as their kind and size."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return _bytes_shown(value)
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return _bytes_shown(value["bytes"])
    if isinstance(value, dict | list):
        value = json.dumps(plain(value), ensure_ascii=False)
    if isinstance(value, float):
        value = f"{value:.6g}"
    if isinstance(value, datetime):
        value = value.isoformat(sep=" ", timespec="seconds")
    # cut before escaping too: a text of a megabyte is not worth escaping for eighty characters
    text = printable(str(value)[: characters + 1])
    return text if len(text) <= characters else text[: characters - 1] + "…"


def printable(text: str) -> str:
    """The text with control, format and separator characters written as escapes."""
    return "".join(
        c if c == " " or unicodedata.category(c)[0] not in "CZ" or is_new_emoji(c) else _escape(c) for c in text
    )


def counted(number: int, noun: str) -> str:
    """A number of things, as `1 ad` or `2,000 ads`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def readable(text: str, limit: int = 280) -> str:
    """Untrusted text on one line for a document: no control characters, no reordering marks, not endless."""
    spaced = "".join(" " if char.isspace() or unicodedata.category(char) == "Cc" else char for char in text)
    hidden = ("Cf", "Co", "Cs", "Cn")
    shown = "".join(char for char in spaced if unicodedata.category(char) not in hidden or is_new_emoji(char))
    line = " ".join(shown.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def is_new_emoji(character: str) -> bool:
    """True for an emoji newer than Python's Unicode table: not in it, but within a block kept for pictographs."""
    kept = "\U0001f000" <= character <= "\U0001faff" or "\U0001fc00" <= character <= "\U0001fffd"
    return kept and unicodedata.category(character) == "Cn"


def plain(value: Any) -> Any:
    """A value in the types that JSON has."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return _bytes_shown(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and value - value != 0:
        # JSON has no infinity and no NaN
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def picture_kind(data: bytes) -> str | None:
    """The format of a picture by its first bytes, as `jpeg`; None of what is no picture."""
    return next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)


def _bytes_shown(data: bytes) -> str:
    kind = picture_kind(data) or "bytes"
    size = f"{len(data) / 1000:.0f} kB" if len(data) >= 1000 else f"{len(data)} B"
    return f"<{size} {kind}>"
