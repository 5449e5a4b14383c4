"""Sessions: cookies, the token that every POST brings along, roles, failed logins.

A route that takes a `Session` (or `Reviewer`, `Verifier`, ...) is closed to everybody who is not logged in, and to
forged POSTs, by that alone. A session is a login of the store (`annotation/store/logins.py`): it ends when the
invitation is revoked or its link replaced, after hours without a request, after some days in any case, and at logging
out.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from annotation.errors import AccessError
from annotation.protocol import Role
from annotation.store.logins import Logins
from annotation.store.people import Person, require_role
from annotation.web.texts import to_translate

CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ADDRESSES = 10_000
"""Addresses remembered at once; the one quiet for longest is forgotten first."""


class ForgedError(AccessError):
    """A POST that no page of this session made; nothing was done."""


@dataclass(frozen=True)
class Session:
    """Somebody who is logged in."""

    person: Person
    token: str
    """The cookie's."""

    @property
    def csrf(self) -> str:
        """CSRF token that the session's pages send with every POST, in the header `X-CSRF-Token`."""
        return hmac.new(self.token.encode(), b"csrf", hashlib.sha256).hexdigest()


class Sessions:
    """Opens, reads and ends sessions.

    Args:
        logins: of the store.
        store: its name. Cookies are shared by all ports of a host: servers of two stores must not log each other's
            people out.
        keep_s: seconds after which a browser forgets the cookie.
        https: the cookie may only go over https, whatever scheme the request seems to have.
    """

    def __init__(self, logins: Logins, store: str, *, keep_s: int, https: bool) -> None:
        self._logins, self._keep_s, self._https = logins, keep_s, https
        self.cookie = f"ytb_ads_{hashlib.sha256(store.encode()).hexdigest()[:8]}"

    def begin(self, request: Request, response: Response, person: Person) -> None:
        """Log a person in; whoever was logged in on this device is not any more."""
        if before := request.cookies.get(self.cookie):
            self._logins.end(before)
        response.set_cookie(
            self.cookie,
            self._logins.begin(person),
            max_age=self._keep_s,
            httponly=True,
            samesite="strict",
            secure=self._https or request.url.scheme == "https",
        )

    def read(self, request: Request) -> Session:
        """The session of a request.

        Raises:
            AccessError: nobody is logged in, or the session is over.
        """
        token = request.cookies.get(self.cookie, "")
        return Session(self._logins.find(token), token)

    def end(self, response: Response, session: Session) -> None:
        """Log out."""
        self._logins.end(session.token)
        response.delete_cookie(self.cookie, httponly=True, samesite="strict")


def signed_in(request: Request) -> Session:
    """The session of this request.

    Raises:
        AccessError: nobody is logged in, or the session is over.
        ForgedError: a POST without the session's token.
    """
    sessions: Sessions = request.app.state.web.sessions
    try:
        session = sessions.read(request)
    except AccessError:
        raise AccessError(to_translate("Open your personal invitation link (again): it logs you in.")) from None
    if request.method not in _SAFE:
        refuse_other_sites(request)
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise ForgedError(to_translate("The page is older than your session: load it again."))
    request.state.session = session
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


def refuse_other_sites(request: Request) -> None:
    """Refuse what a browser says another site's page has sent.

    Raises:
        ForgedError: it does say so.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForgedError(to_translate("Another site's page has sent this; nothing was done."))
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise ForgedError(to_translate("Another site's page has sent this; nothing was done."))


class Attempts:
    """Counts failures per address over a sliding time; each process counts its own.

    Args:
        limit: failures within `window_s` that are put up with; what comes from there then is refused.
        window_s: seconds after which a failure is forgotten.
    """

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._window_s, self._clock = limit, window_s, clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def failed(self, address: str) -> float:
        """One more failure: seconds for which the address is refused, 0.0 while it is not.

        What is refused is not counted: an address that goes on trying is not kept out for longer.
        """
        with self._lock:
            recent = self._recent(address)
            if len(recent) >= self._limit:
                return recent[0] + self._window_s - self._clock()
            self._failures[address] = [*recent, self._clock()]
            self._failures.move_to_end(address)
            while len(self._failures) > _ADDRESSES:
                self._failures.popitem(last=False)
            return 0.0

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - self._window_s
        return [at for at in self._failures.get(address, []) if at > since]
