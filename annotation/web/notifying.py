"""Messages that a discussion waits: to a webhook and by e-mail, if the settings say where; never what was said in it.

They are sent by a thread of their own, so that nobody's request waits for a mail server, and nothing is tried twice:
what cannot be sent is logged. Somebody who has not read a discussion yet is not told of it again.
"""

from __future__ import annotations

import logging
import queue
import smtplib
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Literal

import httpx
from pydantic import SecretStr

from annotation.events import Event
from annotation.store import Store
from annotation.store.people import Person
from annotation.threads import newly_unread

log = logging.getLogger("ytb_ads")

_TIMEOUT_S = 15.0
_WAITING = 1_000
"""Messages that wait to be sent at most; a mail server that hangs must not fill the memory."""
_REMEMBERED = 1_000
"""Submissions remembered, so that one that is sent again tells nobody twice."""
_END_S = 5.0


@dataclass(frozen=True)
class Channels:
    """Channels of messages; the defaults send none."""

    webhook: SecretStr | None = None
    """Address that takes `{"text": ...}` by POST, as Slack, Mattermost and many others do."""
    mail_host: str = ""
    mail_port: int = 587
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    mail_user: str = ""
    mail_password: SecretStr | None = None
    mail_from: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Addresses by people's names; whoever has none gets no mail."""

    @property
    def any(self) -> bool:
        """There is somewhere to send to."""
        return self.webhook is not None or bool(self.mail_host and self.addresses)


class Notifier:
    """Tells people that a discussion waits for them.

    Args:
        store: where the discussions are.
        channels: where messages go.
        url: address of the page.
    """

    def __init__(self, store: Store, channels: Channels, url: str) -> None:
        self._store, self._channels, self._url = store, channels, url
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(_WAITING)
        self._told: OrderedDict[str, None] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        if channels.webhook is not None:
            # at level INFO it writes every address that it calls, and this one is a secret
            logging.getLogger("httpx").setLevel(logging.WARNING)

    def said(self, round_id: int, entry_id: str, key: str) -> None:
        """Something was said in a discussion, or has begun one: tell whom it concerns, later.

        Args:
            round_id: of which round.
            entry_id: of which ad.
            key: of the submission that said it.
        """
        if not self._channels.any:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
                self._thread.start()
            if key in self._told:
                return
            self._told[key] = None
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        try:
            self._waiting.put_nowait(lambda: self._tell(round_id, entry_id, key))
        except queue.Full:
            log.warning("a message that a discussion waits is not sent: %d wait already", _WAITING)

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        if self._thread is not None and self._thread.is_alive():
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(_END_S)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, later messages are sent
                log.warning("a message that a discussion waits was not sent (%s)", type(error).__name__)

    def _tell(self, round_id: int, entry_id: str, key: str) -> None:
        people = self._whom(round_id, entry_id, key)
        if not people:
            return
        address = f"{self._url}/discussion/{entry_id}"
        if self._channels.webhook is not None:
            self._attempt("webhook", lambda: self._call(address, len(people)))
        mailed = {person.name.casefold() for person in people}
        to = [each for name, each in self._channels.addresses.items() if name.casefold() in mailed]
        if self._channels.mail_host and to:
            self._attempt("mail server", lambda: self._mail(address, to))

    def _whom(self, round_id: int, entry_id: str, key: str) -> list[Person]:
        """Those for whom the discussion has become unread by what was submitted under this key."""
        now = datetime.now(UTC)
        people = [each for each in self._store.people.all() if each.may_enter(now) and each.role != "admin"]
        with self._store.ledger.reading(round_id) as book:
            rule, events = book.rule, _until(book.events.get(entry_id, []), key)
        seen = {each.id: self._store.read_marks.of(each.id, round_id).get(entry_id, 0) for each in people}
        return newly_unread(events, rule, people, seen) if events else []

    def _attempt(self, place: str, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:  # noqa: BLE001 - the other channel may work; its text may hold an address or a secret
            status = getattr(getattr(error, "response", None), "status_code", getattr(error, "smtp_code", ""))
            log.warning("the %s took no message that a discussion waits (%s %s)", place, type(error).__name__, status)

    def _call(self, address: str, count: int) -> None:
        assert self._channels.webhook is not None  # noqa: S101 - asked before
        text = f"YTB-ADS: a discussion waits for {count} {'person' if count == 1 else 'people'}: {address}"
        answer = httpx.post(self._channels.webhook.get_secret_value(), json={"text": text}, timeout=_TIMEOUT_S)
        answer.raise_for_status()

    def _mail(self, address: str, to: Sequence[str]) -> None:
        made = self._channels
        with _connected(made) as server:
            if made.mail_user:
                server.login(made.mail_user, made.mail_password.get_secret_value() if made.mail_password else "")
            for each in to:  # one by one: addresses are nobody else's business
                mail = EmailMessage()
                mail["Subject"] = "YTB-ADS: a discussion waits for you"
                mail["From"], mail["To"] = made.mail_from, each
                mail.set_content(f"Somebody has said something that you have not read yet:\n\n{address}\n")
                server.send_message(mail)


def _connected(made: Channels) -> smtplib.SMTP:
    """A mail server; its certificate is checked, which smtplib does not do by itself."""
    if made.mail_security == "tls":
        return smtplib.SMTP_SSL(
            made.mail_host, made.mail_port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )
    server = smtplib.SMTP(made.mail_host, made.mail_port, timeout=_TIMEOUT_S)
    if made.mail_security == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def _until(events: Sequence[Event], key: str) -> list[Event]:
    """The events up to the one submitted under this key; none if it is not there."""
    place = next((number for number, event in enumerate(events, 1) if event.key == key), 0)
    return list(events[:place])
