"""Notes of what was found settled: they hold for just those rows, settings and program, and hide no work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import flows.sentiment.flow as sentiment_flow
from data_catalog import catalog as catalog_module
from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from data_catalog.tables.duck import within_memory
from flows import settled
from flows.runner import run_stage
from flows.sentiment.flow import _label
from flows.sentiment.rows import label_ads
from flows.settings import RunnerSettings, SentimentSettings, Settings
from flows.settled import Settled
from flows.stages import SCORES, StageCount

FINGERPRINT = SCORES.fingerprint(Settings())
AT = datetime(2026, 11, 23, tzinfo=UTC)


def rows(table: str, *values: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(values), schema=TABLES[table].schema)


def comment(name: str, text: str = "r") -> pa.Table:
    return rows("comments", {"comment_id": name, "video_id": "v", "text": text, "text_sha256": text, "fetched_at": AT})


def score(name: str, text: str = "r", fingerprint: str = FINGERPRINT, positive: int = 4) -> pa.Table:
    made = {"fingerprint": fingerprint, "upstream_revision": text, "words_digest": hash(name), "n_words": 1}
    said = {"positive": positive, "negative": -1, "only_links": False}
    return rows("comment_scores", {"comment_id": name, "video_id": "v", **said, **made})


def dropped(name: str, kind: str, stage: str = SCORES.name, fingerprint: str = FINGERPRINT) -> Drop:
    return Drop(stage, name, "v", kind, "engine_ended", fingerprint=fingerprint, upstream_revision="r")  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Two comments, one of them scored and one given up."""
    catalog = Catalog(tmp_path)
    catalog.merge("ads", rows("ads", {"video_id": "v", "source": "folder"}))
    catalog.merge("comments", pa.concat_tables([comment("a"), comment("b")]))
    catalog.commit("comment_scores", score("a"), stage="scores", drops=[dropped("b", "filtered")], done=["a"])
    return catalog


def scored(catalog: Catalog, asked: Settings | None = None) -> StageCount:
    """Run the stage where nothing is pending; if anything is, there is no task to give it to."""
    return run_stage(SCORES, None, catalog, asked or Settings())  # type: ignore[arg-type]


def is_noted(catalog: Catalog, asked: Settings | None = None) -> bool:
    return Settled.of_stage(catalog, SCORES, asked or Settings()).is_noted()


def n_to_do(catalog: Catalog, fingerprint: str = FINGERPRINT) -> int:
    """What the notes must not hide, asked for without them."""
    pending = catalog.pending(
        "comment_scores", upstream="comments", stage="scores", fingerprint=fingerprint, size=10, columns=["comment_id"]
    )
    held, made = (set(catalog.values(table, "comment_id")) for table in ("comments", "comment_scores"))
    return pending.rows + len(made - held)


def test_a_stage_that_has_nothing_left_to_do_does_not_look_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_noted(catalog)
    scored(catalog)
    assert is_noted(catalog)
    assert n_to_do(catalog) == 0
    monkeypatch.setattr(Catalog, "pending", None)
    assert str(scored(catalog)) == "scores: nothing left to do"


MAKING_WORK: dict[str, Callable[[Catalog], object]] = {
    "a comment comes": lambda catalog: catalog.merge("comments", comment("c")),
    "a comment says something else": lambda catalog: catalog.merge("comments", comment("a", "s")),
    "a comment goes": lambda catalog: catalog.delete("comments", ["a"]),
    "a score goes": lambda catalog: catalog.delete("comment_scores", ["a"]),
    "a score is of other settings": lambda catalog: catalog.merge("comment_scores", score("a", fingerprint="e")),
    "a drop goes": lambda catalog: catalog.replace_drops("scores", []),
    "a drop is to be tried again": lambda catalog: catalog.replace_drops("scores", [dropped("b", "failed")]),
    "a drop is of other settings": lambda catalog: catalog.replace_drops(
        "scores", [dropped("b", "filtered", fingerprint="e")]
    ),
}


