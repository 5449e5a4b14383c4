"""Sessions: signed cookies and the key that signs them, the token that every POST brings along, roles, failed logins.

A route that takes a `Session` (or `Reviewer`, `Verifier`, ...) is closed to everybody who is not logged in, and to
forged POSTs, by that alone. A session is an invitation's person and link: it ends when either is revoked, when the link
is replaced, after hours without a request, and at logging out.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from annotation.errors import AccessError, StoreError
from annotation.protocol import Role
from annotation.store.people import People, Person, require_role
from data_catalog.storage import place_of, working_folder

CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_RENEW_S = 60
"""A cookie older than that is written anew, so that the session's idle time begins again."""
_KEY_FILE = "session.key"
_KEY_BYTES = 32
_ADDRESSES = 10_000
"""Addresses remembered at once; the one quiet for longest is forgotten first."""


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
        """The session of a request and the age of its cookie in seconds; None without a valid one."""
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
        AccessError: nobody is logged in, or the session is over.
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


def default_secret_file(store: str, catalog: str) -> Path:
    """Beside the store's file; in the catalog's working folder where the store is a server."""
    if "://" not in store:
        return Path(store).expanduser().absolute().parent / _KEY_FILE
    return working_folder(place_of(catalog)) / "annotation" / _KEY_FILE


def read_secret(path: Path) -> bytes:
    """The key in that file; a new one where there is none.

    Raises:
        StoreError: the file cannot be written or read, is readable by others, or holds no key.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_key(path)
        mode = path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            raise StoreError(f"{path}: others may read this key (mode {mode:o}); remove it, and a new one is made")
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the key of the sessions cannot be kept here ({error.strerror})") from error
    if len(key) < _KEY_BYTES:
        raise StoreError(f"{path}: {len(key)} bytes are no key; remove the file, and a new one is made")
    return key


def _make_key(path: Path) -> None:
    """Write a key where there is none; of several processes one wins, and its key appears whole."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
