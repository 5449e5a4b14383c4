"""What people said becomes labels and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from annotation.errors import StoreError
from annotation.events import Remark, Ruling
from annotation.store import Store
from data_catalog.catalog import Catalog
from flows.review.flow import review
from flows.review.human import (
    already_judged,
    draw_unjudged,
    read_judged,
    review_store,
    still_open,
    store_location,
    watching,
    withdraw_ads,
)
from flows.settings import ReviewSettings, Settings
from tests.flows.review import people
from tests.flows.review.people import (
    add_ads,
    close,
    exclude_all,
    judge,
    key,
    now,
    put,
    small_catalog,
    verifier,
)

HUMAN = Settings(review=ReviewSettings(policy="human", reviewers=3))
AUTO = Settings()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return small_catalog(tmp_path / "catalog")


@pytest.fixture
def store(catalog: Catalog) -> Iterator[Store]:
    with review_store(catalog, HUMAN.review) as opened:
        yield opened


def open_round(catalog: Catalog, store: Store) -> set[str]:
    """Open the next round; the ads in it."""
    drawn = people.open_round(catalog, store, HUMAN)
    return {entry.video_id for entry in drawn.entries} if drawn else set()


def settle(catalog: Catalog, settings: Settings = HUMAN) -> dict[str, dict[str, Any]]:
    """Run the stage; its labels by ad."""
    review.fn(catalog, settings)
    return {row["video_id"]: row for row in catalog.read("labels").to_pylist()}


def drops(catalog: Catalog) -> dict[str, str]:
    return {row["key"]: row["reason"] for row in catalog.read("drops", where="stage = 'review'").to_pylist()}


def test_what_nobody_has_judged_has_no_label_and_a_reason(catalog: Catalog) -> None:
    add_ads(catalog, {"wordless": "positive"}, n_words=2)
    assert settle(catalog) == {}
    assert drops(catalog) == dict.fromkeys(["a", "b", "c", "d", "wordless"], "not_reviewed")


def test_the_comments_labels_give_way_to_peoples(catalog: Catalog) -> None:
    assert settle(catalog, AUTO).keys() == set("abcd")
    assert drops(catalog) == {}
    assert settle(catalog) == {}
    assert settle(catalog, AUTO).keys() == set("abcd")
    assert drops(catalog) == {}


def test_labels_say_who_decided_and_how_far_the_reviewers_agreed(catalog: Catalog, store: Store) -> None:
    assert open_round(catalog, store) == set("abcd")
    # a: agreed against the comments; b: to the verifier; c: to the discussion; d: excluded
    judge(store, lambda ad, n: "negative" if ad == "a" else "uncertain" if n == 0 else "positive")
    desk = verifier(store)
    by_ad = {entry.video_id: entry for entry in desk.queue()}
    assert by_ad.keys() == set("bcd")
    desk.decide(by_ad["b"].entry_id, Ruling("negative"), seen=by_ad["b"].revision, key=key(), shown_at=now())
    desk.discuss(by_ad["c"].entry_id, Remark(), seen=by_ad["c"].revision, key=key(), shown_at=now())
    talked = desk.entry(by_ad["c"].entry_id)
    desk.settle(talked.entry_id, Ruling("positive"), seen=talked.revision, key=key(), shown_at=now())
    exclude_all(store)
    close(store)

    labels = settle(catalog)
    facts = {ad: (row["label"], row["decided_by"], row["n_reviewers"]) for ad, row in labels.items()}
    assert facts == {
        "a": ("negative", "reviewers", 3),
        "b": ("negative", "verifier", 3),
        "c": ("positive", "discussion", 3),
    }
    assert [labels[ad]["agreement"] for ad in "abc"] == pytest.approx([1.0, 0.0, 2 / 3])
    assert drops(catalog) == {"d": "excluded_by_people"}
    verdicts = {row["verdict"] for row in catalog.read("reviews").to_pylist()}
    assert {"negative", "decided:negative", "settled:positive", "excluded"} <= verdicts
    assert catalog.count("reviews") == 4 * 3 + 3


def test_the_same_verdicts_give_the_same_tables(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive", excluded=["a:1"])
    close(store)
    settle(catalog)
    versions = catalog.versions()
    settle(catalog)
    assert catalog.versions() == versions


def test_an_open_round_says_nothing_yet(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive")
    assert settle(catalog) == {}
    assert catalog.count("reviews") == 0
    close(store)
    assert settle(catalog).keys() == set("abcd")


def test_a_further_round_holds_new_ads_and_those_that_nobody_judged(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "uncertain" if ad == "b" else "positive", only="abc")
    exclude_all(store)
    current = store.rounds.current()
    assert current is not None
    store.rounds.close(current.id)
    add_ads(catalog, {"new": "positive", "also between": None})
    assert open_round(catalog, store) == {"d", "new"}, "b is excluded, and stays so"


def test_nothing_is_left_to_judge_when_everything_is(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive")
    close(store)
    assert open_round(catalog, store) == set()


def test_frames_that_most_reviewers_exclude_are_dropped_and_no_other(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive", excluded=["a:1"])
    close(store)
    settle(catalog)
    assert drops(catalog) == {"a:1": "frame_excluded_by_people"}


def test_an_ad_whose_comments_label_it_no_more_has_no_label_until_they_do_again(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive")
    close(store)
    put(catalog, "ad_sentiment", [{"video_id": "a", "label": None}])
    assert settle(catalog).keys() == set("bcd")
    put(catalog, "ad_sentiment", [{"video_id": "a", "label": "positive"}])
    assert settle(catalog).keys() == set("abcd")


def test_what_was_said_of_a_forgotten_ad_does_not_come_back(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive", excluded=["a:0"])
    close(store)
    for table in ("ads", "ad_sentiment", "texts"):
        catalog.delete_groups(table, column="video_id", values=["a"])
    assert settle(catalog).keys() == set("bcd")
    assert "a" not in catalog.values("reviews", "video_id")
    assert drops(catalog) == {}


def test_a_round_whose_page_was_killed_after_the_last_vote_is_closed_by_the_next_build(
    catalog: Catalog, store: Store
) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive", only="abc")
    assert still_open(store) is not None
    judge(store, lambda ad, n: "positive")
    assert still_open(store) is None
    assert not store.rounds.all()[0].is_open


def test_a_watched_round_is_closed_once_when_its_last_entry_is_settled(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    said: list[int] = []
    closed = threading.Event()

    def tell(round_id: int) -> None:
        said.append(round_id)
        closed.set()

    with watching(store, tell, every_s=0.01, quiet_s=0.5):
        judge(store, lambda ad, n: "positive", only="abc")
        assert not closed.wait(0.7)
        judge(store, lambda ad, n: "positive")
        assert not closed.wait(0.2), "the last vote can be taken back for a while"
        assert closed.wait(10)
    assert said == [1]


def test_the_comments_do_not_overrule_people_without_a_word(
    catalog: Catalog, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    settle(catalog, AUTO)
    assert "people" not in caplog.text
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive", only="abc")
    store.rounds.close(1)
    settle(catalog)
    caplog.clear()
    settle(catalog, AUTO)
    assert "people have judged 3 of these ads" in caplog.text
    assert "--review human" in caplog.text


def test_ads_of_which_people_have_said_the_last_word_are_known_whatever_was_built_since(
    catalog: Catalog, store: Store
) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive", only="abc")
    assert already_judged(catalog, HUMAN.review) == frozenset(), "an open round can change its mind"
    store.rounds.close(1)
    settle(catalog, AUTO)
    assert already_judged(catalog, HUMAN.review) == set("abc")


def test_looking_for_what_people_said_makes_no_store(tmp_path: Path) -> None:
    catalog = small_catalog(tmp_path / "other")
    assert already_judged(catalog, HUMAN.review) == frozenset()
    assert withdraw_ads(catalog, HUMAN.review, ["a"]) == 0
    assert not (tmp_path / "other" / "annotation").exists()


def test_gold_and_repeated_entries_are_mixed_in_as_the_settings_say(catalog: Catalog, store: Store) -> None:
    add_ads(catalog, {"known": None})
    asked = Settings(
        review=ReviewSettings(policy="human", repeat_share=0.5, gold_share=0.25, gold={"known": "negative"}, comments=2)
    )
    drawn = draw_unjudged(catalog, asked, read_judged(store, frozenset()))
    assert drawn is not None
    kinds = [entry.kind for entry in drawn.entries]
    assert (kinds.count("ordinary"), kinds.count("gold"), kinds.count("repeat")) == (4, 1, 2)
    assert all(len(entry.comment_ids) == 2 for entry in drawn.entries)


def test_a_catalog_on_an_object_store_needs_a_store_that_is_named() -> None:
    remote = Catalog("s3://bucket/catalog")
    with pytest.raises(StoreError, match=r"name a file or a PostgreSQL server as review\.store"):
        store_location(remote, ReviewSettings())
    url = SecretStr("postgresql://ann:secret@host/votes")
    assert store_location(remote, ReviewSettings(store=url)) == url.get_secret_value()


def test_a_gold_share_without_known_answers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"give some in review\.gold"):
        ReviewSettings(gold_share=0.1)


def test_the_reviews_table_is_kept_when_the_comments_decide_again(catalog: Catalog, store: Store) -> None:
    open_round(catalog, store)
    judge(store, lambda ad, n: "positive")
    close(store)
    settle(catalog)
    held = catalog.count("reviews")
    settle(catalog, AUTO)
    assert catalog.count("reviews") == held == 4 * 3