@pytest.mark.parametrize("change", MAKING_WORK.values(), ids=MAKING_WORK)
def test_no_note_hides_work(catalog: Catalog, change: Callable[[Catalog], object]) -> None:
    scored(catalog)
    change(catalog)
    assert n_to_do(catalog) > 0
    assert not is_noted(catalog)


def test_another_stages_drop_makes_no_work(catalog: Catalog) -> None:
    scored(catalog)
    catalog.replace_drops("words", [dropped("b", "failed", stage="words")])
    assert is_noted(catalog)


def test_a_table_that_was_made_anew_is_another_one(catalog: Catalog, tmp_path: Path) -> None:
    scored(catalog)
    other = Catalog(tmp_path / "other")
    other.merge("comments", pa.concat_tables([comment("c"), comment("d")]))
    shutil.rmtree(tmp_path / "tables/comments")
    shutil.move(tmp_path / "other/tables/comments", tmp_path / "tables/comments")
    assert catalog.snapshot("comments").info().version == 1
    assert not is_noted(catalog)


def test_other_settings_or_another_program_look_for_themselves(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(catalog)
    assert not is_noted(catalog, Settings(runner=RunnerSettings(max_attempts=4)))
    monkeypatch.setattr(settled, "_program", lambda: "another")
    assert not is_noted(catalog)


def test_what_is_to_be_tried_again_is_no_end(catalog: Catalog) -> None:
    # a row that failed once is settled for this run, of which it is the last attempt
    catalog.replace_drops("scores", [dropped("b", "failed")])
    scored(catalog, Settings(runner=RunnerSettings(max_attempts=1)))
    assert n_to_do(catalog) == 1
    assert is_noted(catalog, Settings(runner=RunnerSettings(max_attempts=1)))
    assert not is_noted(catalog)


def test_a_note_that_cannot_be_kept_or_read_is_none(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / settled.FOLDER).write_text("a file")
    scored(catalog)
    assert not is_noted(catalog)


def test_ads_are_labelled_anew_where_anything_changed(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Settings()
    assert _label(catalog, asked).rows_out == 1
    calls = []

    def counted(*args: Any, **rest: Any) -> pa.Table:
        calls.append(args)
        return label_ads(*args, **rest)

    monkeypatch.setattr(sentiment_flow, "label_ads", counted)
    assert _label(catalog, asked).rows_in == 0
    assert calls == []
    lower = asked.model_copy(update={"sentiment": SentimentSettings(positive=4.5)})
    assert _label(catalog, lower).rows_out == 0
    catalog.merge("comment_scores", score("a", positive=2))
    assert _label(catalog, asked).rows_out == 0
    assert catalog.values("ad_sentiment", "mean_score") == [2.0]
    catalog.delete("ad_sentiment", ["v"])
    _label(catalog, asked)
    assert catalog.values("ad_sentiment", "mean_score") == [2.0]
    assert len(calls) == 3


def test_labels_that_another_process_wrote_meanwhile_are_no_ones_note(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **rest: Any) -> pa.Table:
        made = label_ads(*args, **rest)
        catalog.merge("comment_scores", score("a", positive=2))
        return made

    monkeypatch.setattr(sentiment_flow, "label_ads", interrupted)
    _label(catalog, Settings())
    monkeypatch.setattr(sentiment_flow, "label_ads", label_ads)
    _label(catalog, Settings())
    assert catalog.values("ad_sentiment", "mean_score") == [2.0]


def test_a_query_that_needs_more_memory_than_is_allowed_is_answered_all_the_same(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{"comment_id": f"{n:09d}" * 9, "video_id": "v", "text_sha256": f"{n}" * 9} for n in range(40_000)]
    catalog.merge("comments", rows("comments", *many))
    query = "SELECT list(comment_id ORDER BY comment_id DESC) AS found FROM comments"
    expected = catalog.query(query, tables=["comments"], params={})
    tried = []

    def little(limit: str) -> Any:
        tried.append(limit)
        return within_memory("2MB")

    monkeypatch.setattr(catalog_module, "within_memory", little)
    assert catalog.query(query, tables=["comments"], params={}) == expected
    assert tried
    assert len(expected["found"][0]) == 40_002
