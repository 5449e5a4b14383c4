"""A folder of downloads becomes ads, comments and drops; nothing in it is lost without a reason."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yt_dlp.utils import clean_html, prepend_extension

from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from flows.crawl.folder import info_json
from flows.crawl.folder.folder import UNCATEGORISED, scan_folder
from flows.crawl.folder.info_json import (
    InfoJsonError,
    categories_of,
    load_info,
    parse_ad,
    parse_comments,
    shown_text,
)
from flows.crawl.records import Ad, Comment, FoundAd, UnchangedAd
from flows.errors import SourceError

KEY = b"a key for tests"


VIDEO = b"video"

Content = bytes | dict[str, Any]
Found = dict[str, tuple[str | None, str, int]]
"""Path of the video, category and number of comments of each ad."""


def put(root: Path, files: dict[str, Content]) -> None:
    """Write files below a folder, those that are no bytes as JSON."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def pair(name: str, info: Content | None = None, media: bytes = VIDEO) -> dict[str, Content]:
    """A video and its info.json, by default of an ad with the files' name as its id."""
    return {f"{name}.mp4": media, f"{name}.info.json": info_of(Path(name).name) if info is None else info}


def put_ad(root: Path, name: str, info: Content | None = None, media: bytes = VIDEO) -> None:
    put(root, pair(name, info, media))


def info_of(video_id: str, **more: Any) -> dict[str, Any]:
    return {"id": video_id, "title": f"Title of {video_id}", "comments": [comment("c1", "nice")], **more}


def comment(comment_id: object, text: object, **more: Any) -> dict[str, Any]:
    return {"id": comment_id, "text": text, "parent": "root", "author_id": "UCsomebody", **more}


def scan(root: Path, **options: Any) -> list[FoundAd | UnchangedAd | Drop]:
    return list(scan_folder(root, author_key=KEY, **options))


def ads_of(results: Iterable[FoundAd | UnchangedAd | Drop]) -> dict[str, FoundAd]:
    return {result.ad.video_id: result for result in results if isinstance(result, FoundAd)}


def drops_of(results: Iterable[FoundAd | UnchangedAd | Drop]) -> dict[str, Drop]:
    return {result.key: result for result in results if isinstance(result, Drop)}


def stamps_of(results: Iterable[FoundAd | UnchangedAd | Drop]) -> dict[str, str]:
    return {video_id: found.ad.files_stamp for video_id, found in ads_of(results).items()}


def test_an_ad_and_its_comments_are_read(tmp_path: Path) -> None:
    info = info_of(
        "abc123",
        duration=12.5,
        width=640,
        height=360,
        webpage_url="https://www.youtube.com/watch?v=abc123",
        extractor_key="Youtube",
        timestamp=1_700_000_000,
        epoch=1_750_000_000,
        view_count=7,
        channel_id="UCchannel",
        comments=[
            comment("c1", "so good", like_count=3, timestamp=1_700_000_100, author_is_uploader=True),
            comment("c2", "agreed", parent="c1"),
        ],
    )
    put_ad(tmp_path, "apparel/abc123", info, media=b"12345")

    (found,) = scan(tmp_path)

    assert isinstance(found, FoundAd)
    expected = {
        "video_id": "abc123",
        "category": "apparel",
        "duration_s": 12.5,
        "view_count": 7,
        "media_path": "apparel/abc123.mp4",
        "media_status": "present",
        "media_size_bytes": 5,
        "media_sha256": "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
        "published_at": datetime.fromtimestamp(1_700_000_000, UTC),
        "fetched_at": datetime.fromtimestamp(1_750_000_000, UTC),
    }
    assert asdict(found.ad) == asdict(found.ad) | expected
    kept = [(one.comment_id, one.parent_id, one.like_count, one.by_uploader) for one in found.comments]
    assert kept == [("c1", None, 3, True), ("c2", "c1", None, False)]


def test_fields_are_the_columns_of_the_tables() -> None:
    assert [field.name for field in fields(Ad)] == TABLES["ads"].schema.names
    assert [field.name for field in fields(Comment)] == TABLES["comments"].schema.names


def test_nobodys_name_or_id_is_kept(tmp_path: Path) -> None:
    put_ad(tmp_path, "abc", info_of("abc", channel_id="UCchannel", channel="Somebody Inc", uploader="Somebody"))

    (found,) = scan(tmp_path)
    (other_key,) = scan_folder(tmp_path, author_key=b"another key")

    assert isinstance(found, FoundAd)
    assert isinstance(other_key, FoundAd)
    for secret in ("UCchannel", "Somebody", "UCsomebody"):
        assert secret not in repr(found)
    assert found.ad.channel_hash
    assert found.ad.channel_hash != other_key.ad.channel_hash
    assert found.comments[0].author_hash != other_key.comments[0].author_hash


