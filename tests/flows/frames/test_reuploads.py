"""One ad uploaded twice is found however it was encoded; another ad over the same scenes is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import DisjointSet

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import ad_held, forget_ad, remove_ads
from data_catalog.schemas import TABLES
from flows.frames import reuploads
from flows.frames.fingerprint import FINGERPRINT_VERSION, SIDE, Fingerprint, fields_as_text, fingerprint_video
from flows.frames.isolation import close_idle_workers
from flows.frames.picture import Picture
from flows.frames.reuploads import AdFingerprint, groups_of, record_reuploads, same_ads
from flows.frames.sampling import fingerprint_ad
from flows.settings import FrameSettings
from tests.flows.frames.clips import write_ad, write_pictures, write_video

WORDS = "NOW 25% OFF\nONLY TODAY"
OTHER_WORDS = "Was 59.99\nfree shipping"
Alter = Callable[[list[Picture]], list[Picture]]


def fingerprint(path: Path, name: str = "") -> AdFingerprint:
    return AdFingerprint.of_row(fingerprint_video(path).row(name), name or path.stem)


def joined(*paths: Path) -> list[tuple[str, str]]:
    return same_ads(map(fingerprint, paths))


def pictures_of(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24").astype(np.uint8) for frame in container.decode(video=0)]


def cropped(pictures: list[Picture]) -> list[Picture]:
    return [cv2.resize(picture[4:176, 6:314], (320, 180)).astype(np.uint8) for picture in pictures]


def framed(colour: tuple[int, int, int]) -> Alter:
    return lambda pictures: [
        cv2.copyMakeBorder(picture, 24, 30, 12, 0, cv2.BORDER_CONSTANT, value=colour).astype(np.uint8)
        for picture in pictures
    ]


def tinted(pictures: list[Picture]) -> list[Picture]:
    return [
        np.clip(255 * (picture / 255.0) ** 0.8 * (0.8, 1.0, 1.1) + 10, 0, 255).astype(np.uint8) for picture in pictures
    ]


def with_logo(pictures: list[Picture]) -> list[Picture]:
    return [
        cv2.rectangle(picture.copy(), (275, 8), (305, 26), (255, 255, 255), -1).astype(np.uint8) for picture in pictures
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ad(tmp_path_factory.mktemp("ads") / "a.mp4", 1, words=WORDS)


SMALL = {"size": (160, 90), "crf": "36", "g": "37"}


@pytest.mark.parametrize(
    ("seed", "asked", "same"),
    [
        pytest.param(1, {"words": WORDS, **SMALL}, True, id="another size and quality"),
        pytest.param(1, {"words": OTHER_WORDS}, False, id="the same scenes with other words"),
        pytest.param(2, {"words": WORDS}, False, id="other scenes with the same words"),
        pytest.param(1, {"words": WORDS, "seconds": 6}, False, id="cut to about half its length"),
    ],
)
def test_an_upload_is_the_same_ad_where_scenes_words_and_length_are(
    tmp_path: Path, original: Path, seed: int, asked: dict[str, Any], same: bool
) -> None:
    other = write_ad(tmp_path / "b.mp4", seed, **asked)

    assert joined(original, other) == ([("a", "b")] if same else [])


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(cropped, id="cropped"),
        pytest.param(framed((0, 0, 0)), id="a black border"),
        pytest.param(framed((160, 40, 20)), id="a coloured border"),
        pytest.param(lambda pictures: [np.ascontiguousarray(one[:, ::-1]) for one in pictures], id="mirrored"),
        pytest.param(tinted, id="other colours"),
        pytest.param(with_logo, id="a logo in a corner"),
        pytest.param(lambda pictures: pictures[8:], id="0.8 s cut off at the start"),
        pytest.param(lambda pictures: pictures[13:-8], id="cut off at both ends"),
        pytest.param(lambda pictures: [*pictures, *[np.full_like(pictures[0], 90)] * 20], id="an end card"),
        pytest.param(lambda pictures: [one for picture in pictures for one in (picture, picture)], id="played slowly"),
    ],
)
def test_an_altered_upload_is_the_same_ad_unless_its_speed_is_another(
    tmp_path: Path, original: Path, alter: Alter, request: pytest.FixtureRequest
) -> None:
    copy = write_pictures(tmp_path / "c.mp4", alter(pictures_of(original)), crf="30")

    assert joined(original, copy) == ([] if "slowly" in request.node.name else [("a", "c")])


def test_ads_that_share_their_beginning_or_end_stay_apart(tmp_path: Path, original: Path) -> None:
    first, second = (pictures_of(path) for path in (original, write_ad(tmp_path / "o.mp4", 2, words=OTHER_WORDS)))
    shared = int(0.4 * len(first))
    same_start = write_pictures(tmp_path / "b.mp4", [*first[:shared], *second[shared:]])
    same_end = write_pictures(tmp_path / "c.mp4", [*second[:-shared], *first[-shared:]])
    shifted = write_pictures(tmp_path / "d.mp4", [*second[:-shared], *first[:shared]])

    assert not {pair for pair in joined(original, same_start, same_end, shifted) if "a" in pair}


def test_pictures_of_one_colour_say_nothing(tmp_path: Path) -> None:
    for name, level in (("a", 0), ("b", 0), ("c", 120)):
        write_pictures(tmp_path / f"{name}.mp4", [np.full((180, 320, 3), level, np.uint8)] * 40)

    assert joined(*sorted(tmp_path.glob("*.mp4"))) == []
    assert same_ads([]) == []
    assert same_ads([AdFingerprint("a", 10.0, ()), AdFingerprint("b", 10.0, ())]) == []


RED, BLUE, BLACK = (30, 30, 200), (200, 60, 20), (0, 0, 0)


@pytest.mark.parametrize(
    ("colours", "blank_s", "same"),
    [
        pytest.param((RED, BLUE), 7, False, id="mostly of one colour each"),
        pytest.param((RED, BLUE), 4, False, id="of another grey for 40 %"),
        pytest.param((RED, RED), 7, False, id="mostly of the same colour: too little is seen"),
        pytest.param((BLACK, BLACK), 2, True, id="black for a while"),
        pytest.param(((40, 40, 40), (46, 46, 46)), 4, True, id="of nearly the same grey"),
    ],
)
def test_a_shared_end_makes_one_ad_of_two_only_if_most_before_it_is_seen_or_equal(
    tmp_path: Path, original: Path, colours: tuple[tuple[int, int, int], ...], blank_s: int, same: bool
) -> None:
    end = pictures_of(original)[: 110 - 10 * blank_s] if blank_s < 7 else [pictures_of(original)[0]] * 40
    for name, colour in zip("ab", colours, strict=True):
        blank = np.full_like(end[0], colour)
        write_pictures(tmp_path / f"{name}.mp4", [*[blank] * (10 * blank_s), *end])

    assert joined(tmp_path / "a.mp4", tmp_path / "b.mp4") == ([("a", "b")] if same else [])


def test_pictures_too_dark_to_be_told_apart_may_not_be_most_of_an_ad(tmp_path: Path, original: Path) -> None:
    first = pictures_of(original)
    for name, pictures in (("a", first), ("b", pictures_of(write_ad(tmp_path / "o.mp4", 2)))):
        dark = [(picture * 0.02 + 8).astype(np.uint8) for picture in pictures[:70]]
        write_pictures(tmp_path / f"{name}.mp4", [*dark, *first[70:110]])

    assert joined(tmp_path / "a.mp4", tmp_path / "b.mp4") == []


def test_stills_are_one_ad_where_they_show_one_picture(tmp_path: Path, original: Path) -> None:
    first, *_, last = pictures_of(original)
    for name, picture, crf in (("a", first, "18"), ("b", first, "36"), ("c", last, "18")):
        write_pictures(tmp_path / f"{name}.mp4", [picture] * 40, crf=crf)

    assert joined(*sorted(tmp_path.glob("*.mp4"))) == [("a", "b")]


def test_a_fingerprint_is_of_the_pictures_whatever_the_container(tmp_path: Path, original: Path) -> None:
    with av.open(str(original)) as source, av.open(str(tmp_path / "a.mkv"), "w") as remuxed:
        track = remuxed.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = track
                remuxed.mux(packet)

    found, again = fingerprint_video(original), fingerprint_video(tmp_path / "a.mkv")

    assert found.times_s == tuple(step / 2 for step in range(len(found.times_s)))
    assert found.hashes == again.hashes


def test_of_long_ads_the_first_minute_and_the_beginnings_of_others_are_seen(tmp_path: Path) -> None:
    times_s = fingerprint_video(write_video(tmp_path / "a.mp4", [float(second) for second in range(190)])).times_s

    assert times_s == tuple(step / 2 for step in [*range(120), *range(120, 132), *range(240, 252), *range(360, 372)])


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
        {
            "video_id": id_,
            "source": "folder",
            "media_path": path.name,
            "media_status": "present",
            "media_sha256": id_ * 3,
        }
        for id_, path in paths.items()
    ]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    made = [fingerprint_ad(ad, {"folder": folder}, FrameSettings(), FINGERPRINT_VERSION) for ad in ads]
    close_idle_workers()
    rows = [row for ad in made for row in ad.rows]
    catalog.merge("looks", pa.Table.from_pylist(rows, schema=TABLES["looks"].schema))


def test_the_table_names_the_other_uploads_and_forgets_what_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Catalog(tmp_path / "catalog")
    paths = {id_: write_ad(tmp_path / f"{id_}.mp4", seed, words=WORDS) for id_, seed in (("a", 1), ("b", 1), ("c", 2))}
    put_ads(catalog, tmp_path, paths)

    assert record_reuploads(catalog) == 1

    rows = {row["video_id"]: row for row in catalog.read("reuploads").to_pylist()}
    assert {id_: row["duplicates"] for id_, row in rows.items()} == {"a": ["b"], "b": ["a"]}
    assert rows["a"]["group_id"] == rows["b"]["group_id"]
    versions = catalog.versions()
    with monkeypatch.context() as patched:
        patched.setattr(reuploads, "same_ads", None)  # nothing is new: nothing is compared
        assert record_reuploads(catalog) == 1
    assert catalog.versions() == versions
    assert ad_held(catalog, "a").rows["reuploads"] == 2
    assert forget_ad(catalog, "a").removed.rows["reuploads"] == 2
    assert catalog.read("reuploads").num_rows == 0
    assert "aaa" not in str(catalog.read("likenesses").to_pylist())
    assert record_reuploads(catalog) == 0
    assert record_reuploads(catalog, by_pictures=False) == 0


def test_equal_files_are_uploads_of_one_ad_even_without_fingerprints(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    ads = [{"video_id": id_, "media_sha256": "f"} for id_ in "xyz"]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))

    assert record_reuploads(catalog) == 2
    assert record_reuploads(catalog, by_pictures=False) == 2
    assert catalog.read("reuploads", ["duplicates"], "video_id = 'y'")["duplicates"].to_pylist() == [["x", "z"]]


def test_fingerprints_of_another_version_or_file_are_not_compared(tmp_path: Path, original: Path) -> None:
    catalog = Catalog(tmp_path)
    ads = [{"video_id": id_, "media_sha256": id_} for id_ in "abc"]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    row = fingerprint_video(original).row("a")
    rows = [
        {**row, "video_id": "a", "fingerprint": FINGERPRINT_VERSION, "upstream_revision": "a"},
        {**row, "video_id": "b", "fingerprint": "older", "upstream_revision": "b"},
        {**row, "video_id": "c", "fingerprint": FINGERPRINT_VERSION, "upstream_revision": "an older file"},
    ]
    catalog.merge("looks", pa.Table.from_pylist(rows, schema=TABLES["looks"].schema))

    assert record_reuploads(catalog) == 0


def drawn(content: int) -> dict[str, Any]:
    """A fingerprint of scenes drawn for a content; contents of one tens digit show the same, a little brighter."""
    scenes = np.random.default_rng(content // 10).random((4, 6, 6))
    pictures = [cv2.resize(scene, (SIDE, SIDE)) * 40 + content % 10 for scene in scenes for _ in range(5)]
    hashes = tuple(fields_as_text(picture.astype(np.uint8)) for picture in pictures)
    return Fingerprint(10.0, tuple(step / 2 for step in range(20)), hashes).row("")


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove", "build"]), st.sampled_from("abcde"), st.integers(10, 35)),
    max_size=12,
)


@settings(max_examples=8)
@given(STEPS)
def test_comparing_what_is_new_finds_what_comparing_everything_finds(steps: list[tuple[str, str, int]]) -> None:
    with TemporaryDirectory() as root, TemporaryDirectory() as anew:
        catalog, held = Catalog(root), dict[str, int]()

        def put(into: Catalog, id_: str, content: int) -> None:
            made = {"fingerprint": FINGERPRINT_VERSION, "upstream_revision": str(content)}
            for table, row in (("ads", {"media_sha256": str(content)}), ("looks", drawn(content) | made)):
                rows = [row | {"video_id": id_}]
                into.merge(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema))

        for what, id_, content in [*steps, ("build", "", 0)]:
            if what == "put":
                put(catalog, id_, content)
                held[id_] = content
            elif what == "build":
                record_reuploads(catalog)
            elif held.pop(id_, None):
                remove_ads(catalog, [id_])
        for id_, content in held.items():
            put(Catalog(anew), id_, content)
        record_reuploads(Catalog(anew))

        found, wanted = (
            sorted(one.read("reuploads").to_pylist(), key=lambda row: row["video_id"])
            for one in (catalog, Catalog(anew))
        )
        assert found == wanted
        alike = {tens for tens in held.values() if sum(one // 10 == tens // 10 for one in held.values()) > 1}
        assert {row["video_id"] for row in found} == {id_ for id_, content in held.items() if content in alike}


def test_real_adverts_over_the_same_footage_stay_apart(shared_data: Path) -> None:
    paths = [path for path in sorted((shared_data / "ads").rglob("*.mp4")) if path.stat().st_size < 700_000]

    assert len(paths) > 7
    assert joined(*paths) == []
