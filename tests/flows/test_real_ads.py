"""The whole way on real footage with advertising text and real comments, with nothing set by hand."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import newest_release, read_manifest, verify_release
from tests.flows.conftest import Run

pytestmark = pytest.mark.slow

EDGE_S = 0.1
"""Pictures this near to a card's first or last moment may show it or not."""


LARGE = 1_000_000
"""Bytes of a video from which on it is left out: the nine larger ones take as long as the eighteen others."""


@pytest.fixture(scope="module")
def ads(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smaller ads, of every category, with cards and without."""
    folder = tmp_path_factory.mktemp("real")
    for video in shared_data.glob("ads/*/*.[mw][pe][4b]*"):
        if video.stat().st_size < LARGE:
            (folder / video.parent.name).mkdir(exist_ok=True)
            shutil.copy(video, folder / video.parent.name)
            shutil.copy(video.with_suffix(".info.json"), folder / video.parent.name)
    return folder


@pytest.fixture(scope="module")
def catalog(ads: Path, ytb_ads: Run, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("built") / "catalog"
    ytb_ads("build", "--source", f"folder:{ads}", "--catalog", folder)
    return Catalog(folder)


def words(text: str) -> list[str]:
    """Words without what surrounds them, in lower case."""
    return [word for token in text.lower().split() if (word := re.sub(r"^\W+|\W+$", "", token))]


def test_every_frame_says_what_the_cards_say_at_its_time(catalog: Catalog, shared_data: Path) -> None:
    cards = {ad["id"]: ad["cards"] for ad in json.loads((shared_data / "ads" / "cards.json").read_text("utf-8"))}
    times = {
        row["frame_id"]: row["timestamp_s"] for row in catalog.read("frames", ["frame_id", "timestamp_s"]).to_pylist()
    }
    wanted = found = judged = right = 0
    misses = []
    for row in catalog.read("texts", ["frame_id", "video_id", "text", "n_words"]).to_pylist():
        at = times[row["frame_id"]]
        for card in cards.get(row["video_id"], []):
            if not card["from_s"] + EDGE_S <= at <= card["to_s"] - EDGE_S:
                continue
            expected, read = words(card["text"]), words(row["text"])
            missing = [word for word in expected if word not in read]
            wanted += len(expected)
            found += len(expected) - len(missing)
            # footage has words of its own besides, so only a card that is enough by itself decides
            if len(expected) > 5:
                judged += 1
                right += row["n_words"] > 5
            if missing:
                misses.append((row["frame_id"], round(at, 2), missing, row["text"]))
    assert judged > 20
    assert right == judged, misses
    assert found / wanted >= 0.98, f"{wanted - found} of {wanted} words were not read: {misses}"


def test_the_release_verifies_and_every_split_has_both_classes(catalog: Catalog) -> None:
    folder = newest_release(catalog.releases_dir)
    assert verify_release(folder) == []
    manifest = read_manifest(folder)
    assert manifest["synthetic"] is False
    assert all(all(split["by_label"].values()) for split in manifest["splits"].values())


def test_no_author_is_kept(catalog: Catalog, ads: Path) -> None:
    people = {
        comment[field]
        for path in ads.rglob("*.info.json")
        for comment in json.loads(path.read_text("utf-8"))["comments"]
        for field in ("author", "author_id")
    }
    kept = catalog.read("comments")
    values = {value for column in ("author_hash", "parent_id", "comment_id") for value in kept[column].to_pylist()}
    assert not people & values
    assert len(set(kept["author_hash"].to_pylist())) > 100


def test_fgmfn_trains_on_it(catalog: Catalog, ytb_ads: Run, tmp_path: Path) -> None:
    tiny = Path(__file__).resolve().parents[2] / "fgmfn" / "configs" / "tiny.toml"
    config = tmp_path / "one_epoch.toml"
    config.write_text(re.sub(r"(?m)^epochs = .*$", "epochs = 1", tiny.read_text("utf-8")), "utf-8")
    first = ytb_ads("train", "--catalog", catalog.root, "--config", config)
    for row in ("FGMFN", "text only"):
        assert row in first.stdout
