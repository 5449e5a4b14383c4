"""One request is one request; what comes back is whole, or it is an error that does not know the key."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from flows.crawl.data_api.faults import AnswerTooLargeError, classify_exception
from flows.crawl.data_api.transport import Transport, never_sent
from flows.errors import CrawlError
from tests.flows.crawl.scripted_server import Raw, answer, scripted

KEY = "AIzaSyD-0123456789abcdefghijklmnopqrstu"
_OPENSSL = shutil.which("openssl")


@contextmanager
def transport(timeout_s: float = 5.0) -> Iterator[Transport]:
    transport = Transport(connections=2, timeout_s=timeout_s)
    yield transport
    transport.close()


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_answers_come_whole_over_one_connection_in_chunks_or_not_and_redirects_are_not_followed() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    bodies = {200: b"x" * 300_000, 404: b'{"n": 3}', 302: b"{}"}
    elsewhere = answer(bodies[302], 302, Location="/elsewhere")
    with scripted(Raw(chunks), *(answer(bodies[s], s) for s in (200, 404)), elsewhere) as server, transport() as http:
        replies = [http.get(f"{server.url}/a?b=c", KEY) for _ in range(4)]
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"abcde"), *bodies.items()]
    assert [request.connection for request in server.requests] == [1, 1, 1, 1]


def test_the_request_names_the_project_and_asks_for_compression_as_google_wants_it() -> None:
    body = gzip.compress(json.dumps({"text": "word " * 50_000}).encode())
    with scripted(answer(body, Content_Encoding="gzip")) as server, transport() as http:
        reply = http.get(server.url, KEY)
    (request,) = server.requests
    assert json.loads(reply.body) == {"text": "word " * 50_000}
    assert request.headers["user-agent"].startswith("ytb-ads/")
    assert "gzip" in request.headers["user-agent"]
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["x-goog-api-key"] == KEY
    assert KEY not in request.line


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Head",
        answer(b"no gzip", Content_Encoding="gzip").data,
        b"HTTP/1.1 2",
        b"",
    ],
    ids=["length", "no body", "chunks", "chunk", "headers", "compression", "status", "nothing"],
)
def test_an_answer_that_is_cut_off_is_an_error_and_is_not_asked_for_again(cut: bytes) -> None:
    with scripted(Raw(cut, close=True)) as server, transport() as http:
        with pytest.raises(httpx.HTTPError) as raised:
            http.get(server.url, KEY)
        assert classify_exception(raised.value).reason == "connection"
        assert not never_sent(raised.value)
        time.sleep(0.05)
        assert len(server.requests) == 1


def test_a_connection_that_the_server_closed_between_two_requests_is_replaced() -> None:
    with scripted(Raw(answer({}).data, close=True), answer({})) as server, transport() as http:
        http.get(server.url, KEY)
        time.sleep(0.05)
        assert http.get(server.url, KEY).status == 200
    assert len(server.requests) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_an_answer_without_end_is_not_taken_in(compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.crawl.data_api.transport.MAX_ANSWER_BYTES", 100_000)
    body = gzip.compress(b"x" * 10**7) if compressed else b"x" * 200_000
    endless = answer(body, Content_Encoding="gzip" if compressed else "identity")
    too_large = pytest.raises(AnswerTooLargeError, match="larger than 100000 bytes")
    with scripted(endless) as server, transport() as http, too_large:
        http.get(server.url, KEY)


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with scripted(Raw(answer({}).data, delay_s=10)) as server, transport(timeout_s=0.1) as http:
        begun = time.monotonic()
        with pytest.raises(httpx.HTTPError) as raised:
            http.get(server.url, KEY)
        assert time.monotonic() - begun < 9
        assert classify_exception(raised.value).reason == "connection"
        assert not never_sent(raised.value)


def test_a_server_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.crawl.data_api.transport.SLOWEST", 1)
    dripping = Raw(answer(b"x" * 1000).data, drip_s=0.02)
    with scripted(dripping) as server, transport(timeout_s=0.5) as http:
        begun = time.monotonic()
        with pytest.raises(httpx.ReadTimeout, match="longer than"):
            http.get(server.url, KEY)
        assert time.monotonic() - begun < 20


def test_a_request_certainly_never_left_where_no_connection_was_made() -> None:
    port = unused_port()
    with transport() as http, pytest.raises(httpx.HTTPError) as raised:
        http.get(f"http://127.0.0.1:{port}/", KEY)
    assert never_sent(raised.value)
    with transport() as http, pytest.raises(httpx.HTTPError) as raised:
        http.get("https://no-such-host.invalid/", KEY)
    assert never_sent(raised.value)


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_request(tmp_path: Path) -> None:
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    _make_certificate(certificate, private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            try:
                received.append(context.wrap_socket(connection, server_side=True).recv(1000))
            except OSError:
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with transport() as http, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED") as raised:
            http.get(f"{url}/", KEY)
        thread.join(timeout=5)
    assert never_sent(raised.value)
    assert not any(received)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        (" 0 ", 0, 0),
        ("in an hour", 3000, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("-5", 0, 0),
        ("soon", 0, 0),
        ("9" * 5000, 0, 0),
        ("٣", 0, 0),
        ("", 0, 0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read(header: str, least: float, most: float) -> None:
    if header == "in an hour":
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    raw = answer({}, 503)
    raw = Raw(raw.data.replace(b"\r\n\r\n", b"\r\nRetry-After: " + header.encode() + b"\r\n\r\n", 1))
    with scripted(raw) as server, transport() as http:
        assert least <= http.get(server.url, KEY).retry_after_s <= most


def test_the_proxy_that_the_environment_names_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scripted(answer({}, 407)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("http://", "http://me:secret%21@"))
        with transport() as http, pytest.raises(httpx.HTTPError) as raised:
            http.get("https://youtube.googleapis.com/", KEY)
    (request,) = proxy.requests
    assert request.line.startswith("CONNECT youtube.googleapis.com:443")
    assert request.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0IQ=="
    assert never_sent(raised.value)
    assert "secret" not in str(raised.value)


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    with scripted(answer({})) as server, transport() as http:
        assert http.get(server.url, KEY).status == 200


def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(CrawlError, match="SOCKS proxy"):
        Transport(connections=1, timeout_s=1)


def _make_certificate(certificate: Path, private: Path) -> None:
    if not _OPENSSL:
        pytest.skip("no openssl to make a certificate with")
    command = [_OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(private), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
