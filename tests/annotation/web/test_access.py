"""Who gets in, who does not, and what a browser is told to keep out."""

from __future__ import annotations

import logging
import os
import socket
import stat
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from itsdangerous import URLSafeTimedSerializer

from annotation.errors import AnnotationError, StoreError
from annotation.web.app import server_config
from annotation.web.hardening import listening
from annotation.web.sessions import Attempts, default_secret_file, read_secret
from annotation.web.state import WebSettings
from tests.annotation.web.site_builder import BASE, Site, log_in, make_site, with_store_path


def test_looking_at_an_invitation_does_not_log_in(site: Site) -> None:
    client = site.client()
    token = site.invitations["Reviewer 0"].token
    answer = client.get(f"/join/{token}")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert client.get("/review").status_code == 401
    log_in(client, token)
    assert client.get("/review").status_code == 200


def test_the_sessions_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    answer = site.client().post(f"/join/{site.invitations['Reviewer 0'].token}")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert site.invitations["Reviewer 0"].token not in cookie


def test_over_https_the_cookie_never_goes_over_http(site: Site) -> None:
    behind_a_proxy = with_store_path(site, public_url="https://ads.example.org")
    client = TestClient(behind_a_proxy.app, base_url="https://ads.example.org", follow_redirects=False)
    assert "Secure" in client.post(f"/join/{site.invitations['Reviewer 0'].token}").headers["set-cookie"]


@pytest.mark.parametrize("token", ["nobody", "x" * 43, "%00", "%ED%A0%80", "x" * 8000])
def test_a_wrong_invitation_says_the_same_to_everybody(site: Site, token: str) -> None:
    answer = site.client().post(f"/join/{token}", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_after_wrong_invitations_an_address_is_told_to_wait_and_a_valid_one_is_let_in(tmp_path: Path) -> None:
    site = make_site(tmp_path, failed_logins=3)
    client = site.client()
    answers = [client.post(f"/join/{n}") for n in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 300
    assert site.client(client=("192.0.2.7", 50000)).post("/join/wrong").status_code == 401
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
    answers = [client.post(f"/join/{n}", headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(2)]
    assert [answer.status_code for answer in answers] == [401, 401 if believed else 429]


def test_a_session_ends_with_its_invitation(site: Site) -> None:
    revoked, reissued, goes_on = (site.client(f"Reviewer {n}") for n in range(3))
    site.store.people.revoke(site.invitations["Reviewer 0"].person.id)
    site.store.people.reissue(site.invitations["Reviewer 1"].person.id)
    assert [client.get("/review").status_code for client in (revoked, reissued, goes_on)] == [401, 401, 200]


def test_a_session_ends_after_hours_without_a_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = site.client("Reviewer 0")
    now = URLSafeTimedSerializer("k").make_signer("s").get_timestamp()  # type: ignore[attr-defined]

    def at(hours: float) -> int:
        monkeypatch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _: now + int(hours * 3600))
        monkeypatch.setattr("annotation.web.sessions.time.time", lambda: now + hours * 3600)
        return client.get("/review").status_code

    assert at(11) == 200
    assert at(22) == 200, "the request eleven hours ago began the time anew"
    assert at(34.1) == 401


def test_logging_out_ends_the_session_for_a_copied_cookie_too(site: Site) -> None:
    client = site.client("Reviewer 0")
    copied = dict(client.cookies)
    assert client.post("/logout").json() == {"to": "/goodbye"}
    assert client.get("/review").status_code == 401
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
    assert site.client().post(f"/join/{token}", headers={"Origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize("path", ["/review", "/join/x", "/static/style.css", "/frames/ad0:0", "/nothing"])
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
        "Reviewer 0": ("/review", "/join/x", "/goodbye", "/nothing"),
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
    assert site.client().get("/join/x", headers={"Host": host}).status_code == (200 if host in OWN else 421)


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


def test_the_key_of_the_sessions_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "session.key"
    key = read_secret(path)
    assert len(key) == 32
    assert read_secret(path) == key
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["session.key"]
    path.chmod(0o644)
    with pytest.raises(StoreError, match="others may read"):
        read_secret(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="no key"):
        read_secret(path)


def test_the_key_lies_beside_the_store_or_with_the_catalog(tmp_path: Path) -> None:
    assert default_secret_file("/a/store.sqlite3", "/c") == Path("/a/session.key")
    assert default_secret_file("postgresql://x/y", "/c") == Path("/c/annotation/session.key")
    with_a_bucket = default_secret_file("postgresql://user:password@x/y", "s3://bucket/c")
    assert with_a_bucket.is_absolute()
    assert with_a_bucket.parts[-2:] == ("annotation", "session.key")


def test_nothing_tells_a_stranger_what_there_is(site: Site) -> None:
    client = site.client()
    assert [client.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")] == [404, 404, 404]
    assert client.get("/static/../app.py").status_code == 404
    assert client.get(BASE + "/static/%2e%2e/app.py").status_code == 404


def test_no_answer_waits_for_the_other_side_to_say_that_it_has_the_head(free_tcp_port: int) -> None:
    with (
        listening("127.0.0.1", free_tcp_port) as server,
        socket.create_connection(("127.0.0.1", free_tcp_port)),
        server.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
