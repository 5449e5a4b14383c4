"""Who is asking: sessions in signed cookies, the token that every POST must bring along, and roles.

A route that takes a `Session` (or `Reviewer`, `Verifier`, ...) is closed to strangers, and to forged POSTs, by that
alone. A session is an invitation's person and link: it ends when either is revoked, when the link is replaced, after
hours without a request, and at logging out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from annotation.errors import AccessError
from annotation.protocol import Role
from annotation.store.people import People, Person, require_role

CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_RENEW_S = 60
"""A cookie older than that is written anew, so that the session's idle time begins again."""


class ForgedError(AccessError):
    """A POST that no page of this session made; nothing was done."""


@dataclass(frozen=True)
class Session:
    """Somebody who is logged in."""

    person: Person
    id: str
    csrf: str
    """What the session's pages send along with every POST, in the header `X-CSRF-Token`."""


class Sessions:
    """Opens, reads and ends sessions.

    Args:
        key: signs the cookies.
        people: of the store.
        idle_s: seconds without a request after which a session is over.
        https: the cookie may only go over https, whatever scheme the request seems to have.
    """

    def __init__(self, key: bytes, people: People, *, idle_s: float, https: bool) -> None:
        self._people, self._idle_s, self._https = people, idle_s, https
        self._serializer = URLSafeTimedSerializer(key, salt="ytb-ads.session", signer_kwargs={"digest_method": _sha256})
        self._csrf_key = hashlib.sha256(b"csrf" + key).digest()
        # cookies are shared by all ports of a host: two servers there must not log each other's people out
        self.cookie = f"ytb_ads_{hashlib.sha256(b'cookie' + key).hexdigest()[:8]}"
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, request: Request, response: Response, person: Person) -> None:
        """Log a person in."""
        self._write(request, response, person, secrets.token_urlsafe(12))

    def read(self, request: Request) -> tuple[Session, float] | None:
        """The session of a request and the age of its cookie in seconds; None for a stranger."""
        cookie = request.cookies.get(self.cookie, "")
        try:
            value, signed_at = self._serializer.loads(cookie, max_age=int(self._idle_s), return_timestamp=True)
            person = self._people.get(value["person"])
        except (BadSignature, AccessError):
            return None
        if not hmac.compare_digest(person.token_id, value["link"]) or value["id"] in self._ended:
            return None
        csrf = hmac.new(self._csrf_key, value["id"].encode(), hashlib.sha256).hexdigest()
        return Session(person, value["id"], csrf), time.time() - signed_at.timestamp()

    def renew(self, request: Request, session: Session, age_s: float) -> None:
        """Let the idle time begin again; `Guard` adds the cookie to whatever the answer will be."""
        if age_s > min(_RENEW_S, self._idle_s / 4):
            carrier = Response()
            self._write(request, carrier, session.person, session.id)
            request.state.cookie = carrier.headers["set-cookie"]

    def end(self, response: Response, session: Session) -> None:
        """Log out; a copy of the cookie does not work either, in this process."""
        now = time.monotonic()
        with self._lock:
            self._ended = {each: until for each, until in self._ended.items() if until > now}
            self._ended[session.id] = now + self._idle_s + 1
        response.delete_cookie(self.cookie, httponly=True, samesite="strict")

    def _write(self, request: Request, response: Response, person: Person, session_id: str) -> None:
        response.set_cookie(
            self.cookie,
            self._serializer.dumps({"person": person.id, "link": person.token_id, "id": session_id}),
            max_age=int(self._idle_s),
            httponly=True,
            samesite="strict",
            secure=self._https or request.url.scheme == "https",
        )


def signed_in(request: Request) -> Session:
    """The session of this request.

    Raises:
        AccessError: a stranger asks, or the session is over.
        ForgedError: a POST without the session's token.
    """
    sessions: Sessions = request.app.state.web.sessions
    found = sessions.read(request)
    if found is None:
        raise AccessError("open your personal invitation link (again): it logs you in")
    session, age_s = found
    if request.method not in _SAFE:
        refuse_other_sites(request)
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise ForgedError("the page is older than your session: load it again")
    request.state.session = session
    sessions.renew(request, session, age_s)
    return session


def role(*roles: Role) -> Callable[[Session], Session]:
    """A dependency: somebody who has one of these roles; the others are told that it is not theirs."""

    def with_role(session: Annotated[Session, Depends(signed_in)]) -> Session:
        require_role(session.person, *roles)
        return session

    return with_role


SignedIn = Annotated[Session, Depends(signed_in)]
Reviewer = Annotated[Session, Depends(role("reviewer"))]
Verifier = Annotated[Session, Depends(role("verifier"))]
Admin = Annotated[Session, Depends(role("admin"))]


def refuse_other_sites(request: Request) -> None:
    """Refuse what a browser says another site's page has sent.

    Raises:
        ForgedError: it does say so.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForgedError("another site's page has sent this; nothing was done")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise ForgedError("another site's page has sent this; nothing was done")


def _sha256(data: bytes = b"") -> Any:
    return hashlib.sha256(data)
