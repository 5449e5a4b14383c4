"""Data-quality rules: all hold of sound data, and each finds what breaks it."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_catalog import TABLES, Catalog, CatalogError
from data_catalog.checks import all_rules, broken, check, described_rules, read_rules
from data_catalog.inspect import require_newest_release, run_sql
from data_catalog.releases import write_release
from data_catalog.schemas import Column
from tests.data_catalog.builders import release_row, release_rows, rows

AT = datetime(2026, 11, 23, tzinfo=UTC)
CATEGORIES = ("apparel", "food")
ADS = {f"ad{i:02}": (CATEGORIES[i % 2], ("negative", "positive")[i // 2 % 2]) for i in range(20)}


def filled(column: Column) -> Any:
    """A value of a column's type."""
    if pa.types.is_timestamp(column.type):
        return AT
    if pa.types.is_list(column.type):
        return []
    if pa.types.is_boolean(column.type):
        return False
    return "x" if pa.types.is_string(column.type) else {"bytes": b"x", "path": "x"} if column.type.num_fields else 1


def row(table: str, **values: Any) -> dict[str, Any]:
    return {column.name: None if column.null else filled(column) for column in TABLES[table].columns} | values


def put(catalog: Catalog, table: str, *made: dict[str, Any]) -> None:
    catalog.merge(table, rows(table, *made))


def split_of(number: int) -> str:
    return "train" if number < 12 else "validation" if number < 16 else "test"


def put_release(catalog: Catalog, version: str, parent: str | None = None, **changes: dict[str, Any]) -> None:
    """A release of all ads, one frame each; `changes` are of single ads, and `split` among them moves one."""
    made: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    for number, (ad, (category, label)) in enumerate(ADS.items()):
        change = changes.get(ad, {})
        moved = {name: value for name, value in change.items() if name != "split"}
        score = 2.75 if label == "positive" else -2.75
        frame = release_row(
            ad, number, int(label == "positive"), category=category, mean_score=score, frame_id=f"{ad}:0"
        )
        made[change.get("split") or split_of(number)].append(frame | moved)
    manifest = {
        "created_at": AT.isoformat(),
        "synthetic": False,
        "settings": {},
        "seed": 0,
        "engines": {},
        "table_versions": {},
        "parent": parent,
        "funnel": [],
    }
    write_release(catalog.releases_dir, version, {name: release_rows(*of) for name, of in made.items()}, manifest, {})


def make_sound(root: Path) -> Catalog:
    catalog = Catalog(root)
    put(catalog, "ads", *(row("ads", video_id=ad, duration_s=30.0, media_sha256=ad) for ad in ADS))
    put(
        catalog,
        "frames",
        *(row("frames", frame_id=f"{ad}:0", video_id=ad, width=64, height=48, image_sha256=ad) for ad in ADS),
    )
    put(catalog, "texts", *(row("texts", frame_id=f"{ad}:0", video_id=ad, n_words=0) for ad in ADS))
    put(catalog, "comments", *(row("comments", comment_id=f"{ad}.c", video_id=ad) for ad in ADS))
    put(
        catalog,
        "comment_scores",
        *(row("comment_scores", comment_id=f"{ad}.c", video_id=ad, negative=-1) for ad in ADS),
    )
    put(catalog, "ad_sentiment", *(sentiment(video_id=ad) for ad in ADS))
    put(
        catalog,
        "labels",
        *(row("labels", video_id=ad, label=label, decided_by="comments") for ad, (_, label) in ADS.items()),
    )
    put_release(catalog, "2026.11.23")
    put_release(catalog, "2026.11.24", "2026.11.23")
    return catalog


