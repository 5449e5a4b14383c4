"""What a source found goes into the tables whole: kills, deleted videos, shared comment ids, the authors' key."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_catalog.catalog import Catalog
from flows.crawl import ingest as ingesting
from flows.crawl.folder.folder import scan_folder
from flows.crawl.ingest import author_key, ingest
from flows.errors import SourceError
from flows.stages import StageCount

KEY = b"a key"


def write_ad(folder: Path, video_id: str, comments: list[Any], *, video: bool = True) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{video_id}.info.json").write_text(
        json.dumps({"id": video_id, "extractor_key": "Youtube", "comments": comments}), "utf-8"
    )
    if video:
        (folder / f"{video_id}.mp4").write_bytes(video_id.encode())


def comment(comment_id: str, text: str = "words") -> dict[str, str]:
    return {"id": comment_id, "text": text, "author": "somebody", "author_id": "UC1"}


def bring_in(catalog: Catalog, folder: Path) -> StageCount:
    known = dict(zip(catalog.values("ads", "video_id"), catalog.values("ads", "files_stamp"), strict=True))
    return ingest(catalog, scan_folder(folder, author_key=KEY, known=known))


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    return tmp_path / "ads"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog")


def test_new_and_changed_ads_are_counted_and_a_comment_that_is_gone_from_its_ad_is_gone_from_the_table(
    ads: Path, catalog: Catalog
) -> None:
    write_ad(ads, "one", [comment("c1"), comment("c2")])
    assert bring_in(catalog, ads).rows_in == 1
    write_ad(ads, "one", [comment("c2", "edited words")])
    write_ad(ads, "two", [comment("c3")])
    assert bring_in(catalog, ads).rows_in == 2
    assert str(bring_in(catalog, ads)) == "source: nothing left to do"
    held = catalog.read("comments", ["comment_id", "text"]).to_pylist()
    assert {row["comment_id"]: row["text"] for row in held} == {"c2": "edited words", "c3": "words"}


def test_a_comment_id_of_another_ad_is_a_drop_and_the_first_ad_keeps_it(ads: Path, catalog: Catalog) -> None:
    write_ad(ads, "one", [comment("c1"), comment("c2")])
    bring_in(catalog, ads)
    write_ad(ads, "copy", [comment("c1"), comment("c9")])
    bring_in(catalog, ads)
    held = catalog.read("comments", ["comment_id", "video_id"]).to_pylist()
    assert {(row["comment_id"], row["video_id"]) for row in held} == {("c1", "one"), ("c2", "one"), ("c9", "copy")}
    [drop] = catalog.read("drops").to_pylist()
    assert (drop["reason"], drop["video_id"]) == ("comment_of_another_ad", "copy")


def test_comment_drops_survive_a_run_killed_before_its_end(ads: Path, catalog: Catalog) -> None:
    write_ad(ads, "one", ["not an object", comment("c1")])
    write_ad(ads, "two", [comment("c2")])

    def killed_after_one_ad() -> Iterator[Any]:
        results = scan_folder(ads, author_key=KEY)
        yield next(results)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingesting, "BATCH_ADS", 1)
        with pytest.raises(KeyboardInterrupt):
            ingest(catalog, killed_after_one_ad())
    assert catalog.count("ads") == 1
    bring_in(catalog, ads)
    assert catalog.values("drops", "reason") == ["malformed_comment"]


def test_a_drop_ends_when_its_comment_is_mended_and_those_of_other_ads_stay(ads: Path, catalog: Catalog) -> None:
    write_ad(ads, "one", ["not an object"])
    write_ad(ads, "two", ["not an object"])
    bring_in(catalog, ads)
    write_ad(ads, "one", [comment("c1")])
    bring_in(catalog, ads)
    assert catalog.values("drops", "video_id") == ["two"]


def test_a_video_deleted_after_it_was_taken_in_keeps_its_hash(ads: Path, catalog: Catalog) -> None:
    write_ad(ads, "one", [])
    bring_in(catalog, ads)
    [before] = catalog.values("ads", "media_sha256")
    (ads / "one.mp4").unlink()
    bring_in(catalog, ads)
    [ad] = catalog.read("ads", ["media_sha256", "media_status"]).to_pylist()
    assert ad == {"media_sha256": before, "media_status": "missing"}


def test_the_authors_key_is_drawn_once_and_readable_by_the_owner_alone(catalog: Catalog) -> None:
    key = author_key(catalog, None)
    assert len(key) == 64
    assert author_key(catalog, None) == key
    assert author_key(catalog, "given") == b"given"
    [path] = Path(catalog.root).iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_key_is_refused_since_anybody_could_undo_its_hashes(catalog: Catalog) -> None:
    Path(catalog.root).mkdir()
    (Path(catalog.root) / "author.key").touch()
    with pytest.raises(SourceError, match=r"author\.key: is empty"):
        author_key(catalog, None)