def test_synthetic_ads_are_known_as_such(tmp_path: Path) -> None:
    put_ad(tmp_path, "real", info_of("real", synthetic="yes"))
    put_ad(tmp_path, "made", info_of("made", synthetic=True))

    assert {id_: found.ad.synthetic for id_, found in ads_of(scan(tmp_path)).items()} == {"real": False, "made": True}


@pytest.mark.parametrize(
    ("name", "options", "category"),
    [
        ("shoes/a", {}, "shoes"),
        ("shoes/winter/a", {}, "shoes"),
        ("a", {}, "uncategorised"),
        ("a", {"category": "given"}, "given"),
        ("shoes/a", {"category": "given"}, "shoes"),
        ("shoes/a", {"categories": {"shoes": "apparel"}}, "apparel"),
        ("shoes/a", {"categories": {"shoes": "apparel", "a": "by id"}}, "by id"),
        ("a", {"categories": {"Style": "by platform"}, "category": "given"}, "by platform"),
    ],
)
def test_a_category_comes_from_mapping_then_folder_then_default(
    tmp_path: Path, name: str, options: dict[str, Any], category: str
) -> None:
    put_ad(tmp_path, name, info_of("a", categories=["Style"]))

    assert ads_of(scan(tmp_path, **options))["a"].ad.category == category


def test_unchanged_ads_are_read_again_only_when_their_category_is_settled_otherwise(tmp_path: Path) -> None:
    for name in ("same", "edited"):
        put_ad(tmp_path, name)
    known = stamps_of(scan(tmp_path))
    put_ad(tmp_path, "edited", info_of("edited", title="Another title"))

    again = scan(tmp_path, known=known)
    settled = ads_of(scan(tmp_path, known=known, category="new"))

    assert UnchangedAd("same") in again
    assert {id_: found.ad.title for id_, found in ads_of(again).items()} == {"edited": "Another title"}
    assert {id_: found.ad.category for id_, found in settled.items()} == {"same": "new", "edited": "new"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{not json", "info_not_json"),
        (b"", "info_not_json"),
        (b'{"id": "a", "title": "\xff"}', "info_not_utf8"),
        (b"[1, 2]", "info_not_an_object"),
        (b"[" * 100_000, "info_not_json"),
        (b'{"_type": "playlist", "id": "PLx"}', "not_a_video"),
    ],
)
def test_a_broken_info_json_costs_only_its_own_ad(tmp_path: Path, content: bytes, reason: str) -> None:
    put_ad(tmp_path, "bad", content)
    put_ad(tmp_path, "good")

    results = scan(tmp_path)

    assert list(ads_of(results)) == ["good"]
    (drop,) = drops_of(results).values()
    assert (drop.key, drop.reason, drop.key in drop.detail) == ("bad.info.json", reason, True)


