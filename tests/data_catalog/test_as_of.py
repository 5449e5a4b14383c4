"""The catalog as it was: by version, by time, by release; held against what stood there then, and against Delta."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_catalog import Catalog, CatalogError
from data_catalog.inspect import as_of, run_sql, show_rows
from data_catalog.releases import write_release
from tests.data_catalog.builders import release_row, release_rows, rows


def labelled(catalog: Catalog) -> dict[str, str]:
    return {row["video_id"]: row["label"] for row in catalog.read("labels", ["video_id", "label"]).to_pylist()}


def put(catalog: Catalog, **labels: str) -> None:
    made = [{"video_id": ad, "label": label, "fingerprint": "f"} for ad, label in labels.items()]
    catalog.merge("labels", rows("labels", *made))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from("abc"), st.sampled_from(["positive", "negative"]), min_size=1),
            st.sets(st.sampled_from("abc"), min_size=1),
        ),
        max_size=5,
    )
)
def test_every_version_and_time_gives_what_stood_there_then(
    tmp_path_factory: pytest.TempPathFactory, steps: list[dict[str, str] | set[str]]
) -> None:
    catalog = Catalog(tmp_path_factory.mktemp("catalog"))
    put(catalog, a="positive")
    stood = {1: labelled(catalog)}
    for step in steps:
        if isinstance(step, dict):
            put(catalog, **step)
        else:
            catalog.delete("labels", step)
        stood[catalog.versions()["labels"]] = labelled(catalog)

    at = {commit.version: commit.at for commit in catalog.history("labels")}
    for version, held in stood.items():
        assert labelled(as_of(catalog, str(version), "labels")) == held
        oracle = DeltaTable(f"{catalog.root}/tables/labels", version=version).to_pyarrow_table()
        assert dict(zip(oracle["video_id"].to_pylist(), oracle["label"].to_pylist(), strict=True)) == held
        newest_then = max(number for number, time in at.items() if time <= at[version])
        assert labelled(as_of(catalog, at[version].isoformat())) == stood[newest_then]


def test_a_release_names_the_versions_that_it_was_made_from(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, a="positive")
    manifest = {
        "created_at": datetime.now(UTC).isoformat(),
        "synthetic": False,
        "settings": {},
        "seed": 0,
        "engines": {},
        "table_versions": catalog.versions(),
        "parent": None,
        "funnel": [],
    }
    splits = {name: release_rows(release_row(name)) for name in ("train", "validation", "test")}
    write_release(catalog.releases_dir, "2026.11.23", splits, manifest, {})
    put(catalog, b="negative")
    catalog.merge("texts", rows("texts", {"frame_id": "a:0", "video_id": "a"}))

    then = as_of(catalog, "2026.11.23")

    assert labelled(then) == {"a": "positive"}
    assert show_rows(then, "texts").num_rows == 0  # the table was made afterwards
    assert run_sql(then, "SELECT count(*) AS n FROM labels")["n"].to_pylist() == [1]
    assert labelled(catalog) == {"a": "positive", "b": "negative"}


def test_releases_are_those_of_that_time_too(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, a="positive")
    for version, parent, lineage in (("2026.11.23", None, []), ("2026.11.24", "2026.11.23", ["2026.11.23"])):
        manifest = {
            "created_at": f"{version.replace('.', '-')}T08:00:00+00:00",
            "synthetic": False,
            "settings": {},
            "seed": 0,
            "engines": {},
            "table_versions": catalog.versions(),
            "parent": parent,
            "lineage": lineage,
            "funnel": [],
        }
        splits = {name: release_rows(release_row(name)) for name in ("train", "validation", "test")}
        write_release(catalog.releases_dir, version, splits, manifest, {})

    def seen(then: Catalog, view: str) -> list[str]:
        query = f"SELECT DISTINCT version FROM {view} ORDER BY 1"  # noqa: S608 - names of this test
        return [str(version) for version in run_sql(then, query)["version"].to_pylist()]

    assert (seen(catalog, "release"), seen(catalog, "parent")) == (["2026.11.24"], ["2026.11.23"])
    for when in ("2026.11.23", "2026-11-23", "2026-11-24T07:59"):
        then = as_of(catalog, when)
        assert (seen(then, "release"), seen(then, "releases")) == (["2026.11.23"], ["2026.11.23"])
        with pytest.raises(CatalogError, match="parent does not exist"):
            seen(then, "parent")
    assert seen(as_of(catalog, "2026.11.24"), "releases") == ["2026.11.23", "2026.11.24"]
    with pytest.raises(CatalogError, match="release does not exist"):
        seen(as_of(catalog, "1", "labels"), "release")


def test_a_date_is_its_end_and_before_the_first_commit_there_was_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, a="positive")
    today = datetime.now(UTC)

    assert labelled(as_of(catalog, f"{today:%Y-%m-%d}")) == {"a": "positive"}
    assert labelled(as_of(catalog, f"{today - timedelta(days=1):%Y-%m-%d}")) == {}
    assert labelled(as_of(catalog, "2020-01-01T08:30+02:00")) == {}
    # without dashes too, where the table has no such version
    assert labelled(as_of(catalog, f"{today:%Y%m%d}", "labels")) == labelled(as_of(catalog, f"{today:%Y%m%d}"))
    assert labelled(as_of(catalog, f"{today:%Y%m%d}", "labels")) == {"a": "positive"}
    assert labelled(as_of(catalog, "20200101", "labels")) == {}
    assert labelled(as_of(catalog, "00000001", "labels")) == {"a": "positive"}
    with pytest.raises(CatalogError, match=r"'20261340' is no release, a version of labels as .* such as .*20261123"):
        as_of(catalog, "20261340", "labels")


def test_the_past_is_not_written(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, a="positive")
    then = as_of(catalog, "1", "labels")

    with pytest.raises(CatalogError, match="as of an earlier time; nothing can be written"):
        put(then, b="positive")
    with pytest.raises(CatalogError, match="nothing can be written"):
        then.delete("labels", ["a"])
    assert labelled(catalog) == {"a": "positive"}


def test_what_was_purged_or_never_was_is_said(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, a="positive")
    put(catalog, b="positive")

    with pytest.raises(
        CatalogError, match=r"labels: version 9 cannot be read; there are 0 to 2: `ytb-ads catalog hist"
    ):
        labelled(as_of(catalog, "9", "labels"))
    with pytest.raises(CatalogError, match=r"'soon' is no release and no date or time such as .*; releases: none"):
        as_of(catalog, "soon")
    with pytest.raises(CatalogError, match=r"'9' is no release and no date"):
        as_of(catalog, "9")  # a version is one table's

    catalog.purge("labels")
    for when in ("1", "2020-01-01"):
        with pytest.raises(CatalogError, match=r"cannot be read; there are 3 \(what lay before was purged\) to 3"):
            labelled(as_of(catalog, when, "labels"))
