"""Who gets in, who does not, and what a browser is told to keep out."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from annotation.errors import AnnotationError
from annotation.web.app import server_config
from annotation.web.assets import Assets
from annotation.web.hardening import listening, reachable
from annotation.web.pages import ASSETS, FOLDER
from annotation.web.sessions import Attempts
from annotation.web.state import WebSettings
from tests.annotation.web.site_builder import BASE, Site, log_in, make_site, with_store_path


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_looking_at_an_invitation_does_not_log_in(site: Site) -> None:
    client = site.client()
    token = site.invitations["Reviewer 0"].token
    answer = client.get("/join")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert client.get("/review").status_code == 401
    log_in(client, token)
    assert client.get("/review").status_code == 200


def test_the_sessions_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    answer = site.client().post("/join", json={"token": site.invitations["Reviewer 0"].token})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert site.invitations["Reviewer 0"].token not in cookie


def test_over_https_the_cookie_never_goes_over_http(site: Site) -> None:
    behind_a_proxy = with_store_path(site, public_url="https://ads.example.org")
    client = TestClient(behind_a_proxy.app, base_url="https://ads.example.org", follow_redirects=False)
    token = site.invitations["Reviewer 0"].token
    assert "Secure" in client.post("/join", json={"token": token}).headers["set-cookie"]


@pytest.mark.parametrize("token", ["nobody", "", "x" * 43, "\x00", "x" * 200])
def test_a_wrong_invitation_says_the_same_to_everybody(site: Site, token: str) -> None:
    answer = site.client().post(
        "/join", content=json.dumps({"token": token}), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 401
    assert answer.json()["title"] == "This link does not work"
    assert "set-cookie" not in answer.headers


def test_a_link_of_before_leads_to_the_page_and_its_token_to_no_server(site: Site) -> None:
    answer = site.client().get("/join/some-token_1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/join#some-token_1")


def test_after_wrong_invitations_an_address_is_told_to_wait_and_a_valid_one_is_let_in(tmp_path: Path) -> None:
    site = make_site(tmp_path, failed_logins=3)
    client = site.client()
    answers = [client.post("/join", json={"token": str(n)}) for n in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 300
    assert site.client(client=("192.0.2.7", 50000)).post("/join", json={"token": "wrong"}).status_code == 401
    log_in(client, site.invitations["Reviewer 0"].token)


def test_an_address_that_goes_on_trying_is_not_refused_for_longer() -> None:
    now = 0.0
    attempts = Attempts(2, 10.0, clock=lambda: now)
    waits = []
    for now in (0.0, 1.0, 2.0, 9.0, 10.5):  # noqa: B007 - the clock reads it
        waits.append(attempts.failed("192.0.2.7"))
    assert waits == [0.0, 0.0, 8.0, 1.0, 0.0]


@pytest.mark.parametrize(("public_url", "believed"), [("", False), ("http://ads.example.org", True)])
def test_a_forwarded_address_is_believed_behind_a_proxy_alone(site: Site, public_url: str, believed: bool) -> None:
    config = server_config(with_store_path(site, failed_logins=1, public_url=public_url).settings)
    config.load()
    client = TestClient(config.loaded_app, base_url=BASE, client=("127.0.0.1", 50000))
    answers = [
        client.post("/join", json={"token": str(n)}, headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(2)
    ]
    assert [answer.status_code for answer in answers] == [401, 401 if believed else 429]


def test_a_session_ends_with_its_invitation(site: Site) -> None:
    revoked, reissued, goes_on = (site.client(f"Reviewer {n}") for n in range(3))
    site.store.people.revoke(site.invitations["Reviewer 0"].person.id)
    site.store.people.reissue(site.invitations["Reviewer 1"].person.id)
    assert [client.get("/review").status_code for client in (revoked, reissued, goes_on)] == [401, 401, 200]


class Clock(datetime):
    """The server's clock, as far ahead as a test says."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.ahead


@pytest.fixture
def at(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[TestClient, float], int]:
    """The answer that a client gets for a page so many hours from now."""

    def answer(client: TestClient, hours: float) -> int:
        monkeypatch.setattr(Clock, "ahead", timedelta(hours=hours))
        monkeypatch.setattr("annotation.store.logins.datetime", Clock)
        return client.get("/review").status_code

    return answer


def test_a_session_ends_after_hours_without_a_request(site: Site, at: Callable[[TestClient, float], int]) -> None:
    client = site.client("Reviewer 0")
    assert at(client, 11) == 200
    assert at(client, 22) == 200, "the request eleven hours ago began the time anew"
    assert at(client, 34.1) == 401


def test_a_session_ends_after_some_days_however_much_it_is_used(
    site: Site, at: Callable[[TestClient, float], int]
) -> None:
    client = site.client("Reviewer 0")
    assert [at(client, hours) for hours in range(0, 14 * 24, 10)] == [200] * 34
    assert at(client, 14 * 24 + 1) == 401