@pytest.mark.parametrize(
    ("files", "ads", "drops"),
    [
        ({"a.info.json": info_of("a")}, {"a": (None, UNCATEGORISED, 1)}, {}),
        ({"a.mp4": VIDEO}, {"a": ("a.mp4", UNCATEGORISED, 0)}, {}),
        # a video and an info.json that lie apart
        ({"apparel/a.mp4": VIDEO, "meta/a.info.json": info_of("a")}, {"a": ("apparel/a.mp4", "apparel", 1)}, {}),
        # the name stands in for a hostile id
        (pair("harmless", info_of("../../etc/passwd")), {"harmless": ("harmless.mp4", UNCATEGORISED, 1)}, {}),
        (
            {"a.mp4": VIDEO, **pair("not an id", info_of("x" * 65))},
            {"a": ("a.mp4", UNCATEGORISED, 0)},
            {"not an id.info.json": ("unusable_id", "not an id")},
        ),
        (pair("Great ad? [x1]", info_of("x1")), {"x1": ("Great ad? [x1].mp4", UNCATEGORISED, 1)}, {}),
        # what is no ad is ignored
        (
            dict.fromkeys(("a.mp4", "notes.txt", "a.mp4.part", "a.en.vtt", ".hidden.mp4", "a.jpg"), VIDEO),
            {"a": ("a.mp4", UNCATEGORISED, 0)},
            {},
        ),
        # one id twice, and two videos beside one info.json
        (
            {**pair("one/first", info_of("same")), **pair("two/second", info_of("same"))},
            {"same": ("one/first.mp4", "one", 1)},
            dict.fromkeys(("two/second.mp4", "two/second.info.json"), ("repeated_id", "one/first.mp4")),
        ),
        ({"a.webm": VIDEO, **pair("a")}, {"a": ("a.mp4", UNCATEGORISED, 1)}, {"a.webm": ("repeated_id", "a.mp4")}),
    ],
)
def test_files_become_ads_or_drops_and_a_second_time_the_ads_are_unchanged(
    tmp_path: Path, files: dict[str, Content], ads: Found, drops: dict[str, tuple[str, str]]
) -> None:
    put(tmp_path, files)

    results = scan(tmp_path)
    again = scan(tmp_path, known=stamps_of(results))

    found = ads_of(results)
    assert {id_: (one.ad.media_path, one.ad.category, len(one.comments)) for id_, one in found.items()} == ads
    for one in found.values():
        kept = "present" if one.ad.media_path else "missing"
        assert (one.ad.media_status, one.ad.media_sha256 is None) == (kept, kept == "missing")
    dropped = drops_of(results)
    assert {key: drop.reason for key, drop in dropped.items()} == {key: reason for key, (reason, _) in drops.items()}
    assert all(words in dropped[key].detail for key, (_, words) in drops.items())
    assert (drops_of(again), {one.video_id for one in again if isinstance(one, UnchangedAd)}) == (dropped, set(ads))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files by what they hold: pictures of several heights, sound, or both."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, bytes] = {}
    for name, suffix, codec, height, sound in (
        ("sound", ".mp4", None, 0, "aac"),
        ("sound webm", ".webm", None, 0, "libopus"),
        ("360", ".mp4", "libx264", 360, None),
        ("720", ".mp4", "libx264", 720, None),
        ("360 webm", ".webm", "libvpx", 360, None),
        ("360 with sound", ".mp4", "libx264", 360, "aac"),
    ):
        path = folder / f"{name}{suffix}"
        with av.open(str(path), "w") as container:
            pictures: Any = container.add_stream(codec, rate=5) if codec else None
            hum: Any = container.add_stream(sound, rate=48_000) if sound else None
            if pictures:
                pictures.width, pictures.height, pictures.pix_fmt = height * 16 // 9, height, "yuv420p"
                for level in (40, 80, 120):
                    grey = np.full((height, pictures.width, 3), level, np.uint8)
                    container.mux(pictures.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
                container.mux(pictures.encode())
            if hum:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
                silence.sample_rate = 48_000
                container.mux(hum.encode(silence))
                container.mux(hum.encode())
        made[name] = path.read_bytes()
    return made


@pytest.mark.parametrize(
    ("files", "used"),
    [
        # as yt-dlp names them
        ({"ID.f137.mp4": "720", "ID.f140.m4a": "sound"}, "ID.f137.mp4"),
        ({"ID.f247.webm": "360 webm", "ID.f251.webm": "sound webm"}, "ID.f247.webm"),
        ({"ID.f399-0.mp4": "720", "ID.f251-drc.webm": "sound webm"}, "ID.f399-0.mp4"),
        ({"ID.fhls-video=1.5.mp4": "360", "ID.fhls-audio-0.mp4": "sound"}, "ID.fhls-video=1.5.mp4"),
        # a file that has pictures, whatever its suffix; then a whole one, then the larger pictures
        ({"ID.mp4": "sound", "ID.webm": "360 webm"}, "ID.webm"),
        ({"ID.MP4": "sound", "ID.WEBM": "360 webm"}, "ID.WEBM"),
        ({"ID.mp4": "sound", "ID.f136.mp4": "720"}, "ID.f136.mp4"),
        ({"ID.mp4": "360 with sound", "ID.f136.mp4": "720", "ID.f140.m4a": "sound"}, "ID.mp4"),
        ({"ID.f134.mp4": "360", "ID.f136.mp4": "720"}, "ID.f136.mp4"),
        ({"ID.f243.webm": "360 webm", "ID.f134.mp4": "360"}, "ID.f134.mp4"),
        ({"ID.mp4": "360", "ID.mkv": "720", "ID.webm": "360 webm"}, "ID.mkv"),
    ],
)
def test_of_several_files_one_with_pictures_is_used_and_the_others_are_named(
    tmp_path: Path, clips: dict[str, bytes], files: dict[str, str], used: str
) -> None:
    put(tmp_path, {name: clips[clip] for name, clip in files.items()} | {"ID.info.json": info_of("ID")})

    results = scan(tmp_path)
    again = scan(tmp_path, known=stamps_of(results))

    assert ads_of(results)["ID"].ad.media_path == used
    videos = [name for name in files if not name.endswith(".m4a")]
    dropped = {key: (drop.reason, used in drop.detail) for key, drop in drops_of(results).items()}
    assert dropped == {name: ("repeated_id", True) for name in videos if name != used}
    assert drops_of(again) == drops_of(results)
    assert UnchangedAd("ID") in again


def test_which_file_is_used_depends_on_the_files_alone(tmp_path: Path, clips: dict[str, bytes]) -> None:
    names = ("ID.mkv", "ID.f134.mp4", "ID.webm")
    used = set()
    for number, order in enumerate(itertools.permutations(names)):
        root = tmp_path / str(number)
        for name in order:
            put(root, {name: clips["360"]})
        used.add(ads_of(scan(root))["ID"].ad.media_path)
    assert used == {"ID.webm"}


@pytest.mark.parametrize("name", ["ID", "An ad. Part 2 [ID]", "dots.f.in.names"])
@pytest.mark.parametrize("format_id", ["137", "251-drc", "hls-1080p", "dash-3_video=1.2", "dash-video", "sd"])
def test_a_single_format_belongs_to_its_ad_as_yt_dlp_names_it(tmp_path: Path, name: str, format_id: str) -> None:
    named = prepend_extension(f"{name}.mp4", f"f{format_id}", "mp4")
    put(tmp_path, {named: VIDEO, f"{name}.info.json": info_of("ID"), "other.info.json": info_of("other")})

    assert {id_: found.ad.media_path for id_, found in ads_of(scan(tmp_path)).items()} == {"ID": named, "other": None}


def test_a_name_without_a_digit_or_an_info_json_is_its_own(tmp_path: Path) -> None:
    put(tmp_path, {"Best.fun.mp4": VIDEO, "b/Best.info.json": info_of("ID")})

    results = scan(tmp_path)

    assert ads_of(results)["ID"].ad.media_path is None
    assert drops_of(results)["Best.fun.mp4"].video_id is None


@pytest.mark.parametrize("name", ["Best.f1 races [ID]", "Best.f1_races-[ID]", "a.f2"])
def test_a_name_with_an_info_json_is_no_single_format(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path / "beside", tmp_path / "apart"):
        meta = folder / "meta" if folder.name == "apart" else folder
        put(folder, {f"{name}.mp4": VIDEO})
        put(meta, {f"{name}.info.json": info_of("ID"), "Best.info.json": info_of("best"), "a.info.json": info_of("a")})

        assert ads_of(scan(folder))["ID"].ad.media_path == f"{name}.mp4"


@pytest.mark.parametrize(
    ("files", "drops"),
    [
        (("ID.temp.mp4", "ID.uncut.webm"), {"ID.temp.mp4": "unfinished", "ID.uncut.webm": "unfinished"}),
        (("ID.f137.temp.mp4",), {"ID.f137.temp.mp4": "unfinished"}),
        (
            ("ID.mp4.part", "ID.mp4.ytdl", "ID.mp4.part-Frag3", "ID.mp4.part-Frag12.part"),
            dict.fromkeys(("ID.mp4.part", "ID.mp4.ytdl", "ID.mp4.part-Frag3", "ID.mp4.part-Frag12.part"), "unfinished"),
        ),
        (
            ("ID.f140.m4a.part", "ID.fdash-video.webm.ytdl"),
            dict.fromkeys(("ID.f140.m4a.part", "ID.fdash-video.webm.ytdl"), "unfinished"),
        ),
        (("ID.f137.mp4.part", "ID.f140.m4a"), {"ID.f137.mp4.part": "unfinished", "ID.f140.m4a": "sound_alone"}),
        (("ID.m4a",), {"ID.m4a": "sound_alone"}),
        (("song.m4a", "notes.txt.part", "other.part"), {}),
    ],
)
def test_what_is_left_of_a_download_is_no_video_and_says_so(
    tmp_path: Path, files: tuple[str, ...], drops: dict[str, str]
) -> None:
    put(tmp_path, dict.fromkeys(files, VIDEO) | {"ID.info.json": info_of("ID")})

    results = scan(tmp_path)

    assert ads_of(results)["ID"].ad.media_status == "missing"
    assert {key: drop.reason for key, drop in drops_of(results).items()} == drops


@pytest.mark.parametrize(
    "name", ["ID.mp4.part", "ID.f137.mp4.part", "ID.mp4.part-Frag3", "ID.mp4.ytdl", "ID.f140.m4a.part", "ID.temp.mp4"]
)
def test_what_is_left_of_a_download_is_named_without_an_info_json_too(tmp_path: Path, name: str) -> None:
    put(tmp_path, {name: VIDEO})

    (drop,) = scan(tmp_path)

    assert isinstance(drop, Drop)
    assert (drop.key, drop.reason) == (name, "unfinished")


@pytest.mark.parametrize("name", ["ID.mp4.part", "ID.f137.mp4.part-Frag3", "ID.f140.m4a.ytdl"])
def test_what_is_left_beside_a_whole_video_is_ignored(tmp_path: Path, name: str) -> None:
    put(tmp_path, {name: VIDEO, **pair("ID")})

    (found,) = scan(tmp_path)

    assert isinstance(found, FoundAd)


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("name", ["Café [ID]", "한국 광고 [ID]", "Ångström [ID]", "Việt [ID]"])
@pytest.mark.parametrize(("of_video", "of_info", "of_mapping"), list(itertools.product(FORMS, repeat=3)))
def test_a_name_is_one_however_its_accents_are_written(
    tmp_path: Path, name: str, of_video: Any, of_info: Any, of_mapping: Any
) -> None:
    folder = "Modé"
    video = f"{unicodedata.normalize(of_video, f'{folder}/{name}')}.mp4"
    info = f"{unicodedata.normalize(of_info, f'{folder}/{name}')}.info.json"
    put(tmp_path, {video: VIDEO, info: info_of("ID")})

    results = scan(tmp_path, categories={unicodedata.normalize(of_mapping, folder): "fashion"})

    (found,) = ads_of(results).values()
    assert (found.ad.media_path, found.ad.category, len(found.comments)) == (video, "fashion", 1)
    assert not drops_of(results)


def test_an_info_json_may_be_gzipped(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(info_of("zipped")).encode())
    put(tmp_path, {"zipped.mp4": VIDEO, "zipped.info.json.gz": packed, "LOUD.mp4": VIDEO, "LOUD.INFO.JSON.GZ": packed})
    put(tmp_path, {"both.info.json": info_of("both"), "both.info.json.gz": packed})

    results = scan(tmp_path)

    assert {id_: (len(found.comments), found.ad.media_path) for id_, found in ads_of(results).items()} == {
        "both": (1, None),
        "zipped": (1, "LOUD.mp4"),
    }
    assert {drop.reason for drop in drops_of(results).values()} == {"repeated_id"}


WHOLE = json.dumps(info_of("a")).encode()
PACKED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    ("plain", "packed", "n_comments", "drops"),
    [
        (WHOLE[:-9], PACKED, 1, {"a.info.json": "info_not_json"}),
        (b"", PACKED, 1, {"a.info.json": "info_not_json"}),
        (WHOLE, PACKED[:-9], 1, {"a.info.json.gz": "repeated_id"}),
        (WHOLE[:-9], PACKED[:-9], None, dict.fromkeys(("a.info.json", "a.info.json.gz"), "info_not_json")),
    ],
    ids=["cut off", "empty", "the other cut off", "both cut off"],
)
def test_of_two_info_jsons_the_whole_one_is_used(
    tmp_path: Path, plain: bytes, packed: bytes, n_comments: int | None, drops: dict[str, str]
) -> None:
    put(tmp_path, {"a.mp4": VIDEO, "a.info.json": plain, "a.info.json.gz": packed})

    results = scan(tmp_path)
    again = scan(tmp_path, known=stamps_of(results))

    expected = {} if n_comments is None else {"a": ("a.mp4", n_comments)}
    assert {id_: (one.ad.media_path, len(one.comments)) for id_, one in ads_of(results).items()} == expected
    assert {key: drop.reason for key, drop in drops_of(results).items()} == drops
    assert drops_of(again) == drops_of(results)
    assert [one for one in again if not isinstance(one, Drop)] == [UnchangedAd(id_) for id_ in expected]


