"""What changed between two releases, held against what SQL over their files says."""

# ruff: noqa: S608 - the queries are put together here

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_catalog.errors import ReleaseError
from data_catalog.releases import (
    Contents,
    compare,
    comparison,
    diff_releases,
    read_contents,
    read_manifest,
    verify_release,
    write_release,
)
from data_catalog.releases.comparison import ReleaseDiff
from data_catalog.releases.verification import PICTURES, digest_file, manifest_sha256
from data_catalog.schemas import LABELS, RELEASE_SCHEMA, SPLITS
from tests.data_catalog.builders import release_row as row
from tests.data_catalog.builders import release_rows as table

FACTS: dict[str, Any] = {
    "synthetic": True,
    "settings": {"release": {"seed": 0, "train": 0.8}, "ocr": {"engine": "a", "sides": [640]}, "old": {"key": 1}},
    "engines": {"ocr": "a 1", "sentiment": "s 1"},
    "labels": {"thresholds": {"positive": 2.5, "negative": -2.5}},
}
LATER: dict[str, Any] = {
    "synthetic": True,
    "settings": {"release": {"seed": 1, "train": 0.8}, "ocr": {"engine": "a", "sides": [640, 960]}, "new": {}},
    "engines": {"ocr": "a 2", "sentiment": "s 1"},
    "labels": {"thresholds": {"positive": 2.25, "negative": -2.5}},
}


