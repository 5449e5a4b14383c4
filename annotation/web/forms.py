"""Parts that the reviewer's, the verifier's and the discussion's routes share: forms, desks, and guards of a round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from annotation.desks import Desk, NamedVote, Position, ReviewerDesk, ShownEntry, VerifierDesk
from annotation.errors import NotPossibleError, RoundClosedError, WithdrawnError
from annotation.events import Choice, FlagReason, Vote
from annotation.protocol import State
from annotation.store import Receipt
from annotation.web.content import Content
from annotation.web.pages import guidelines_of, page
from annotation.web.sessions import Session
from annotation.web.state import Web
from annotation.web.texts import to_translate

RoundId = Annotated[int, Field(ge=1, le=2**31 - 1)]

STATES: dict[State, str] = {
    "open": to_translate("has no vote yet"),
    "voted": to_translate("waits for votes"),
    "agreed": to_translate("reviewers agree"),
    "needs_verifier": to_translate("waits for a verifier"),
    "verified": to_translate("decided by a verifier"),
    "in_discussion": to_translate("in discussion"),
    "settled": to_translate("settled by discussion"),
    "excluded": to_translate("excluded"),
}
"""An entry's states in words."""


FLAGS: dict[FlagReason, str] = {
    "not_an_ad": to_translate("Not an ad"),
    "cannot_be_judged": to_translate("Cannot be judged"),
    "broken_picture": to_translate("Broken picture"),
}
"""Flag reasons in words."""


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{at}: in UTC this is outside the calendar") from error


class Submitted(BaseModel):
    """The fields of every submission."""

    model_config = ConfigDict(extra="forbid")

    round: RoundId
    entry_id: str = Field(max_length=64)
    key: str = Field(max_length=64)
    shown_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]

    def told(self) -> dict[str, Any]:
        """The arguments that every act of a desk takes.

        A clock that is ahead cannot say that the entry was shown later than now.
        """
        return {"entry_id": self.entry_id, "key": self.key, "shown_at": min(self.shown_at, datetime.now(UTC))}


class SubmittedVote(Submitted):
    """A judgement."""

    choice: str = Field(max_length=20)
    note: str = ""
    excluded_frames: list[Annotated[str, Field(max_length=300)]] = Field(default=[], max_length=100)


class SubmittedNote(Submitted):
    """Another note beside a judgement."""

    note: str = ""


class SubmittedFlag(Submitted):
    """A flag on an ad."""

    reason: str = Field(max_length=20)
    remark: str = ""


class SubmittedMessage(Submitted):
    """A message in a discussion."""

    text: str


class SubmittedStance(Submitted):
    """A stance in a discussion."""

    choice: str = Field(max_length=20)


class SubmittedMark(BaseModel):
    """Read position of a person in a discussion."""

    model_config = ConfigDict(extra="forbid")

    round: RoundId
    entry_id: str = Field(max_length=64)
    said: int = Field(ge=0, le=2**31 - 1)


class Seen(Submitted):
    """A submission that rests on the entry as it was shown."""

    seen: int = Field(ge=0, le=2**63 - 1)

    def told(self) -> dict[str, Any]:
        """The arguments that every act of a verifier takes."""
        return {**super().told(), "seen": self.seen}


class SubmittedRuling(Seen):
    """A label."""

    label: str = Field(max_length=20)
    note: str = ""


class SubmittedRemark(Seen):
    """The reason why an entry goes into the discussion, or out of the dataset."""

    text: str = ""


@dataclass(frozen=True)
class ShownVote:
    """A vote as a verifier reads it."""

    name: str
    choice: Choice
    note: str
    left_out: tuple[int, ...]
    """Numbers of the frames that the reviewer would leave out."""


@dataclass(frozen=True)
class ShownPosition:
    """Position of a person in a discussion, as its readers see it."""

    position: Position
    left_out: tuple[int, ...]
    """Numbers of the frames that they would leave out."""


def reviewer_desk(web: Web, session: Session, round_id: int) -> ReviewerDesk:
    """The desk of a reviewer who is logged in."""
    return ReviewerDesk(web.store, session.person, round_id, guidelines_of(web.store.ledger.options(round_id)).version)


def verifier_desk(web: Web, session: Session, round_id: int) -> VerifierDesk:
    """The desk of a verifier who is logged in."""
    return VerifierDesk(web.store, session.person, round_id, guidelines_of(web.store.ledger.options(round_id)).version)


def own_desk(web: Web, session: Session, round_id: int) -> Desk:
    """The desk of whoever takes part in discussions."""
    return (verifier_desk if session.person.role == "verifier" else reviewer_desk)(web, session, round_id)


def content_of(web: Web, entry: ShownEntry) -> Content:
    """The content of an entry, as far as its round shows it."""
    content = web.contents.of(entry.video_id, entry.frame_ids, entry.comment_ids)
    if not entry.options.show_video:
        return replace(content, film=None, address="")
    if content.film is None:
        return content
    url = f"/videos/{entry.entry_id}?round={entry.round_id}&v={content.film.sha256[:16]}"
    return replace(content, video_url=url)


def shown_votes(votes: tuple[NamedVote, ...], content: Content) -> list[ShownVote]:
    """The votes with the numbers of the frames they would leave out."""
    return [ShownVote(each.name, each.vote.choice, each.vote.note, _left_out(each.vote, content)) for each in votes]


def shown_position(position: Position, content: Content) -> ShownPosition:
    """A position with the numbers of the frames that its vote would leave out."""
    return ShownPosition(position, _left_out(position.vote, content) if position.vote else ())


def _left_out(vote: Vote, content: Content) -> tuple[int, ...]:
    numbers = {frame.frame_id: frame.number for frame in content.frames}
    return tuple(sorted(numbers[frame] for frame in vote.excluded_frames if frame in numbers))


def saved(receipt: Receipt) -> dict[str, Any]:
    """The answer to a submission: it is on the disk."""
    return {"saved_at": receipt.submitted_at.isoformat()}


def saved_and_told(web: Web, given: Submitted, receipt: Receipt) -> dict[str, Any]:
    """The answer to what may have begun or continued a discussion; those for whom it waits are told of it, later."""
    web.notifier.said(given.round, given.entry_id, given.key)
    return saved(receipt)


def blind(error: NotPossibleError, text: str) -> NotPossibleError:
    """The refusal without the entry's state, which would say something about the others."""
    return error if isinstance(error, RoundClosedError | WithdrawnError) else NotPossibleError(text)


def require_open(web: Web, round_id: int) -> None:
    """Tell a page that was opened before its round was closed.

    Raises:
        RoundClosedError: it was.
    """
    if not web.store.rounds.get(round_id).is_open:
        raise RoundClosedError(f"round {round_id} is closed; nothing in it changes any more")


def in_round(web: Web, round_id: int, entry_id: str) -> bool:
    """Tell whether the round has an entry of that id."""
    try:
        web.store.ledger.entry(round_id, entry_id)
    except NotPossibleError:
        return False
    return True


def of_another_round(
    request: Request, link: tuple[str, str] = ("/discussion", to_translate("All discussions"))
) -> Response:
    """The page for somebody who kept the address of an ad for longer than its round lasted."""
    return page(
        request,
        "message.html",
        status=404,
        title=to_translate("This ad is not in the present round"),
        text=to_translate("It belongs to a round that is over, or was taken out of the dataset."),
        link=link,
    )