def test_an_info_json_that_was_cut_off_and_is_whole_now_is_read(tmp_path: Path) -> None:
    put(tmp_path, {"a.info.json": WHOLE[:-9], "a.info.json.gz": PACKED})
    known = stamps_of(scan(tmp_path))
    put(tmp_path, {"a.info.json": info_of("a", title="whole")})

    assert ads_of(scan(tmp_path, known=known))["a"].ad.title == "whole"


@pytest.mark.parametrize(
    ("damage", "reason", "says"),
    [
        (lambda packed: packed[:-20], "info_not_json", "cut off"),
        (lambda packed: packed[:5], "info_not_json", "cut off"),
        (lambda packed: packed[:30] + b"zz" + packed[32:], "info_not_json", "damaged"),
        (lambda packed: b'{"id": "a"}', "info_not_json", "no gzip file"),
        (lambda packed: gzip.compress(b"{"), "info_not_json", "Expecting"),
        (lambda packed: gzip.compress(bytes(2_000_000)), "info_too_large", "unpacks to more than 1,000,000 bytes"),
    ],
)
def test_a_damaged_or_endless_gzip_costs_only_its_own_ad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Any, reason: str, says: str
) -> None:
    monkeypatch.setattr(info_json, "MAX_INFO_BYTES", 1_000_000)
    packed = gzip.compress(json.dumps(info_of("bad", description="d" * 999)).encode())
    put(tmp_path, {"bad.info.json.gz": damage(packed), **pair("good")})

    results = scan(tmp_path)

    assert list(ads_of(results)) == ["good"]
    (drop,) = drops_of(results).values()
    assert (drop.key, drop.reason) == ("bad.info.json.gz", reason)
    assert says in drop.detail


