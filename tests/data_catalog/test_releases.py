"""Releases: immutable folders that appear whole, can be verified to the byte, and are the same everywhere."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_catalog.errors import ReleaseError
from data_catalog.releases import (
    list_releases,
    present_row_set_hash,
    read_manifest,
    row_set_hash,
    verify_release,
    write_release,
)
from data_catalog.releases.shards import planned_row_set_hash, read_shard
from data_catalog.releases.verification import digest_file, manifest_sha256
from data_catalog.schemas import RELEASE_SCHEMA
from tests.data_catalog.builders import release_row as row
from tests.data_catalog.builders import release_rows as table

VERSION = "2026.11.24"
FACTS = {"synthetic": True, "seed": 7}


def three_splits(**train_changes: Any) -> dict[str, pa.Table]:
    return {
        "train": table(
            *(row("good", i) for i in range(5)),
            *(row("bad", i, **{"label": 0, **train_changes}) for i in range(3)),
        ),
        "validation": table(row("fair", 0), row("sour", 0, 0)),
        "test": table(row("fine", 0), row("poor", 0, 0)),
    }


def rewrite_manifest(release: Path, **changes: Any) -> None:
    """Change a manifest the way somebody would who also knows how it is signed."""
    manifest = read_manifest(release) | changes
    manifest["manifest_sha256"] = manifest_sha256(manifest)
    (release / "manifest.json").write_text(json.dumps(manifest))


def replace_rows(release: Path, split: str, rows: pa.Table) -> None:
    """Put other rows in a split's file and name its new sha256, but leave the counts."""
    name = f"data/{split}-00000-of-00001.parquet"
    pq.write_table(rows, release / name)
    files = read_manifest(release)["files"]
    files[name] |= digest_file(release / name)
    rewrite_manifest(release, files=files)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "releases", VERSION, three_splits(), FACTS, {"README.md": "# A card\n"})


def test_a_new_release_verifies_and_holds_what_was_given(release: Path) -> None:
    assert verify_release(release) == []
    written = pq.read_table(release / "data" / "train-00000-of-00001.parquet")
    assert written.to_pylist() == three_splits()["train"].to_pylist()


def test_the_manifest_counts_rows_ads_and_frames_by_split_and_class_and_documents_are_made_from_it(
    tmp_path: Path,
) -> None:
    twice = row("bad", 2, 0, draw=1)
    splits = three_splits() | {"train": pa.concat_tables([three_splits()["train"], table(twice)])}
    release = write_release(
        tmp_path,
        VERSION,
        splits,
        FACTS,
        lambda manifest: {"rows.txt": str(manifest["splits"]["train"]["rows"])},
    )
    train = read_manifest(release)["splits"]["train"]
    assert (train["rows"], train["ads"], train["frames"]) == (9, 2, 8), "a frame drawn twice is two rows and one frame"
    assert (train["by_label"], train["frames_by_label"]) == (
        {"negative": 4, "positive": 5},
        {"negative": 3, "positive": 5},
    )
    assert train["ads_by_label"] == {"negative": 1, "positive": 1}
    assert (release / "rows.txt").read_text() == "9"
    assert verify_release(release) == []


