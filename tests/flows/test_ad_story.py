"""What became of an ad's frames is told from the tables, and the commands put it on a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

from data_catalog.catalog import Catalog, Drop
from data_catalog.errors import CatalogError
from data_catalog.schemas import TABLES
from flows.commands.main import app
from flows.errors import SheetError
from flows.frames.sampling import sample_frames
from flows.look.ad import FrameSummary, summarize_ad
from tests.flows.frames.clips import steady, write_video

HOSTILE = "\x1b[31mBuy\x00 \u202enow\n\U0001f600 " + "W" * 5000


def put(catalog: Catalog, table: str, *rows: dict[str, object]) -> None:
    catalog.merge(table, pa.Table.from_pylist(list(rows), schema=TABLES[table].schema))


def read(frame: dict[str, Any], words: list[str], **other: Any) -> dict[str, Any]:
    """The row of `texts` of a frame."""
    return {
        "frame_id": frame["frame_id"],
        "video_id": "a",
        "text": " ".join(words),
        "n_words": len(words),
        "words": [{"text": word, "confidence": 0.9, "box": [1.0, 1.0, 9.0, 9.0]} for word in words],
        "mean_confidence": 0.9 if words else None,
        "engine": "reader",
        "engine_version": "1",
        "upstream_revision": frame["image_sha256"],
        **other,
    }


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """An ad of three pictures: many words, few words, read on an earlier picture; two moments without a picture."""
    catalog = Catalog(tmp_path / "catalog")
    sampled = sample_frames(write_video(tmp_path / "a.mp4", steady(3)), "a")
    frames = [frame.row() for frame in sampled.frames]
    assert len(frames) == 3
    put(catalog, "ads", {"video_id": "a", "title": HOSTILE, "width": 128, "height": 64, "duration_s": 0.3})
    put(catalog, "frames", *frames)
    put(
        catalog,
        "texts",
        read(frames[0], ["now", "25%", "off", "until", "this", "Sunday"]),
        read(frames[1], [HOSTILE]),
        read(frames[2], list("ABCDEF"), upstream_revision="before"),
    )
    late = Drop("release", frames[0]["frame_id"], "a", "filtered", "reupload_of", "the ad is a re-upload of b")
    catalog.replace_drops("frames", sampled.drops)
    catalog.replace_drops("release", [late])
    put(catalog, "reuploads", {"video_id": "a", "group_id": "g", "duplicates": ["b"]})
    return catalog


def told(frame: FrameSummary) -> str:
    return "\n".join(frame.sampling_tile().lines)


def test_every_moment_has_its_times_and_what_became_of_it(catalog: Catalog) -> None:
    ad = summarize_ad(catalog, "a", more_than_words=5)

    assert [frame.index for frame in ad.frames] == list(range(5))
    lines = {frame.index: told(frame) for frame in ad.frames}
    with_picture = [frame for frame in ad.frames if frame.jpeg]
    assert [frame.kept for frame in with_picture] == [True, False, None]
    assert "dropped by release: reupload_of" in told(with_picture[0])
    assert "now 25% off" in told(with_picture[0])
    assert "not kept: 1 word, mean confidence 0.90; more than 5 are needed" in told(with_picture[1])
    assert "read on an earlier picture" in told(with_picture[2])
    assert sum("dropped by frames: no_picture" in line for line in lines.values()) == 2
    assert all("asked" in line or "dropped by frames" in line for line in lines.values())
    assert any("the same ad as b" in line for line in ad.head)
    assert "read by reader 1" in ad.head[1]


def test_a_frame_that_a_later_stage_dropped_is_red_in_the_end_and_green_by_its_words(catalog: Catalog) -> None:
    first = next(frame for frame in summarize_ad(catalog, "a", more_than_words=5).frames if frame.drops and frame.jpeg)

    assert (first.sampling_tile().kept, first.reading_tile().kept) == (False, True)
    assert len(first.reading_tile().boxes) == len(first.words) == 6


def test_a_count_that_ended_with_the_decision_is_said_to_be_the_least(catalog: Catalog) -> None:
    (read_in_full,) = catalog.read("texts", where="text = 'now 25% off until this Sunday'").to_pylist()
    put(catalog, "texts", {**read_in_full, "engine_version": "1+decision5"})

    (said,) = (told(frame) for frame in summarize_ad(catalog, "a", more_than_words=5).frames if frame.kept)

    assert "kept: at least 6 words" in said


def test_fewer_words_may_be_enough(catalog: Catalog) -> None:
    kept = [frame.kept for frame in summarize_ad(catalog, "a", more_than_words=0).frames if frame.jpeg]

    assert kept == [True, True, None]


def test_an_ad_that_gave_nothing_says_why(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, "ads", {"video_id": "x"})
    catalog.replace_drops("frames", [Drop("frames", "x", "x", "failed", "decoder_timeout", "x.mp4: stopped")])

    ad = summarize_ad(catalog, "x", more_than_words=5)

    assert "dropped by frames: decoder_timeout x.mp4: stopped" in ad.head
    assert ad.frames == ()


def test_an_unknown_ad_and_a_folder_without_a_catalog_are_refused(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"has no ad no\\x1bbody; `ytb-ads catalog show ads"):
        summarize_ad(catalog, "no\x1bbody", more_than_words=5)
    with pytest.raises(CatalogError, match="no catalog here"):
        summarize_ad(Catalog(tmp_path / "elsewhere"), "a", more_than_words=5)


# a frame that the release dropped is red on the one sheet and green, by its words, on the other
@pytest.mark.parametrize(
    ("command", "counts"), [("frames", "2 not kept, 1 not read yet"), ("ocr", "1 kept, 1 not kept, 1 not read yet")]
)
def test_the_commands_write_a_png_and_say_what_is_on_it(
    catalog: Catalog, tmp_path: Path, command: str, counts: str
) -> None:
    target = tmp_path / "sheet.png"

    done = CliRunner().invoke(app, [command, "show", "a", "--catalog", catalog.root, "--out", str(target)])

    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith(f"sheet.png: 3 frames: {counts}")
    with Image.open(target) as sheet:
        assert (sheet.format, sheet.width > 1400) == ("PNG", True)


@pytest.mark.parametrize(("command", "name"), [("frames", "_a_b-frames.png"), ("ocr", "_a_b-words.png")])
def test_a_sheet_is_named_by_the_ad_whatever_its_id(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    put(catalog, "ads", {"video_id": "/a.b"})
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, [command, "show", "/a.b", "--catalog", catalog.root])

    assert done.output == f"{name}: 0 frames\n"
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize("command", ["frames", "ocr"])
def test_a_place_that_cannot_be_written_is_named(catalog: Catalog, tmp_path: Path, command: str) -> None:
    file = tmp_path / "file"
    file.touch()
    for taken in (tmp_path, file / "sheet.png"):
        done = CliRunner().invoke(app, [command, "show", "a", "--catalog", catalog.root, "--out", str(taken)])

        assert isinstance(done.exception, SheetError)
        assert str(taken) in str(done.exception)
        assert "--out" in str(done.exception)


def test_a_missing_folder_is_made(catalog: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "sheet.png"

    CliRunner().invoke(app, ["ocr", "show", "a", "--catalog", catalog.root, "--out", str(target)])

    assert target.is_file()
