"""The sheet of an ad is drawn whatever was read on its frames, and says why each was kept or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.cli import app
from flows.ocr.sheet import Tile, draw_sheet
from flows.ocr.words import Word
from tests.flows.ocr.pictures import drawn

GREEN, RED = (0, 120, 60), (190, 30, 30)


def jpeg(*lines: str, size: tuple[int, int] = (320, 180)) -> bytes:
    return cv2.imencode(".jpg", drawn(*lines, size=size))[1].tobytes()


def tile(*words: str, kept: bool = True, image: bytes | None = None) -> Tile:
    read = [Word(word, 0.9, (10 + 40 * index, 10, 45 + 40 * index, 30)) for index, word in enumerate(words)]
    return Tile(jpeg("on the picture") if image is None else image, 1.5, read, kept, f"{len(words)} words")


def colours(sheet: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)}


def test_kept_frames_are_framed_in_green_and_dropped_ones_in_red() -> None:
    assert colours(draw_sheet("an ad", [tile("big", "sale")])) & {GREEN, RED} == {GREEN}
    assert colours(draw_sheet("an ad", [tile("big", kept=False)])) & {GREEN, RED} == {RED}


def test_the_boxes_of_words_are_drawn_on_the_picture() -> None:
    boxed, bare = (np.asarray(draw_sheet("an ad", [tile(*words)]), int) for words in (("big", "sale"), ()))

    differing = np.argwhere((boxed != bare).any(axis=2))

    assert len(differing) > 100
    assert (boxed[differing[:, 0], differing[:, 1]] == (255, 60, 200)).all(axis=1).any()


def test_a_picture_that_cannot_be_decoded_leaves_its_place_grey() -> None:
    assert (128, 128, 128) in colours(draw_sheet("an ad", [tile("big", image=b"no picture")]))


def test_no_frame_and_very_many_frames_make_a_sheet() -> None:
    assert draw_sheet("an ad", []).size[0] > 0
    assert draw_sheet("an ad", [tile("x") for _ in range(40)]).size[1] > 3000


@pytest.mark.parametrize(
    "text", ["中文字", "नमस्ते", "مرحبا", "\x00\x1b[31m", "\ud800", "🙂", "a" * 1_000_000, "\u202eevil"]
)
def test_words_of_strangers_are_drawn_as_far_as_fonts_go(text: str) -> None:
    sheet = draw_sheet(text[:50], [tile(text, "and", "more")])

    assert sheet.size[0] < 600


@settings(deadline=None, max_examples=20)
@given(st.lists(st.text(max_size=30), max_size=12))
def test_no_word_is_too_strange_for_the_sheet(words: list[str]) -> None:
    draw_sheet("an ad", [tile(*words)])


def frame(index: int, sha: str) -> dict[str, Any]:
    return {
        "frame_id": f"ad:{index}",
        "video_id": "ad",
        "timestamp_s": 10.0 - index,
        "image": {"bytes": jpeg("on the picture"), "path": None},
        "image_sha256": sha,
    }


def text(index: int, words: list[str], sha: str) -> dict[str, Any]:
    return {
        "frame_id": f"ad:{index}",
        "video_id": "ad",
        "text": " ".join(words),
        "n_words": len(words),
        "words": [{"text": word, "confidence": 0.9, "box": [1, 1, 9, 9]} for word in words],
        "mean_confidence": 0.9,
        "engine": "reader",
        "engine_version": "1",
        "upstream_revision": sha,
    }


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    tables = Catalog(str(tmp_path / "catalog"))
    frames = [frame(0, "a"), frame(1, "b"), frame(2, "c"), frame(3, "d")]
    texts = [text(0, list("ABCDEF"), "a"), text(1, ["one"], "b"), text(2, list("ABCDEF"), "before")]
    tables.merge("frames", pa.Table.from_pylist(frames, schema=TABLES["frames"].schema))
    tables.merge("texts", pa.Table.from_pylist(texts, schema=TABLES["texts"].schema))
    return tmp_path / "catalog"


def test_show_writes_one_picture_and_says_how_many_frames_are_kept(catalog: Path, tmp_path: Path) -> None:
    written = tmp_path / "words.png"

    done = CliRunner().invoke(app, ["ocr", "show", "ad", "--catalog", str(catalog), "--out", str(written)])

    assert done.exit_code == 0, done.output
    with Image.open(written) as sheet:
        assert sheet.size[0] > 1000
    # of four: one is kept, one has too few words, one was read on an earlier picture, one was not read yet
    assert done.output.replace("\n", "").endswith("4 frames, 1 with more than 5 words")


def test_show_of_an_ad_that_is_not_there_names_it(catalog: Path) -> None:
    done = CliRunner().invoke(app, ["ocr", "show", "nobody", "--catalog", str(catalog)])

    assert done.exit_code == 1
    assert "no frame of an ad 'nobody'" in str(done.exception)
