"""The sheet of an ad is drawn whatever strangers wrote, and shows at a glance what was kept."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from flows.look.sheet import Tile, contact_sheet
from flows.look.text import draws, length, wrapped
from tests.flows.ocr.pictures import drawn

GREEN, RED, PINK, GREY = (0, 112, 56), (184, 28, 28), (255, 0, 200), (222, 222, 218)
HOSTILE = [
    "中文字",
    "नमस्ते",
    "مرحبا",
    "\x00\x1b[31m",
    "\ud800",
    "🙂",
    "a" * 1_000_000,
    "\u202eevil",
    "a b " * 300_000,
    " " * 3_000,
]


def jpeg(size: tuple[int, int] = (320, 180)) -> bytes:
    return cv2.imencode(".jpg", drawn("on the picture", size=size))[1].tobytes()


def tile(*lines: str, kept: bool | None = True, words: int = 0, image: bytes | None = None) -> Tile:
    boxes = [(10.0 + 40 * index, 10.0, 45.0 + 40 * index, 30.0) for index in range(words)]
    return Tile(jpeg() if image is None else image, lines, kept, boxes)


def colours(sheet: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)}


@pytest.mark.parametrize(("kept", "found"), [(True, {GREEN}), (False, {RED}), (None, set())])
def test_kept_frames_are_framed_in_green_and_dropped_ones_in_red(
    kept: bool | None, found: set[tuple[int, ...]]
) -> None:
    assert colours(contact_sheet(["an ad"], [tile("said", kept=kept)])) & {GREEN, RED} == found


def test_the_boxes_of_words_are_drawn_on_the_picture() -> None:
    boxed, bare = (np.asarray(contact_sheet([], [tile(words=words)]), int) for words in (2, 0))

    differing = np.argwhere((boxed != bare).any(axis=2))

    assert len(differing) > 100
    assert (boxed[differing[:, 0], differing[:, 1]] == PINK).all(axis=1).all()


@pytest.mark.parametrize("image", [b"no picture", b"", jpeg()[:300]])
def test_a_picture_that_cannot_be_decoded_leaves_its_place_grey(image: bytes) -> None:
    assert GREY in colours(contact_sheet(["an ad"], [tile("said", image=image)]))


def test_frames_stand_in_rows_as_high_as_they_need() -> None:
    assert contact_sheet(["an ad"], []).size[0] > 0
    one, four = contact_sheet([], [tile("x")]), contact_sheet([], [tile("x") for _ in range(4)])
    upright = contact_sheet([], [tile("x", image=jpeg((180, 320)))])

    assert four.height > 1.8 * one.height
    assert four.width > 3 * 480
    assert upright.height > one.height


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_strangers_wrote_is_drawn_as_far_as_fonts_go_and_soon(text: str) -> None:
    start = time.process_time()

    sheet = contact_sheet([text, text], [tile(text, "and", text)])

    assert sheet.width < 1100
    assert sheet.height < 900
    assert time.process_time() - start < 5


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=300), max_size=5), st.integers(120, 900), st.integers(1, 6))
def test_lines_fit_their_width_and_their_number(texts: list[str], width: int, most: int) -> None:
    for text in texts:
        lines = wrapped(text, width, most)

        assert len(lines) <= most
        assert all(length(line) <= width for line in lines)
    contact_sheet(texts, [tile(*texts)])


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=40))
def test_lines_break_between_words_and_lose_none(words: list[str]) -> None:
    assert " ".join(wrapped(" ".join(words), 200, 100)).split() == words


def test_what_is_left_over_ends_in_an_ellipsis() -> None:
    assert wrapped("word " * 100, 200, 2)[-1].endswith("…")
    assert not wrapped("word", 200, 2)[-1].endswith("…")
    assert wrapped("", 200, 2) == []


@pytest.mark.parametrize("character", ["\u0924", "\u094d", "\u0947", "\u4e2d"])
def test_a_font_is_known_to_lack_a_letter_or_a_mark(character: str) -> None:
    try:
        font = ImageFont.truetype("DejaVuSans.ttf", 15)
    except OSError:
        pytest.skip("DejaVu Sans, of which it is known what it lacks, is not installed")

    assert not draws(font, character)
    assert draws(font, "e")
    assert draws(font, "\u0301")
