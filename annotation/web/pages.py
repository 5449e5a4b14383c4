"""Pages made from templates, and the guidelines that people judge by."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from annotation.protocol import Role
from annotation.untrusted import bdi, isolated
from annotation.web.sessions import Session

FOLDER = Path(__file__).parent
GUIDELINES = FOLDER.parent / "guidelines.md"
HOMES: dict[Role, str] = {"reviewer": "/review", "verifier": "/verify", "admin": "/dashboard"}
"""Where each role's work begins."""
NAVIGATION: dict[Role, tuple[tuple[str, str], ...]] = {
    "reviewer": (("/review", "Review"), ("/mine", "My judgements"), ("/discussion", "Discussion")),
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

    def html(self) -> str:
        """The text as HTML; what is markup in it already is escaped."""
        from markdown_it import MarkdownIt

        return MarkdownIt("commonmark", {"html": False}).enable("table").render(self.text)


def read_guidelines(path: Path = GUIDELINES) -> Guidelines:
    """The guidelines in a file; the project's own if none is named."""
    text = path.read_text("utf-8")
    return Guidelines(text, f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}")


def environment() -> Environment:
    """Jinja as all pages use it: everything is escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_null_translations(newstyle=True)  # type: ignore[attr-defined]  # the extension brings it
    made.filters.update(untrusted=bdi, untrusted_attribute=isolated, duration=duration)
    return made


def page(
    request: Request, template: str, *, status: int = 200, n_discussed: int = 0, n_unread: int = 0, **values: Any
) -> HTMLResponse:
    """A template as an answer; `session` (or None), `path`, `navigation` and `now` are there in each.

    Args:
        request: what is answered.
        template: file name.
        status: of the answer.
        n_discussed: how many ads are being discussed; the head of the page says so if there are any.
        n_unread: in how many discussions somebody has said something since one looked.
        **values: what the template asks for besides.
    """
    session: Session | None = getattr(request.state, "session", None)
    values = {
        "session": session,
        "path": request.url.path,
        "navigation": NAVIGATION[session.person.role] if session else (),
        "now": datetime.now(UTC),
        "n_discussed": n_discussed,
        "n_unread": n_unread,
        **values,
    }
    text: str = request.app.state.web.templates.get_template(template).render(values)
    # untrusted texts were made harmless; a lone surrogate from elsewhere must not break the page
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=status)


def duration(seconds: float) -> str:
    """A length of time as people say it: under 1 s, 45 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
