"""Rows in = rows out + drops: a stage that loses rows, or ends with nothing, fails loudly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.errors import StageError
from flows.runner import check_nothing_lost
from flows.stages import SCORES, StageCount


def rows(table: str, *values: Mapping[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(values), schema=TABLES[table].schema)


def score(comment_id: str, fingerprint: str = "f") -> dict[str, object]:
    return {"comment_id": comment_id, "fingerprint": fingerprint, "upstream_revision": "r"}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(tmp_path)
    comments = [{"comment_id": name, "video_id": "v", "text_sha256": "r"} for name in ("a", "b")]
    catalog.merge("comments", rows("comments", *comments))
    return catalog


def check(catalog: Catalog) -> None:
    check_nothing_lost(catalog, SCORES, "f")


def test_a_row_or_a_drop_for_each_upstream_row_is_enough(catalog: Catalog) -> None:
    drop = Drop("scores", "b", "v", "failed", "timeout", fingerprint="f", upstream_revision="r")
    catalog.commit("comment_scores", rows("comment_scores", score("a")), stage="scores", drops=[drop], done=["a"])
    check(catalog)


def test_a_lost_row_is_named(catalog: Catalog) -> None:
    catalog.merge("comment_scores", rows("comment_scores", score("a"), score("b", fingerprint="of older settings")))
    with pytest.raises(StageError, match=r"1 of 2 rows of comments .* 'b' first"):
        check(catalog)


def test_a_stage_that_had_work_and_ends_with_nothing_fails_with_the_reasons(catalog: Catalog) -> None:
    drops = [Drop("scores", key, "v", "filtered", "no_words", fingerprint="f", upstream_revision="r") for key in "ab"]
    catalog.commit("comment_scores", rows("comment_scores"), stage="scores", drops=drops)
    with pytest.raises(StageError, match=r"none of 2 rows .*2 no_words"):
        check(catalog)


def test_nothing_to_do_is_not_a_failure(tmp_path: Path) -> None:
    check(Catalog(tmp_path))
    assert str(StageCount("scores", "comments")) == "scores: nothing left to do"
