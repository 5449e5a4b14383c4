"""Every address of the page: who may ask for it, and that malformed and forged requests do nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.annotation.web.round_builders import OUTSIDE_THE_CALENDAR, body, discuss, entry_ids, vote
from tests.annotation.web.site_builder import Site

EVERYBODY = ("Reviewer 0", "Verifier", "Admin")
PAGES: dict[str, tuple[str, ...]] = {
    "/": EVERYBODY,
    "/frames/ad0:0": EVERYBODY,
    "/review": ("Reviewer 0",),
    "/review/next?round=1": ("Reviewer 0",),
    "/verify": ("Verifier",),
    "/verify/desk?round=1": ("Verifier",),
    "/verify/decided": ("Verifier",),
    "/discussion": ("Reviewer 0", "Verifier"),
    "/discussion/ENTRY": ("Reviewer 0", "Verifier"),
    "/discussion/ENTRY/thread?round=1": ("Reviewer 0", "Verifier"),
    "/round/end": EVERYBODY,
    "/dashboard": ("Verifier", "Admin"),
    "/dashboard/numbers?round=1": ("Verifier", "Admin"),
    "/dashboard/pictures/1/alpha.svg": ("Verifier", "Admin"),
}
POSTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "/review/vote": (("Reviewer 0",), {"choice": "positive"}),
    "/review/undo": (("Reviewer 0",), {}),
    "/verify/decide": (("Verifier",), {"label": "positive", "seen": 0}),
    "/verify/discuss": (("Verifier",), {"text": "hm", "seen": 0}),
    "/verify/undo": (("Verifier",), {"seen": 0}),
    "/discussion/message": (("Reviewer 0", "Verifier"), {"text": "hm"}),
    "/discussion/stance": (("Reviewer 0", "Verifier"), {"choice": "positive"}),
    "/discussion/settle": (("Verifier",), {"label": "positive", "seen": 0}),
    "/discussion/exclude": (("Verifier",), {"text": "hm", "seen": 0}),
    "/discussion/undo": (("Verifier",), {"seen": 0}),
    "/discussion/unsay": (("Reviewer 0", "Verifier"), {}),
}
"""Who may post, and what a whole submission says."""
FORGED: tuple[dict[str, str], ...] = (
    {"X-CSRF-Token": ""},
    {"X-CSRF-Token": "0" * 64},
    {"X-CSRF-Token": "ä"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.fixture
def discussed(site: Site) -> str:
    first = entry_ids(site)[0]
    vote(site, first)
    discuss(site, first)
    return first


def test_pages_are_for_their_roles_alone(site: Site, discussed: str) -> None:
    clients = {name: site.client(name) for name in EVERYBODY}
    site.app.state.web.measurements.wait(1)
    for path, allowed in PAGES.items():
        address = path.replace("ENTRY", discussed)
        answer = site.client().get(address, headers={"Accept": "text/html"})
        assert answer.status_code == 401, path
        assert "not logged in" in answer.text
        seen = {name for name, client in clients.items() if client.get(address).status_code in (200, 303)}
        assert seen == set(allowed), path
        assert {clients[name].get(address).status_code for name in EVERYBODY if name not in allowed} <= {403}


@pytest.mark.parametrize("path", [*POSTS, "/logout"])
def test_a_post_needs_a_session_its_token_the_same_site_and_the_role(site: Site, discussed: str, path: str) -> None:
    allowed, more = POSTS.get(path, (EVERYBODY, {}))
    given, before = body(discussed, **more), len(site.store.events(1))
    assert site.client().post(path, json=given).status_code == 401
    for name in set(EVERYBODY) - set(allowed):
        assert site.client(name).post(path, json=given).status_code == 403
    client = site.client(allowed[0])
    for headers in FORGED:
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        assert client.post(path, json=given, headers=encoded).json()["kind"] == "forged"
    del client.headers["X-CSRF-Token"]
    assert client.post(path, json=given).json()["kind"] == "forged"
    assert len(site.store.events(1)) == before
    assert client.get((allowed[0] == "Verifier" and "/verify") or "/").status_code in (200, 303), "the session goes on"


COMMON: tuple[dict[str, Any], ...] = (
    *({"shown_at": each} for each in ("yesterday", "2026-01-01T00:00:00", *OUTSIDE_THE_CALENDAR)),
    {"key": "short"},
    {"key": "no spaces here"},
    {"round": 0},
    {"round": 10**30},
    {"unknown": 1},
)
OF_ONE_FIELD: dict[str, tuple[dict[str, Any], ...]] = {
    "choice": ({"choice": "maybe"}, {"choice": None}, {"note": "n" * 2_001}, {"note": {"a": 1}}),
    "label": ({"label": "uncertain"}, {"label": None}, {"note": "n" * 2_001}),
    "text": ({"text": "x" * 4_001}, {"text": None}, {"text": {"a": 1}}),
    "seen": ({"seen": None}, {"seen": -1}, {"seen": 10**30}),
}
OF_ONE_PATH: dict[str, tuple[dict[str, Any], ...]] = {
    "/review/vote": ({"excluded_frames": ["x"] * 101},),
    "/discussion/message": ({"text": ""}, {"text": "  \n "}),
}


@pytest.mark.parametrize("path", POSTS)
def test_what_is_malformed_is_refused_and_stores_nothing(site: Site, discussed: str, path: str) -> None:
    allowed, more = POSTS[path]
    client, before = site.client(allowed[0]), len(site.store.events(1))
    wrong = [*COMMON, *(each for field in more for each in OF_ONE_FIELD[field])]
    wrong += OF_ONE_PATH.get(path, ())
    for each in wrong:
        answer = client.post(path, json=body(discussed, **more) | each)
        assert (answer.status_code, set(answer.json())) == (422, {"kind", "title", "text"}), each
        if each.get("shown_at") in OUTSIDE_THE_CALENDAR:
            assert answer.json()["text"] == "Malformed: shown_at."
    assert len(site.store.events(1)) == before


def test_the_end_is_held_by_verifiers_and_admins_and_anybody_may_be_at_work(site: Site) -> None:
    for name in EVERYBODY:
        client = site.client(name)
        allowed = 403 if name.startswith("Reviewer") else 200
        for path, status in (("/round/hold", allowed), ("/round/resume", allowed), ("/round/hands", 200)):
            assert client.post(path, json={"round": 1}).status_code == status, (name, path)
            assert client.post(path, json={"round": 1}, headers={"X-CSRF-Token": ""}).status_code == 403
    assert site.client().post("/round/hold", json={"round": 1}).status_code == 401
    site.store.rounds.close(1)
    assert site.client("Admin").post("/round/hold", json={"round": 1}).json()["kind"] == "round_closed"
