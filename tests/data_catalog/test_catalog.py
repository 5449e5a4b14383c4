"""Working tables: rows by key, atomic replacement, refusals, and what survives moving and damage."""

from __future__ import annotations

import os
import pickle
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_catalog import TABLES, Catalog, CatalogError, Drop
from tests.data_catalog.builders import rows, strings


def labels(**label_of: str) -> pa.Table:
    return rows("labels", *({"video_id": key, "label": label} for key, label in label_of.items()))


def stored(catalog: Catalog, table: str = "labels", column: str = "label") -> dict[str, object]:
    found = catalog.read(table)
    keys = strings(found.column(TABLES[table].key[-1]))
    assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
    return dict(zip(keys, found.column(column).to_pylist(), strict=True))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog")


def test_a_table_that_was_never_written_is_empty_with_its_columns(catalog: Catalog) -> None:
    assert catalog.read("texts").schema.equals(TABLES["texts"].schema)
    assert (catalog.count("texts"), catalog.tables(), catalog.versions()) == (0, [], {})
    assert not Path(catalog.root).exists(), "looking must not make folders"


def test_every_table_gives_back_what_was_written(catalog: Catalog) -> None:
    examples = {
        pa.string(): "q'\"\\ü😀\u202e",
        pa.int8(): -5,
        pa.int32(): 2**31 - 1,
        pa.int64(): 2**63 - 1,
        pa.float32(): 0.5,
        pa.float64(): 1e300,
        pa.bool_(): True,
        pa.timestamp("us", tz="UTC"): datetime(2026, 11, 24, 1, 2, 3, 4, UTC),
        pa.list_(pa.string()): ["a", "b"],
        pa.list_(pa.float64()): [0.0, 1e300],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]): {"bytes": b"\x00\xff", "path": "p"},
    }
    words = [{"text": "SALE", "confidence": 0.25, "box": [0.0, 1.0, 2.0, 3.0]}]
    for name, table in TABLES.items():
        full = {field.name: examples.get(field.type, words) for field in table.schema}
        bare = dict.fromkeys(table.key, "bare")
        given_rows = rows(name, full, bare)
        assert catalog.merge(name, given_rows) == 2
        assert catalog.read(name).sort_by(table.key[0]).equals(given_rows.sort_by(table.key[0])), name


def test_merging_inserts_new_keys_and_updates_known_ones(catalog: Catalog) -> None:
    catalog.merge("labels", labels(a="negative", b="negative"))

    assert catalog.merge("labels", labels(b="positive", c="positive")) == 2

    assert stored(catalog) == {"a": "negative", "b": "positive", "c": "positive"}


def test_the_last_row_of_a_key_wins(catalog: Catalog) -> None:
    twice = pa.concat_tables([labels(a="first", b="only"), labels(a="last")])

    assert catalog.merge("labels", twice) == 2

    assert stored(catalog) == {"a": "last", "b": "only"}


def test_a_key_of_two_columns_tells_rows_apart_by_both(catalog: Catalog) -> None:
    def drop(stage: str, key: str, reason: str) -> dict[str, object]:
        return {"stage": stage, "key": key, "reason": reason}

    catalog.merge("drops", rows("drops", *(drop(s, k, "old") for s in "ab" for k in "xy")))
    catalog.merge("drops", rows("drops", drop("a", "x", "new"), drop("b", "y", "new")))

    found = {(r["stage"], r["key"]): r["reason"] for r in catalog.read("drops").to_pylist()}
    assert found == {("a", "x"): "new", ("a", "y"): "old", ("b", "x"): "old", ("b", "y"): "new"}
    assert catalog.delete("drops", [("a", "x"), ("b", "nowhere")]) == 1
    assert catalog.count("drops") == 3


KEYS = st.text(st.sampled_from("a'\"\\;%\n\x00 é😀-"), max_size=3)


