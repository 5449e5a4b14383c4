"""A stage that is added as docs/adding-a-stage.md says is run, counted, documented and forgotten like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog import schemas
from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import forget_ad
from data_catalog.schemas import TABLES, Table
from docs import generate
from flows import funnel, stages
from flows.errors import StageError
from flows.release.terminal import read_status
from flows.runner import run_stage
from flows.settings import Settings, load_settings
from flows.stages import FRAMES, STAGES, WORDS, Reason, Stage, StageCount

pytestmark = pytest.mark.slow

# 1. The table

SIZES = Table(
    "sizes",
    "the size of one frame",
    key=("frame_id",),
    computed=True,
    columns=tuple(
        column
        for column in TABLES["texts"].columns
        if column.name in ("frame_id", "video_id", "n_words", "fingerprint", "upstream_revision")
    ),
)

# 2. The stage


class SizeReason(Reason):
    """Frames that have no size."""

    EMPTY = "empty_picture", "filtered", "the picture has no bytes"
    ODD = "odd_picture", "filtered", "the picture is one of those that this test leaves out"


def fingerprint_of_sizes(settings: Settings) -> str:
    return f"sizes of {settings.frames.quality}"


SIZE = Stage(
    "sizes",
    "Measuring the size of frames",
    unit="frames",
    tables=("sizes",),
    upstream="frames",
    columns=("frame_id", "video_id", "image", "image_sha256"),
    batch="batch_frames",
    fingerprint_of=f"{__name__}:fingerprint_of_sizes",
    reasons=SizeReason,
    step="frames measured",
    step_unit="frames",
)

# 3. The work


@task(name="measure-frames", cache_policy=NO_CACHE)
def measure_batch(frames: pa.Table, *, catalog: Catalog, fingerprint: str, leave_out: int) -> StageCount:
    rows, drops = [], []
    for frame in frames.to_pylist():
        made: dict[str, Any] = {"fingerprint": fingerprint, "upstream_revision": frame["image_sha256"]}
        if frame["frame_id"].endswith(f":{leave_out}"):
            drops.append(SIZE.drop(frame["frame_id"], frame["video_id"], SizeReason.ODD, "left out", **made))
        else:
            named = {name: frame[name] for name in ("frame_id", "video_id")}
            rows.append({**named, "n_words": len(frame["image"]["bytes"]), **made})
    table = pa.Table.from_pylist(rows, schema=SIZES.schema)
    done = [str(frame_id) for frame_id in frames["frame_id"].to_pylist()]
    catalog.commit("sizes", table, stage=SIZE.name, drops=drops, done=done, upstream="frames")
    return SIZE.count(rows_in=frames.num_rows, rows_out=len(rows), drops=drops)


@flow(name="sizes", validate_parameters=False)
def measure(catalog: Catalog, settings: Settings) -> StageCount:
    return run_stage(SIZE, measure_batch, catalog, settings, leave_out=2)


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schemas.TABLES, "sizes", SIZES)
    declared = (*STAGES[: STAGES.index(WORDS)], SIZE, *STAGES[STAGES.index(WORDS) :])
    for module in (stages, funnel):
        monkeypatch.setattr(module, "STAGES", declared)


def test_it_is_run_counted_and_forgotten(copied: Path, quick: Path, prefect_api: str) -> None:
    catalog, settings = Catalog(copied), load_settings(quick)
    first, n_frames = measure(catalog, settings), catalog.count("frames")
    dropped = first.dropped["odd_picture"]
    assert dropped > 0
    assert (first.rows_in, first.rows_out) == (n_frames, n_frames - dropped)
    assert catalog.count("sizes") == n_frames - dropped
    assert measure(catalog, settings).rows_in == 0, "nothing is done twice"

    steps = {step.name: step for step in read_status(catalog.root, quick).funnel}
    step = steps["frames measured"]
    assert (step.rows_in, step.rows_out, dict(step.drops)) == (n_frames, n_frames - dropped, {"odd_picture": dropped})
    other = settings.model_copy(update={"frames": settings.frames.model_copy(update={"quality": 1})})
    assert measure(catalog, other).rows_in == n_frames, "another fingerprint"

    video_id = str(catalog.values("sizes", "video_id")[0])
    forget_ad(catalog, video_id)
    assert video_id not in catalog.values("sizes", "video_id")


def test_it_is_documented() -> None:
    assert (
        "| `odd_picture` | filtered | the picture is one of those that this test leaves out |" in generate.drops_page()
    )
    assert "## sizes" in generate.tables_page()


def test_a_reason_that_is_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="stage sizes declares no reason 'too_big'"):
        SIZE.drop("a:0", "a", "too_big")


def test_every_declared_stage_names_tables_columns_and_settings_that_are_there() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)
    settings = Settings()
    for stage in STAGES:
        assert set(stage.tables) <= TABLES.keys()
        if stage.upstream:
            assert set(stage.columns) <= set(TABLES[stage.upstream].schema.names)
            assert getattr(settings.runner, stage.batch) > 0
            assert stage.fingerprint(settings)
        assert all(reason.meaning for reason in stage.reasons)
    assert FRAMES.fingerprint(settings) != FRAMES.fingerprint(
        settings.model_copy(update={"frames": settings.frames.model_copy(update={"count": 6})})
    )


def test_a_stage_whose_rows_are_all_dropped_fails(copied: Path, quick: Path, prefect_api: str) -> None:
    catalog = Catalog(copied)
    kept = [frame_id for frame_id in catalog.values("frames", "frame_id") if not frame_id.endswith(":2")]
    catalog.delete_groups("frames", column="frame_id", values=kept)
    with pytest.raises(StageError, match=r"none of \d+ rows of frames came through \(\d+ odd_picture\)"):
        measure(catalog, load_settings(quick))
