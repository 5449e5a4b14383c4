"""Preparation before judging: the guidelines under /guidelines, then the examples of the training under /training."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from annotation.desks import ShownEntry
from annotation.errors import NotPossibleError
from annotation.events import MAX_NOTE
from annotation.rounds import Entry, order_for
from annotation.store.round_store import Round
from annotation.training import Standing
from annotation.web.forms import RoundId, content_of
from annotation.web.pages import guidelines_of, page
from annotation.web.sessions import Reviewer, Session
from annotation.web.state import Server, Web
from annotation.web.texts import texts, to_translate

router = APIRouter()


class Read(BaseModel):
    """The guidelines of a version were read."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=80)


class Answered(BaseModel):
    """An answer to an example."""

    model_config = ConfigDict(extra="forbid")

    round: RoundId
    entry_id: str = Field(max_length=64)
    attempt: int = Field(ge=1, le=10_000)
    choice: str = Field(max_length=20)


def missing_step(web: Web, session: Session, round_: Round) -> str | None:
    """Address of what a reviewer has to do before they judge; None: nothing."""
    version = guidelines_of(round_.options).version
    if not web.store.preparation.has_acknowledged(session.person.id, version):
        return "/guidelines"
    passed = web.store.preparation.standing(round_.id, session.person.id, round_.options).passed
    return None if passed else "/training"


def require_prepared(web: Web, session: Session, round_id: int) -> None:
    """Refuse the judgement of somebody who has not read the guidelines or not passed the training.

    Raises:
        NotPossibleError: they have not.
    """
    if missing_step(web, session, web.store.rounds.get(round_id)) is not None:
        raise NotPossibleError(to_translate("Read the guidelines and finish the training first; this was not saved."))


@router.get("/guidelines")
def guidelines(request: Request, session: Reviewer, web: Server) -> Response:
    """The guidelines of the open round."""
    current = web.store.rounds.current()
    if current is None:
        return RedirectResponse("/review", status_code=303)
    text = guidelines_of(current.options)
    known = web.store.preparation.has_acknowledged(session.person.id, text.version)
    return page(request, "guidelines.html", guidelines=text, known=known, question=current.options.question)


@router.post("/guidelines")
def acknowledge(given: Read, session: Reviewer, web: Server) -> dict[str, Any]:
    """Keep that they were read; of another version than the present one it says nothing, and the page comes again."""
    web.store.preparation.acknowledge(session.person.id, given.version)
    return {"to": "/review"}


@router.get("/training")
def training(request: Request, session: Reviewer, web: Server, again: bool = False) -> Response:
    """The example that comes next, or what came of it."""
    current = web.store.rounds.current()
    if current is None:
        return RedirectResponse("/review", status_code=303)
    own = web.store.preparation.standing(current.id, session.person.id, current.options)
    if own.total == 0:
        return RedirectResponse("/review", status_code=303)
    examples = {example.id: example for example in web.store.preparation.examples(current.id)}
    example_id, attempt = own.next_id, own.attempt
    if example_id is None and again and not own.passed:
        attempt += 1
        example_id = order_for(f"{session.person.id}:{attempt}", current.id, examples.values())[0]
    entry = _shown(current, examples[example_id]) if example_id else None
    return page(
        request,
        "training.html",
        round=current.id,
        options=current.options,
        standing=own,
        attempt=attempt,
        number=own.answered + 1 if attempt == own.attempt else 1,
        entry=entry,
        content=content_of(web, entry) if entry else None,
        guidelines=guidelines_of(current.options),
        max_note=MAX_NOTE,
    )


@router.post("/training/answer")
def answer(given: Answered, session: Reviewer, web: Server) -> dict[str, Any]:
    """Keep an answer, and say whether it is right."""
    round_ = web.store.rounds.get(given.round)
    preparation = web.store.preparation
    counts = preparation.answer(
        round_.id,
        session.person.id,
        given.entry_id,
        given.attempt,
        given.choice,  # type: ignore[arg-type]  # it is checked there
        round_.options,
    )
    known = next(example.known for example in preparation.examples(round_.id) if example.id == given.entry_id)
    own = preparation.standing(round_.id, session.person.id, round_.options)
    return {"right": counts == known, "text": _feedback(round_, str(known), counts, own)}


def _feedback(round_: Round, known: str, choice: str, own: Standing) -> str:
    _ = texts(round_.options.language, round_.options.choice_names).gettext
    verdict = _("Right.") if choice == known else _("You said %(choice)s; the answer is %(known)s.")
    count = _("%(right)s of %(answered)s right so far.")
    values = {"choice": _(choice), "known": _(known), "right": own.right, "answered": own.answered}
    return f"{verdict} {count}" % values


def _shown(round_: Round, example: Entry) -> ShownEntry:
    return ShownEntry(round_.id, round_.options, example.id, example.video_id, example.frame_ids, example.comment_ids)
