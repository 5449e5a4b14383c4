"""Rounds: what is drawn from a catalog, that it stays so, and in which order each person sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.errors import RoundError
from annotation.protocol import Rule
from annotation.rounds import DrawnRound, Entry, RoundSettings, draw_round, entry_id, order_for
from annotation.store import Store
from data_catalog.catalog import Catalog
from data_catalog.schemas import Label
from tests.annotation.store_builders import entries, open_round
from tests.data_catalog.builders import rows


def merge(catalog: Catalog, table: str, values: list[dict[str, object]]) -> None:
    catalog.merge(table, rows(table, *values))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Twenty ads of three frames and thirty comments; the last two have no label, the first no frame with words."""
    made = Catalog(tmp_path / "catalog")
    ads = [f"ad{number:02}" for number in range(20)]
    merge(made, "ad_sentiment", [{"video_id": ad, "label": None if ad > "ad17" else "positive"} for ad in ads])
    frames = [(ad, index) for ad in ads for index in (10, 2, 1)]
    merge(
        made,
        "texts",
        [
            {"frame_id": f"{ad}:{index}", "video_id": ad, "n_words": 5 if ad == "ad00" or index == 1 else 6}
            for ad, index in frames
        ],
    )
    merge(made, "comments", [{"comment_id": f"{ad}-c{n}", "video_id": ad} for ad in ads for n in range(30)])
    return made


def test_a_round_holds_the_labelled_ads_with_their_wordy_frames_and_a_sample_of_comments(catalog: Catalog) -> None:
    drawn = draw_round(catalog, RoundSettings(comments_per_entry=7))
    assert [entry.video_id for entry in drawn.entries] == [f"ad{number:02}" for number in range(1, 18)]
    first = drawn.entries[0]
    assert first.frame_ids == ("ad01:2", "ad01:10"), "in the order of the film"
    assert len(set(first.comment_ids)) == 7
    assert all(comment.startswith("ad01-") for comment in first.comment_ids)
    assert {entry.kind for entry in drawn.entries} == {"ordinary"}


def test_the_same_seed_draws_the_same_round_and_another_seed_another(catalog: Catalog) -> None:
    settings = RoundSettings(seed=1, ads=6, repeat_share=0.5)
    assert draw_round(catalog, settings) == draw_round(catalog, settings)
    other = draw_round(catalog, RoundSettings(seed=2, ads=6, repeat_share=0.5))
    assert other.entries != draw_round(catalog, settings).entries
    assert len({entry.video_id for entry in other.entries}) == 6


def test_new_comments_of_other_ads_do_not_change_what_is_shown_of_one(catalog: Catalog) -> None:
    before = draw_round(catalog, RoundSettings()).entries[0]
    merge(catalog, "comments", [{"comment_id": "new", "video_id": "ad05"}])
    assert draw_round(catalog, RoundSettings()).entries[0] == before


def test_repeats_and_gold_are_mixed_in_by_their_shares(catalog: Catalog) -> None:
    answers = {"ad02": "negative", "ad19": "positive", "ad00": "positive", "elsewhere": "positive"}
    settings = RoundSettings(repeat_share=0.2, gold_share=0.5)
    drawn = draw_round(catalog, settings, gold=answers)  # type: ignore[arg-type]
    by_id = {entry.id: entry for entry in drawn.entries}
    assert len(by_id) == len(drawn.entries)
    gold = {entry.video_id: entry.known for entry in drawn.entries if entry.kind == "gold"}
    assert gold == {"ad02": "negative", "ad19": "positive"}, "those with frames to look at"
    repeats = [entry for entry in drawn.entries if entry.kind == "repeat"]
    assert len(repeats) == round(0.2 * 18)
    for repeat in repeats:
        original = by_id[repeat.repeats or ""]
        same = replace(repeat, id=original.id, kind=original.kind, known=original.known, repeats=None)
        assert replace(same, comment_ids=original.comment_ids) == original
        assert repeat.comment_ids != original.comment_ids, "it is not known by the order of its comments"
        assert sorted(repeat.comment_ids) == sorted(original.comment_ids)
    videos = [entry.video_id for entry in drawn.entries if entry.kind != "repeat"]
    assert len(videos) == len(set(videos)) == 18


