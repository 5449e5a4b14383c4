"""Forgetting: an ad or an author out of every file below the tables, and everything else untouched."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from data_catalog import TABLES, Catalog, CatalogError, Drop
from data_catalog.privacy.forget import forget_ad, forget_author, purge_history, remove_ads, unfinished, unpurged
from data_catalog.releases import write_release
from tests.data_catalog.builders import release_row, release_rows, rows

GONE, STAYS = "zzForgetMe1", "aaStaysHere"
AUTHOR, OTHER = "f" * 32, "0" * 32
AT = datetime(2026, 11, 24, tzinfo=UTC)


def fill(root: Path) -> Catalog:
    """Two ads with everything that is ever kept of one, each table written more than once."""
    catalog = Catalog(root)
    for number, ad in enumerate((GONE, STAYS, GONE)):
        catalog.merge("candidates", rows("candidates", {"category": "c", "video_id": ad, "query": f"q{number}"}))
        catalog.merge("ads", rows("ads", {"video_id": ad, "title": f"title {number}", "channel_hash": AUTHOR}))
        comments = [
            {"comment_id": f"{ad}-1", "video_id": ad, "text": f"secret words of {ad}", "author_hash": AUTHOR},
            {"comment_id": f"{ad}-2", "video_id": ad, "text": f"other words of {ad} {number}", "author_hash": OTHER},
        ]
        catalog.merge("comments", rows("comments", *comments))
        for table in ("comment_scores", "comment_fetches", "frames", "texts", "ad_sentiment", "labels"):
            key = f"{ad}-1" if table == "comment_scores" else f"{ad}:0"
            row = {"video_id": ad} | ({} if TABLES[table].key == ("video_id",) else {TABLES[table].key[0]: key})
            catalog.merge(table, rows(table, row))
        drop = Drop("comments", f"{ad}:comments:x", ad, "filtered", "malformed_comment", f"an entry of {ad}")
        catalog.commit("comments", rows("comments"), stage="comments", drops=[drop])
    media = root / "media"
    media.mkdir()
    for name in (f"{GONE}.mp4", f"{GONE}.mp4.part", f"{STAYS}.mp4"):
        (media / name).write_bytes(b"a video")
    return catalog


def everything_below(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file's bytes; of Parquet files also what stands in them, statistics included."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
        if path.suffix == ".parquet":
            yield path, repr(pq.read_table(path).to_pylist()).encode()
            yield path, repr(pq.read_metadata(path).to_dict()).encode()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(fill(tmp_path_factory.mktemp("filled") / "catalog").root)


@pytest.fixture
def catalog(filled: Path, tmp_path: Path) -> Catalog:
    return Catalog(shutil.copytree(filled, tmp_path / "catalog"))


def test_nothing_of_a_forgotten_ad_is_in_any_file_but_its_digest(catalog: Catalog) -> None:
    assert [path for path, content in everything_below(Path(catalog.root) / "tables") if GONE.encode() in content]
    done = forget_ad(catalog, GONE)
    for path, content in everything_below(Path(catalog.root)):
        assert GONE.encode() not in content, path
        assert b"secret words of zz" not in content, path
    assert sorted(path.name for path in (Path(catalog.root) / "media").iterdir()) == [f"{STAYS}.mp4"]
    assert done.removed.rows["comments"] == 2
    assert done.removed.media == (f"media/{GONE}.mp4", f"media/{GONE}.mp4.part")
    assert (catalog.forgotten().has_ad(GONE), catalog.forgotten().has_ad(STAYS)) == (True, False)
    assert catalog.values("forgotten", "digest") == [hashlib.sha256(GONE.encode()).hexdigest()]


def test_other_rows_stay_and_the_tables_are_written_and_read_on(catalog: Catalog) -> None:
    before = {name: catalog.read(name).to_pylist() for name in TABLES}
    forget_ad(catalog, GONE)
    for name in TABLES:
        if name != "forgotten":
            stayed = (
                [row for row in before[name] if row["video_id"] != GONE]
                if "video_id" in TABLES[name].schema.names
                else []
            )
            assert catalog.read(name).to_pylist() == stayed, name
    catalog.merge("ads", rows("ads", {"video_id": "new"}))
    assert sorted(catalog.values("ads", "video_id")) == [STAYS, "new"]


def test_older_versions_cannot_be_read_any_more_and_the_history_says_why(catalog: Catalog) -> None:
    version = catalog.versions()["comments"]
    forget_ad(catalog, GONE)
    for older in range(version + 1):
        with pytest.raises(Exception, match=r"(?i)version|not found|invalid|log"):
            DeltaTable(f"{catalog.root}/tables/comments", version=older).to_pyarrow_table()
    assert [commit.operation for commit in catalog.history("comments")] == ["PURGE HISTORY"]


def test_nothing_of_a_forgotten_author_is_left_but_the_hash_that_keeps_them_out(catalog: Catalog) -> None:
    catalog.replace_drops("sentiment", [Drop("sentiment", ad, ad, "filtered", "weak") for ad in (STAYS, "another")])
    done = forget_author(catalog, AUTHOR)
    for path, content in everything_below(Path(catalog.root) / "tables"):
        assert b"secret words" not in content, path
        assert AUTHOR.encode() not in content or path.is_relative_to(Path(catalog.root) / "tables/forgotten"), path
    assert sorted(catalog.values("comments", "author_hash")) == [OTHER, OTHER]
    assert done.emptied == {"ads.channel_hash": 2}
    assert catalog.count("ads") == 2
    assert catalog.forgotten().has_author(AUTHOR)
    assert catalog.count("ad_sentiment") == 0, "their means are to be computed anew"
    assert catalog.values("comment_scores", "comment_id") == []
    assert catalog.values("drops", "key", "stage = 'sentiment'") == ["another"], "as is whether they have one"


def test_forgetting_twice_and_forgetting_what_was_never_held_is_the_same(catalog: Catalog) -> None:
    forget_ad(catalog, GONE)
    again = forget_ad(catalog, GONE)
    assert not again.removed
    assert not forget_ad(catalog, "neverHeld11").removed
    assert catalog.count("forgotten") == 2


def test_removing_ads_keeps_history_and_remembers_nothing(catalog: Catalog) -> None:
    remove_ads(catalog, [GONE])
    assert GONE not in catalog.values("ads", "video_id")
    assert catalog.count("forgotten") == 0
    assert len(catalog.history("ads")) > 1
    purge_history(catalog, ["ads"])
    assert len(catalog.history("ads")) == 1


@pytest.mark.parametrize("after_s", [0.02, 0.15, 0.4])
def test_a_killed_forgetting_leaves_whole_tables_and_is_finished_by_the_next(catalog: Catalog, after_s: float) -> None:
    started = multiprocessing.get_context("spawn").Event()
    process = multiprocessing.get_context("spawn").Process(target=_forget, args=(catalog.root, started))
    process.start()
    assert started.wait(60)
    time.sleep(after_s)
    if process.pid and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    for name in TABLES:
        catalog.read(name)
    forget_ad(catalog, GONE)
    assert not [path for path, content in everything_below(Path(catalog.root)) if GONE.encode() in content]
    assert catalog.values("ads", "video_id") == [STAYS]


@pytest.mark.parametrize("stops_at", ["likenesses", "frames", "ads", "the history"])
def test_a_forgetting_that_is_stopped_says_so_and_what_is_left_is_known(
    catalog: Catalog, stops_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = Catalog.delete_groups

    def full(self: Catalog, table: str, **groups: Any) -> int:
        if table == stops_at:
            raise CatalogError(f"{table}: cannot be written (No space left on device)")
        return delete(self, table, **groups)

    def purged(*_: object) -> None:
        raise CatalogError("the history: cannot be written (No space left on device)")

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "delete_groups", full)
        if stops_at == "the history":
            patched.setattr(Catalog, "purge", purged)
        with pytest.raises(CatalogError, match=rf"{stops_at}: cannot be written .* It is noted as forgotten"):
            forget_ad(catalog, GONE)
    assert unfinished(catalog) == ([] if stops_at == "the history" else [GONE], [])
    for ad in unfinished(catalog)[0]:
        forget_ad(catalog, ad)
    purge_history(catalog, unpurged(catalog))
    assert (unfinished(catalog), unpurged(catalog)) == (([], []), [])
    assert not [path for path, content in everything_below(Path(catalog.root)) if GONE.encode() in content]


def _forget(root: str, started: object) -> None:
    catalog = Catalog(root)
    catalog.read("ads")
    started.set()  # type: ignore[attr-defined]
    forget_ad(catalog, GONE)


def test_releases_that_still_contain_the_ad_are_listed(catalog: Catalog) -> None:
    folder = Path(catalog.root) / "releases"
    gone, other = release_row(GONE), release_row(STAYS)
    splits = {"train": release_rows(gone, {**gone, "draw": 1}), "test": release_rows(other)}
    write_release(folder, "2026.11.01", splits, {"synthetic": True})
    write_release(folder, "2026.11.02", {"train": release_rows(other)}, {"synthetic": True})
    [holding] = forget_ad(catalog, GONE).releases
    assert (holding.version, holding.rows) == ("2026.11.01", 2)


def test_a_forgotten_authors_channel_is_named_in_no_query(catalog: Catalog) -> None:
    catalog.merge("candidates", rows("candidates", {"category": "a", "video_id": STAYS, "query": f"channel:{AUTHOR}"}))
    catalog.merge("listings", rows("listings", {"listing_id": "l", "category": "a", "query": f"channel:{AUTHOR}"}))
    done = forget_author(catalog, AUTHOR)
    assert done.emptied == {"ads.channel_hash": 2, "candidates.query": 1, "listings.query": 1}
    assert done.named_in == {}


def test_a_group_write_refuses_a_key_that_stands_in_another_group(catalog: Catalog) -> None:
    stolen = rows("comments", {"comment_id": f"{GONE}-1", "video_id": STAYS, "text": "?"})
    with pytest.raises(CatalogError, match=f"{GONE}-1"):
        catalog.replace_groups("comments", stolen, column="video_id", values=[STAYS])