def test_pictures_lie_uncompressed_without_statistics_in_small_row_groups(tmp_path: Path) -> None:
    splits = {"train": table(*(row("good", i) for i in range(230)), row("bad", 0, 0))}
    release = write_release(tmp_path, VERSION, splits, FACTS)
    metadata = pq.read_metadata(release / "data" / "train-00000-of-00001.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [25] * 9 + [6]
    columns = [metadata.row_group(0).column(i) for i in range(metadata.num_columns)]
    by_path = {column.path_in_schema: column for column in columns}
    picture = by_path.pop("image.bytes")
    assert picture.compression == "UNCOMPRESSED"
    assert not picture.is_stats_set
    assert {column.compression for column in by_path.values()} == {"SNAPPY"}
    assert all(column.is_stats_set for column in by_path.values())


def test_a_large_split_is_cut_into_numbered_files_without_losing_a_row(tmp_path: Path) -> None:
    splits = three_splits() | {"train": table(*(row("good", i) for i in range(25)), row("bad", 0, 0))}
    release = write_release(tmp_path, VERSION, splits, FACTS, shard_bytes=1, row_group_rows=10)
    names = sorted(path.name for path in (release / "data").glob("train-*"))
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    frames = [frame for name in names for frame in pq.read_table(release / "data" / name)["frame_id"].to_pylist()]
    assert frames == splits["train"]["frame_id"].to_pylist()
    assert verify_release(release) == []


def test_rows_are_taken_from_a_stream_one_row_group_at_a_time(tmp_path: Path) -> None:
    seen: list[int] = []
    folder = tmp_path / "releases"

    def stream() -> Iterator[pa.RecordBatch]:
        for index in range(40):
            # what came three row groups ago has reached the file by now: nothing collects the stream
            parts = list(folder.glob(".writing-*/data/train-*"))
            seen.append(parts[0].stat().st_size if parts else 0)
            big = {"bytes": os.urandom(200_000), "path": None}
            yield table(row("good" if index else "bad", index, 1 if index else 0, image=big)).to_batches()[0]

    write_release(folder, VERSION, {"train": stream()}, FACTS, row_group_rows=4)
    assert seen[-1] > 28 * 200_000


def test_the_row_set_hash_knows_neither_order_nor_layout_nor_date(tmp_path: Path) -> None:
    splits = three_splits()
    mixed = {name: rows.take(list(range(rows.num_rows))[::-1]) for name, rows in reversed(splits.items())}
    one = write_release(tmp_path, VERSION, splits, FACTS)
    other = write_release(tmp_path, "2027.01.01", mixed, FACTS, shard_bytes=1, row_group_rows=2)
    hashes = {read_manifest(release)["row_set_hash"] for release in (one, other)}
    assert hashes == {row_set_hash(splits)} == {row_set_hash(mixed)}


@pytest.mark.parametrize("column", RELEASE_SCHEMA.names)
def test_the_row_set_hash_knows_every_column_of_a_row(column: str) -> None:
    """A value that differs by the least that its type can differ by, and null, are other rows."""
    [sound] = table(row("good", mean_low=2.5, mean_high=3.0)).to_pylist()
    value = sound[column]
    if column == "image":
        others: list[Any] = [value | {"bytes": value["bytes"] + b"\0"}]
    elif isinstance(value, float):
        others = [math.nextafter(value, math.inf), None]
    else:
        others = [value + " " if isinstance(value, str) else 1 - value]
    hashes = {row_set_hash({"train": table(sound | {column: other})}) for other in [value, *others]}
    assert len(hashes) == 1 + len(others)
    assert row_set_hash({"train": table(sound)}) != row_set_hash({"test": table(sound)})


def test_a_release_with_the_hash_of_the_first_program_verifies_and_is_counted_anew(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "text": "sechs Wörter auf dem Bild hier",
        "image": {"bytes": b"picture", "path": "x.jpg"},
        "category": None,
    }
    rows = table(*(row("a", 0, **facts, timestamp_s=1 / 3, mean_low=0.1, mean_high=2.9, draw=draw) for draw in (0, 1)))
    release = write_release(tmp_path, VERSION, {"train": rows}, FACTS)
    manifest = read_manifest(release)
    now = manifest["row_set_hash"]
    assert (manifest["row_set_hash_version"], present_row_set_hash(release)) == (2, now)

    rewrite_manifest(release, row_set_hash_version=3)
    assert "its row-set hash is of version 3; this program knows 1, 2" in verify_release(release)[0]
    # as that program gave it
    del manifest["row_set_hash_version"]
    manifest["row_set_hash"] = "b83d0b557d0eacc4551d43cceabbcc102d83bc3e459cdf9d4e06953c137b4c53"
    manifest["manifest_sha256"] = manifest_sha256(manifest)
    (release / "manifest.json").write_text(json.dumps(manifest))
    assert verify_release(release) == []
    assert present_row_set_hash(release) == now
    (release / "data" / "train-00000-of-00001.parquet").unlink()
    with pytest.raises(ReleaseError, match="is damaged"):
        present_row_set_hash(release)


def test_the_hash_of_planned_rows_is_that_of_the_written_ones() -> None:
    planned = [
        (
            split,
            {name: value for name, value in row.items() if name != "image"},
            sha256(row["image"]["bytes"]).hexdigest(),
        )
        for split, rows in three_splits().items()
        for row in rows.to_pylist()
    ]
    assert planned_row_set_hash(planned) == row_set_hash(three_splits())


def test_a_release_is_never_overwritten(release: Path) -> None:
    before = (release / "manifest.json").read_bytes()
    with pytest.raises(ReleaseError, match="never overwritten"):
        write_release(release.parent, VERSION, three_splits(text="new"), FACTS)
    assert (release / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("splits", "complaint"),
    [
        (
            {
                "train": table(row("ad"), row("bad", 0, 0)),
                "test": table(row("ad", 1)),
            },
            "ad ad is in more than one split",
        ),
        (
            {"train": table(row("a")), "test": table(row("b", draw=1))},
            "only training rows may repeat",
        ),
        ({"train": table(row("a"), row("a"))}, "repeat another's frame and draw"),
        ({"train": table(row("a"), row("a", 1, 0))}, "carry both labels"),
        ({"train": table(row("a", label=2))}, "label 2, expected 0 to 1"),
        ({"train": table(row("a", text=None))}, "a:0: no text"),
        ({"train": table(row("a", image=None))}, "a:0: no image.bytes"),
        ({"test": table(row("a"))}, "no training rows"),
        ({"dev": table(row("a"))}, "unknown split dev"),
        ({"train": table(row("a")).drop_columns(["text"])}, "text is missing, expected string"),
    ],
)
def test_rows_that_break_a_rule_are_refused_and_leave_nothing(
    tmp_path: Path, splits: dict[str, pa.Table], complaint: str
) -> None:
    with pytest.raises(ReleaseError, match=complaint):
        write_release(tmp_path, VERSION, splits, FACTS)
    assert list_releases(tmp_path) == []
    assert list(tmp_path.glob(".writing-*")) == []


@pytest.mark.parametrize(
    ("version", "facts", "complaint"),
    [
        ("../elsewhere", FACTS, "not a date"),
        (VERSION, {}, "must say whether its ads are synthetic"),
        (VERSION, FACTS | {"row_set_hash": "made up"}, "counted here, not given"),
        (VERSION, FACTS | {"settings": {"path": Path("x")}}, "holds what JSON cannot"),
    ],
)
def test_a_bad_request_is_refused_before_a_row_is_read(
    tmp_path: Path, version: str, facts: dict[str, Any], complaint: str
) -> None:
    def unread() -> Iterator[pa.RecordBatch]:
        pytest.fail("a row was read")
        yield

    with pytest.raises(ReleaseError, match=complaint):
        write_release(tmp_path, version, {"train": unread()}, facts)


def test_a_document_cannot_leave_the_release(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="plain file name"):
        write_release(tmp_path / "releases", VERSION, three_splits(), FACTS, {"../out.txt": "x"})
    assert not (tmp_path / "out.txt").exists()


def test_every_problem_of_a_damaged_release_is_listed(release: Path) -> None:
    data = bytearray((release / "data" / "test-00000-of-00001.parquet").read_bytes())
    data[40] ^= 1
    (release / "data" / "test-00000-of-00001.parquet").write_bytes(data)
    (release / "data" / "validation-00000-of-00001.parquet").unlink()
    (release / "data" / "train-00001-of-00002.parquet").write_bytes(b"more")
    (release / "README.md").write_text("# Another card\n")
    (release / "manifest.json").write_text(json.dumps(read_manifest(release) | {"seed": 8}))
    problems = "\n".join(verify_release(release))
    for said in (
        "data/test-00000-of-00001.parquet: changed",
        "data/validation-00000-of-00001.parquet: missing",
        "data/train-00001-of-00002.parquet: not named in the manifest",
        "README.md: changed",
        "manifest.json: changed",
    ):
        assert said in problems


def test_other_rows_under_a_right_sha256_are_noticed(release: Path) -> None:
    replace_rows(release, "test", table(row("fine", 0), row("good", 0, draw=1), row("poor", 0, 0)))
    problems = "\n".join(verify_release(release))
    assert "ad good is in more than one split: train, test" in problems
    assert "test: good:0 drawn again; only training rows may repeat" in problems
    assert "the manifest says 2 rows, the file holds 3" in problems
    assert "test: the manifest counts" in problems
    assert "row_set_hash" in problems


def test_a_file_that_is_not_parquet_is_a_problem_and_no_crash(release: Path) -> None:
    name = "data/test-00000-of-00001.parquet"
    (release / name).write_bytes(b"PAR1 not really PAR1")
    files = read_manifest(release)["files"]
    files[name] |= digest_file(release / name)
    rewrite_manifest(release, files=files)
    assert any("cannot be read" in problem for problem in verify_release(release))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_folder_without_a_manifest_of_ours_is_said_to_be_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert len(verify_release(tmp_path)) == 1
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def _write_slowly(folder: Path, started: Any) -> None:
    def stream() -> Iterator[pa.RecordBatch]:
        yield table(row("good")).to_batches()[0]
        started.set()
        time.sleep(60)

    write_release(folder, VERSION, {"train": stream()}, FACTS)


def test_a_second_writer_is_refused_and_what_a_killed_one_left_is_no_release_and_is_cleaned_by_the_next(
    tmp_path: Path,
) -> None:
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_write_slowly, args=(tmp_path, started))
    process.start()
    try:
        assert started.wait(20)
        with pytest.raises(ReleaseError, match="another process is writing"):
            write_release(tmp_path, VERSION, three_splits(), FACTS)
    finally:
        process.kill()
        process.join()
    assert len(list(tmp_path.glob(".writing-*"))) == 1
    assert list_releases(tmp_path) == []
    write_release(tmp_path, VERSION, three_splits(), FACTS)
    assert list(tmp_path.glob(".writing-*")) == []
    assert [path.name for path in list_releases(tmp_path)] == [VERSION]