def random_rows(seed: int) -> dict[str, Any]:
    """A release of 30 of 40 possible ads; of one seed to the next about a third of everything differs."""
    base, own = random.Random(99), random.Random(seed)
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for number in range(40):
        facts: list[dict[str, Any]] = [
            {"split": rng.choice(SPLITS), "label": rng.randrange(2), "edge": rng.randrange(-10, 11) / 2}
            | {"category": rng.choice([None, "food", "cars"])}
            for rng in (base, own)
        ]
        chosen = {key: facts[own.random() < 0.3][key] for key in facts[0]}
        if own.random() < 0.25:
            continue
        score = None if own.random() < 0.1 else chosen["edge"] + own.choice([0, 0, 0.2])
        ad = {
            "label": chosen["label"],
            "mean_score": score,
            "mean_low": score and score - 0.1,
            "mean_high": score and score + 0.1,
            "category": chosen["category"],
        }
        for index in range(own.randint(1, 3)):
            words = f"words {index}" if own.random() < 0.8 else "other words"
            shown = index if own.random() < 0.8 else index + 100
            one = row(f"ad{number}", index, text=words, timestamp_s=own.choice([1.0, 1.0, 2.0]), **ad)
            one["image"] = row("x", shown)["image"]
            again = own.randint(0, 2) if chosen["split"] == "train" else 0
            splits[chosen["split"]] += [one | {"draw": draw} for draw in range(again + 1)]
    return {split: table(*rows) for split, rows in splits.items()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("releases")
    return (
        write_release(root, "2026.11.23", random_rows(1), FACTS),
        write_release(root, "2026.11.24", random_rows(2), LATER),
    )


@pytest.fixture(scope="module")
def diff(pair: tuple[Path, Path]) -> ReleaseDiff:
    return diff_releases(*pair)


@pytest.fixture(scope="module")
def sql(pair: tuple[Path, Path]) -> duckdb.DuckDBPyConnection:
    """The rows of both releases as tables `a` and `b`, by DuckDB's own reader."""
    connection = duckdb.connect()
    for name, folder in zip("ab", pair, strict=True):
        files = f"{folder}/data/*.parquet"
        connection.execute(
            f"CREATE TABLE {name} AS SELECT *, regexp_extract(filename, '/([a-z]+)-[0-9]+-of', 1) AS split, "
            f"sha256(image.bytes) AS picture FROM read_parquet('{files}', filename = true)"
        )
    return connection


def ids(sql: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return [found[0] for found in sql.sql(query).fetchall()]


def test_the_two_releases_differ_in_everything(diff: ReleaseDiff) -> None:
    assert all(diff.counts().values()), diff.counts()


@pytest.mark.parametrize(("field", "key"), [("ads", "video_id"), ("frames", "frame_id")])
def test_what_came_and_went_is_what_sql_says(
    field: str, key: str, diff: ReleaseDiff, sql: duckdb.DuckDBPyConnection
) -> None:
    added = ids(sql, f"SELECT DISTINCT {key} FROM b ANTI JOIN a USING ({key}) ORDER BY 1")
    gone = ids(sql, f"SELECT DISTINCT {key} FROM a ANTI JOIN b USING ({key}) ORDER BY 1")
    assert list(getattr(diff, f"{field}_added")) == added
    assert list(getattr(diff, f"{field}_gone")) == gone


def test_relabelled_rescored_moved_and_recategorised_ads_are_what_sql_says(
    diff: ReleaseDiff, sql: duckdb.DuckDBPyConnection
) -> None:
    joined = "FROM a JOIN b USING (video_id)"
    values = ", ".join(
        f"any_value({side}.{name})" for side in "ab" for name in ("label", "mean_score", "mean_low", "mean_high")
    )
    found = sql.sql(f"SELECT video_id, {values} {joined} WHERE a.label <> b.label GROUP BY 1 ORDER BY 1").fetchall()
    said = [
        (ad, *(value for verdict in pair for value in (LABELS.index(verdict.label), *verdict[1:])))
        for ad, pair in diff.relabelled.items()
    ]
    assert said == found
    where = "a.mean_score IS DISTINCT FROM b.mean_score"
    assert list(diff.rescored) == ids(sql, f"SELECT DISTINCT video_id {joined} WHERE {where} ORDER BY 1")
    moves = sql.sql(
        f"SELECT DISTINCT video_id, a.split, b.split {joined} WHERE a.split <> b.split ORDER BY 1"
    ).fetchall()
    assert [(ad, *splits) for ad, splits in diff.moved.items()] == moves
    other = "a.category IS DISTINCT FROM b.category"
    found = sql.sql(f"SELECT DISTINCT video_id, a.category, b.category {joined} WHERE {other} ORDER BY 1").fetchall()
    assert [(ad, *categories) for ad, categories in diff.recategorised.items()] == found


def test_frames_with_another_picture_moment_or_other_words_are_what_sql_says(
    diff: ReleaseDiff, sql: duckdb.DuckDBPyConnection
) -> None:
    joined = "SELECT DISTINCT frame_id FROM a JOIN b USING (frame_id) WHERE"
    changed = "(a.picture, a.timestamp_s) IS DISTINCT FROM (b.picture, b.timestamp_s)"
    assert list(diff.frames_changed) == ids(sql, f"{joined} {changed} ORDER BY 1")
    assert list(diff.words_changed) == ids(sql, f"{joined} a.text <> b.text ORDER BY 1")


def test_balance_and_scores_are_what_sql_says(diff: ReleaseDiff, sql: duckdb.DuckDBPyConnection) -> None:
    for side, name in enumerate("ab"):
        counts = "count(*), count(DISTINCT frame_id), count(DISTINCT video_id)"
        query = f"SELECT split, label, {counts} FROM {name} GROUP BY ALL"
        found = {(split, LABELS[label]): tuple(amount) for split, label, *amount in sql.sql(query).fetchall()}
        said = {
            (s, label): tuple(pair[side]) for s, by_label in diff.balance.items() for label, pair in by_label.items()
        }
        assert said == {(split, label): found.get((split, label), (0, 0, 0)) for split in SPLITS for label in LABELS}
        scores = f"SELECT any_value(mean_score) AS score FROM {name} WHERE mean_score IS NOT NULL GROUP BY video_id"
        bins = f"SELECT least(greatest(ceil(score * 2) / 2, -4.5), 5) AS high, count(*) FROM ({scores}) GROUP BY 1"
        counted = {found.high: found[2 + side] for found in diff.scores if found[2 + side]}
        assert counted == dict(sql.sql(bins).fetchall())


def test_settings_engines_and_thresholds_are_named_with_both_values(diff: ReleaseDiff) -> None:
    assert diff.settings == {
        "new": (None, {}),
        "ocr.sides": ([640], [640, 960]),
        "old.key": (1, None),
        "release.seed": (0, 1),
    }
    assert diff.engines == {"ocr": ("a 1", "a 2")}
    assert diff.thresholds == {"positive": (2.5, 2.25)}
    assert diff.is_new_division
    assert not replace(diff, settings={"ocr.sides": (1, 2)}).is_new_division


def test_a_release_does_not_differ_from_itself(pair: tuple[Path, Path]) -> None:
    same = diff_releases(pair[0], pair[0])
    assert not any(same.counts().values())
    assert same.summary() == "the same rows"
    assert (same.settings, same.engines, same.thresholds, same.relabelled, same.moved) == ({}, {}, {}, {}, {})
    assert all(before == after for by_label in same.balance.values() for before, after in by_label.values())
    assert all(found.before == found.after for found in same.scores)


@pytest.mark.parametrize("column", [name for name in RELEASE_SCHEMA.names if name != "image"])
def test_rows_that_differ_in_any_column_are_told_apart(column: str) -> None:
    """Whatever a column holds: its change is counted, or said to be in other rows."""
    other: dict[str, Any] = dict.fromkeys(RELEASE_SCHEMA.names, "other") | {"label": 0, "timestamp_s": 9.0, "draw": 1}
    other |= {"mean_score": -2.0, "mean_low": -2.0, "mean_high": -2.0, "n_words": 7}
    one = row("ad", mean_score=-1.0, mean_low=-1.0, mean_high=-1.0)
    before, after = (
        Contents.of({"version": version}, [("train", values, "picture")])
        for version, values in (("2026.11.23", one), ("2026.11.24", one | {column: other[column]}))
    )
    found = compare(before, after)
    uncounted = column in ("mean_low", "mean_high", "n_words", "draw")
    assert found.other_rows
    assert any(found.counts().values()) != uncounted
    assert (found.summary() == "other rows of the same ads and frames") == uncounted
    assert found.published()["other_rows"]
    if column == "category":
        assert found.summary() == "ads in another category: 1"
        assert found.published()["recategorised"] == {"ad": ("apparel", "other")}


def test_the_way_back_is_the_mirror_image(pair: tuple[Path, Path], diff: ReleaseDiff) -> None:
    back = diff_releases(*reversed(pair))
    assert (back.ads_added, back.frames_gone, back.words_changed) == (
        diff.ads_gone,
        diff.frames_added,
        diff.words_changed,
    )
    assert back.moved == {ad: (new, old) for ad, (old, new) in diff.moved.items()}
    assert back.relabelled == {ad: (new, old) for ad, (old, new) in diff.relabelled.items()}


def test_what_is_published_is_json_and_names_nobody_who_is_gone(diff: ReleaseDiff) -> None:
    text = json.dumps(diff.published())
    gone = set(diff.ads_gone)
    assert gone
    assert not [ad for ad in gone if f'"{ad}"' in text or f'"{ad}:' in text]
    assert json.loads(text)["counts"]["ads gone"] == len(gone)
    assert json.loads(text)["moved"].keys() == diff.moved.keys()
    few = diff.published(at_most=1)
    assert (len(few["moved"]), few["counts"]) == (1, diff.counts())
    assert json.loads(json.dumps(diff.as_json()))["ads_gone"] == list(diff.ads_gone)


def test_a_release_that_was_never_given_settings_is_compared_all_the_same(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    bare = write_release(tmp_path, "2026.11.25", random_rows(3), {"synthetic": True})
    assert diff_releases(bare, pair[0]).engines == {"ocr": (None, "a 1"), "sentiment": (None, "s 1")}


def test_contents_from_rows_at_hand_are_those_that_are_read(pair: tuple[Path, Path]) -> None:
    read = read_contents(pair[0])
    rows = [
        (split, one, sha256(one["image"]["bytes"]).hexdigest())
        for split, of_split in random_rows(1).items()
        for one in of_split.to_pylist()
    ]
    planned = Contents.of(FACTS | {"version": "2026.11.23"}, rows)
    assert planned == read
    assert not any(compare(read, planned).counts().values())


def test_a_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    folder = write_release(tmp_path, "2026.11.23", random_rows(1), FACTS)
    [file] = folder.glob("data/test-*.parquet")
    file.write_bytes(b"PAR1")
    with pytest.raises(ReleaseError, match=r"2026\.11\.23: cannot be read .* catalog verify 2026\.11\.23"):
        read_contents(folder)
    file.unlink()
    with pytest.raises(ReleaseError, match=r"2026\.11\.23: cannot be read"):
        read_contents(folder)


def without_named_pictures(release: Path, folder: Path) -> Path:
    """The release as the first ones were written."""
    older = Path(shutil.copytree(release, folder / release.name))
    (older / PICTURES).unlink()
    manifest = read_manifest(older)
    del manifest["files"][PICTURES]
    (older / "manifest.json").write_text(json.dumps(manifest))
    return older


def test_pictures_are_compared_without_being_read_and_of_older_releases_they_are_read(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = (without_named_pictures(release, tmp_path) for release in pair)
    read = diff_releases(older, newer)
    assert read.frames_changed
    assert diff_releases(older, pair[1]) == diff_releases(pair[0], newer) == read
    monkeypatch.setattr(comparison, "rows_with_pictures", None)
    assert diff_releases(*pair) == read


@pytest.mark.parametrize("damage", ["{}", "not JSON", None])
def test_damaged_names_of_pictures_are_not_believed(
    tmp_path: Path, pair: tuple[Path, Path], damage: str | None
) -> None:
    newer = Path(shutil.copytree(pair[1], tmp_path / pair[1].name))
    (newer / PICTURES).unlink()
    if damage is not None:
        (newer / PICTURES).write_text(damage)
    assert diff_releases(pair[0], newer) == diff_releases(*pair)


def test_names_of_other_pictures_under_a_right_sha256_are_a_problem(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    release = Path(shutil.copytree(pair[1], tmp_path / pair[1].name))
    pictures = json.loads((release / PICTURES).read_text())
    pictures[min(pictures)] = sha256(b"another").hexdigest()
    (release / PICTURES).write_text(json.dumps(pictures))
    manifest = read_manifest(release)
    manifest["files"][PICTURES] = digest_file(release / PICTURES)
    manifest["manifest_sha256"] = manifest_sha256(manifest)
    (release / "manifest.json").write_text(json.dumps(manifest))
    [problem] = verify_release(release)
    assert problem.startswith(f"{PICTURES}: names {len(pictures)} pictures, not those")


def test_a_frame_with_two_pictures_is_refused(tmp_path: Path) -> None:
    train = [row("a"), row("a", draw=1) | {"image": row("a", 1)["image"]}, row("b", label=0)]
    with pytest.raises(ReleaseError, match="a:0: another picture than in its first row"):
        write_release(tmp_path, "2026.11.23", {"train": table(*train)}, FACTS)