def test_comments_that_have_only_html_are_read_as_it_shows(tmp_path: Path) -> None:
    comments = [
        {"id": "1", "html": "so <b>good</b> &amp; cheap<br>again &#128512;"},
        {"id": "2", "text": "plain", "html": "<i>marked</i>"},
        {"id": "3", "text": "  ", "html": "<p>one</p><p>two</p>"},
        {"id": "4", "text": None, "html": 'look <img class="e" alt="🔥" src="x"> here'},
        {"id": "5", "html": "<br/>&nbsp;"},
        {"id": "6", "html": 7},
    ]
    put_ad(tmp_path, "a", info_of("a", comments=comments, extractor="youtube"))

    found = ads_of(scan(tmp_path))["a"]

    assert {kept.comment_id: kept.text for kept in found.comments} == {
        "1": "so good & cheap\nagain \U0001f600",
        "2": "plain",
        "3": "one\ntwo",
        "4": "look \U0001f525 here",
    }
    assert {drop.key: drop.detail for drop in found.drops} == {
        "a:comments:4": "text is empty",
        "a:comments:5": "text is nothing, not a string",
    }


@given(
    st.lists(
        st.sampled_from(
            ["word", " ", "<br>", "<br />", "<b>", "</b>", "&amp;", "&lt;3", "&#39;", "\n", "é", '<a href="x">']
        )
    )
)
def test_html_is_read_as_yt_dlp_reads_it(parts: list[str]) -> None:
    markup = "".join(parts)
    assert shown_text(markup).split() == (clean_html(markup) or "").split()


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ("Great<div>Awful</div>", "Great\nAwful"),
        ("<div>a</div> <div>b</div>c", "a\nb\nc"),
        ("love it<p>hate it", "love it\nhate it"),
        ("<ul><li>a<li>b</ul>c", "a\nb\nc"),
        ("a<hr>b<h1>c</h1>d<blockquote>e</blockquote>f", "a\nb\nc\nd\ne\nf"),
        ("<dl><dt>a<dd>b</dl>", "a\nb"),
        ("<table><tr><td>a<td>b<tr><th>c</table>d", "a b\nc\nd"),
        ("a<br><br> b<div><br></div>c", "a\n\nb\n\nc"),
        ("in<b>si</b>de<span>s</span>", "insides"),
        ("a<script>x < 'b'</script>b<style>p > b {}</style>c", "abc"),
        ("a<template><div>x<br></script><template></template>y</div></template>b", "ab"),
        ("<!-- a > b -->seen<!-- open <b>", "seen"),
        ("<!---->a<!-->b<![CDATA[x]]>c<![if x]>d<!doctype html>e", "abcde"),
        ('<a title="a > b">link</a>', "link"),
        ("<a title='<!-- a'>link</a> <!-- b -->", "link"),
        ("<img alt=\U0001f525 src=x><IMG ALT='&lt;3'>", "\U0001f525<3"),
        ('<img alt=">:("><img alt><img data-alt="no">', ">:("),
        ("I <3 it, 1 < 2 > 0 & more <b", "I <3 it, 1 < 2 > 0 & more <b"),
        ("&amp;lt; &#00000065;&#x1f600;", "&lt; A\U0001f600"),
    ],
)
def test_html_is_read_as_a_browser_shows_it(markup: str, shown: str) -> None:
    assert shown_text(markup) == shown


