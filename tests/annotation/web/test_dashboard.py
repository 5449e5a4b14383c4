"""The dashboard: who sees it, what it counts, and that it is measured once."""

from __future__ import annotations

import html
import multiprocessing
import re
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from annotation.agreement_tables import read_agreement
from annotation.plots import PICTURES
from annotation.rounds import RoundSettings, draw_round
from annotation.web.background import Measured, Source, measure
from annotation.web.measurements import Measurements
from annotation.web.pages import duration
from tests.annotation.web.round_builders import AGREED, SPLIT, decide, discuss, entry_ids, vote
from tests.annotation.web.site_builder import AT_ONCE, Site, make_site


def pictures(page: str) -> list[str]:
    return [html.unescape(url) for url in re.findall(r'<img class="plot" src="([^"]+)"', page)]


def dashboard(site: Site, name: str = "Admin", round_id: int = 1) -> str:
    """The page once its numbers are those of the round as it stands."""
    site.app.state.web.measurements.wait(round_id)
    return site.client(name).get(f"/dashboard?round={round_id}").text


class ByHand:
    """Computes when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Future[Measured], Source, int, str]] = []

    def measure(self, source: Source, round_id: int, version: str) -> Future[Measured]:
        self.asked.append((Future(), source, round_id, version))
        return self.asked[-1][0]

    def answer(self) -> None:
        future, source, round_id, version = self.asked[-1]
        future.set_result(measure(source, round_id, version))


@pytest.fixture
def by_hand(judged: Site) -> ByHand:
    """Whoever computes the judged site's numbers."""
    slow = ByHand()
    web = judged.app.state.web
    source = Source(judged.settings.store, judged.catalog.root)
    judged.app.state.web = replace(web, measurements=Measurements(web.store, source, slow))
    return slow


@pytest.fixture
def judged(tmp_path: Path) -> Site:
    """Ten ads with all votes, one of them decided by the verifier."""
    site = make_site(tmp_path, ads=10)
    for number, entry_id in enumerate(entry_ids(site)):
        vote(site, entry_id, AGREED if number % 3 else SPLIT)
    decide(site, entry_ids(site)[0], "negative")
    return site


def test_a_verifier_who_decides_first_finds_no_ads_votes_on_the_dashboard(tmp_path: Path) -> None:
    site = make_site(tmp_path, ads=10, options=replace(AT_ONCE, verifier_first=True))
    for entry_id in entry_ids(site):
        vote(site, entry_id, SPLIT)
    votes = "2 positive, 2 negative, 1 uncertain"
    assert votes in dashboard(site)
    assert votes not in dashboard(site, "Verifier")
    version = "?round=1&v=another"
    assert votes not in site.client("Verifier").get(f"/dashboard/numbers{version}").text
    assert votes in site.client("Admin").get(f"/dashboard/numbers{version}").text
    site.store.rounds.close(1)
    assert votes in dashboard(site, "Verifier")


def test_a_new_round_says_that_there_is_nothing_yet(site: Site) -> None:
    page = dashboard(site)
    assert "0<span" in page
    assert "no entry has two votes yet" in page
    assert "No ad has come to its end yet" in page


def test_every_figure_of_a_round_is_there_in_words(judged: Site) -> None:
    page = dashboard(judged)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.unescape(page)))
    for said in (
        "Krippendorff's alpha",
        "Fleiss' kappa",
        "10 of 10 (100%)",
        "1 of 4 (25%)",
        "waits for a verifier 3",
        "reviewers agree 6",
        "decided by a verifier 1",
        "6 of 7 (86%)",
        "Same again",
        "Known answers found",
    ):
        assert said in text, said


def test_every_picture_is_this_servers_and_has_a_text_and_a_table(judged: Site) -> None:
    client = judged.client("Verifier")
    page = dashboard(judged, "Verifier")
    assert len(pictures(page)) == len(PICTURES)
    for panel in re.findall(r'<section class="card panel.*?</section>', page, flags=re.S):
        if "<img" in panel:
            assert "<table>" in panel
            assert len(re.findall(r'alt="([^"]{30,})"', panel)) == 1
    for url in pictures(page):
        answer = client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert b"<svg" in answer.content
        assert "immutable" in answer.headers["cache-control"]
        assert "private" in answer.headers["cache-control"]
    assert client.get("/dashboard").headers["cache-control"] == "no-store"


