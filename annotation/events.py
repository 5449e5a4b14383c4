"""Events, one for each action of a person: never changed or removed; an undo is another event."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from annotation.errors import SubmissionError
from data_catalog.schemas import LABELS, Label

Choice = Literal["positive", "negative", "uncertain"]
"""A reviewer's possible judgements of an entry."""
CHOICES: tuple[Choice, ...] = get_args(Choice)

FlagReason = Literal["not_an_ad", "cannot_be_judged", "broken_picture"]
"""Reasons why an entry is unusable, regardless of its label."""
FLAG_REASONS: tuple[FlagReason, ...] = get_args(FlagReason)

Kind = Literal["vote", "flag", "unflag", "decision", "discuss", "message", "stance", "settle", "exclude", "undo"]
"""vote, flag (something is wrong with the entry), unflag (nothing is, after all): a reviewer's. decision,
discuss (send to the discussion), settle (the consensus), exclude: a verifier's. message, stance (what one says now):
anybody's in the discussion. undo: of one's own latest event on the entry, flags apart."""

MAX_NOTE = 2_000
MAX_MESSAGE = 4_000
"""Longest texts, in characters."""

_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True)
class Vote:
    """A reviewer's word on an entry."""

    choice: Choice
    note: str = ""
    excluded_frames: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise SubmissionError(f"choice {self.choice!r}; expected one of {', '.join(CHOICES)}")
        _tidy(self, "note", MAX_NOTE)
        object.__setattr__(self, "excluded_frames", tuple(sorted(set(self.excluded_frames))))


@dataclass(frozen=True)
class Flag:
    """A reviewer's word that something is wrong with an entry; a verifier then looks at it."""

    reason: FlagReason
    remark: str = ""

    def __post_init__(self) -> None:
        if self.reason not in FLAG_REASONS:
            raise SubmissionError(f"reason {self.reason!r}; expected one of {', '.join(FLAG_REASONS)}")
        _tidy(self, "remark", MAX_NOTE)


@dataclass(frozen=True)
class Ruling:
    """A label that a verifier gives: a decision of their own, or the discussion's consensus."""

    label: Label
    note: str = ""

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise SubmissionError(f"label {self.label!r}; expected one of {', '.join(LABELS)}")
        _tidy(self, "note", MAX_NOTE)


@dataclass(frozen=True)
class Remark:
    """A message in a discussion, or the reason for sending an entry there or excluding it."""

    text: str = ""

    def __post_init__(self) -> None:
        _tidy(self, "text", MAX_MESSAGE)


@dataclass(frozen=True)
class Stance:
    """A person's present choice in a discussion; a reviewer's vote does not change."""

    choice: Choice

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise SubmissionError(f"stance {self.choice!r}; expected one of {', '.join(CHOICES)}")


@dataclass(frozen=True)
class Nothing:
    """Empty payload of an undo or unflag: `supersedes` names the event that is taken back."""


Payload = Vote | Flag | Ruling | Remark | Stance | Nothing
PAYLOADS: dict[Kind, type[Payload]] = {
    "vote": Vote,
    "flag": Flag,
    "unflag": Nothing,
    "decision": Ruling,
    "discuss": Remark,
    "message": Remark,
    "stance": Stance,
    "settle": Ruling,
    "exclude": Remark,
    "undo": Nothing,
}


@dataclass(frozen=True)
class Event:
    """One thing that one person did to one entry.

    `id` grows in the order in which the store received the events. Reviewers must not see it: it shows how much the
    others have done.
    """

    id: int
    key: str
    """Made by the client for one submission; the same key twice is one event."""
    round_id: int
    entry_id: str
    person_id: str
    kind: Kind
    payload: Payload
    shown_at: datetime
    submitted_at: datetime
    guideline: str
    """Version of the guidelines that the person had."""
    supersedes: int | None = None
    """Of an undo or unflag: the event it takes back. Of a vote or flag: the person's own that it stands in place of."""


def dump(payload: Payload) -> str:
    """A payload as JSON, the same for the same payload."""
    return json.dumps(vars(payload), ensure_ascii=False, sort_keys=True)


def load(kind: Kind, text: str) -> Payload:
    """A payload from its JSON."""
    values: dict[str, Any] = json.loads(text)
    return PAYLOADS[kind](**values)


def check_key(key: str) -> str:
    """The idempotency key, if it is one.

    Raises:
        SubmissionError: it is too short to be unique, too long, or holds other characters.
    """
    if not _KEY.fullmatch(key):
        raise SubmissionError(f"key {key[:80]!r}: 8 to 64 letters, digits, _ and -, drawn anew for every submission")
    return key


def check_reason(kind: Kind, payload: Payload) -> None:
    """Refuse an exclusion without a reason.

    Raises:
        SubmissionError: the exclusion has no reason.
    """
    # not in the payload: older stores hold exclusions without one
    if kind == "exclude" and not (isinstance(payload, Remark) and payload.text):
        raise SubmissionError("an exclusion needs a reason: say why the ad does not belong into the dataset")


def clean_text(text: str) -> str:
    """The text as every database can keep it: NUL, other controls and lone surrogates as the replacement character."""
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs") else "\ufffd"
        for character in text.replace("\r\n", "\n").strip()
    )


def _tidy(payload: Vote | Flag | Ruling | Remark, name: str, limit: int) -> None:
    text: str = getattr(payload, name)
    if len(text) > limit:
        raise SubmissionError(f"the {name} has {len(text):,} characters; at most {limit:,} are kept, so shorten it")
    object.__setattr__(payload, name, clean_text(text))