@pytest.mark.parametrize(
    "piece",
    ["<a>", " <div>", "<template>", "<a", "</a", '<a b="', '<a b=">', "<!--", "<!-- >", "<![x", "<?", "9", "<a\0"],
)
def test_hostile_html_is_read_in_linear_time(piece: str) -> None:
    many = piece * 100_000
    started = time.process_time()
    for markup in (f"&#9{many}", f"{many}>"):
        shown_text(markup)
    # what is linear takes a second, what is quadratic minutes
    assert time.process_time() - started < 10


@given(st.text(st.sampled_from("<>/!-[]?&#9;='\" \0abrp"), max_size=60))
def test_any_markup_is_read(markup: str) -> None:
    shown = shown_text(f"first<p>{markup}")
    assert shown.startswith("first")
    assert shown_text(f"<script>{markup.replace('<', '')}</script><!-- {markup.replace('-', '')}-->last") == "last"


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    put_ad(outside, "secret")
    put_ad(root, "a")
    (root / "secret.mp4").symlink_to(outside / "secret.mp4")
    (root / "folder").symlink_to(outside)
    (root / "gone.mp4").symlink_to(root / "nowhere.mp4")
    (root / "loop").symlink_to(root)

    results = scan(root)

    assert list(ads_of(results)) == ["a"]
    assert {key: drop.reason for key, drop in drops_of(results).items()} == dict.fromkeys(
        ("secret.mp4", "folder", "gone.mp4"), "leaves_folder"
    )


