"""The reviewer's page under /review: one ad at a time, judged blind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from annotation.errors import NotPossibleError, RoundClosedError, WithdrawnError
from annotation.events import MAX_NOTE, Vote
from annotation.reviewing import Progress, ReviewerDesk, ReviewerEntry
from annotation.web.access import Reviewer, Session
from annotation.web.pages import duration, page
from annotation.web.state import Web, web_of

router = APIRouter(prefix="/review")

_WEB = Depends(web_of)
_RoundId = Annotated[int, Field(ge=1, le=2**31 - 1)]
_HELD = 60
"""Entries that a page may hold at once: those it shows, and votes that wait for a connection."""


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{at}: in UTC this is outside the calendar") from error


class Submitted(BaseModel):
    """What every submission of a page says."""

    model_config = ConfigDict(extra="forbid")

    round: _RoundId
    entry_id: str = Field(max_length=64)
    key: str = Field(max_length=64)
    shown_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]

    @property
    def shown(self) -> datetime:
        """When the entry was shown; a clock that is ahead cannot say later than now."""
        return min(self.shown_at, datetime.now(UTC))


class SubmittedVote(Submitted):
    """A judgement."""

    choice: str = Field(max_length=20)
    note: str = ""
    excluded_frames: list[Annotated[str, Field(max_length=300)]] = Field(default=[], max_length=100)


@router.get("")
def show(request: Request, session: Reviewer, web: Web = _WEB) -> Response:
    """The page: the entry to judge, and the next one behind it."""
    current = web.store.rounds.current()
    if current is None:
        text = "No round is open. When the next one begins, this page shows its first ad."
        return page(request, "message.html", title="Nothing to review", text=text, link=("/review", "Look again"))
    desk = _desk(web, session, current.id)
    return page(
        request,
        "review.html",
        round=current.id,
        entries=[_shown(web, entry) for entry in desk.upcoming(2)],
        progress=_progress(desk.progress()),
        last_judged=desk.last_judged(),
        guidelines=web.guidelines,
        max_note=MAX_NOTE,
        n_discussed=desk.count_discussions(),
    )


@router.get("/next")
def following(
    request: Request,
    session: Reviewer,
    round: _RoundId,
    held: Annotated[list[str], Query(max_length=_HELD)] = [],  # noqa: B006 - FastAPI copies it
    web: Web = _WEB,
) -> Response:
    """The next entry that the page does not hold yet; 204 when there is none."""
    require_open(web, round)
    upcoming = _desk(web, session, round).upcoming(len(held) + 1)
    entry = next((each for each in upcoming if each.entry_id not in held), None)
    return Response(status_code=204) if entry is None else _fragment(request, web, entry)


@router.get("/entries/{entry_id}")
def again(request: Request, entry_id: str, round: _RoundId, session: Reviewer, web: Web = _WEB) -> Response:
    """One entry, judged or not: what an undo goes back to."""
    return _fragment(request, web, _desk(web, session, round).entry(entry_id))


@router.post("/vote")
def vote(given: SubmittedVote, session: Reviewer, web: Web = _WEB) -> dict[str, Any]:
    """Save a judgement; once this answers, it is saved."""
    judged = Vote(given.choice, given.note, tuple(given.excluded_frames))  # type: ignore[arg-type]  # it checks itself
    desk = _desk(web, session, given.round)
    try:
        receipt = desk.vote(given.entry_id, judged, key=given.key, shown_at=given.shown)
    except NotPossibleError as error:
        raise _blind(error, "this ad does not take your judgement any more; yours was not saved") from error
    return _saved(desk, receipt.submitted_at)


@router.post("/undo")
def undo(given: Submitted, session: Reviewer, web: Web = _WEB) -> dict[str, Any]:
    """Take back one's judgement of an entry."""
    desk = _desk(web, session, given.round)
    try:
        receipt = desk.undo(given.entry_id, key=given.key, shown_at=given.shown)
    except NotPossibleError as error:
        raise _blind(error, "this cannot be taken back any more; your judgement stands") from error
    remaining = desk.entry(given.entry_id).vote
    return {**_saved(desk, receipt.submitted_at), "choice": remaining.choice if remaining else None}


def require_open(web: Web, round_id: int) -> None:
    """Tell a page that was opened before its round was closed.

    Raises:
        RoundClosedError: it was.
    """
    if not web.store.rounds.get(round_id).is_open:
        raise RoundClosedError(f"round {round_id} is closed; nothing in it changes any more")


def _desk(web: Web, session: Session, round_id: int) -> ReviewerDesk:
    return ReviewerDesk(web.store, session.person, round_id, web.guidelines.version)


def _blind(error: NotPossibleError, text: str) -> NotPossibleError:
    """The refusal without the entry's state, which would say something about the others."""
    return error if isinstance(error, RoundClosedError | WithdrawnError) else NotPossibleError(text)


def _shown(web: Web, entry: ReviewerEntry) -> dict[str, Any]:
    return {"entry": entry, "content": web.contents.of(entry.video_id, entry.frame_ids, entry.comment_ids)}


def _fragment(request: Request, web: Web, entry: ReviewerEntry) -> Response:
    return page(request, "entry.html", behind=True, **_shown(web, entry))


def _saved(desk: ReviewerDesk, at: datetime) -> dict[str, Any]:
    return {
        "saved_at": at.isoformat(),
        "last_judged": desk.last_judged(),
        "progress": _progress(desk.progress()),
        "discussed": desk.count_discussions(),
    }


def _progress(progress: Progress) -> dict[str, Any]:
    left = progress.total - progress.done
    pace = ""
    if progress.median_s is not None:
        pace = f"{duration(progress.median_s)} an ad"
        if left:
            pace += f", about {duration(max(1.0, progress.median_s * left))} to go"
    return {"done": progress.done, "total": progress.total, "pace": pace}