def test_gold_is_drawn_to_its_share_and_none_by_default(catalog: Catalog) -> None:
    answers: dict[str, Label] = {f"ad{number:02}": "positive" for number in range(1, 18)}
    for share, gold in ((0.2, round(0.2 * 17)), (0.0, 0)):
        drawn = draw_round(catalog, RoundSettings(gold_share=share), gold=answers)
        assert [entry.kind for entry in drawn.entries].count("gold") == gold


def test_what_was_judged_before_is_skipped_and_nothing_left_is_an_error(catalog: Catalog, tmp_path: Path) -> None:
    everything = {f"ad{number:02}" for number in range(20)}
    drawn = draw_round(catalog, RoundSettings(), skip=everything - {"ad03"})
    assert [entry.video_id for entry in drawn.entries] == ["ad03"]
    with pytest.raises(RoundError, match="no ad to judge"):
        draw_round(catalog, RoundSettings(), skip=everything)
    with pytest.raises(RoundError, match="no ad to judge"):
        draw_round(Catalog(tmp_path / "nothing"), RoundSettings())


@pytest.mark.parametrize("wrong", [{"repeat_share": 1.1}, {"gold_share": -0.1}, {"ads": 0}, {"comments_per_entry": -1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RoundError, match=r"expected"):
        RoundSettings(**wrong)  # type: ignore[arg-type]


def test_an_entrys_id_says_nothing_of_the_ad_and_differs_for_its_repeat() -> None:
    ids = {entry_id(seed, video, again=again) for seed in (0, 1) for video in ("v", "w") for again in (False, True)}
    assert len(ids) == 8
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)


@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(0, 40))
def test_everybody_sees_every_entry_once_and_a_repeat_after_its_original(seed: int, count: int, repeated: int) -> None:
    plain = entries(count)
    again = [
        Entry(entry_id(0, entry.video_id, again=True), entry.video_id, (), (), "repeat", entry.id)
        for entry in plain[:repeated]
    ]
    order = order_for("reviewer-1", seed, [*plain, *again])
    assert sorted(order) == sorted(entry.id for entry in [*plain, *again])
    for entry in again:
        assert order.index(entry.repeats or "") < order.index(entry.id)
    assert order == order_for("reviewer-1", seed, [*again, *reversed(plain)]), "whatever the order of the table"


def test_each_person_has_an_order_of_their_own_that_stays() -> None:
    orders = [order_for(f"reviewer-{number}", 0, entries(50)) for number in range(5)]
    assert len(set(map(tuple, orders))) == 5
    # written down: another machine or another Python must go on in the same order
    assert [entries(50).index(next(e for e in entries(50) if e.id == each)) for each in orders[0][:5]] == [
        10,
        25,
        3,
        40,
        49,
    ]


def test_a_round_is_kept_as_it_was_drawn(store: Store, catalog: Catalog) -> None:
    rule = Rule(n_reviewers=3, n_verifiers=2, agreement="unanimity")
    answers = {"ad02": "negative"}
    drawn = draw_round(catalog, RoundSettings(rule, seed=9, gold_share=0.1, repeat_share=0.1), gold=answers)  # type: ignore[arg-type]
    opened = store.rounds.open(drawn)
    assert list(store.rounds.entries(opened.id).values()) == list(drawn.entries)
    assert (opened.rule, opened.seed, opened.n_entries, opened.is_open) == (rule, 9, len(drawn.entries), True)
    assert store.rounds.get(opened.id) == store.rounds.current() == opened


def test_one_round_is_open_at_a_time_and_closing_again_changes_nothing(store: Store) -> None:
    assert store.rounds.current() is None
    first = open_round(store)
    with pytest.raises(RoundError, match=f"round {first.id} is open"):
        open_round(store)
    closed = store.rounds.close(first.id)
    assert store.rounds.close(first.id) == closed
    assert not closed.is_open
    second = open_round(store, count=2)
    assert store.rounds.current() == second
    with pytest.raises(RoundError, match="nothing to judge"):
        store.rounds.open(DrawnRound(RoundSettings(), ()))
    assert [each.id for each in store.rounds.all()] == [first.id, second.id]
    for unknown in (store.rounds.get, store.rounds.close):
        with pytest.raises(RoundError, match="no round 99"):
            unknown(99)