def test_a_name_that_is_not_utf8_is_a_drop(tmp_path: Path) -> None:
    put_ad(tmp_path, "a")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")

    results = scan(tmp_path)

    (drop,) = drops_of(results).values()
    assert drop.reason == "unusable_name"
    drop.key.encode()


def test_every_unusable_comment_is_a_drop_and_the_others_stay(tmp_path: Path) -> None:
    comments = [
        comment("c1", "kept"),
        "no object",
        comment(None, "no id"),
        comment("", "empty id"),
        comment("c2", 17),
        comment("c3", "  "),
        comment("c1", "again"),
        comment(99, "a number is an id too"),
    ]
    put_ad(tmp_path, "a", info_of("a", comments=comments, extractor="youtube"))

    found = ads_of(scan(tmp_path))["a"]

    assert [(kept.comment_id, kept.text) for kept in found.comments] == [
        ("c1", "kept"),
        ("99", "a number is an id too"),
    ]
    reasons = dict.fromkeys((f"a:comments:{place}" for place in range(1, 6)), "malformed_comment")
    assert {drop.key: drop.reason for drop in found.drops} == {**reasons, "a:comments:6": "repeated_comment"}


def test_comments_that_are_no_list_are_one_drop(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info_of("a", comments={"c1": "text"}))

    (drop,) = ads_of(scan(tmp_path))["a"].drops

    assert drop.reason == "comments_not_a_list"


def test_ids_that_only_count_do_not_collide_between_ads(tmp_path: Path) -> None:
    for video_id in ("a", "b"):
        comments = [comment("1", "x"), comment("2", "y", parent="1")]
        put_ad(tmp_path, video_id, info_of(video_id, extractor="vimeo", comments=comments))

    found = ads_of(scan(tmp_path))

    ids = [kept.comment_id for ad in found.values() for kept in ad.comments]
    assert len(set(ids)) == 4
    assert found["b"].comments[1].parent_id == found["b"].comments[0].comment_id


def test_half_a_surrogate_pair_reaches_arrow_as_text(tmp_path: Path) -> None:
    content = b'{"id": "a", "title": "x\\ud83d", "comments": [{"id": "c", "text": "\\ud83d\\ude00 \\udc00"}]}'
    put_ad(tmp_path, "a", content)

    found = ads_of(scan(tmp_path))["a"]

    ads = pa.Table.from_pylist([asdict(found.ad)], schema=TABLES["ads"].schema)
    comments = pa.Table.from_pylist([asdict(kept) for kept in found.comments], schema=TABLES["comments"].schema)
    assert ads["title"][0].as_py() == "x\ufffd"
    assert comments["text"][0].as_py() == "\U0001f600 \ufffd"