def test_a_release_of_the_first_kind_without_intervals_is_read_with_nulls(release: Path) -> None:
    name = "data/train-00000-of-00001.parquet"
    written = pq.read_table(release / name)
    replace_rows(release, "train", written.drop_columns(["mean_low", "mean_high"]))
    assert verify_release(release) == []
    rows = pa.Table.from_batches(read_shard(release / name))
    assert rows.schema.equals(RELEASE_SCHEMA)
    assert rows["mean_low"].null_count == rows.num_rows == 8
    replace_rows(release, "train", written.drop_columns(["mean_low"]))
    assert any("mean_low is missing" in problem for problem in verify_release(release))


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    def stream() -> Iterator[pa.RecordBatch]:
        yield table(row("good")).to_batches()[0]
        raise RuntimeError("the frames table went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_release(tmp_path, VERSION, {"train": stream()}, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReleaseError, match="cannot be written"):
        write_release(tmp_path / "releases", VERSION, three_splits(), FACTS)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("")
    with pytest.raises(ReleaseError, match="releases: cannot be written"):
        write_release(tmp_path / "releases", VERSION, three_splits(), FACTS)


@pytest.mark.parametrize("way", ["files", "folder"])
def test_the_datasets_library_sees_images_and_class_labels(
    way: str, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cache = str(tmp_path / "cache")
    if way == "files":
        files = {split: str(release / "data" / f"{split}-*.parquet") for split in ("train", "validation", "test")}
        loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=cache)
    else:
        loaded = datasets.load_dataset(str(release), cache_dir=cache)
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 8, "validation": 2, "test": 2}
    features = loaded["train"].features
    assert isinstance(features["image"], datasets.Image)
    assert features["label"] == datasets.ClassLabel(names=["negative", "positive"])
    assert loaded["train"][3]["image"].getpixel((0, 0)) == (3, 40, 90)


def test_a_split_without_rows_has_no_file_and_hinders_no_tool(tmp_path: Path) -> None:
    splits = {"train": table(row("good"), row("bad", 0, 0)), "test": table()}
    release = write_release(tmp_path / "releases", VERSION, splits, FACTS)
    assert read_manifest(release)["splits"]["test"]["rows"] == 0
    assert verify_release(release) == []
    loaded = datasets.load_dataset(str(release), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 2}
