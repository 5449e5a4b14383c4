"""The training round: who may start, and what becomes of examples and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.errors import NotPossibleError, RoundError, SubmissionError, TrainingError
from annotation.events import CHOICES, Choice
from annotation.outcomes import progress, reviews, round_status
from annotation.rounds import DrawnRound, Entry, RoundOptions, RoundSettings, draw_round
from annotation.store import Store
from annotation.training import Answer, Standing, standing
from tests.annotation.store_builders import entries, invite
from tests.annotation.web.site_builder import write_catalog

AT = datetime(2026, 11, 26, tzinfo=UTC)
EXAMPLES = [replace(entry, id=f"x{n}", kind="gold", known="positive") for n, entry in enumerate(entries(5))]


def answers(*right: bool, attempt: int = 1) -> list[Answer]:
    return [Answer(attempt, f"x{n}", "positive" if each else "uncertain", AT) for n, each in enumerate(right)]


def now(given: Sequence[Answer], share: float = 0.8, examples: Sequence[Entry] = EXAMPLES) -> Standing:
    return standing(examples, given, share, seed=1, person="p")


@pytest.mark.parametrize(
    ("right", "passed"), [((True,) * 5, True), ((True,) * 4 + (False,), True), ((True,) * 3 + (False,) * 2, False)]
)
def test_the_share_of_right_answers_lets_a_reviewer_start(right: tuple[bool, ...], passed: bool) -> None:
    found = now(answers(*right))
    assert (found.passed, found.needed, found.next_id) == (passed, 4, None)
    assert not now(answers(*right[:4])).passed, "one is missing"


def test_a_failed_attempt_is_repeated_whole_and_a_passed_one_counts_for_good() -> None:
    failed = answers(*[False] * 5)
    again = now([*failed, *answers(True, attempt=2)])
    assert (again.attempt, again.answered, again.right, again.passed) == (2, 1, 1, False)
    assert again.next_id not in (None, "x0")
    good = answers(*[True] * 5, attempt=2)
    assert now([*failed, *good, *answers(False, attempt=3)]).passed


def test_without_examples_everybody_may_start() -> None:
    assert now([], examples=[]).passed
    assert now(answers(True), examples=[]).passed, "they were withdrawn"


@given(st.permutations(answers(True, False, True, True, False)), st.floats(0, 1))
def test_the_order_of_the_answers_makes_no_difference(given: list[Answer], share: float) -> None:
    assert now(given, share) == now(sorted(given, key=lambda each: each.example_id), share)


def open_training(store: Store, n_examples: int = 2) -> RoundOptions:
    options = RoundOptions()
    store.rounds.open(DrawnRound(RoundSettings(options=options), tuple(entries(7)[5:]), tuple(EXAMPLES[:n_examples])))
    return options


def test_answers_count_nowhere_but_in_the_training(store: Store) -> None:
    options = open_training(store)
    (ann,) = invite(store, "Ann")
    before = round_status(store, 1)
    assert store.preparation.answer(1, ann.id, "x0", 1, "positive", options) == "positive"
    assert store.preparation.answer(1, ann.id, "x0", 1, "negative", options) == "positive", "the first one counts"
    assert (store.events(1), reviews(store), round_status(store, 1)) == ([], [], before)
    assert before.n_entries == 2
    (own,) = progress(store, 1)
    assert own.training is not None
    assert (own.done, own.training.right, own.training.answered) == (0, 1, 1)


def test_an_answer_that_is_not_asked_for_is_refused(store: Store) -> None:
    options = open_training(store)
    (ann,) = invite(store, "Ann")
    refused: list[tuple[str, int, str]] = [("x9", 1, "positive"), ("x0", 2, "positive")]
    for example_id, attempt, choice in refused:
        with pytest.raises(NotPossibleError):
            store.preparation.answer(1, ann.id, example_id, attempt, choice, options)  # type: ignore[arg-type]
    with pytest.raises(SubmissionError):
        store.preparation.answer(1, ann.id, "x0", 1, "maybe", options)  # type: ignore[arg-type]
    wrong: Choice = CHOICES[1]
    for example_id in ("x0", "x1"):
        store.preparation.answer(1, ann.id, example_id, 1, wrong, options)
    store.preparation.answer(1, ann.id, "x1", 2, "positive", options)
    assert store.preparation.standing(1, ann.id, options).attempt == 2
    store.rounds.close(1)
    with pytest.raises(NotPossibleError):
        store.preparation.answer(1, ann.id, "x0", 2, "positive", options)


def test_a_forgotten_ad_leaves_the_training_with_the_answers_to_it(store: Store) -> None:
    options = open_training(store)
    (ann,) = invite(store, "Ann")
    for example_id in ("x0", "x1"):
        store.preparation.answer(1, ann.id, example_id, 1, "positive", options)
    store.rounds.withdraw([EXAMPLES[0].video_id])
    assert [example.id for example in store.preparation.examples(1)] == ["x1"]
    found = store.preparation.standing(1, ann.id, options)
    assert (found.total, found.answered, found.passed) == (1, 1, True)


def test_examples_are_drawn_from_the_settings_and_are_not_in_the_round(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", 3)
    drawn = draw_round(catalog, RoundSettings(), training={"ad1": "negative", "gone": "positive"})
    assert [(each.video_id, each.known) for each in drawn.training] == [("ad1", "negative")]
    assert len(drawn.training[0].frame_ids) == 3
    assert {entry.video_id for entry in drawn.entries} == {"ad0", "ad2"}
    with pytest.raises(TrainingError, match="gone"):
        draw_round(catalog, RoundSettings(), training={"gone": "positive"})
    with pytest.raises(RoundError):
        RoundOptions(training_share=1.5)
