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
from scipy.cluster.hierarchy import DisjointSet

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import ad_held, forget_ad
from data_catalog.schemas import TABLES
from flows.frames.fingerprint import FINGERPRINT_VERSION
from flows.frames.isolation import close_idle_workers
from flows.frames.reuploads import AdFingerprints, groups_of, record_reuploads, same_ads
from flows.frames.sampling import sample_ad, sample_frames
from flows.settings import FrameSettings
from tests.flows.frames.clips import write_ad, write_pictures

WORDS = "NOW 25% OFF\nONLY TODAY"


def fingerprints(path: Path, video_id: str, **asked: Any) -> AdFingerprints:
    return AdFingerprints.of_row(sample_frames(path, video_id, **asked).fingerprints_row())


def cropped(path: Path, source: Path, rim: float) -> Path:
    """A copy without its rim, at the same size."""
    with av.open(str(source)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    height, width = pictures[0].shape[:2]
    y, x = round(height * rim), round(width * rim)
    inner = (cv2.resize(picture[y : height - y, x : width - x], (320, 180)) for picture in pictures)
    return write_pictures(path, (picture.astype(np.uint8) for picture in inner), crf="30")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ad(tmp_path_factory.mktemp("ads") / "a.mp4", 1, words=WORDS)


SMALL = {"size": (160, 90), "crf": "36", "g": "37"}


@pytest.mark.parametrize(
    ("seed", "asked", "same"),
    [
        pytest.param(1, {"words": WORDS, **SMALL}, True, id="another size and quality"),
        pytest.param(1, {"words": "Was 59.99\nfree shipping"}, False, id="the same scenes with other words"),
        pytest.param(2, {"words": WORDS}, False, id="other scenes with the same words"),
        pytest.param(1, {"words": WORDS, "seconds": 6}, False, id="cut to about half its length"),
    ],
)
def test_an_upload_is_the_same_ad_where_scenes_words_and_length_are(
    tmp_path: Path, original: Path, seed: int, asked: dict[str, Any], same: bool
) -> None:
    other = write_ad(tmp_path / "b.mp4", seed, **asked)

    assert same_ads([fingerprints(original, "a"), fingerprints(other, "b")]) == ([("a", "b")] if same else [])


def test_a_slightly_cropped_upload_is_the_same_ad(tmp_path: Path, original: Path) -> None:
    copy = cropped(tmp_path / "c.mp4", original, 0.02)

    assert same_ads([fingerprints(original, "a"), fingerprints(copy, "c")]) == [("a", "c")]


def test_uploads_encoded_with_the_same_key_frames_are_found_by_those(tmp_path: Path, original: Path) -> None:
    other = write_ad(tmp_path / "b.mp4", 1, words=WORDS, crf="33")

    found = same_ads([fingerprints(path, id_, seek="keyframe") for path, id_ in ((original, "a"), (other, "b"))])

    assert found == [("a", "b")]


def test_ads_without_fingerprints_are_copies_of_none() -> None:
    nothing = AdFingerprints("a", 10.0, np.zeros(0), np.zeros((0, 3, 4), np.uint64))

    assert same_ads([nothing, AdFingerprints("b", 10.0, np.zeros(0), np.zeros((0, 3, 4), np.uint64))]) == []
    assert same_ads([]) == []


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=3), max_size=8), st.randoms())
def test_groups_join_chains_in_whatever_order_they_come(pairs: list[list[str]], random: Any) -> None:
    groups = groups_of(pairs)

    assert all(len(group) > 1 and group == sorted(group) for group in groups)
    assert sorted(itertools.chain(*groups)) == sorted(set(itertools.chain(*groups)))
    in_group = {ad: number for number, group in enumerate(groups) for ad in group}
    assert all(len({in_group.get(ad, ad) for ad in pair}) == 1 for pair in pairs)
    joined = DisjointSet(itertools.chain(*pairs))
    for first, *others in pairs:
        for other in others:
            joined.merge(first, other)
    assert groups_of(pairs, least=1) == sorted(map(sorted, joined.subsets()))
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
    rows = [row for ad in made for row in ad.fingerprints]
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


def test_equal_files_are_uploads_of_one_ad_even_without_fingerprints(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    ads = [{"video_id": id_, "media_sha256": "f"} for id_ in "xyz"]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))

    assert record_reuploads(catalog) == 2
    assert catalog.read("reuploads", ["duplicates"], "video_id = 'y'")["duplicates"].to_pylist() == [["x", "z"]]


def test_fingerprints_of_another_version_or_file_are_not_compared(tmp_path: Path, original: Path) -> None:
    catalog = Catalog(tmp_path)
    ads = [{"video_id": id_, "media_sha256": id_} for id_ in "abc"]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    sampled = sample_frames(original, "a")
    row = sampled.fingerprints_row()
    rows = [
        {**row, "video_id": "a", "fingerprint": FINGERPRINT_VERSION, "upstream_revision": "a"},
        {**row, "video_id": "b", "fingerprint": "older", "upstream_revision": "b"},
        {**row, "video_id": "c", "fingerprint": FINGERPRINT_VERSION, "upstream_revision": "an older file"},
    ]
    catalog.merge("looks", pa.Table.from_pylist(rows, schema=TABLES["looks"].schema))

    assert record_reuploads(catalog) == 0


def test_real_adverts_over_the_same_footage_stay_apart(shared_data: Path) -> None:
    paths = [path for path in sorted((shared_data / "ads").rglob("*.mp4"))[:12] if path.stat().st_size < 1_500_000]

    assert same_ads([fingerprints(path, path.stem, seek="keyframe") for path in paths]) == []
