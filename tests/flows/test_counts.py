"""Rows in = rows out + drops: a stage that loses rows or ends with nothing fails, and no row outlives its upstream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.errors import StageError
from flows.runner import check_nothing_lost
from flows.stages import SCORES, STAGES, Stage, StageCount


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


ROW_BY_ROW = [stage for stage in STAGES if stage.upstream]


@pytest.mark.parametrize("stage", ROW_BY_ROW, ids=[stage.name for stage in ROW_BY_ROW])
@settings(max_examples=8, deadline=None)
@given(
    outcomes=st.dictionaries(
        st.sampled_from([f"ad{n}" for n in range(6)]), st.sampled_from(["row", "older row", "drop"])
    ),
    lost=st.sets(st.sampled_from([f"ad{n}" for n in range(6)])),
)
def test_rows_and_drops_go_with_their_upstream_row(stage: Stage, outcomes: dict[str, str], lost: set[str]) -> None:
    [key] = TABLES[stage.upstream].key
    key_of = {ad: ad if key == "video_id" else f"{ad}:0" for ad in outcomes}

    def named(ads: list[str], **values: str) -> list[dict[str, str]]:
        return [{"frame_id": f"{ad}:0", "video_id": ad, key: key_of[ad], **values} for ad in ads]

    def made(outcome: str) -> list[str]:
        return [ad for ad, found in outcomes.items() if found == outcome]

    dropped = {ad: [key_of[ad], *([f"{ad}:3"] if key == "video_id" else [])] for ad in made("drop")}
    drops = [
        Drop(stage.name, one, ad, "filtered", "why", fingerprint="f") for ad, keys in dropped.items() for one in keys
    ]
    own = [table for table in stage.tables if key in TABLES[table].schema.names and table != "reuploads"]
    with TemporaryDirectory() as root:
        catalog = Catalog(root)
        catalog.merge(stage.upstream, rows(stage.upstream, *named([ad for ad in outcomes if ad not in lost])))
        other = Drop("another", "gone", "gone", "filtered", "why")
        catalog.replace_drops("another", [other])
        catalog.replace_drops(stage.name, drops)
        for table in own:
            old, new = named(made("older row"), fingerprint="e"), named(made("row"), fingerprint="f")
            catalog.merge(table, rows(table, *old, *new))
        held = {table: {row[key] for row in catalog.read(table, [key]).to_pylist()} for table in own}

        removed = catalog.remove_orphans(stage.name, stage.tables, upstream=stage.upstream)

        gone = {key_of[ad] for ad in lost & outcomes.keys()}
        for table in own:
            assert set(catalog.values(table, key)) == held[table] - gone
        kept = {one for ad, keys in dropped.items() if ad not in lost for one in keys}
        assert set(catalog.values("drops", "key", where=f"stage = '{stage.name}'")) == kept
        assert catalog.values("drops", "key", where="stage = 'another'") == ["gone"]
        assert removed == len(drops) - len(kept) + sum(len(found & gone) for found in held.values())
        if any(ad not in lost for ad in made("row")) and not made("older row"):
            check_nothing_lost(catalog, stage, "f")
