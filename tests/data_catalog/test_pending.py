"""What is left to do: new rows, changed settings, changed content, faults to try again, and nothing twice."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from data_catalog import TABLES, Catalog, CatalogError, Drop
from tests.data_catalog.builders import rows, strings

KILOBYTE = 1000


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path)


def crawl(catalog: Catalog, keys: str, revision: str | None = "r1") -> None:
    catalog.merge("ads", rows("ads", *({"video_id": key, "media_sha256": revision} for key in keys)))


def sample(catalog: Catalog, keys: str, fingerprint: str = "f1", revision: str | None = "r1") -> None:
    made = [
        {"frame_id": f"{key}:{i}", "video_id": key, "fingerprint": fingerprint, "upstream_revision": revision}
        for key in keys
        for i in range(2)
    ]
    catalog.commit("frames", rows("frames", *made), stage="frames", done=list(keys), upstream="ads")


def drop(catalog: Catalog, key: str, kind: str, fingerprint: str = "f1", revision: str | None = "r1") -> None:
    dropped = Drop("frames", key, key, kind, "because", fingerprint=fingerprint, upstream_revision=revision)  # type: ignore[arg-type]
    catalog.commit("frames", rows("frames"), stage="frames", drops=[dropped], done=[key])


def left(catalog: Catalog, fingerprint: str = "f1", size: int = 10, **options: int) -> list[str]:
    batches = catalog.pending(
        "frames", upstream="ads", stage="frames", fingerprint=fingerprint, size=size, columns=["video_id"], **options
    )
    return ["".join(strings(batch.column("video_id"))) for batch in batches]


def attempts(catalog: Catalog) -> dict[str, int]:
    return {row["key"]: row["attempts"] for row in catalog.read("drops").to_pylist()}


def test_every_new_row_is_pending_in_storage_order_and_in_batches_until_it_is_made(catalog: Catalog) -> None:
    assert left(catalog) == []
    crawl(catalog, "dac")
    crawl(catalog, "be")
    assert left(catalog, size=2) == ["da", "cb", "e"]
    assert left(catalog, size=5) == ["dacbe"]
    sample(catalog, "abc")
    assert left(catalog) == ["de"]


def test_a_pass_knows_its_length_and_whole_rows_come_by_default(catalog: Catalog) -> None:
    crawl(catalog, "abc")
    work = catalog.pending("frames", upstream="ads", stage="frames", fingerprint="f1", size=2)
    assert work.rows == 3
    assert next(work).schema.equals(TABLES["ads"].schema)


def test_changed_settings_make_every_row_pending_and_the_old_ones_no_longer_current(catalog: Catalog) -> None:
    crawl(catalog, "ab")
    sample(catalog, "ab")
    assert left(catalog, "f2") == ["ab"]
    sample(catalog, "a", "f2")
    assert left(catalog, "f2") == ["b"]
    current = catalog.current("frames", upstream="ads", fingerprint="f2", columns=["frame_id"])
    assert current.to_pydict() == {"frame_id": ["a:0", "a:1"]}


def test_changed_content_makes_exactly_its_row_pending(catalog: Catalog) -> None:
    crawl(catalog, "ab")
    sample(catalog, "ab")
    crawl(catalog, "b", revision="r2")
    assert left(catalog) == ["b"]
    assert set(catalog.current("frames", upstream="ads", fingerprint="f1")["video_id"].to_pylist()) == {"a"}
    sample(catalog, "b", revision="r2")
    assert left(catalog) == []


def test_a_missing_revision_is_the_empty_one(catalog: Catalog) -> None:
    crawl(catalog, "a", revision=None)
    crawl(catalog, "b", revision="")
    crawl(catalog, "c", revision=None)
    sample(catalog, "a", revision="")
    sample(catalog, "b", revision=None)
    crawl(catalog, "d", revision="")
    drop(catalog, "c", "filtered", revision="")
    drop(catalog, "d", "filtered", revision=None)
    assert left(catalog) == []
    assert catalog.current("frames", upstream="ads", fingerprint="f1").num_rows == 4


def test_a_filtered_row_is_done_until_settings_or_content_change(catalog: Catalog) -> None:
    crawl(catalog, "ab")
    drop(catalog, "a", "filtered")
    assert (left(catalog), left(catalog, "f2")) == (["b"], ["ab"])
    crawl(catalog, "a", revision="r2")
    assert "a" in left(catalog)[0]


def test_a_failed_row_is_tried_again_until_its_attempts_for_these_settings_and_content_are_used_up(
    catalog: Catalog,
) -> None:
    crawl(catalog, "a")
    for attempt in (1, 2):
        drop(catalog, "a", "failed")
        assert attempts(catalog) == {"a": attempt}
        assert left(catalog) == ["a"]
    drop(catalog, "a", "failed")
    assert left(catalog) == []
    assert left(catalog, max_attempts=4) == ["a"]
    for fingerprint, revision, attempt in (("f2", "r1", 1), ("f2", "r2", 1), ("f2", "r2", 2)):
        drop(catalog, "a", "failed", fingerprint=fingerprint, revision=revision)
        assert attempts(catalog) == {"a": attempt}


def test_a_row_that_fails_during_a_pass_is_met_once_in_it(catalog: Catalog) -> None:
    crawl(catalog, "abc")
    met = []
    work = catalog.pending("frames", upstream="ads", stage="frames", fingerprint="f1", size=1, columns=["video_id"])
    for batch in work:
        (key,) = strings(batch.column("video_id"))
        met.append(key)
        drop(catalog, key, "failed")
        crawl(catalog, "z")
    assert met == ["a", "b", "c"]
    assert left(catalog, size=10) == ["abcz"], "the next pass sees the faults and what is new"


def test_another_stages_drop_settles_nothing_here(catalog: Catalog) -> None:
    crawl(catalog, "a")
    elsewhere = Drop("ocr", "a", "a", "filtered", "because", fingerprint="f1", upstream_revision="r1")
    catalog.replace_drops("ocr", [elsewhere])
    assert left(catalog) == ["a"]
    with pytest.raises(CatalogError, match="stage 'frames' cannot write a drop of stage 'ocr'"):
        catalog.commit("frames", rows("frames"), stage="frames", drops=[elsewhere])


def test_success_clears_the_earlier_drop_of_its_key_alone(catalog: Catalog) -> None:
    crawl(catalog, "ab")
    drop(catalog, "a", "failed")
    drop(catalog, "b", "failed")
    sample(catalog, "a")
    assert attempts(catalog) == {"b": 1}
    assert left(catalog) == ["b"]
    version = catalog.versions()["drops"]
    sample(catalog, "a")
    assert catalog.versions()["drops"] == version, "a batch without drops commits nothing to them"
    again = Drop("frames", "b", "b", "failed", "because", fingerprint="f1", upstream_revision="r1")
    catalog.commit("frames", rows("frames"), stage="frames", drops=[again], done=["a", "b"])
    assert attempts(catalog) == {"b": 2}, "a settled key that is dropped again keeps its new drop"


def test_redoing_an_ad_takes_away_what_its_older_settings_left(catalog: Catalog) -> None:
    crawl(catalog, "ab")
    sample(catalog, "ab", "f1")
    fewer = rows("frames", {"frame_id": "a:0", "video_id": "a", "fingerprint": "f2", "upstream_revision": "r1"})
    dropped = Drop("frames", "b", "b", "filtered", "too short", fingerprint="f2", upstream_revision="r1")
    catalog.commit("frames", fewer, stage="frames", drops=[dropped], done=["a"], upstream="ads")
    assert catalog.read("frames")["frame_id"].to_pylist() == ["a:0"]
    assert left(catalog, "f2") == []


def test_a_row_that_names_no_upstream_row_is_refused_before_anything_is_written(catalog: Catalog) -> None:
    failed = Drop("frames", "b", "b", "failed", "because")
    with pytest.raises(CatalogError, match=r"frames\.video_id, row 0: is null"):
        catalog.commit("frames", rows("frames", {"frame_id": "a:0"}), stage="frames", drops=[failed], upstream="ads")
    assert catalog.tables() == []


def test_committing_twice_is_committing_once(catalog: Catalog) -> None:
    crawl(catalog, "ab")
    for _ in range(2):
        sample(catalog, "a")
        catalog.commit(
            "frames",
            rows("frames"),
            stage="frames",
            drops=[Drop("frames", "b", "b", "filtered", "x", fingerprint="f1", upstream_revision="r1")],
        )
    assert (catalog.count("frames"), catalog.count("drops"), left(catalog)) == (2, 1, [])


def test_texts_follow_frames_by_the_pictures_hash(catalog: Catalog) -> None:
    frames = [{"frame_id": f"a:{i}", "video_id": "a", "image_sha256": f"h{i}"} for i in range(3)]
    catalog.merge("frames", rows("frames", *frames))
    text = {"frame_id": "a:1", "video_id": "a", "fingerprint": "o", "upstream_revision": "h1"}
    catalog.merge("texts", rows("texts", text))
    work = catalog.pending("texts", upstream="frames", stage="ocr", fingerprint="o", size=9, columns=["frame_id"])
    assert [batch["frame_id"].to_pylist() for batch in work] == [["a:0", "a:2"]]


def test_a_table_that_is_not_made_row_by_row_has_no_pending(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match=r"labels is not made row by row from ads: it lacks \['upstream_revision'\]"):
        catalog.pending("labels", upstream="ads", stage="review", fingerprint="f", size=1)
    with pytest.raises(CatalogError, match="size 0; expected at least 1"):
        left(catalog, size=0)
    with pytest.raises(CatalogError, match="ads has no column 'colour'"):
        catalog.pending("frames", upstream="ads", stage="frames", fingerprint="f", size=1, columns=["colour"])
    with pytest.raises(CatalogError, match="frames has no column 'colour'"):
        catalog.current("frames", upstream="ads", fingerprint="f", columns=["colour"])


def test_a_pass_over_pictures_holds_one_row_group_in_memory_and_reads_only_what_is_pending(catalog: Catalog) -> None:
    n_files, n_rows = 8, 200
    for part in range(n_files):
        made = (
            {"frame_id": f"{part}:{i}", "video_id": f"{part}", "image": {"bytes": bytes([i]) * 20 * KILOBYTE}}
            for i in range(n_rows)
        )
        catalog.merge("frames", rows("frames", *made))
    done = [f"{part}:{i}" for part in range(n_files) for i in range(n_rows) if part % 2]
    catalog.merge("texts", rows("texts", *({"frame_id": key, "fingerprint": "o"} for key in done)))

    met: list[str] = []
    before, peak = pa.total_allocated_bytes(), 0
    work = catalog.pending("texts", upstream="frames", stage="ocr", fingerprint="o", size=64)
    for batch in work:
        peak = max(peak, pa.total_allocated_bytes() - before)
        assert batch.num_rows <= 64
        keys = strings(batch["frame_id"])
        pictures = [row["bytes"] for row in batch["image"].to_pylist() if row]
        assert [picture[0] for picture in pictures] == [int(key.split(":")[1]) for key in keys]
        met += keys
    assert met == [f"{part}:{i}" for part in (0, 2, 4, 6) for i in range(n_rows)]
    assert work.rows == len(met)
    assert peak < 12_000 * KILOBYTE, f"{peak / 1e6:.0f} MB held of {n_files * n_rows * 20 / 1000:.0f} MB stored"


def test_a_picture_file_lost_during_the_pass_is_named(catalog: Catalog) -> None:
    catalog.merge("frames", rows("frames", {"frame_id": "a:0", "video_id": "a", "image": {"bytes": b"x"}}))
    work = catalog.pending("texts", upstream="frames", stage="ocr", fingerprint="o", size=1)
    for file in Path(catalog.root, "tables/frames").glob("*.parquet"):
        file.unlink()
    with pytest.raises(CatalogError, match="tables/frames: cannot be read"):
        next(work)