def test_a_clock_that_is_set_back_signs_nobody_out(site: Site, at: Callable[[TestClient, float], int]) -> None:
    client = site.client("Reviewer 0")
    assert [at(client, hours) for hours in (5, -3, -2000, 0)] == [200] * 4


def test_logging_out_ends_the_session_for_a_copied_cookie_too(site: Site) -> None:
    client = site.client("Reviewer 0")
    copied = dict(client.cookies)
    assert client.post("/logout").json() == {"to": "/goodbye"}
    assert client.get("/review").status_code == 401
    assert site.client(cookies=copied).get("/review").status_code == 401
    assert with_store_path(site).client(cookies=copied).get("/review").status_code == 401, "after a restart, too"


def test_logging_in_ends_the_session_of_whoever_was_there_before(site: Site) -> None:
    client = site.client("Reviewer 0")
    copied = dict(client.cookies)
    log_in(client, site.invitations["Reviewer 1"].token)
    assert site.client(cookies=copied).get("/review").status_code == 401


def test_a_forged_cookie_is_a_strangers(site: Site) -> None:
    client = site.client("Reviewer 0")
    name, value = next(iter(client.cookies.items()))
    for forged in (value[:-2], "e30.abc.def", "", "x" * 5000, value.swapcase()):
        assert site.client(cookies={name: forged}).get("/review").status_code == 401


def test_a_restart_does_not_log_anybody_out(site: Site) -> None:
    cookies = dict(site.client("Reviewer 0").cookies)
    assert with_store_path(site).client(cookies=cookies).get("/review").status_code == 200


def test_another_sessions_token_does_not_serve(site: Site) -> None:
    one, other = site.client("Reviewer 0"), site.client("Reviewer 1")
    one.headers["X-CSRF-Token"] = other.headers["X-CSRF-Token"]
    assert one.post("/logout").status_code == 403


def test_another_sites_form_cannot_log_a_visitor_in_as_somebody(site: Site) -> None:
    token = site.invitations["Reviewer 0"].token
    assert (
        site.client().post("/join", json={"token": token}, headers={"Origin": "https://evil.example"}).status_code
        == 403
    )


