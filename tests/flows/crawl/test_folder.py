"""A folder of downloads becomes ads, comments and drops; nothing in it is lost without a reason."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from flows.crawl.folder.folder import scan_folder
from flows.crawl.folder.info_json import InfoJsonError, categories_of, load_info, parse_ad, parse_comments
from flows.crawl.records import Ad, Comment, FoundAd, UnchangedAd
from flows.errors import SourceError

KEY = b"a key for tests"


def put_ad(root: Path, name: str, *, info: object = None, media: bytes | None = b"video", suffix: str = ".mp4") -> None:
    place = root / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if media is not None:
        place.with_name(place.name + suffix).write_bytes(media)
    if info is not None:
        content = info if isinstance(info, bytes) else json.dumps(info).encode()
        place.with_name(place.name + ".info.json").write_bytes(content)


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
    put_ad(tmp_path, "apparel/abc123", info=info, media=b"12345")

    (found,) = scan(tmp_path)

    assert isinstance(found, FoundAd)
    ad, (first, reply) = found.ad, found.comments
    assert (ad.video_id, ad.category, ad.duration_s, ad.view_count) == ("abc123", "apparel", 12.5, 7)
    assert (ad.media_path, ad.media_status, ad.media_size_bytes) == ("apparel/abc123.mp4", "present", 5)
    assert ad.media_sha256 == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert ad.published_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert ad.fetched_at == datetime.fromtimestamp(1_750_000_000, UTC)
    assert (first.comment_id, first.parent_id, first.like_count, first.by_uploader) == ("c1", None, 3, True)
    assert reply.parent_id == "c1"


def test_fields_are_the_columns_of_the_tables() -> None:
    assert [field.name for field in fields(Ad)] == TABLES["ads"].schema.names
    assert [field.name for field in fields(Comment)] == TABLES["comments"].schema.names


def test_nobodys_name_or_id_is_kept(tmp_path: Path) -> None:
    info = info_of("abc", channel_id="UCchannel", channel="Somebody Inc", uploader="Somebody")
    put_ad(tmp_path, "abc", info=info)

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
    put_ad(tmp_path, "real", info=info_of("real", synthetic="yes"))
    put_ad(tmp_path, "made", info=info_of("made", synthetic=True))

    ads = ads_of(scan(tmp_path))

    assert ads["made"].ad.synthetic
    assert not ads["real"].ad.synthetic


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
    put_ad(tmp_path, name, info=info_of("a", categories=["Style"]))

    assert ads_of(scan(tmp_path, **options))["a"].ad.category == category


def test_unchanged_ads_are_not_read_again(tmp_path: Path) -> None:
    put_ad(tmp_path, "same", info=info_of("same"))
    put_ad(tmp_path, "edited", info=info_of("edited"))
    known = {video_id: found.ad.files_stamp for video_id, found in ads_of(scan(tmp_path)).items()}
    put_ad(tmp_path, "edited", info=info_of("edited", title="Another title"))

    again = scan(tmp_path, known=known)

    assert UnchangedAd("same") in again
    assert ads_of(again)["edited"].ad.title == "Another title"
    assert len(again) == 2


def test_unchanged_ads_are_read_again_when_their_category_is_settled_otherwise(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info=info_of("a"))
    known = {video_id: found.ad.files_stamp for video_id, found in ads_of(scan(tmp_path)).items()}

    assert ads_of(scan(tmp_path, known=known, category="new"))["a"].ad.category == "new"


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
    put_ad(tmp_path, "bad", info=content)
    put_ad(tmp_path, "good", info=info_of("good"))

    results = scan(tmp_path)

    assert list(ads_of(results)) == ["good"]
    assert drops_of(results)["bad.info.json"].reason == reason
    assert "bad.info.json" in drops_of(results)["bad.info.json"].detail


def test_two_files_with_one_id_name_the_one_that_is_used(tmp_path: Path) -> None:
    put_ad(tmp_path, "one/first", info=info_of("same", title="the first"))
    put_ad(tmp_path, "two/second", info=info_of("same", title="the second"))

    results = scan(tmp_path)

    assert ads_of(results)["same"].ad.title == "the first"
    drops = drops_of(results)
    assert set(drops) == {"two/second.mp4", "two/second.info.json"}
    assert all(drop.reason == "repeated_id" and "one/first.mp4" in drop.detail for drop in drops.values())


def test_two_videos_beside_one_info_json_use_the_first(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info=info_of("a"), suffix=".webm")
    put_ad(tmp_path, "a", suffix=".mp4")

    results = scan(tmp_path)

    assert ads_of(results)["a"].ad.media_path == "a.mp4"
    assert drops_of(results)["a.webm"].reason == "repeated_id"


def test_a_repeated_id_stays_dropped_when_the_first_is_unchanged(tmp_path: Path) -> None:
    put_ad(tmp_path, "one/x", info=info_of("same"))
    put_ad(tmp_path, "two/y", info=info_of("same"))
    known = {video_id: found.ad.files_stamp for video_id, found in ads_of(scan(tmp_path)).items()}

    again = scan(tmp_path, known=known)

    assert UnchangedAd("same") in again
    assert set(drops_of(again)) == {"two/y.mp4", "two/y.info.json"}


def test_a_missing_video_leaves_an_ad_that_says_so(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info=info_of("a"), media=None)

    found = ads_of(scan(tmp_path))["a"]

    assert (found.ad.media_status, found.ad.media_path, found.ad.media_sha256) == ("missing", None, None)
    assert len(found.comments) == 1


def test_a_missing_info_json_leaves_an_ad_without_comments(tmp_path: Path) -> None:
    put_ad(tmp_path, "a")

    found = ads_of(scan(tmp_path))["a"]

    assert (found.ad.title, found.comments, found.ad.media_status) == ("", (), "present")


def test_a_video_and_an_info_json_that_lie_apart_find_each_other(tmp_path: Path) -> None:
    put_ad(tmp_path, "apparel/a")
    put_ad(tmp_path, "meta/a", info=info_of("a"), media=None)

    (found,) = scan(tmp_path)

    assert isinstance(found, FoundAd)
    assert (found.ad.media_path, found.ad.category, len(found.comments)) == ("apparel/a.mp4", "apparel", 1)


def test_the_name_stands_in_for_a_hostile_id(tmp_path: Path) -> None:
    put_ad(tmp_path, "harmless", info=info_of("../../etc/passwd"))
    put_ad(tmp_path, "not an id", info=info_of("x" * 65))

    results = scan(tmp_path)

    assert list(ads_of(results)) == ["harmless"]
    assert drops_of(results)["not an id.info.json"].reason == "unusable_id"


def test_titles_in_file_names_do_not_matter(tmp_path: Path) -> None:
    put_ad(tmp_path, "Great ad? [x1]", info=info_of("x1"))

    assert ads_of(scan(tmp_path))["x1"].ad.media_path == "Great ad? [x1].mp4"


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put_ad(outside, "secret", info=info_of("secret"))
    root = tmp_path / "root"
    put_ad(root, "a", info=info_of("a"))
    (root / "secret.mp4").symlink_to(outside / "secret.mp4")
    (root / "folder").symlink_to(outside)
    (root / "gone.mp4").symlink_to(root / "nowhere.mp4")
    (root / "loop").symlink_to(root)

    results = scan(root)

    assert list(ads_of(results)) == ["a"]
    assert {key: drop.reason for key, drop in drops_of(results).items()} == dict.fromkeys(
        ("secret.mp4", "folder", "gone.mp4"), "leaves_folder"
    )


def test_what_is_no_ad_is_not_ours(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info=info_of("a"))
    for name in ("notes.txt", "a.mp4.part", "a.en.vtt", ".hidden.mp4", "a.jpg"):
        (tmp_path / name).write_bytes(b"x")

    assert len(scan(tmp_path)) == 1


def test_a_name_that_is_not_utf8_is_a_drop(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info=info_of("a"))
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
    put_ad(tmp_path, "a", info=info_of("a", comments=comments, extractor="youtube"))

    found = ads_of(scan(tmp_path))["a"]

    assert [kept.comment_id for kept in found.comments] == ["c1", "99"]
    assert found.comments[0].text == "kept"
    assert len(found.drops) == len(comments) - 2
    reasons = {drop.key: drop.reason for drop in found.drops}
    assert reasons["a:comments:6"] == "repeated_comment"
    assert set(reasons.values()) == {"malformed_comment", "repeated_comment"}


def test_comments_that_are_no_list_are_one_drop(tmp_path: Path) -> None:
    put_ad(tmp_path, "a", info=info_of("a", comments={"c1": "text"}))

    (drop,) = ads_of(scan(tmp_path))["a"].drops

    assert drop.reason == "comments_not_a_list"


def test_ids_that_only_count_do_not_collide_between_ads(tmp_path: Path) -> None:
    for video_id in ("a", "b"):
        comments = [comment("1", "x"), comment("2", "y", parent="1")]
        put_ad(tmp_path, video_id, info=info_of(video_id, extractor="vimeo", comments=comments))

    found = ads_of(scan(tmp_path))

    ids = [kept.comment_id for ad in found.values() for kept in ad.comments]
    assert len(set(ids)) == 4
    assert found["b"].comments[1].parent_id == found["b"].comments[0].comment_id


def test_half_a_surrogate_pair_reaches_arrow_as_text(tmp_path: Path) -> None:
    content = b'{"id": "a", "title": "x\\ud83d", "comments": [{"id": "c", "text": "\\ud83d\\ude00 \\udc00"}]}'
    put_ad(tmp_path, "a", info=content)

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
    put_ad(tmp_path, "a", info=info_of("a", **hostile))

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
def test_what_may_not_be_read_is_a_drop_and_the_rest_is_read(open_folder: Path) -> None:
    put_ad(open_folder, "open/a", info=info_of("a"))
    put_ad(open_folder, "closed/b", info=info_of("b"))
    put_ad(open_folder, "c", info=info_of("c"))
    put_ad(open_folder, "d", info=info_of("d"))
    for name in ("closed", "c.mp4", "d.info.json"):
        (open_folder / name).chmod(0)

    try:
        lines = scan_without_permission(open_folder)
    finally:
        (open_folder / "closed").chmod(0o755)

    assert lines == ["ad a", "unreadable c.mp4", "unreadable closed", "unreadable d.info.json"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_folder_that_may_not_be_read_is_refused(open_folder: Path) -> None:
    put_ad(open_folder, "a", info=info_of("a"))
    open_folder.chmod(0)

    try:
        (line,) = scan_without_permission(open_folder)
    finally:
        open_folder.chmod(0o755)

    assert line.startswith(f"refused {open_folder}: Permission denied")


def test_the_real_ads_are_all_found(shared_data: Path) -> None:
    found = ads_of(scan(shared_data / "ads"))

    assert len(found) == 27
    assert sum(len(ad.comments) for ad in found.values()) == 3118
    assert not any(ad.drops for ad in found.values())
    assert {ad.ad.category for ad in found.values()} == {
        "apparel",
        "food and beverages",
        "healthcare",
        "movie trailers",
        "other",
    }