@pytest.mark.parametrize(
    "hostile",
    [
        {"duration": "long", "width": -1, "height": 10**30, "view_count": float("inf")},
        {"duration": float("nan"), "timestamp": 1e300, "upload_date": "20261399", "like_count": True},
        {"title": ["x"], "description": {}, "categories": "Style", "webpage_url": "javascript:alert(1)"},
        {"epoch": -1e18, "language": 5, "channel_id": 7, "width": 1e12},
    ],
)
def test_fields_of_the_wrong_kind_become_none(tmp_path: Path, hostile: dict[str, Any]) -> None:
    put_ad(tmp_path, "a", info_of("a", **hostile))

    ad = ads_of(scan(tmp_path))["a"].ad

    pa.Table.from_pylist([asdict(ad)], schema=TABLES["ads"].schema)
    assert (ad.duration_s, ad.width, ad.height, ad.view_count, ad.like_count) == (None,) * 5
    assert (ad.published_at, ad.url, ad.language, ad.channel_hash) == (None,) * 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "title", "duration", "timestamp", "epoch", "width", "view_count", "categories", "channel_id")


@given(st.dictionaries(st.sampled_from(NAMES), json_values), st.lists(json_values, max_size=4))
def test_whatever_stands_in_an_info_json_is_read_or_dropped(info: dict[str, Any], entries: list[Any]) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    category = "".join(categories_of(info))
    made_of = {"author_key": KEY, "media_path": None, "files_stamp": "", "fetched_at": at}
    ad = parse_ad(info, video_id="a", category=category, **made_of)  # type: ignore[arg-type]
    comments, drops = parse_comments({"comments": entries}, "a", author_key=KEY, fetched_at=at)

    assert len(comments) + len(drops) == len(entries)
    assert isinstance(ad.title, str)
    pa.Table.from_pylist([asdict(ad)], schema=TABLES["ads"].schema)
    pa.Table.from_pylist([asdict(kept) for kept in comments], schema=TABLES["comments"].schema)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.info.json"
    path.write_bytes(content)
    with contextlib.suppress(InfoJsonError):
        assert isinstance(load_info(path), dict)


@pytest.mark.parametrize("make", [lambda root: None, lambda root: root.mkdir(), lambda root: root.write_text("x")])
def test_a_missing_empty_or_false_folder_is_refused_with_the_layout(tmp_path: Path, make: Any) -> None:
    root = tmp_path / "ads"
    make(root)

    with pytest.raises(SourceError, match=r"ads: .*ID\.mp4.*info\.json"):
        scan(root)


def test_a_folder_with_other_files_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(SourceError, match="no ads here"):
        scan(tmp_path)


WITHOUT_PERMISSION = """
import encodings.utf_8_sig, os, sys  # the codec now: the other user may not read this Python
from pathlib import Path
root = Path(sys.argv[1])
from flows.crawl.records import FoundAd
from flows.crawl.folder.folder import scan_folder
from flows.errors import SourceError
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    results = list(scan_folder(root, author_key=b"k"))
except SourceError as error:
    print("refused", error)
else:
    for result in results:
        print(*(["ad", result.ad.video_id] if isinstance(result, FoundAd) else [result.reason, result.key]))
"""


def scan_without_permission(root: Path) -> list[str]:
    """Scan as a user who is not root, for whom the modes of files count."""
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_PERMISSION, str(root)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert process.returncode == 0, process.stderr
    return sorted(process.stdout.splitlines())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "ads"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
@pytest.mark.parametrize(
    ("closed", "lines"),
    [
        (
            ("closed", "c.mp4", "d.info.json"),
            ["ad a", *map("unreadable {}".format, ("c.mp4", "closed", "d.info.json"))],
        ),
        ((".",), ["refused {root}: Permission denied"]),
    ],
)
def test_what_may_not_be_read_is_a_drop_and_the_rest_is_read(
    open_folder: Path, closed: tuple[str, ...], lines: list[str]
) -> None:
    for name in ("open/a", "closed/b", "c", "d"):
        put_ad(open_folder, name)
    for name in closed:
        (open_folder / name).chmod(0)

    try:
        said = scan_without_permission(open_folder)
    finally:
        for name in closed:
            (open_folder / name).chmod(0o755)

    assert [line.partition(";")[0] for line in said] == [line.format(root=open_folder) for line in lines]


def test_the_real_ads_are_all_found(shared_data: Path) -> None:
    found = ads_of(scan(shared_data / "ads"))

    assert (len(found), sum(len(ad.comments) for ad in found.values())) == (27, 3118)
    assert not any(ad.drops for ad in found.values())
    categories = {"apparel", "food and beverages", "healthcare", "movie trailers", "other"}
    assert {ad.ad.category for ad in found.values()} == categories