@pytest.mark.parametrize("path", ["/review", "/join", f"{ASSETS.address}/style.css", "/frames/ad0:0", "/nothing"])
def test_every_answer_carries_the_policy(site: Site, path: str) -> None:
    headers = site.client("Reviewer 0").get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_error_that_nobody_foresaw_is_answered_and_logged(
    site: Site, caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    @site.app.get("/broken/{token}")
    def broken(token: str) -> None:
        raise LookupError(f"secret, with {token[:0]}nothing of the address")

    with caplog.at_level(logging.ERROR, logger="ytb_ads"):
        answer = site.client("Reviewer 0").get("/broken/a-token", headers={"Accept": accept})
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith(accept)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "try again in a moment" in answer.text
    assert "secret" not in answer.text
    assert "Traceback" in caplog.text
    assert "LookupError: secret" in caplog.text
    assert "a-token" not in caplog.text


def test_no_page_holds_a_script_or_a_style_of_its_own(site: Site) -> None:
    paths = {
        "Reviewer 0": ("/review", "/join", "/goodbye", "/nothing"),
        "Verifier": ("/verify", "/discussion", "/dashboard"),
    }
    for name in paths:
        client = site.client(name)
        for path in paths[name]:
            text = client.get(path).text.lower()
            assert not [each for each in ("<style", " style=", " onclick", "<script>") if each in text], path


def test_pages_are_not_kept_and_pictures_are(site: Site) -> None:
    client = site.client("Reviewer 0")
    assert client.get("/review").headers["cache-control"] == "no-store"
    page = client.get("/review").text
    url = page.split('<img src="')[1].split('"')[0]
    picture = client.get(url)
    assert picture.headers["content-type"] == "image/jpeg"
    assert "immutable" in picture.headers["cache-control"]
    assert "private" in picture.headers["cache-control"]
    again = client.get(url, headers={"If-None-Match": picture.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" not in client.get(url.split("?")[0] + "?v=0123456789abcdef").headers["cache-control"]


FOREIGN = ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8440", "0.0.0.0", "")  # noqa: S104
OWN = ("localhost:8440", "127.0.0.1", "[::1]:99", "LOCALHOST")


@pytest.mark.parametrize("host", [*FOREIGN, *OWN])
def test_on_the_loopback_address_a_foreign_name_is_refused_and_its_own_are_served(site: Site, host: str) -> None:
    assert site.client().get("/join", headers={"Host": host}).status_code == (200 if host in OWN else 421)


def test_on_other_addresses_any_name_is_served_unless_one_is_given() -> None:
    assert WebSettings("c", host="192.0.2.1").allowed_hosts is None
    assert WebSettings("c", host="192.0.2.1", public_url="https://ads.example.org").allowed_hosts == frozenset(
        ["ads.example.org"]
    )
    with pytest.raises(AnnotationError, match="public_url"):
        WebSettings("c", public_url="ads.example.org")


def test_a_long_body_is_refused_whether_or_not_it_says_so(site: Site) -> None:
    client = site.client("Reviewer 0")
    assert client.post("/review/vote", content=b"x" * 70_000).status_code == 413
    parts = (b"x" * 10_000 for _ in range(7))
    assert client.post("/review/vote", content=parts, headers={"Content-Type": "application/json"}).status_code == 413


def test_a_head_is_answered_as_a_get_without_the_body(site: Site) -> None:
    client = site.client("Reviewer 0")
    for path, status in (("/review", 200), (f"{ASSETS.address}/style.css", 200), ("/healthz", 200), ("/nothing", 404)):
        got, head = client.get(path), client.head(path)
        assert (got.status_code, head.status_code, head.content) == (status, status, b"")
        assert head.headers["content-type"] == got.headers["content-type"]


def test_a_monitor_is_told_whether_the_store_can_be_read(site: Site) -> None:
    client = site.client()
    assert client.get("/healthz").json() == {"status": "ok"}
    Path(site.settings.store).rename(f"{site.settings.store}.gone")
    answer = client.get("/healthz", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["kind"]) == (503, "store")
    Path(f"{site.settings.store}.gone").rename(site.settings.store)
    assert client.get("/healthz").status_code == 200


def test_nothing_tells_a_stranger_what_there_is(site: Site) -> None:
    client = site.client()
    assert [client.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")] == [404, 404, 404]
    for folder in ("/static", ASSETS.address):
        assert client.get(f"{folder}/../app.py").status_code == 404
        assert client.get(f"{BASE}{folder}/%2e%2e/app.py").status_code == 404
        assert client.get(f"{BASE}{folder}/%2e%2e/%2e%2e/app.py").status_code == 404


def test_what_pages_load_is_kept_for_good_and_nothing_else_is(site: Site) -> None:
    client = site.client("Reviewer 0")
    page = client.get("/review")
    assert page.headers["cache-control"] == "no-store"
    loaded = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert {Path(address).suffix for address in loaded} == {".css", ".js", ".svg"}
    for address in loaded:
        answer = client.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, answer.headers["cache-control"])
    assert client.get(f"{ASSETS.address}/none.css").headers["cache-control"] == "no-store"
    assert client.get("/static/style.css").status_code == 404, "an address that other contents could have later"


def test_other_contents_have_another_address(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    (tmp_path / "b.js").write_text("2")
    first = Assets(tmp_path).address
    assert Assets(tmp_path).address == first
    (tmp_path / "b.js").write_text("3")
    second = Assets(tmp_path).address
    (tmp_path / "b.js").rename(tmp_path / "c.js")
    assert len({first, second, Assets(tmp_path).address}) == 3


def test_no_script_names_an_address_of_its_own_folder_that_a_browser_would_keep_without_a_digest() -> None:
    scripts = [*(FOLDER / "static").glob("*.js"), *(FOLDER / "static").glob("*.css")]
    assert scripts
    assert [path.name for path in scripts if "/static/" in path.read_text("utf-8")] == []


def test_no_answer_waits_for_the_other_side_to_say_that_it_has_the_head(free_tcp_port: int) -> None:
    with (
        listening("127.0.0.1", free_tcp_port) as server,
        socket.create_connection(("127.0.0.1", free_tcp_port)),
        server.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_of_every_address_one_is_named_that_opens(host: str) -> None:
    assert reachable(host) not in (host, "")
    assert [reachable(each) for each in ("127.0.0.1", "192.0.2.7", "ads.example")] == [
        "127.0.0.1",
        "192.0.2.7",
        "ads.example",
    ]
    assert "0.0.0.0" not in WebSettings("c", host=host).url  # noqa: S104


HALF_A_BODY = b"POST /join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"


def test_idle_and_half_sent_connections_of_a_stranger_leave_room_for_the_others(
    site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    limits = with_store_path(site, connections=30, connections_of_an_address=20, idle_timeout_s=1.0)
    with listening("127.0.0.1", 0) as at_address, ExitStack() as strangers:
        server = uvicorn.Server(server_config(limits.settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at_address]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        address = at_address.getsockname()
        for number in range(60):
            one = socket.create_connection(address, 5, source_address=("127.0.0.2", 0))
            strangers.enter_context(one)
            one.sendall((b"", b"GET / HT", b"\x00\xff nonsense\r\n\r\n", HALF_A_BODY)[number % 4])
        until(lambda: len(server.server_state.connections) <= 20)
        asked = httpx.get(f"http://127.0.0.1:{address[1]}/healthz", timeout=5)
        assert asked.json() == {"status": "ok"}
        until(lambda: not server.server_state.connections)
        server.should_exit = True
        thread.join(10)
    assert "".join(capfd.readouterr()) == ""
    assert not caplog.records
