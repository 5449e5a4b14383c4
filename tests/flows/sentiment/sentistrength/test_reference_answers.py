"""The original program's answers, every one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.sentiment.sentistrength import NEUTRAL, Reading, Scorer, Strength, explain

Row = tuple[str, Strength]
N_ANSWERS = {"reference.tsv": 8023, "reference_odd_tokens.tsv": 3000}


@pytest.fixture(scope="module")
def original(shared_data: Path) -> Scorer:
    return Scorer.of(shared_data / "sentistrength" / "lists")


@pytest.fixture(scope="module", params=N_ANSWERS)
def rows(request: pytest.FixtureRequest, shared_data: Path) -> list[Row]:
    _, *lines = (shared_data / "sentistrength" / request.param).read_text("utf-8").rstrip("\n").split("\n")
    assert len(lines) == N_ANSWERS[request.param]
    fields = [line.split("\t") for line in lines]
    return [(text, Strength(int(positive), int(negative))) for text, positive, negative in fields]


def test_every_text_has_the_originals_strengths(original: Scorer, rows: list[Row]) -> None:
    answers = original.score_all(text for text, _ in rows)
    differing = [
        f"line {line}: {text!r} is {tuple(answer)}, expected {tuple(expected)}"
        for line, ((text, expected), answer) in enumerate(zip(rows, answers, strict=True), 2)
        if answer != expected
    ]
    assert not differing, f"{len(differing)} of {len(rows)} differ, the first:\n" + "\n".join(differing[:20])


def test_an_explanation_has_these_strengths_and_they_are_its_strongest_sentences(
    original: Scorer, rows: list[Row]
) -> None:
    for text, expected in rows[::5]:
        explanation = explain(original, text)
        strengths = [NEUTRAL, *(sentence.strength for sentence in explanation.sentences)]
        strongest = max(s.positive for s in strengths), min(s.negative for s in strengths)
        assert explanation.strength == expected == strongest, text


def test_the_emoji_option_changes_nothing_where_the_folder_has_no_emoji(original: Scorer, rows: list[Row]) -> None:
    with_emoji = Scorer(original.lexicon, Reading(emoji=True))
    assert [with_emoji.score(text) for text, _ in rows[::20]] == [expected for _, expected in rows[::20]]
