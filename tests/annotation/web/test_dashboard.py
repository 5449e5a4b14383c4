"""The dashboard: who sees it, what it counts, and that it is measured once."""

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from annotation.plots import PICTURES
from annotation.rounds import RoundSettings, draw_round
from annotation.web.pages import duration
from tests.annotation.web.round_builders import AGREED, SPLIT, decide, discuss, entry_ids, vote
from tests.annotation.web.site_builder import Site, make_site


def pictures(page: str) -> list[str]:
    return [html.unescape(url) for url in re.findall(r'<img class="plot" src="([^"]+)"', page)]


@pytest.fixture
def judged(tmp_path: Path) -> Site:
    """Ten ads with all votes, one of them decided by the verifier."""
    site = make_site(tmp_path, ads=10)
    for number, entry_id in enumerate(entry_ids(site)):
        vote(site, entry_id, AGREED if number % 3 else SPLIT)
    decide(site, entry_ids(site)[0], "negative")
    return site


def test_a_new_round_says_that_there_is_nothing_yet(site: Site) -> None:
    page = site.client("Admin").get("/dashboard").text
    assert "0<span" in page
    assert "no entry has two votes yet" in page
    assert "No ad has come to its end yet" in page


def test_every_figure_of_a_round_is_there_in_words(judged: Site) -> None:
    page = judged.client("Admin").get("/dashboard").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.unescape(page)))
    for said in (
        "Krippendorff's alpha",
        "Fleiss' kappa",
        "10 of 10 (100%)",
        "1 of 4 (25%)",
        "waits for a verifier 3",
        "reviewers agree 6",
        "decided by a verifier 1",
        "positive 6 1 0",
        "Same again",
        "Known answers found",
    ):
        assert said in text, said


def test_every_picture_is_this_servers_and_has_a_text_and_a_table(judged: Site) -> None:
    client = judged.client("Verifier")
    page = client.get("/dashboard").text
    assert len(pictures(page)) == len(PICTURES)
    for panel in re.findall(r'<section class="card panel".*?</section>', page, flags=re.S):
        assert "<table>" in panel
        assert "<img" not in panel or len(re.findall(r'alt="([^"]{30,})"', panel)) == 1
    for url in pictures(page):
        answer = client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content.startswith(b"\x89PNG")
        assert "immutable" in answer.headers["cache-control"]
        assert "private" in answer.headers["cache-control"]
    assert client.get("/dashboard").headers["cache-control"] == "no-store"


def test_it_is_measured_once_for_a_log_and_anew_after_a_vote(judged: Site) -> None:
    measurements = judged.app.state.web.measurements
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda _: measurements.now(1), range(12)))
    assert len({id(each) for each in found}) == 1
    drawn = measurements.picture(found[0], "alpha")
    assert measurements.picture(measurements.now(1), "alpha") is drawn
    decide(judged, entry_ids(judged)[3])
    later = measurements.now(1)
    assert later.version != found[0].version
    assert later.status.by_state["verified"] == 2
    assert measurements.at(1, found[0].version) is found[0], "a page's pictures are of the state of its tables"
    judged.store.people.invite("Late", "reviewer")
    assert "Late" in judged.client("Admin").get("/dashboard").text


def test_a_picture_of_a_state_that_is_not_kept_is_the_present_one(judged: Site) -> None:
    client = judged.client("Admin")
    for url in ("/dashboard/pictures/1/alpha.png?v=long-gone", "/dashboard/pictures/1/alpha.png"):
        answer = client.get(url)
        assert answer.status_code == 200
        assert "immutable" not in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("?round=9", 409),
        ("?round=-1", 422),
        ("/pictures/9/alpha.png", 409),
        ("/pictures/1/nothing.png", 404),
        ("/pictures/1/..%2f..%2fapp.png", 404),
    ],
)
def test_rounds_and_pictures_that_there_are_not(site: Site, path: str, status: int) -> None:
    assert site.client("Admin").get(f"/dashboard{path}").status_code == status


def test_an_older_round_can_be_looked_at(judged: Site) -> None:
    judged.store.rounds.close(1)
    judged.store.rounds.open(draw_round(judged.catalog, RoundSettings(seed=1)))
    client = judged.client("Admin")
    newest = client.get("/dashboard").text
    assert "Round 2" in newest
    assert "is open" in newest
    older = client.get("/dashboard?round=1").text
    assert "is closed" in older
    assert "reviewers agree" in older


def test_a_verifiers_dashboard_says_how_many_ads_are_being_discussed(judged: Site) -> None:
    discuss(judged, entry_ids(judged)[3])
    assert '<span id="discussed-count">1</span>' in judged.client("Verifier").get("/dashboard").text
    admins = judged.client("Admin").get("/dashboard")
    assert admins.status_code == 200
    assert "discussed-count" not in admins.text
    judged.store.rounds.close(1)
    assert '<span id="discussed-count">0</span>' in judged.client("Verifier").get("/dashboard?round=1").text


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "under 1 s"), (0.99, "under 1 s"), (1.0, "1 s"), (59.4, "59 s"), (60.0, "1 min")]
)
def test_a_length_of_time_reads_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_one_ad_is_one_ad_and_the_end_of_a_round_is_said(tmp_path: Path) -> None:
    site = make_site(tmp_path, ads=2)
    vote(site, entry_ids(site)[0])
    verifier = site.client("Verifier").get("/dashboard").text
    assert "of 1 ad with all votes" in verifier
    assert "after 1 ad to" in verifier
    assert "close-round" not in verifier
    decide(site, entry_ids(site)[0])
    vote(site, entry_ids(site)[1], AGREED)
    ended = site.client("Verifier").get("/dashboard").text
    assert "close-round" in ended
    assert "1 ads" not in ended


def test_hostile_names_are_only_text(judged: Site) -> None:
    judged.store.people.invite('"><script>alert(1)</script>$x^{', "reviewer")
    client = judged.client("Admin")
    page = client.get("/dashboard").text
    assert "<script>alert" not in page
    assert '"><script' not in page
    assert [client.get(url).status_code for url in pictures(page)] == [200] * len(PICTURES)
