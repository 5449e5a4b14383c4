"""Votes that came faster than their ads can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.agreement import measure
from annotation.agreement_tables import agreement_as_json, fast
from annotation.events import Vote
from annotation.protocol import Rule
from annotation.reading import fast_votes, least_reading_s
from annotation.rounds import Entry
from tests.annotation.vote_builders import event, ordinary, undo

TEXTS = st.lists(st.text(max_size=40), max_size=5)


def test_an_ad_takes_a_glance_at_each_frame_and_a_tenth_of_a_second_for_each_different_word() -> None:
    assert least_reading_s(["Only today", "only today 50 %", ""]) == pytest.approx(3 * 0.3 + 4 * 0.1)
    assert least_reading_s([]) == 0


@given(TEXTS, st.text(max_size=40))
def test_another_frame_takes_longer(texts: list[str], more: str) -> None:
    assert least_reading_s([*texts, more]) > least_reading_s(texts)


def test_a_vote_that_comes_too_fast_is_marked_with_both_times() -> None:
    log = [event(1, "a", "p", Vote("positive"), seconds=1.0), event(2, "a", "q", Vote("negative"), seconds=2.0)]
    found = fast_votes(log, ordinary(["a"]), {"ad-a": 2.0})
    assert [(vote.video_id, vote.choice, vote.taken_s, vote.least_s) for vote in found["p"]] == [
        ("ad-a", "positive", 1.0, 2.0)
    ]
    assert "q" not in found, "just as long as it takes is long enough"


def test_somebody_who_judges_again_has_seen_the_ad_before() -> None:
    hasty = event(1, "a", "p", Vote("positive"), seconds=1.5)
    log = [hasty, undo(2, hasty), event(3, "a", "p", Vote("negative"), seconds=1.0)]
    assert fast_votes(log[:1], ordinary(["a"]), {"ad-a": 2.0})["p"]
    assert fast_votes(log[:2], ordinary(["a"]), {"ad-a": 2.0}) == {}, "what was taken back does not count"
    assert fast_votes(log, ordinary(["a"]), {"ad-a": 2.0}) == {}


def test_repeats_and_votes_without_a_time_are_not_marked() -> None:
    entries = ordinary(["a"]) | {"b": Entry("b", "ad-a", ("ad-a:0",), (), "repeat", "a")}
    log = [event(1, "a", "p", Vote("positive"), seconds=0.0), event(2, "b", "p", Vote("positive"), seconds=0.1)]
    assert fast_votes(log, entries, {"ad-a": 2.0}) == {}


def test_the_tables_name_who_votes_too_fast_and_how_often() -> None:
    log = [event(n, each, "p", Vote("positive"), seconds=n / 2) for n, each in enumerate("abcde", start=1)]
    found = measure(log, ordinary(list("abcde")), Rule(), least_s={f"ad-{each}": 2.1 for each in "abcde"})
    ((name, share, fastest, ads),) = fast(found, {"p": "Ann"}).rows
    assert (name, getattr(share, "text", ""), fastest) == ("Ann", "4 of 5 (80%)", "0.5 s of 2.1 s")
    assert ads == "ad-a, ad-b, ad-c …"
    (person,) = agreement_as_json(found, {"p": "Ann"})["people"]
    assert [vote["entry_id"] for vote in person["faster_than_reading"]] == list("abcd")
