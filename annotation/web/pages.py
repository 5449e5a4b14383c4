"""Pages made from templates, and the guidelines that people judge by."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from babel.dates import format_datetime
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from annotation.desks import ReviewerDesk, VerifierDesk
from annotation.errors import StoreError
from annotation.protocol import Role
from annotation.rounds import RoundOptions
from annotation.untrusted import bdi, isolated
from annotation.web.assets import Assets
from annotation.web.sessions import Session
from annotation.web.texts import LANGUAGES, Names, script_texts, texts, to_translate

FOLDER = Path(__file__).parent
ASSETS = Assets(FOLDER / "static")
HOMES: dict[Role, str] = {"reviewer": "/review", "verifier": "/verify", "admin": "/dashboard"}
"""Start page of each role."""
NAVIGATION: dict[Role, tuple[tuple[str, str], ...]] = {
    "reviewer": (
        ("/review", to_translate("Review")),
        ("/mine", to_translate("My judgements")),
        ("/discussion", to_translate("Discussion")),
    ),
    "verifier": (("/verify", "Verify"), ("/discussion", "Discussion"), ("/dashboard", "Dashboard")),
    "admin": (("/dashboard", "Dashboard"),),
}
"""Addresses and titles in the head of each role's pages."""


@dataclass(frozen=True)
class Guidelines:
    """A text in Markdown and the name of this very text."""

    text: str
    version: str
    """`sha256:` and the first 16 digits of the text's digest: another word, another version."""

    @cached_property
    def html(self) -> str:
        """The text as HTML; what is markup in it already is escaped."""
        from markdown_it import MarkdownIt

        return MarkdownIt("commonmark", {"html": False}).enable("table").render(self.text)


@lru_cache(maxsize=8)
def guidelines_of(options: RoundOptions) -> Guidelines:
    """A round's guidelines: its own, or the project's in its language."""
    text = options.guidelines or own_guidelines(options.language)
    return Guidelines(text, f"sha256:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}")


def own_guidelines(language: str) -> str:
    """The project's guidelines in a language; in English where there are none."""
    path = FOLDER.parent / f"guidelines.{language}.md"
    return (path if path.exists() else FOLDER.parent / "guidelines.md").read_text("utf-8")


def language_of(request: Request) -> str:
    """The language of a page: the round's for reviewers, and before somebody has logged in; else English."""
    session: Session | None = getattr(request.state, "session", None)
    options = _options(request)
    if options is None or (session is not None and session.person.role != "reviewer"):
        return "en"
    return options.language if options.language in LANGUAGES else "en"


def _options(request: Request) -> RoundOptions | None:
    """Of the open round, or of the newest."""
    rounds = request.app.state.web.store.rounds
    try:
        shown = rounds.current() or next(reversed(rounds.all()), None)
    except StoreError:
        return None  # the page that says so must not fail as well
    return shown.options if shown else None


@lru_cache
def environment(language: str = "en", names: Names = ()) -> Environment:
    """Jinja as all pages use it: everything is escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["static"] = ASSETS.address
    said = texts(language, names)
    made.install_gettext_translations(said, newstyle=True)  # type: ignore[attr-defined]  # the extension's
    made.filters.update(
        untrusted=bdi,
        untrusted_attribute=isolated,
        duration=duration,
        translated=said.gettext,  # unlike `_`, whose texts are the program's own, this does not vouch for what it says
        upper_first=lambda text: text[:1].upper() + text[1:],
        moment=lambda at: f"{format_datetime(at, 'd MMM, HH:mm', locale=language)} UTC",
    )
    return made


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A template as an answer; `session` (or None), `path`, `navigation` and `now` are there in each.

    So are `n_discussed`, the ads being discussed, and `n_unread`, the discussions in which somebody has said something
    since one looked, which the head of the page says.

    Args:
        request: what is answered.
        template: file name.
        status: of the answer.
        **values: what the template asks for besides.
    """
    session: Session | None = getattr(request.state, "session", None)
    language, options = language_of(request), _options(request)
    names = options.choice_names if options else ()
    values = {
        "session": session,
        "path": request.url.path,
        "navigation": NAVIGATION[session.person.role] if session else (),
        "now": datetime.now(UTC),
        "language": language,
        "script_texts": script_texts(language, names),
        **({} if "n_unread" in values else _discussions(request, session)),
        **values,
    }
    text: str = environment(language, names).get_template(template).render(values)
    # untrusted texts were made harmless; a lone surrogate from elsewhere must not break the page
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=status)


def _discussions(request: Request, session: Session | None) -> dict[str, int]:
    """Counts of discussions, for the head of a page, in the open round or else in the newest one."""
    nothing = {"n_discussed": 0, "n_unread": 0}
    if session is None or session.person.role == "admin":
        return nothing
    store = request.app.state.web.store
    try:
        rounds = store.rounds.all()
        if not rounds:
            return nothing
        shown = next((each for each in rounds if each.is_open), rounds[-1])
        own = (VerifierDesk if session.person.role == "verifier" else ReviewerDesk)(store, session.person, shown.id, "")
        return {"n_discussed": own.count_discussions() if shown.is_open else 0, "n_unread": own.count_unread()}
    except StoreError:
        return nothing  # the page that says so must not fail as well


def duration(seconds: float) -> str:
    """A length of time as people say it: under 1 s, 45 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else to_translate("under 1 s")
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
