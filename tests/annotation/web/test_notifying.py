"""Messages that a discussion waits: who gets them, what they say, and that nothing waits for them."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from annotation.web.notifying import Channels
from tests.annotation.web.round_builders import body, entry_ids, revision, vote
from tests.annotation.web.site_builder import Site, make_site


@dataclass
class Received:
    """What a server of the test was sent."""

    port: int = 0
    messages: list[str] = field(default_factory=list)


@contextmanager
def webhook(status: int = 200) -> Iterator[Received]:
    """A server that takes JSON by POST."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.messages.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler), received):
        yield received


@contextmanager
def mail_server() -> Iterator[Received]:
    """A mail server that takes everything."""
    received = Received()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                if line.upper().startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    received.messages.append(b"".join(lines).decode())
                self.wfile.write(b"250 ok\r\n")

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler), received):
        yield received


@contextmanager
def _serving(server: socketserver.TCPServer, received: Received) -> Iterator[None]:
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def wait_for(received: Received, count: int) -> None:
    until = time.monotonic() + 20
    while len(received.messages) < count:
        assert time.monotonic() < until, received.messages
        time.sleep(0.02)


def discuss_by_page(site: Site, entry_id: str) -> dict[str, object]:
    client = site.client("Verifier")
    given = body(entry_id, seen=revision(client, f"/verify?entry={entry_id}"), text="a telling remark")
    assert client.post("/verify/discuss", json=given).status_code == 200
    assert client.post("/verify/discuss", json=given).status_code == 200, "sent again"
    return given


def test_people_are_told_once_that_a_discussion_waits_and_not_what_was_said(tmp_path: Path) -> None:
    with webhook() as hook, mail_server() as mails:
        channels = Channels(
            webhook=SecretStr(f"http://127.0.0.1:{hook.port}/hush-hush"),
            mail_host="127.0.0.1",
            mail_port=mails.port,
            mail_security="none",
            mail_from="ads@example.org",
            addresses={"reviewer 0": "ann@example.org", "Verifier": "vera@example.org", "Nobody": "no@example.org"},
        )
        site = make_site(tmp_path, channels=channels, public_url="http://ads.example.org")
        first = entry_ids(site)[0]
        vote(site, first, note="my reason")
        discuss_by_page(site, first)
        wait_for(hook, 1)
        wait_for(mails, 1)
        said = body(first, text="the music")
        assert site.client("Reviewer 0").post("/discussion/message", json=said).status_code == 200
        wait_for(hook, 2)
        wait_for(mails, 2)
        site.app.state.web.notifier.close()
    link = f"http://ads.example.org/discussion/{first}"
    assert [json.loads(each)["text"] for each in hook.messages] == [
        f"YTB-ADS: a discussion waits for 5 people: {link}",
        f"YTB-ADS: a discussion waits for 1 person: {link}",
    ], "the others have not read what they were told of"
    to_ann, to_vera = mails.messages
    assert ("ann@example.org" in to_ann, "vera@example.org" in to_vera) == (True, True)
    assert "vera@example.org" not in to_ann
    assert link in to_ann
    told = " ".join([*hook.messages, *mails.messages])
    assert not [word for word in ("remark", "reason", "music", "no@example.org") if word in told]


def test_what_cannot_be_sent_is_logged_without_the_secret_and_keeps_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with webhook(status=500) as hook:
        channels = Channels(
            webhook=SecretStr(f"http://127.0.0.1:{hook.port}/hush-hush"),
            mail_host="127.0.0.1",
            mail_port=1,
            mail_user="me",
            mail_password=SecretStr("hush-hush"),
            addresses={"Reviewer 0": "ann@example.org"},
        )
        site = make_site(tmp_path, channels=channels)
        first = entry_ids(site)[0]
        vote(site, first)
        discuss_by_page(site, first)
        wait_for(hook, 1)
        site.app.state.web.notifier.close()
    warned = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert [each.partition(" (")[0] for each in warned] == [
        "the webhook took no message that a discussion waits",
        "the mail server took no message that a discussion waits",
    ]
    assert not [each for each in (caplog.text, repr(site.settings)) if "hush-hush" in each or "ann@example" in each]


def test_without_a_channel_nothing_runs_beside_the_requests(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first)
    discuss_by_page(site, first)
    assert not [thread for thread in threading.enumerate() if thread.name == "notifier"]
