"""`ytb-ads sentiment explain`: why a text or an ad came out as it did, safe to print whatever strangers wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner, Result

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.schemas import TABLES
from flows.commands.main import app
from flows.errors import SentimentError
from flows.sentiment.engines import scorer
from flows.sentiment.explain import COMMENT_CHARACTERS, EXPLAINED_CHARACTERS, explain_ad, explain_text, render_ad
from flows.sentiment.sentistrength import Scorer
from flows.settings import SentimentSettings

HOSTILE = "[bold]love[/bold] \x1b[2J\x07 \u202ehate \0 [/nothing] great\u2028!"


@pytest.fixture(scope="module")
def own() -> Scorer:
    return scorer()


def invoke(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["sentiment", "explain", *map(str, arguments)], input=given)


def explained(*arguments: str | Path, given: bytes | None = None) -> str:
    done = invoke(*arguments, given=given)
    assert done.exit_code == 0, done.output
    return done.stdout


def as_json(*arguments: str | Path, given: bytes | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(explained(*arguments, "--json", given=given))
    return found


def line_of(shown: str, word: str) -> str:
    [line] = [line for line in shown.splitlines() if line.split()[:1] == [word]]
    return line


def test_every_word_that_counts_says_why() -> None:
    shown = explained("I really LOOOVE this spoon, but it is not good!")
    assert "listed as" in line_of(shown, "LOOOVE")
    assert "emphasised" in line_of(shown, "LOOOVE")
    assert "boosted" in line_of(shown, "LOOOVE")
    assert "negates what follows" in line_of(shown, "not")
    assert "negated" in line_of(shown, "good")
    assert line_of(shown, "spoon").split() == ["spoon"]
    assert "exclamation mark makes the positive strength one stronger" in shown


def test_the_strengths_stand_at_the_end_with_the_sentences_that_made_them(own: Scorer) -> None:
    text = "A spoon. I love it. I hate it."
    positive, negative = own.score(text)
    last = explained(text).strip().splitlines()[-1]
    assert last == f"positive {positive} (sentence 2), negative {negative} (sentence 3)"


def test_the_text_that_was_scored_is_told_where_it_differs() -> None:
    said = "I don’t love https://x.com/hate 🩷"
    assert as_json(said)["scored_text"] == "I don't love   🩷"
    shown = explained(said)
    assert "scored as: I don't love" in shown
    assert "🩷" in shown
    assert "scored as" not in explained("I don't love it")


def test_json_has_the_whole_structure(own: Scorer) -> None:
    found = as_json("I love it. not good")
    assert {name: found[name] for name in ("text", "positive", "negative")} == {
        "text": "I love it. not good",
        **own.score("I love it. not good")._asdict(),
    }
    first, second = found["sentences"]
    assert [word["written"] for word in first["words"]] == ["I", "love", "it", "."]
    assert set(first["words"][1]) == {"written", "spelling", "kind", "score", "reasons"}
    assert first["words"][1]["score"] > 0
    assert second["words"][0]["reasons"] == ["negates what follows"]
    assert first["reasons"][0].startswith("strongest")


@given(st.text(st.characters(codec=None), max_size=60))
def test_an_explanation_has_the_strengths_of_the_text(own: Scorer, text: str) -> None:
    assert explain_text(own, text).strength == own.score(text)
    assert own.score(text) == own.score(own.reading.scored(text))
    assert explain_text(own, text, at_most=5).strength == own.score(text)


def test_a_text_can_come_from_standard_input() -> None:
    assert as_json("-", given=b"I love it\r\n") == as_json("I love it")
    assert as_json("-", given=b"\xff\xc3 good")["text"] == "\ufffd\ufffd good"
    assert as_json("-", given=b"")["sentences"] == []


def test_bytes_that_are_no_text_are_explained_as_they_are_scored() -> None:
    assert as_json(os.fsdecode(b"good \xff"))["text"] == "good \ufffd"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_nothing_of_a_text_acts_on_the_terminal(form: tuple[str, ...]) -> None:
    shown = explained("-", *form, given=HOSTILE.encode())
    assert not {c for c in shown if not c.isprintable() and c != "\n"}
    assert "love" in shown


@pytest.mark.parametrize("word", ["x", "I love it. ", "love "])
def test_a_very_long_text_is_cut_short_and_says_so(word: str) -> None:
    text = word * (2 * EXPLAINED_CHARACTERS // len(word))
    shown = explained("-", given=text.encode() + b" I hate it")
    assert len(shown) < EXPLAINED_CHARACTERS
    assert f"of {len(text) + 10:,} characters" in shown
    assert "(further on than is explained)" in shown


def test_the_sentence_that_decides_is_shown_however_late_it_comes() -> None:
    shown = explained("-", given=b"A spoon. " * 100 + b"I love it. " + b"A spoon. " * 100)
    assert "sentence 101: " in shown
    assert "180 more sentences, none of them stronger" in shown
    assert "(sentence 101)" in shown


def test_the_word_that_decides_is_shown_however_late_it_comes() -> None:
    shown = explained("-", given=b"very " * 500 + b"love " + b"spoon " * 500)
    assert "listed as" in line_of(shown, "love")
    assert "961 more words, none of them stronger" in shown


def test_a_text_is_cut_between_words(own: Scorer) -> None:
    text = "good " * (EXPLAINED_CHARACTERS // 5) + "good"
    found = explain_text(own, text)
    assert not found.is_whole
    assert set(found.explanation.text.split()) == {"good"}


def test_the_original_gives_no_reasons_and_that_is_said(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[sentiment]\nengine = "java"\n')
    done = invoke("I love it 😀", "--config", config, "--json")
    assert "the engine java gives no reasons" in done.stderr
    # nor does it count emoji
    assert json.loads(done.stdout) == as_json("I love it 😀", "--no-emoji")


@pytest.mark.parametrize("arguments", [(), ("a text", "--ad", "an_ad"), ("a text", "--limit", "-1")])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments).exit_code == 2


COMMENTS = {
    "c1": ("a spoon", 1, -1, 900),
    "c2": ("I really love it", 4, -1, 2),
    "c3": ("I love it", 3, -1, 5),
    "c4": ("I hate it, it is awful", 1, -4, 7),
    "c5": (HOSTILE, 3, -4, None),
}


@pytest.fixture
def catalog(tmp_path: Path, own: Scorer) -> Catalog:
    """An ad with five comments and their scores, one without any, and one that is not scored yet."""
    tables = Catalog(tmp_path / "catalog")
    texts = {comment: (text, *own.score(text), likes) for comment, (text, _, _, likes) in COMMENTS.items()}
    write(tables, "ads", [{"video_id": ad} for ad in ("ad", "silent", "new")])
    write(
        tables,
        "comments",
        [
            {"comment_id": comment, "video_id": "ad", "text": text, "text_sha256": comment, "like_count": likes}
            for comment, (text, _, _, likes) in texts.items()
        ]
        + [{"comment_id": "other", "video_id": "another", "text": "I adore it", "text_sha256": "other"}],
    )
    write(
        tables,
        "comment_scores",
        [
            {"comment_id": comment, "video_id": "ad", "positive": positive, "negative": negative}
            for comment, (_, positive, negative, _) in texts.items()
        ],
    )
    counts = {"n_comments": 5, "n_neutral": 1, "aggregation": "dominant", "mean_score": 0.5}
    write(
        tables,
        "ad_sentiment",
        [
            {"video_id": "ad", "label": "positive", **counts},
            {"video_id": "silent", "n_comments": 0, "n_neutral": 0, "aggregation": "dominant"},
        ],
    )
    return tables


def write(catalog: Catalog, table: str, rows: list[dict[str, Any]]) -> None:
    catalog.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))


def of_ad(catalog: Catalog, ad: str = "ad") -> tuple[str | Path, ...]:
    return "--ad", ad, "--catalog", str(catalog.root)


def test_an_ad_shows_its_label_and_its_strongest_comments_first(catalog: Catalog) -> None:
    shown = explained(*of_ad(catalog))
    lines = shown.splitlines()
    assert lines[0] == "ad ad: positive, mean 0.50 (dominant)"
    assert lines[1] == "5 comments, 1 neutral"
    assert "[bold]love[/bold] \\x1b[2J" in shown
    found = as_json(*of_ad(catalog))
    strongest = [max(comment["positive"], -comment["negative"]) for comment in found["comments"]]
    assert strongest == sorted(strongest, reverse=True)
    assert found["comments"][-1]["comment_id"] == "c1"
    [line] = [line for line in lines if "I really love it" in line]
    assert "boosted" in line
    assert {comment["comment_id"] for comment in found["comments"]} == set(COMMENTS)
    assert not {c for c in shown if not c.isprintable() and c != "\n"}


def test_a_comment_that_does_not_count_says_why_and_the_mean_has_its_interval(catalog: Catalog) -> None:
    write(
        catalog,
        "comment_scores",
        [{"comment_id": "c3", "video_id": "ad", "positive": 3, "negative": -1, "language": "es"}],
    )
    row = {"video_id": "ad", "n_comments": 5, "label": "positive", "aggregation": "dominant", "mean_score": 2.75}
    write(catalog, "ad_sentiment", [row | {"mean_low": 1.5, "mean_high": 3.25, "label_support": 0.61}])
    lines = explained(*of_ad(catalog)).splitlines()
    assert lines[0].endswith("mean 2.75 (dominant), 95 % interval 1.50 to 3.25; 61% of the draws come to this label")
    assert [line.split("  ")[0] for line in lines if "other language" in line] == [" +3 -1"]
    found = as_json(*of_ad(catalog))
    assert {c["comment_id"]: c["left_out"] for c in found["comments"] if c["left_out"]} == {"c3": "other_language"}


def test_a_comment_takes_one_line_with_its_strengths_however_narrow_the_terminal(
    catalog: Catalog, own: Scorer, capsys: pytest.CaptureFixture[str]
) -> None:
    Console(width=60).print(render_ad(explain_ad(catalog, "ad", own, SentimentSettings(), limit=20)))
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(" +") for line in lines) == len(COMMENTS)
    assert max(map(len, lines)) <= 60


def test_a_limit_says_how_many_comments_are_left(catalog: Catalog) -> None:
    shown = explained(*of_ad(catalog), "--limit", "2")
    assert "3 more comments, none of them stronger" in shown
    assert "a spoon" not in shown
    assert as_json(*of_ad(catalog), "--limit", "2")["n_more"] == 3


def test_comments_without_a_score_are_counted(catalog: Catalog) -> None:
    catalog.delete("comment_scores", ["c1"])
    shown = explained(*of_ad(catalog))
    assert "comments without a score: 1" in shown
    assert "a spoon" not in shown


def test_scores_of_other_word_lists_are_told_from_those_that_explain(catalog: Catalog, own: Scorer) -> None:
    write(catalog, "comment_scores", [{"comment_id": "c1", "video_id": "ad", "positive": 5, "negative": -1}])
    assert "comments that come out otherwise with the word lists that explain them: 1" in explained(
        "--ad", "ad", "--catalog", str(catalog.root)
    )
    [first] = explain_ad(catalog, "ad", own, SentimentSettings(), limit=1).comments
    assert (first.comment_id, first.positive, first.scored_otherwise) == ("c1", 5, (1, -1))


def test_an_ad_without_comments_says_that(catalog: Catalog) -> None:
    assert explained(*of_ad(catalog, "silent")).startswith("ad silent: no label, no mean (dominant)")


@pytest.mark.parametrize(("ad", "said"), [("new", "not scored yet"), ("misspelt", "no ad 'misspelt' here")])
def test_an_ad_that_cannot_be_explained_is_refused(catalog: Catalog, ad: str, said: str) -> None:
    refused = invoke(*of_ad(catalog, ad))
    assert refused.exit_code == 1
    assert isinstance(refused.exception, SentimentError)
    assert said in str(refused.exception)


def test_a_misspelt_catalog_does_not_pass_for_an_empty_one(tmp_path: Path) -> None:
    refused = invoke("--ad", "ad", "--catalog", tmp_path / "misspelt")
    assert isinstance(refused.exception, CatalogError)


def test_of_very_long_comments_a_part_is_explained(catalog: Catalog) -> None:
    long = "I love it. " * (2 * COMMENT_CHARACTERS // 11)
    write(catalog, "comments", [{"comment_id": c, "video_id": "ad", "text": long, "text_sha256": c} for c in COMMENTS])
    assert len(explained(*of_ad(catalog))) < COMMENT_CHARACTERS
