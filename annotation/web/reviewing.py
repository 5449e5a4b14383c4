"""The reviewer's page under /review: one ad at a time, judged blind."""

from __future__ import annotations

from typing import Annotated, Any

from babel.dates import format_date
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from annotation.desks import Progress, ReviewerDesk, ReviewerEntry
from annotation.errors import NotPossibleError
from annotation.events import MAX_NOTE, Vote
from annotation.store import Receipt
from annotation.web.forms import (
    FLAGS,
    RoundId,
    Submitted,
    SubmittedVote,
    blind,
    content_of,
    in_round,
    of_another_round,
    require_open,
    reviewer_desk,
    saved,
)
from annotation.web.pages import duration, guidelines_of, page
from annotation.web.preparing import missing_step, require_prepared
from annotation.web.sessions import Reviewer
from annotation.web.state import Server, Web
from annotation.web.texts import texts, to_translate

router = APIRouter(prefix="/review")

_HELD = 80
"""Entries that a page may hold at once: those it shows, and votes that wait for a connection."""


@router.get("")
def show(
    request: Request, session: Reviewer, web: Server, entry: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """The page: the entry that is asked for or the next to judge, and the one after it behind."""
    current = web.store.rounds.current()
    if current is None:
        text = to_translate("No round is open. When the next one begins, this page shows its first ad.")
        title, link = to_translate("Nothing to review"), ("/review", to_translate("Look again"))
        return page(request, "message.html", title=title, text=text, link=link)
    if (step := missing_step(web, session, current)) is not None:
        return RedirectResponse(step, status_code=303)
    desk = reviewer_desk(web, session, current.id)
    if entry and not in_round(web, current.id, entry):
        return of_another_round(request, ("/mine", to_translate("My judgements")))
    shown = [desk.entry(entry)] if entry else []
    shown += [each for each in desk.upcoming(2) if each.entry_id != entry]
    return page(
        request,
        "review.html",
        round=current.id,
        options=current.options,
        entries=[_shown(web, each) for each in shown[:2]],
        progress=_progress(desk.progress(), current.options.language),
        last_judged=desk.last_judged(),
        guidelines=guidelines_of(current.options),
        max_note=MAX_NOTE,
        flag_texts=FLAGS,
    )


@router.get("/next")
def following(
    request: Request,
    session: Reviewer,
    round: RoundId,
    web: Server,
    held: Annotated[list[str], Query(max_length=_HELD)] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """The next entry that the page does not hold yet; 204 when there is none."""
    require_open(web, round)
    upcoming = reviewer_desk(web, session, round).upcoming(len(held) + 1)
    entry = next((each for each in upcoming if each.entry_id not in held), None)
    return Response(status_code=204) if entry is None else _fragment(request, web, entry)


@router.get("/entries/{entry_id}")
def again(request: Request, entry_id: str, round: RoundId, session: Reviewer, web: Server) -> Response:
    """One entry, judged or not: what an undo goes back to."""
    return _fragment(request, web, reviewer_desk(web, session, round).entry(entry_id))


@router.post("/vote")
def vote(given: SubmittedVote, session: Reviewer, web: Server) -> dict[str, Any]:
    """Save a judgement; once this answers, it is saved."""
    judged = Vote(given.choice, given.note, tuple(given.excluded_frames))  # type: ignore[arg-type]  # it checks itself
    require_prepared(web, session, given.round)
    desk = reviewer_desk(web, session, given.round)
    try:
        return _saved(web, desk, desk.vote(vote=judged, **given.told()), given.round)
    except NotPossibleError as error:
        text = to_translate("This ad does not take your judgement any more; yours was not saved.")
        raise blind(error, text) from error


@router.post("/undo")
def undo(given: Submitted, session: Reviewer, web: Server) -> dict[str, Any]:
    """Take back one's judgement of an entry."""
    desk = reviewer_desk(web, session, given.round)
    try:
        receipt = desk.undo(**given.told())
    except NotPossibleError as error:
        raise blind(error, to_translate("This cannot be taken back any more; your judgement stands.")) from error
    remaining = desk.entry(given.entry_id).vote
    return {**_saved(web, desk, receipt, given.round), "choice": remaining.choice if remaining else None}


def _shown(web: Web, entry: ReviewerEntry) -> dict[str, Any]:
    return {"entry": entry, "content": content_of(web, entry)}


def _fragment(request: Request, web: Web, entry: ReviewerEntry) -> Response:
    # a piece of a page has no head
    return page(request, "entry.html", behind=True, n_discussed=0, n_unread=0, **_shown(web, entry))


def _saved(web: Web, desk: ReviewerDesk, receipt: Receipt, round_id: int) -> dict[str, Any]:
    return {
        **saved(receipt),
        "last_judged": desk.last_judged(),
        "progress": _progress(desk.progress(), web.store.ledger.options(round_id).language),
        "discussed": desk.count_discussions(),
        "unread": desk.count_unread(),
    }


def _progress(progress: Progress, language: str) -> dict[str, Any]:
    _ = texts(language).gettext
    left = progress.total - progress.done
    pace = ""
    deadline = ""
    if progress.deadline is not None:
        deadline = _("until %(day)s") % {"day": format_date(progress.deadline, "d MMM", language)}
    if progress.median_s is not None:
        pace = _("%(time)s an ad") % {"time": _(duration(progress.median_s))}
        if left:
            pace += _(", about %(time)s to go") % {"time": duration(max(1.0, progress.median_s * left))}
    return {"done": progress.done, "total": progress.total, "pace": pace, "deadline": deadline}
