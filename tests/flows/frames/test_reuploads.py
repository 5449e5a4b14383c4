"""One ad uploaded twice is found however it was encoded; another ad over the same scenes is not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import ad_held, forget_ad
from data_catalog.schemas import TABLES
from flows.frames.looks import LOOKS_VERSION
from flows.frames.reuploads import AdLooks, groups_of, record_reuploads, same_ads
from flows.frames.rows import sample_ad
from flows.frames.sampling import sample_frames
from flows.frames.worker import close_idle_workers
from flows.settings import FrameSettings
from tests.flows.frames.clips import write_ad

WORDS = "NOW 25% OFF\nONLY TODAY"


def looks(path: Path, video_id: str, **asked: Any) -> AdLooks:
    sampled = sample_frames(path, video_id, **asked)
    return AdLooks.of_row(
        {
            "video_id": video_id,
            "duration_s": sampled.duration_s,
            "times_s": [look.time_s for look in sampled.looks],
            "hashes": [look.hash for look in sampled.looks],
        }
    )


def cropped(path: Path, source: Path, rim: float) -> Path:
    """A copy without its rim, at the same size."""
    with av.open(str(source)) as container, av.open(str(path), "w") as written:
        track: Any = written.add_stream("libx264", rate=10, options={"crf": "30"})
        track.width, track.height, track.pix_fmt = 320, 180, "yuv420p"
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24")
            height, width = picture.shape[:2]
            y, x = round(height * rim), round(width * rim)
            inner = cv2.resize(picture[y : height - y, x : width - x], (320, 180))
            written.mux(track.encode(av.VideoFrame.from_ndarray(inner, format="bgr24")))
        written.mux(track.encode())
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ad(tmp_path_factory.mktemp("ads") / "a.mp4", 1, words=WORDS)


def test_an_upload_at_another_size_and_quality_is_the_same_ad(tmp_path: Path, original: Path) -> None:
    small = write_ad(tmp_path / "b.mp4", 1, words=WORDS, size=(160, 90), crf="36", g="37")

    assert same_ads([looks(original, "a"), looks(small, "b")]) == [("a", "b")]


def test_a_slightly_cropped_upload_is_the_same_ad(tmp_path: Path, original: Path) -> None:
    assert same_ads([looks(original, "a"), looks(cropped(tmp_path / "c.mp4", original, 0.02), "c")]) == [("a", "c")]


def test_uploads_that_are_encoded_alike_are_found_by_their_key_frames(tmp_path: Path, original: Path) -> None:
    alike = write_ad(tmp_path / "b.mp4", 1, words=WORDS, crf="33")

    found = same_ads([looks(path, id_, seek="keyframe") for path, id_ in ((original, "a"), (alike, "b"))])

    assert found == [("a", "b")]


def test_the_same_scenes_with_other_words_are_another_ad(tmp_path: Path, original: Path) -> None:
    other = write_ad(tmp_path / "b.mp4", 1, words="Was 59.99\nfree shipping")

    assert same_ads([looks(original, "a"), looks(other, "b")]) == []


def test_other_scenes_with_the_same_words_are_another_ad(tmp_path: Path, original: Path) -> None:
    assert same_ads([looks(original, "a"), looks(write_ad(tmp_path / "b.mp4", 2, words=WORDS), "b")]) == []


def test_an_ad_cut_to_half_its_length_is_another_ad(tmp_path: Path, original: Path) -> None:
    assert same_ads([looks(original, "a"), looks(write_ad(tmp_path / "b.mp4", 1, words=WORDS, seconds=6), "b")]) == []


def test_ads_without_looks_are_nobody_s_copies() -> None:
    nothing = AdLooks("a", 10.0, np.zeros(0), np.zeros((0, 3, 4), np.uint64))

    assert same_ads([nothing, AdLooks("b", 10.0, np.zeros(0), np.zeros((0, 3, 4), np.uint64))]) == []
    assert same_ads([]) == []


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=3), max_size=8), st.randoms())
def test_groups_join_chains_in_whatever_order_they_come(pairs: list[list[str]], random: Any) -> None:
    groups = groups_of(pairs)

    assert all(len(group) > 1 and group == sorted(group) for group in groups)
    assert sorted(itertools.chain(*groups)) == sorted(set(itertools.chain(*groups)))
    in_group = {ad: number for number, group in enumerate(groups) for ad in group}
    assert all(len({in_group.get(ad, ad) for ad in pair}) == 1 for pair in pairs)
    random.shuffle(pairs)
    assert sorted(groups_of(pairs)) == sorted(groups)


def put_ads(catalog: Catalog, folder: Path, paths: dict[str, Path]) -> None:
    ads = [
        {"video_id": id_, "source": "folder", "media_path": path.name, "media_status": "present", "media_sha256": id_}
        for id_, path in paths.items()
    ]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    made = [sample_ad(ad, {"folder": folder}, FrameSettings(), "p") for ad in ads]
    close_idle_workers()
    rows = [row for ad in made for row in ad.looks]
    catalog.merge("looks", pa.Table.from_pylist(rows, schema=TABLES["looks"].schema))


def test_the_table_names_the_other_uploads_and_forgets_what_is_forgotten(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    paths = {id_: write_ad(tmp_path / f"{id_}.mp4", seed, words=WORDS) for id_, seed in (("a", 1), ("b", 1), ("c", 2))}
    put_ads(catalog, tmp_path, paths)

    assert record_reuploads(catalog) == 1

    rows = {row["video_id"]: row for row in catalog.read("reuploads").to_pylist()}
    assert {id_: row["duplicates"] for id_, row in rows.items()} == {"a": ["b"], "b": ["a"]}
    assert rows["a"]["group_id"] == rows["b"]["group_id"]
    version = catalog.versions()["reuploads"]
    assert record_reuploads(catalog) == 1
    assert catalog.versions()["reuploads"] == version
    assert ad_held(catalog, "a").rows["reuploads"] == 2
    assert forget_ad(catalog, "a").removed.rows["reuploads"] == 2
    assert catalog.read("reuploads").num_rows == 0
    assert record_reuploads(catalog) == 0


def test_equal_files_are_uploads_of_one_ad_even_without_looks(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    ads = [{"video_id": id_, "media_sha256": "f"} for id_ in "xyz"]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))

    assert record_reuploads(catalog) == 2
    assert catalog.read("reuploads", ["duplicates"], "video_id = 'y'")["duplicates"].to_pylist() == [["x", "z"]]


def test_looks_of_another_version_or_file_are_not_compared(tmp_path: Path, original: Path) -> None:
    catalog = Catalog(tmp_path)
    ads = [{"video_id": id_, "media_sha256": id_} for id_ in "abc"]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    sampled = sample_frames(original, "a")
    row = {"duration_s": sampled.duration_s, "times_s": [x.time_s for x in sampled.looks]}
    row["hashes"] = [x.hash for x in sampled.looks]
    rows = [
        {**row, "video_id": "a", "fingerprint": LOOKS_VERSION, "upstream_revision": "a"},
        {**row, "video_id": "b", "fingerprint": "older", "upstream_revision": "b"},
        {**row, "video_id": "c", "fingerprint": LOOKS_VERSION, "upstream_revision": "an older file"},
    ]
    catalog.merge("looks", pa.Table.from_pylist(rows, schema=TABLES["looks"].schema))

    assert record_reuploads(catalog) == 0


def test_real_adverts_over_the_same_footage_stay_apart(shared_data: Path) -> None:
    paths = sorted((shared_data / "ads").rglob("*.mp4"))[:12]

    assert (
        same_ads([looks(path, path.stem, seek="keyframe") for path in paths if path.stat().st_size < 1_500_000]) == []
    )
