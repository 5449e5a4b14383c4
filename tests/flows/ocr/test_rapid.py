"""RapidOCR climbs where text is small and only there, and decides real adverts and streets as people do."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from flows.errors import OcrError
from flows.ocr.engine import OcrOptions
from flows.ocr.rapid.engine import RapidOcrEngine
from flows.ocr.registry import make_engine
from flows.ocr.words import Word
from tests.flows.ocr.pictures import drawn, plain

SMALL_PRINT = ("Offer ends on Sunday while stocks last", "Terms and conditions apply to every order")


@pytest.fixture(scope="module")
def engine() -> RapidOcrEngine:
    return RapidOcrEngine(OcrOptions())


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


def test_large_text_is_read_on_the_first_rung(engine: RapidOcrEngine) -> None:
    assert engine.ladder.read(drawn("Fresh bread every morning", size=(1280, 720), font_size=72)).rungs == 1


def test_small_print_is_climbed_for_and_read(engine: RapidOcrEngine) -> None:
    picture = drawn(*SMALL_PRINT, size=(1280, 720), font_size=12)

    (words,) = engine.read([picture])

    assert engine.ladder.read(picture).rungs > 1
    assert plain(texts(words)) == plain(" ".join(SMALL_PRINT).split())


def test_large_text_beside_small_print_is_read_whole_and_once(engine: RapidOcrEngine) -> None:
    picture = drawn("", "", "", "", *SMALL_PRINT, size=(1280, 720), font_size=12)
    cv2.putText(picture, "SALE", (60, 260), cv2.FONT_HERSHEY_DUPLEX, 9, (60, 20, 20), 18, cv2.LINE_AA)

    (words,) = engine.read([picture])

    assert plain(texts(words)) == plain(["SALE", *" ".join(SMALL_PRINT).split()])


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_text_is_read_however_the_picture_is_turned(engine: RapidOcrEngine, quarters: int) -> None:
    upright = drawn("Fresh bread every day", "until 19:00 for $5", "SOS", size=(480, 270))

    (words,) = engine.read([np.ascontiguousarray(np.rot90(upright, quarters))])

    assert texts(words) == ["Fresh", "bread", "every", "day", "until", "19:00", "for", "$5", "SOS"]


def test_one_line_that_stands_on_its_head_is_read_among_upright_ones(engine: RapidOcrEngine) -> None:
    picture = drawn("SOS and NOON", "the other way round", "Fresh bread")
    picture[100:165] = picture[100:165][::-1, ::-1].copy()

    (words,) = engine.read([picture])

    assert Counter(texts(words)) == Counter(["SOS", "and", "NOON", "the", "other", "way", "round", "Fresh", "bread"])


@pytest.mark.parametrize("slant", [-20, -8, 8, 20])
def test_a_slanted_block_is_read_line_by_line(engine: RapidOcrEngine, slant: int) -> None:
    lines = ("Half the price of", "everything today", "and free returns")
    turn = cv2.getRotationMatrix2D((320, 180), slant, 0.8)
    picture = cv2.warpAffine(drawn(*lines), turn, (640, 360), borderValue=(225, 235, 235)).astype(np.uint8)

    (words,) = engine.read([picture])

    assert texts(words) == " ".join(lines).split()


SCRIPTS = Path(__file__).parent / "scripts"
"""Two lines each, drawn with free fonts."""


@pytest.mark.parametrize("script", sorted(path.stem for path in SCRIPTS.glob("*.png")))
def test_letters_that_the_networks_do_not_know_are_no_words(engine: RapidOcrEngine, script: str) -> None:
    picture = cv2.imread(str(SCRIPTS / f"{script}.png")).astype(np.uint8)

    (alone,) = engine.read([picture])
    (beside,) = engine.read([np.vstack([drawn("Order online now", "for the best price", size=(640, 200)), picture])])

    assert list(alone) == []
    assert alone.unread
    assert texts(beside) == ["Order", "online", "now", "for", "the", "best", "price"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("NOW", 50), ("OPEN", 84)], ["now", "open"]),
        ([("Mas", 36), ("ALLA", 90)], ["mas", "alla"]),
        ([("D", 90), ("iscover", 45)], ["discover"]),
        ([("BIGGER THAN EVER", 60)], ["bigger", "than", "ever"]),
        ([("iPhone 2", 60), ("nd", 30)], ["iphone", "2nd"]),
        ([("S A L E  N O W", 60)], ["sale", "now"]),
        ([("N E W  today", 60)], ["new", "today"]),
    ],
)
def test_words_end_where_letters_grow_or_are_set_wider(
    engine: RapidOcrEngine, parts: list[tuple[str, int]], words: list[str]
) -> None:
    image = Image.new("RGB", (800, 240), (40, 60, 90))
    left = 40.0
    for text, size in parts:
        font = ImageFont.load_default(size)
        ImageDraw.Draw(image).text((left, 140), text, (255, 255, 255), font, anchor="ls")
        left += font.getlength(text)

    (read,) = engine.read([np.asarray(image)])

    assert [word.lower() for word in texts(read)] == words


def test_text_that_runs_from_top_to_bottom_is_boxed_where_it_stands(engine: RapidOcrEngine) -> None:
    (words,) = engine.read([drawn("Fresh bread every morning", turned=True)])

    assert texts(words) == ["Fresh", "bread", "every", "morning"]
    assert all(before.box[3] < after.box[1] + 8 for before, after in pairwise(words))
    assert all(word.box[3] - word.box[1] > word.box[2] - word.box[0] for word in words)


def test_a_line_is_read_the_same_whatever_else_is_on_the_picture(engine: RapidOcrEngine) -> None:
    picture = drawn("Fresh bread every morning", "a", "and a line that is longer than the first", "9", size=(900, 360))
    lines = engine.ladder.read(picture).lines
    alone = [engine.ladder.recogniser.read(picture, line.quad) for line in reversed(lines)][::-1]

    together = [line.text for line in lines]

    assert together == [line.text for line in alone if line]
    assert len(together) >= 3


@pytest.mark.parametrize("sides", [(), (640, 640), (960, 640)])
def test_rungs_that_do_not_rise_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(OcrError, match="each larger than the one before"):
        RapidOcrEngine(OcrOptions(sides=sides))


def test_models_that_are_missing_are_named_with_their_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "rapidocr"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(OcrError, match=r"rapidocr.models holds 0 models PP-OCR\*_det_\*\.onnx.*pip install"):
        make_engine("rapidocr")


def test_a_damaged_model_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    models = tmp_path / "rapidocr" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").touch()
    for kind in ("det", "rec"):
        (models / f"PP-OCRv6_{kind}_small.onnx").write_bytes(b"half a download")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(OcrError, match=r"PP-OCRv6_det_small\.onnx: cannot be loaded as an ONNX model"):
        make_engine("rapidocr").read([drawn("words", size=(320, 180))])


def test_every_card_is_decided_right_and_read_whole(engine: RapidOcrEngine, shared_data: Path) -> None:
    folder = shared_data / "ocr"
    cards = [json.loads(row) for row in (folder / "cards.jsonl").read_text("utf-8").splitlines()]

    read = engine.read([cv2.imread(str(folder / card["image"])).astype(np.uint8) for card in cards])

    assert len(cards) == 26
    for card, words in zip(cards, read, strict=True):
        assert len(words) == card["words"], card
        assert (len(words) > 5) == card["more_than_five"], card
        assert plain(texts(words)) == plain(card["text"].split()), card


@pytest.mark.parametrize("name", ["img_142.jpg", "img_276.jpg", "img_103.jpg"])
def test_a_street_whose_words_are_lost_on_the_first_rung_is_kept_after_a_climb(
    engine: RapidOcrEngine, shared_data: Path, name: str
) -> None:
    picture = cv2.imread(str(shared_data / "ocr" / "street" / name)).astype(np.uint8)

    (words,) = engine.read([picture])
    (on_first,) = RapidOcrEngine(OcrOptions(sides=(640,))).read([picture])

    assert len(on_first) <= 5 < len(words)


@pytest.mark.slow
def test_at_least_66_of_79_streets_are_decided_right(engine: RapidOcrEngine, shared_data: Path) -> None:
    folder = shared_data / "ocr"
    streets = [json.loads(row) for row in (folder / "street.jsonl").read_text("utf-8").splitlines()]
    decided = [row for row in streets if not row["legible"] <= 5 < row["legible"] + row["illegible"]]

    right = 0
    for row in decided:
        (words,) = engine.read([cv2.imread(str(folder / row["image"])).astype(np.uint8)])
        right += (len(words) > 5) == (row["legible"] > 5)

    assert len(decided) == 79
    assert right >= 66