def verdicts(catalog: Catalog, *files: Path) -> dict[str, str]:
    return {
        result.rule.name: result.verdict for result in check(catalog, all_rules(*files)) if result.verdict != "holds"
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    make_sound(root := tmp_path_factory.mktemp("sound"))
    return root


@pytest.fixture
def catalog(sound: Path, tmp_path: Path) -> Catalog:
    shutil.copytree(sound, tmp_path / "catalog")
    return Catalog(tmp_path / "catalog")


def test_all_rules_hold_of_sound_data(sound: Path) -> None:
    results = check(Catalog(sound), all_rules())
    assert {result.verdict for result in results} == {"holds"}
    assert len(results) > 40
    assert not broken(results)


Break = Callable[[Catalog], Any]
BREAKS: dict[str, Break] = {
    "ads_have_a_length": lambda c: put(c, "ads", row("ads", video_id="ad00", duration_s=0.1)),
    "frames_lie_within_the_ad": lambda c: put(
        c, "frames", row("frames", frame_id="ad00:1", video_id="ad00", timestamp_s=31.5, width=64, height=48)
    ),
    "frames_have_a_size": lambda c: put(
        c, "frames", row("frames", frame_id="ad00:1", video_id="ad00", width=64, height=4)
    ),
    "words_are_counted": lambda c: put(c, "texts", row("texts", frame_id="ad00:0", video_id="ad00", n_words=3)),
    "scores_are_strengths": lambda c: put(
        c, "comment_scores", row("comment_scores", comment_id="ad00.c", video_id="ad00", positive=6, negative=-1)
    ),
    "scores_have_an_ad": lambda c: put(
        c, "comment_scores", row("comment_scores", comment_id="ad00.c", video_id="ad01", negative=-1)
    ),
    "means_lie_within_their_interval": lambda c: put(
        c, "ad_sentiment", sentiment(mean_score=2.0, mean_low=2.1, mean_high=2.2)
    ),
    "comments_are_counted": lambda c: put(c, "ad_sentiment", sentiment(n_comments=9)),
    "labels_are_classes": lambda c: put(
        c, "labels", row("labels", video_id="ad03", label="neutral", decided_by="comments")
    ),
    "labels_are_reviewed": lambda c: put(
        c, "labels", row("labels", video_id="ad03", label="positive", decided_by="reviewers")
    ),
    "few_failures": lambda c: put(
        c, "drops", *(row("drops", stage="ocr", key=str(i), kind="failed") for i in range(21))
    ),
    "splits_share_no_ad": lambda c: put(
        c, "reuploads", *(row("reuploads", video_id=ad, group_id="g") for ad in ("ad00", "ad19"))
    ),
    "splits_share_no_picture": lambda c: put(
        c, "frames", row("frames", frame_id="ad19:0", video_id="ad19", width=64, height=48, image_sha256="ad00")
    ),
    "rows_have_their_class": lambda c: put(
        c, "labels", row("labels", video_id="ad00", label="positive", decided_by="comments")
    ),
    "categories_have_ads": lambda c: newer(c, ad00={"category": "rare"}),
    "classes_are_there": lambda c: newer(
        c, **{ad: {"split": "train"} for ad, (_, label) in list(ADS.items())[16:] if label == "negative"}
    ),
    "labels_do_not_drift": lambda c: newer(c, **{ad: {"label": 1} for ad in ADS}),
    "scores_do_not_drift": lambda c: newer(c, **{ad: {"mean_score": 5.0} for ad in ADS}),
    "forgotten_ads_are_gone": lambda c: put(
        c, "forgotten", row("forgotten", digest=hashlib.sha256(b"ad00").hexdigest(), kind="ad")
    ),
    "forgotten_authors_are_gone": lambda c: hold_forgotten_author(c),
    "ads_do_not_vanish": lambda c: newer(c, **{ad: {"video_id": f"new{ad}"} for ad in list(ADS)[:3]}),
}


def sentiment(**values: Any) -> dict[str, Any]:
    counts = {
        "n_comments": 1,
        "n_scored": 1,
        "n_only_links": 0,
        "n_other_language": 0,
        "n_duplicates": 0,
        "n_repeats": 0,
    }
    return row("ad_sentiment", **{"video_id": "ad00", **counts, **values})


def hold_forgotten_author(catalog: Catalog) -> None:
    put(catalog, "comments", row("comments", comment_id="ad00.c", video_id="ad00", author_hash="of somebody"))
    put(catalog, "forgotten", row("forgotten", digest="of somebody", kind="author"))


def newer(catalog: Catalog, **changes: dict[str, Any]) -> None:
    put_release(catalog, "2026.11.25", "2026.11.24", **changes)


def test_every_rule_has_a_way_to_break_it() -> None:
    assert {rule.name for rule in all_rules()} - {rule.name for rule in described_rules()} == set(BREAKS)


@pytest.mark.parametrize("name", BREAKS)
def test_a_rule_finds_what_breaks_it(name: str, catalog: Catalog) -> None:
    BREAKS[name](catalog)
    [rule] = [rule for rule in all_rules() if rule.name == name]
    [result] = check(catalog, [rule])
    assert result.verdict == rule.severity
    assert result.broken
    assert result.examples
    assert result.said


def test_what_may_not_be_null_and_what_lies_in_other_tables_is_found(catalog: Catalog) -> None:
    put(catalog, "comments", row("comments", comment_id="lost", video_id="nobody", text=None))
    put(catalog, "texts", row("texts", frame_id="ad00:7", video_id="ad00", n_words=0))
    assert verdicts(catalog) == {
        "comments_are_filled": "error",
        "comments_video_id_exists": "error",
        "texts_frame_id_exists": "error",
    }


def test_rules_of_ones_own_are_added_and_replace_those_of_their_name(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "frames", row("frames", frame_id="ad00:1", video_id="ad00", width=64, height=4))
    ours = tmp_path / "ours.sql"
    ours.write_text(
        "-- small frames are wanted here\n"
        "-- frames_have_a_size: error: any size will do\nSELECT 1 WHERE false;\n"
        "-- no_ad_00: warning: ad00 is not wanted\nSELECT video_id\nFROM ads -- of all ads\nWHERE video_id = 'ad00';\n"
    )
    results = {result.rule.name: result for result in check(catalog, all_rules(ours))}
    assert results["frames_have_a_size"].verdict == "holds"
    assert (results["no_ad_00"].verdict, results["no_ad_00"].broken, results["no_ad_00"].said) == (
        "warning",
        1,
        "video_id=ad00",
    )
    assert not broken(results.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1;", r"line 1: above a query stands `-- name: error\|warning: what holds`"),
        ("-- a: fatal: b\nSELECT 1;", "line 2: above a query"),
        ("-- a: error: b\nSELECT 1", "line 2: the query of rule a does not end with a semicolon"),
        ("-- a: error: b\nSELECT 1; SELECT 2;", "line 2: above a query"),
        ("-- a: error: b\nSELECT 1;\n-- a: error: b\nSELECT 1;", "line 4: there is a rule a above"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_line(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.sql"
    file.write_text(text)
    with pytest.raises(CatalogError, match=said):
        list(read_rules(file))
    with pytest.raises(CatalogError, match="cannot be read"):
        list(read_rules(tmp_path / "none.sql"))


def test_a_wrong_query_names_its_rule(catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "rules.sql"
    file.write_text("-- typo: error: nothing\nSELECT nothing FROM ads;")
    results = check(catalog, all_rules(file))
    [faulty] = [result for result in results if result.verdict == "faulty"]
    assert faulty.rule.name == "typo"
    assert "nothing" in faulty.said
    assert broken(results)
    assert sum(result.verdict == "holds" for result in results) > 20, "the others are asked all the same"


@pytest.mark.parametrize(
    ("which", "damage"),
    [
        ("older", "missing"),
        ("older", "no manifest"),
        ("parent", "cut"),
        ("newest", "other bytes"),
        ("newest", "no manifest"),
    ],
)
def test_a_damaged_release_is_named_and_takes_no_rule_along_but_those_that_ask_for_it(
    which: str, damage: str, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    versions = {"older": "2026.11.23", "parent": "2026.11.24", "newest": "2026.11.25"}
    put_release(catalog, versions["newest"], versions["parent"])
    release = catalog.releases_dir / versions[which]
    [file] = (release / "data").glob("test-*")
    if damage == "missing":
        file.unlink()
    elif damage == "no manifest":
        (release / "manifest.json").unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9] if damage == "cut" else b"?" * file.stat().st_size)

    found = verdicts(catalog)

    assert f"release {release.name} is left out" in caplog.text
    of_parent = {"labels_do_not_drift", "scores_do_not_drift", "ads_do_not_vanish"}
    of_newest = {rule.name for rule in all_rules() if re.search(r"\brelease\b", rule.query)}
    not_asked = {"older": set[str](), "parent": of_parent, "newest": of_parent | of_newest}[which]
    assert {name for name, verdict in found.items() if verdict == "not asked"} == not_asked
    others = run_sql(catalog, "SELECT DISTINCT version FROM releases ORDER BY 1")["version"].to_pylist()
    assert others == [version for version in versions.values() if version != release.name]
    if which == "newest":
        named = rf"release {release.name}: .*{'manifest.json' if damage == 'no manifest' else file.name}"
        with pytest.raises(CatalogError, match=named):
            require_newest_release(catalog)
        with pytest.raises(CatalogError, match=rf"(?s)release does not exist.*{named}"):
            run_sql(catalog, "FROM release")
    else:
        require_newest_release(catalog)
        assert run_sql(catalog, "SELECT DISTINCT version FROM release").to_pylist() == [{"version": "2026.11.25"}]


def test_without_a_release_its_rules_are_not_asked(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, "ads", row("ads", video_id="a", duration_s=30.0))
    assert verdicts(catalog)["splits_share_no_ad"] == "not asked"
    assert "error" not in verdicts(catalog).values()


def test_a_release_is_held_against_the_rules_before_it_is_written(sound: Path, tmp_path: Path) -> None:
    made = [
        {"split": "train", **release_row(ad, number, int(label == "positive"), category=category)}
        for number, (ad, (category, label)) in enumerate(ADS.items())
    ]
    for row_ in made:
        del row_["image"]
    rules = [
        rule for rule in all_rules() if rule.name in ("classes_are_there", "labels_do_not_drift", "splits_share_no_ad")
    ]

    def asked(rows_: list[dict[str, Any]], of: Path = sound) -> dict[str, str]:
        planned = pa.Table.from_pylist(rows_)
        return {result.rule.name: result.verdict for result in check(Catalog(of), rules, planned)}

    holds = dict.fromkeys((rule.name for rule in rules), "holds")
    assert asked(made) == holds
    assert asked([row_ | {"label": 1} for row_ in made]) == {
        **holds,
        "classes_are_there": "warning",
        "labels_do_not_drift": "warning",
    }
    assert asked([*made, made[0] | {"split": "test"}])["splits_share_no_ad"] == "error"
    # without a parent
    lonely = tmp_path / "catalog"
    shutil.copytree(sound, lonely)
    shutil.rmtree(lonely / "releases")
    assert asked(made, lonely) == {**holds, "labels_do_not_drift": "not asked"}


def test_a_rule_is_one_query_whatever_stands_in_it_and_behind_it(sound: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.sql"
    file.write_text(
        "\ufeff-- first: error: é\n-- a remark\nSELECT 1 AS a WHERE ';--' = 'a;\nb'; -- behind it\n\n"
        "/* ; */\n-- second: warning: y\nSELECT 'x;' AS b -- within it;\n;\n",
        "utf-8",
    )
    rules = list(read_rules(file))
    assert [(rule.name, rule.severity, rule.meaning) for rule in rules] == [
        ("first", "error", "é"),
        ("second", "warning", "y"),
    ]
    assert [result.verdict for result in check(Catalog(sound), rules)] == ["holds", "warning"]
    file.write_text("-- changes: error: nothing\nSET threads = 1;")
    [changes] = check(Catalog(sound), list(read_rules(file)))
    assert "expected one query" in changes.fault
