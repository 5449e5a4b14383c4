"""A reviewer's own judgements under /mine: found again, looked at, changed, noted and flagged.

The list holds what its reader did, and nothing of the others: neither which entries are settled, nor what is known of
them. An entry that takes no change any more is listed like all others, and says so when it is changed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from annotation.desks import OwnEntry
from annotation.errors import NotPossibleError
from annotation.events import CHOICES, MAX_NOTE, Choice, Flag, FlagReason
from annotation.web.forms import (
    FLAGS,
    Submitted,
    SubmittedFlag,
    SubmittedNote,
    blind,
    content_of,
    reviewer_desk,
    saved,
)
from annotation.web.pages import page
from annotation.web.sessions import Reviewer
from annotation.web.state import Server, Web
from annotation.web.texts import to_translate

router = APIRouter(prefix="/mine")

_LISTED = 40
"""Judgements on one page."""
_WORDS = 8
"""Words that are searched for; more find nothing that these do not."""


@router.get("")
def show(
    request: Request,
    session: Reviewer,
    web: Server,
    words: Annotated[str, Query(max_length=200)] = "",
    choice: Choice | Literal[""] = "",
    flag: FlagReason | Literal["", "any"] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> Response:
    """The list, of all judgements or of those that are looked for."""
    current = web.store.rounds.current()
    if current is None:
        text = to_translate("No round is open. Your judgements of the next one are listed here.")
        return page(request, "message.html", title=to_translate("No judgements"), text=text)
    desk = reviewer_desk(web, session, current.id)
    every = desk.own()
    found = [
        each
        for each in _that_say(web, every, words)
        if (not choice or (each.vote and each.vote.choice == choice)) and _flagged(each, flag)
    ]
    n_pages = max(1, -(-len(found) // _LISTED))
    number = min(number, n_pages)
    shown = found[(number - 1) * _LISTED : number * _LISTED]
    return page(
        request,
        "mine.html",
        round=current.id,
        entries=[(each, content_of(web, each)) for each in shown],
        n_all=len(every),
        n_found=len(found),
        number=number,
        n_pages=n_pages,
        asked={"words": words, "choice": choice, "flag": flag},
        choices=CHOICES,
        flag_texts=FLAGS,
        max_note=MAX_NOTE,
    )


@router.post("/note")
def note(given: SubmittedNote, session: Reviewer, web: Server) -> dict[str, Any]:
    """Give a judgement another note."""
    desk = reviewer_desk(web, session, given.round)
    try:
        return saved(desk.annotate(note=given.note, **given.told()))
    except NotPossibleError as error:
        raise blind(error, to_translate("This ad does not take your note any more; it was not saved.")) from error


@router.post("/flag")
def flag(given: SubmittedFlag, session: Reviewer, web: Server) -> dict[str, Any]:
    """Say that something is wrong with an ad."""
    said = Flag(given.reason, given.remark)  # type: ignore[arg-type]  # it checks itself
    try:
        return saved(reviewer_desk(web, session, given.round).flag(flag=said, **given.told()))
    except NotPossibleError as error:
        raise blind(error, to_translate("This ad takes no flag any more; yours was not saved.")) from error


@router.post("/unflag")
def unflag(given: Submitted, session: Reviewer, web: Server) -> dict[str, Any]:
    """Take one's flag back."""
    try:
        return saved(reviewer_desk(web, session, given.round).unflag(**given.told()))
    except NotPossibleError as error:
        raise blind(error, to_translate("This cannot be taken back any more; your flag stands.")) from error


def _flagged(entry: OwnEntry, wanted: str) -> bool:
    if not wanted:
        return True
    return entry.flag is not None and wanted in ("any", entry.flag.reason)


def _that_say(web: Web, entries: list[OwnEntry], wanted: str) -> list[OwnEntry]:
    """The entries in which every wanted word stands: on a frame, in the note, or in the flag's remark."""
    for word in wanted.split()[:_WORDS]:
        frames = web.contents.frames_with(word)
        entries = [
            each for each in entries if not frames.isdisjoint(each.frame_ids) or word.casefold() in _own_words(each)
        ]
    return entries


def _own_words(entry: OwnEntry) -> str:
    note, remark = entry.vote.note if entry.vote else "", entry.flag.remark if entry.flag else ""
    return f"{note}\n{remark}".casefold()