def test_nobody_waits_for_the_numbers_and_they_are_computed_once(judged: Site, by_hand: ByHand) -> None:
    client = judged.client("Admin")
    for _ in range(3):
        assert "are being computed and appear here" in client.get("/dashboard").text
    assert len(by_hand.asked) == 1
    assert client.get("/dashboard/numbers?round=1").status_code == 204
    by_hand.answer()
    newer = client.get("/dashboard/numbers?round=1&v=").text
    assert newer.lstrip().startswith('<div id="numbers"')
    assert "reviewers agree" in newer
    assert "are being computed" not in client.get("/dashboard").text
    assert len(by_hand.asked) == 1


def test_after_a_vote_the_page_shows_the_older_numbers_with_their_time_until_there_are_newer_ones(
    judged: Site, by_hand: ByHand
) -> None:
    client = judged.client("Admin")
    client.get("/dashboard")
    by_hand.answer()
    before = client.get("/dashboard").text
    version = re.findall(r'data-version="(\w+)"', before)[0]
    decide(judged, entry_ids(judged)[3])
    older = client.get("/dashboard").text
    assert f'data-version="{version}" data-behind' in older
    assert re.search(r"As of <time[^>]*>\d\d \w+, \d\d:\d\d:\d\d</time> \(UTC\); something was done since", older)
    assert client.get(f"/dashboard/numbers?round=1&v={version}").status_code == 204
    by_hand.answer()
    newer = client.get(f"/dashboard/numbers?round=1&v={version}").text
    assert re.search(r"decided by a verifier</th><td class=\"number\">2<", newer)
    assert len(by_hand.asked) == 2
    for url in pictures(before):
        assert "immutable" in client.get(url).headers["cache-control"], "a page's pictures are of its tables' state"


def test_numbers_that_cannot_be_computed_say_why_and_the_next_look_tries_again(judged: Site, by_hand: ByHand) -> None:
    client = judged.client("Admin")
    client.get("/dashboard")
    by_hand.asked[0][0].set_exception(OSError("the <disk> is gone"))
    assert "the &lt;disk&gt; is gone" in client.get("/dashboard/numbers?round=1").text
    client.get("/dashboard")
    assert len(by_hand.asked) == 2
    by_hand.answer()
    assert "disk" not in client.get("/dashboard").text


def test_the_process_beside_gives_the_numbers_of_this_one_and_is_begun_anew_when_it_is_killed(judged: Site) -> None:
    measurements = judged.app.state.web.measurements
    found = measurements.wait(1)
    assert found.agreement.alpha == read_agreement(judged.store, judged.catalog, 1).alpha
    (beside,) = multiprocessing.active_children()
    beside.kill()
    judged.store.people.invite("Late", "reviewer")
    while True:
        try:
            assert "Late" in measurements.wait(1).names.values()
            break
        except BrokenProcessPool:
            continue


def test_a_picture_of_a_state_that_is_not_kept_is_the_present_one(judged: Site) -> None:
    client = judged.client("Admin")
    assert client.get("/dashboard/pictures/1/alpha.svg").status_code == 404
    judged.app.state.web.measurements.wait(1)
    for url in ("/dashboard/pictures/1/alpha.svg?v=long-gone", "/dashboard/pictures/1/alpha.svg"):
        answer = client.get(url)
        assert answer.status_code == 200
        assert "immutable" not in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("?round=9", 409),
        ("?round=-1", 422),
        ("/pictures/9/alpha.svg", 404),
        ("/pictures/1/nothing.svg", 404),
        ("/pictures/1/..%2f..%2fapp.svg", 404),
    ],
)
def test_rounds_and_pictures_that_there_are_not(site: Site, path: str, status: int) -> None:
    assert site.client("Admin").get(f"/dashboard{path}").status_code == status


def test_an_older_round_can_be_looked_at(judged: Site) -> None:
    judged.store.rounds.close(1)
    judged.store.rounds.open(draw_round(judged.catalog, RoundSettings(seed=1)))
    newest = judged.client("Admin").get("/dashboard").text
    assert "Round 2" in newest
    assert "is open" in newest
    older = dashboard(judged)
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
    verifier = dashboard(site, "Verifier")
    assert "of 1 ad with all votes" in verifier
    assert "after 1 ad to" in verifier
    assert "close-round" not in verifier
    decide(site, entry_ids(site)[0])
    vote(site, entry_ids(site)[1], AGREED)
    ended = dashboard(site, "Verifier")
    assert "close-round" in ended
    assert "1 ads" not in ended


def test_hostile_names_are_only_text(judged: Site) -> None:
    judged.store.people.invite('"><script>alert(1)</script>$x^{', "reviewer")
    client = judged.client("Admin")
    page = dashboard(judged)
    assert "<script>alert" not in page
    assert '"><script' not in page
    assert [client.get(url).status_code for url in pictures(page)] == [200] * len(PICTURES)