@pytest.mark.parametrize("values_in_a_predicate", [0, 2_000], ids=["rewriting", "by predicate"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    merges=st.lists(st.lists(st.tuples(KEYS, st.sampled_from(["x", "y"])), max_size=5), max_size=4),
    doomed=st.sets(KEYS),
)
def test_any_sequence_of_merges_and_a_deletion_equals_a_dict(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    values_in_a_predicate: int,
    merges: list[list[tuple[str, str]]],
    doomed: set[str],
) -> None:
    monkeypatch.setattr("data_catalog.tables.delta._VALUES_IN_A_PREDICATE", values_in_a_predicate)
    catalog = Catalog(tmp_path_factory.mktemp("dict"))
    expected: dict[str, str] = {}
    for pairs in merges:
        catalog.merge("labels", rows("labels", *({"video_id": k, "label": v} for k, v in pairs)))
        expected |= dict(pairs)
    assert stored(catalog) == expected
    assert catalog.delete("labels", doomed) == len(doomed & expected.keys())
    assert stored(catalog) == {key: value for key, value in expected.items() if key not in doomed}
    for key in expected:
        assert catalog.read("labels", where=pc.field("video_id") == key).num_rows == (key not in doomed)


def test_more_keys_than_a_stack_can_hold_are_one_commit(catalog: Catalog) -> None:
    many = rows("labels", *({"video_id": f"v{i:06d}", "label": "old"} for i in range(25_000)))
    catalog.merge("labels", many)
    catalog.merge("labels", many.set_column(1, "label", pa.repeat("new", many.num_rows)))
    assert pc.unique(catalog.read("labels")["label"]).to_pylist() == ["new"]
    assert catalog.delete("labels", strings(many["video_id"])[1:]) == many.num_rows - 1
    assert stored(catalog) == {"v000000": "new"}
    assert catalog.versions() == {"labels": 3}


def test_a_write_that_changes_nothing_makes_no_version(catalog: Catalog) -> None:
    def write_nothing() -> list[int]:
        nothing = rows("comments")
        return [
            *(catalog.merge("labels", labels()), catalog.delete("labels", ["b"]), catalog.delete("labels", [])),
            catalog.replace_groups("comments", nothing, column="video_id", values=["a"]),
            catalog.delete_groups("comments", column="video_id", values=["a"]),
        ]

    assert (write_nothing(), catalog.versions()) == ([0] * 5, {})
    catalog.merge("labels", labels(a="positive"))
    before = catalog.versions()
    assert (write_nothing(), catalog.versions()) == ([0] * 5, before)


def test_replacing_makes_the_table_equal_and_commits_only_a_difference(catalog: Catalog) -> None:
    assert catalog.replace("labels", labels(a="positive", b="negative"))
    version = catalog.versions()["labels"]

    assert not catalog.replace("labels", labels(b="negative", a="positive")), "order is no difference"
    assert catalog.versions()["labels"] == version

    assert catalog.replace("labels", labels(b="positive"))
    assert stored(catalog) == {"b": "positive"}
    assert catalog.versions()["labels"] == version + 1, "a replacement is one commit"
    assert catalog.replace("labels", labels())
    assert not catalog.replace("labels", labels())


def test_replacing_sees_a_nan_as_equal_to_itself_and_null_as_different_from_nothing(catalog: Catalog) -> None:
    nan = rows("labels", {"video_id": "a", "mean_score": float("nan")})
    assert catalog.replace("labels", nan)
    assert not catalog.replace("labels", nan)
    assert catalog.replace("labels", rows("labels", {"video_id": "a", "mean_score": None}))


def test_a_stages_drops_become_exactly_these(catalog: Catalog) -> None:
    catalog.replace_drops("other", [Drop("other", "k", None, "filtered", "r")])
    drops = [Drop("s", "a", "v", "filtered", "r", "d"), Drop("s", "b", None, "failed", "r")]

    assert catalog.replace_drops("s", drops)
    assert not catalog.replace_drops("s", drops), "the time of writing is no difference"
    assert catalog.replace_drops("s", drops[:1])

    assert {(r["stage"], r["key"]) for r in catalog.read("drops").to_pylist()} == {("other", "k"), ("s", "a")}
    with pytest.raises(CatalogError, match="stage 's' cannot write a drop of stage 'other'"):
        catalog.replace_drops("s", [Drop("other", "a", None, "filtered", "r")])
    assert catalog.replace_drops("s", [])
    assert catalog.values("drops", "key") == ["k"]


@pytest.mark.parametrize(
    ("given_rows", "message"),
    [
        (pa.table({"video_id": ["a"]}), "missing .*'label'"),
        (labels(a="x").append_column("colour", pa.array(["red"])), r"unknown \['colour'\]"),
        (labels(a="x").set_column(0, "video_id", pa.array([7])), "labels.video_id: rows hold int64.*first value 7"),
        (labels(a="x").set_column(3, "n_reviewers", pa.array(["5"])), "labels.n_reviewers: rows hold string"),
        (labels(a="x", b="y").set_column(3, "n_reviewers", pa.array([1, 2**40])), "n_reviewers, row 1: 1099511627776"),
        (rows("labels", {"video_id": "a"}, {"label": "x"}), "labels.video_id, row 1: the key is null"),
    ],
)
def test_rows_that_break_the_contract_are_refused_with_their_place(
    catalog: Catalog, given_rows: pa.Table, message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        catalog.merge("labels", given_rows)
    with pytest.raises(CatalogError, match=message):
        catalog.replace("labels", given_rows)
    assert catalog.tables() == []


def test_a_time_without_zone_is_refused(catalog: Catalog) -> None:
    naive = rows("ads", {"video_id": "a"}).drop(["fetched_at"])
    naive = naive.append_column("fetched_at", pa.array([datetime(2026, 1, 1)], pa.timestamp("us")))  # noqa: DTZ001
    with pytest.raises(CatalogError, match=r"ads\.fetched_at: rows hold timestamp"):
        catalog.merge("ads", naive)


def test_types_that_hold_the_same_values_are_taken(catalog: Catalog) -> None:
    wide = labels(a="x").set_column(0, "video_id", pa.array(["a"], pa.large_string()))
    wide = wide.set_column(3, "n_reviewers", pa.array([5], pa.int64())).set_column(5, "mean_score", pa.nulls(1))
    catalog.merge("labels", wide.select(wide.column_names[::-1]))
    assert catalog.read("labels").to_pylist()[0] == labels(a="x").to_pylist()[0] | {"n_reviewers": 5}


def test_unknown_tables_columns_and_conditions_are_named(catalog: Catalog) -> None:
    catalog.merge("labels", labels(a="x"))
    with pytest.raises(CatalogError, match="no table 'lables'; tables are listings, candidates, ads"):
        catalog.read("lables")
    with pytest.raises(CatalogError, match="labels has no column 'colour'; it has video_id"):
        catalog.read("labels", ["colour"])
    with pytest.raises(CatalogError, match="condition 'colour = 1'"):
        catalog.read("labels", where="colour = 1")
    with pytest.raises(CatalogError, match="kind 'lost'; expected one of filtered, failed"):
        Drop("s", "k", None, "lost", "r")  # type: ignore[arg-type]
    with pytest.raises(CatalogError, match=r"\('a',\) is no key; expected a value for each of"):
        catalog.delete("drops", ["a"])


def test_reading_takes_columns_and_conditions_of_either_kind(catalog: Catalog) -> None:
    catalog.merge("labels", labels(a="x", b="y"))
    for condition in ("label = 'y'", pc.field("label") == "y"):
        found = catalog.read("labels", ["video_id"], where=condition)
        assert found.to_pydict() == {"video_id": ["b"]}
        assert found.schema.field("video_id").type == pa.string()
    assert catalog.read("texts", where="n_words > 5").num_rows == 0


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    for name in ("here", "with space & 100% ü", "nested/deeper"):
        home = tmp_path / name
        Catalog(home).merge("labels", labels(a="x", b="y"))
        moved = tmp_path / f"moved {Path(name).name}"
        home.rename(moved)
        there = Catalog(moved)
        there.merge("labels", labels(b="z"))
        assert stored(there) == {"a": "x", "b": "z"}
        assert not home.exists()


@pytest.mark.parametrize("name", ["a%20b", "a[1]", "a\\b", "a|b", "a\nb"])
def test_a_folder_that_delta_cannot_use_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match="choose another folder"):
        Catalog(tmp_path / name)


def test_nothing_is_written_outside_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    catalog = Catalog("../catalog")
    catalog.merge("labels", labels(a="x"))
    catalog.replace_drops("s", [Drop("s", "a", None, "filtered", "r")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog", "elsewhere"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    monkeypatch.chdir(tmp_path)
    assert stored(catalog) == {"a": "x"}, "the place does not depend on the current folder"


def test_a_catalog_can_be_sent_to_a_worker(catalog: Catalog) -> None:
    catalog.merge("labels", labels(a="x"))
    assert stored(pickle.loads(pickle.dumps(catalog))) == {"a": "x"}  # noqa: S301 - our own object


def test_history_and_versions_follow_the_commits(catalog: Catalog) -> None:
    catalog.merge("labels", labels(a="x", b="x"))
    catalog.merge("labels", labels(c="x"))
    newest, *_ = commits = catalog.history("labels")
    assert [commit.version for commit in commits] == [2, 1, 0]
    assert (newest.rows_written, newest.operation) == (1, "WRITE")
    assert abs((datetime.now(UTC) - newest.at).total_seconds()) < 60
    assert catalog.versions() == {"labels": 2}
    (info,) = catalog.tables()
    assert (info.rows, info.key) == (3, ("video_id",))
    assert info.size_bytes > 0
    assert catalog.history("ads") == []


def test_wide_tables_have_small_row_groups_and_no_statistics_on_pictures(catalog: Catalog) -> None:
    catalog.merge("frames", rows("frames", *({"frame_id": f"{i}", "image": {"bytes": b"x" * 99}} for i in range(250))))
    (file,) = Path(catalog.root, "tables/frames").glob("*.parquet")
    metadata = pq.ParquetFile(file).metadata
    assert max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) <= 100
    columns = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    has_statistics = {column.path_in_schema: column.is_stats_set for column in columns}
    assert not has_statistics["image.bytes"]
    assert has_statistics["frame_id"]


def test_many_small_commits_leave_few_files(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_catalog.tables.delta._FILES_BEFORE_COMPACTION", 5)
    for i in range(12):
        catalog.merge("labels", labels(**{f"k{i}": str(i)}))
    assert stored(catalog) == {f"k{i}": str(i) for i in range(12)}
    assert len(DeltaTable(f"{catalog.root}/tables/labels").file_uris()) < 6


def test_a_batch_is_committed_without_going_through_the_files_of_the_table(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = {"video_id": "ad", "fingerprint": "f"}
    catalog.commit("frames", rows("frames", {**frame, "frame_id": "ad:0"}), stage="frames", done=["ad"], upstream="ads")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("putting a dataset together grows with the files, and pictures are never compacted")

    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "to_pyarrow_dataset", refuse)
        again = rows("frames", *({**frame, "frame_id": f"ad:{i}"} for i in (1, 2)))
        catalog.commit("frames", again, stage="frames", done=["ad"], upstream="ads")
    assert sorted(stored(catalog, "frames", "fingerprint")) == ["ad:1", "ad:2"]


def damage(catalog: Catalog, how: str) -> None:
    table = Path(catalog.root, "tables/labels")
    newest_entry = sorted((table / "_delta_log").glob("*.json"))[-1]
    (data,) = table.glob("*.parquet")
    match how:
        case "log entry cut off":
            newest_entry.write_text(newest_entry.read_text()[:40])
        case "log gone":
            shutil.rmtree(table / "_delta_log")
        case "data gone":
            data.unlink()
        case "data overwritten":
            data.write_bytes(b"x" * data.stat().st_size)


@pytest.mark.parametrize("how", ["log entry cut off", "log gone", "data gone", "data overwritten"])
def test_a_damaged_table_says_which_and_what_to_do(catalog: Catalog, how: str) -> None:
    catalog.merge("labels", labels(a="x"))
    catalog.merge("ads", rows("ads", {"video_id": "a"}))
    damage(catalog, how)
    with pytest.raises(CatalogError, match=r"tables/labels: cannot be read.*Restore this folder") as refused:
        catalog.read("labels")
    assert "\n" not in str(refused.value)
    for write in (catalog.replace, catalog.merge):
        with pytest.raises(CatalogError, match="tables/labels"):
            write("labels", labels(a="y"))
    assert catalog.count("ads") == 1, "the other tables are untouched"


def test_a_table_with_other_columns_is_refused_by_name(catalog: Catalog) -> None:
    older = pa.table({"video_id": ["a"], "colour": ["red"]})
    write_deltalake(f"{catalog.root}/tables/labels", older)
    with pytest.raises(CatalogError, match=r"another version of this program; columns that differ: .*colour"):
        catalog.merge("labels", labels(a="x"))


@pytest.mark.parametrize(("number", "in_a_predicate"), [(1, 5000), (700, 5000), (3, 2)], ids=["few", "many", "whole"])
def test_a_table_whose_columns_were_described_otherwise_is_written_to(
    catalog: Catalog, number: int, in_a_predicate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_catalog.tables.delta._VALUES_IN_A_PREDICATE", in_a_predicate)
    table = TABLES["labels"]
    older = pa.schema([field.with_metadata({"meaning": "as it was said once"}) for field in table.schema])
    old = labels(a="old", b="old").cast(older)
    DeltaTable.create(f"{catalog.root}/tables/labels", older)
    write_deltalake(f"{catalog.root}/tables/labels", old, mode="append")
    new = {f"v{at}": "new" for at in range(number)}
    catalog.merge("labels", labels(**new))
    assert stored(catalog) == {"a": "old", "b": "old"} | new
    assert catalog.read("labels").schema.equals(table.schema)
    catalog.replace("labels", labels(c="x"))
    assert stored(catalog) == {"c": "x"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(CatalogError, match=r"cannot be written.*write permission"):
            Catalog(tmp_path / "catalog").merge("labels", labels(a="x"))
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalog").write_text("not a folder")
    with pytest.raises(CatalogError, match="cannot be written"):
        Catalog(tmp_path / "catalog").merge("labels", labels(a="x"))


def test_a_catalog_says_where_it_lies(catalog: Catalog) -> None:
    assert catalog.releases_dir == Path(catalog.root) / "releases"
    remote = Catalog("s3://bucket/catalog/")
    assert (remote.root, str(remote.releases_dir)) == ("s3://bucket/catalog", "s3://bucket/catalog/releases")
