"""The engines read what stands on real advert frames, and say what is missing where they cannot."""

from __future__ import annotations

import json
import sys
import types
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from flows.errors import OcrError
from flows.frames import sample_frames
from flows.frames.sampling import decode_jpeg
from flows.frames.video import Picture
from flows.ocr import OcrEngine, Word, make_engine
from flows.ocr.engines import ENGINES


@pytest.fixture(scope="module")
def rapidocr() -> OcrEngine:
    return make_engine("rapidocr")


def drawn(*lines: str, size: tuple[int, int] = (640, 360), font_size: int = 36, turned: bool = False) -> Picture:
    image = Image.new("RGB", size, (30, 60, 90))
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(lines):
        draw.text((40, 60 + 60 * row), text, font=ImageFont.load_default(font_size), fill=(255, 255, 255))
    picture = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(picture, 3)) if turned else picture


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


def plain(words: list[str]) -> Counter[str]:
    """Words without case and punctuation, as a multiset; signs alone are no words."""
    stripped = ("".join(filter(str.isalnum, word.lower())) for word in words)
    return Counter(word for word in stripped if word)


def test_words_come_in_reading_order_with_boxes_and_confidence(rapidocr: OcrEngine) -> None:
    (words,) = rapidocr.read([drawn("Fresh bread every", "single morning, 25% off")])

    assert texts(words) == ["Fresh", "bread", "every", "single", "morning,", "25%", "off"]
    assert all(0.5 <= word.confidence <= 1 for word in words)
    fresh, bread = words[0].box, words[1].box
    assert fresh[0] == pytest.approx(40, abs=12)
    assert fresh[2] < bread[0] + 8
    assert 50 < fresh[1] < fresh[3] < 120


def test_a_picture_without_text_has_no_words(rapidocr: OcrEngine) -> None:
    blank = np.full((360, 640, 3), 128, np.uint8)

    assert rapidocr.read([blank, blank[:4, :4]]) == [[], []]
    assert rapidocr.read([]) == []


def test_text_that_runs_from_top_to_bottom_is_boxed_where_it_stands(rapidocr: OcrEngine) -> None:
    (words,) = rapidocr.read([drawn("Fresh bread every morning", turned=True)])

    assert texts(words) == ["Fresh", "bread", "every", "morning"]
    assert all(before.box[3] < after.box[1] + 8 for before, after in pairwise(words))
    assert all(word.box[3] - word.box[1] > word.box[2] - word.box[0] for word in words)


def test_a_frame_is_read_the_same_in_any_company(rapidocr: OcrEngine) -> None:
    pictures = [drawn("Short"), drawn("A rather long line of advertising"), drawn("Now 25% off", font_size=20)]

    together = rapidocr.read(pictures)

    assert together == [rapidocr.read([picture])[0] for picture in pictures]


def test_threads_share_an_engine(rapidocr: OcrEngine) -> None:
    pictures = [drawn(f"Offer number {number}", "for you and your family") for number in range(8)]

    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda picture: rapidocr.read([picture])[0], pictures))

    assert read == rapidocr.read(pictures)
    assert [texts(words)[:3] for words in read] == [["Offer", "number", str(number)] for number in range(8)]


@pytest.mark.parametrize(
    "picture", [np.zeros((10, 10), np.uint8), np.zeros((10, 10, 4), np.uint8), np.zeros((10, 10, 3), np.float32)]
)
def test_what_is_no_picture_is_refused_with_its_shape(rapidocr: OcrEngine, picture: Any) -> None:
    with pytest.raises(OcrError, match=r"shape \(10, 10"):
        rapidocr.read([picture])


def test_nothing_is_printed(rapidocr: OcrEngine, capfd: pytest.CaptureFixture[str]) -> None:
    make_engine("rapidocr").read([drawn("Some words here"), np.zeros((64, 64, 3), np.uint8)])

    assert capfd.readouterr() == ("", "")


def test_the_version_names_the_engine_and_the_rules(rapidocr: OcrEngine) -> None:
    assert (rapidocr.name, rapidocr.version.split("+")[1][:5]) == ("rapidocr", "words")


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OcrError, match=r"'tesserakt'.*rapidocr, easyocr"):
        make_engine("tesserakt")


def test_every_card_is_decided_right_and_read_whole(rapidocr: OcrEngine, shared_data: Path) -> None:
    folder = shared_data / "ocr"
    cards = [json.loads(row) for row in (folder / "cards.jsonl").read_text("utf-8").splitlines()]

    read = rapidocr.read([cv2.imread(str(folder / card["image"])).astype(np.uint8) for card in cards])

    assert len(cards) == 26
    for card, words in zip(cards, read, strict=True):
        assert len(words) == card["words"], card
        assert (len(words) > 5) == card["more_than_five"], card
        assert plain(texts(words)) == plain(card["text"].split()), card


def test_words_on_sampled_frames_are_those_laid_on_at_their_time(rapidocr: OcrEngine, shared_data: Path) -> None:
    cards = {ad["id"]: ad["cards"] for ad in json.loads((shared_data / "ads" / "cards.json").read_text("utf-8"))}
    paths = sorted((shared_data / "ads" / "apparel").glob("*.[mw][pe][4b]*"))
    assert len(paths) == 4
    for path in paths:
        for frame in sample_frames(path, path.stem).frames:
            (words,) = rapidocr.read([decode_jpeg(frame.jpeg)])
            shown = [
                word
                for card in cards[path.stem]
                if card["from_s"] <= frame.timestamp_s < card["to_s"]
                for word in card["text"].split()
            ]
            assert not plain(shown) - plain(texts(words)), (path.name, frame.timestamp_s)
            assert (len(words) > 5) == (plain(shown).total() > 5), (path.name, frame.timestamp_s)


class Reader:
    """Stands in for EasyOCR, which is not installed for the tests: answers in its form."""

    made_with: dict[str, Any]

    def __init__(self, languages: list[str], **options: Any) -> None:
        if options["model_storage_directory"] == "empty":
            raise FileNotFoundError("Missing craft_mlt_25k.pth and downloads disabled")
        Reader.made_with = {"languages": languages, **options}

    def readtext(self, image: Picture) -> list[tuple[list[list[int]], str, float]]:
        assert image.shape[2] == 3
        return [
            ([[10, 50], [210, 50], [210, 70], [10, 70]], "until Sunday", 0.9),
            ([[10, 10], [110, 10], [110, 30], [10, 30]], "25%OFF now", 0.8),
            ([[10, 90], [60, 90], [60, 99], [10, 99]], "smudge", 0.1),
        ]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("easyocr")
    module.Reader = Reader  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easyocr", module)
    monkeypatch.setattr("flows.ocr.engines.installed_version", lambda name: "1.7.2")


@pytest.mark.usefixtures("installed")
def test_easyocr_gives_the_same_words_by_the_same_rules() -> None:
    engine = make_engine("easyocr", model_dir=Path("models"))

    (words,) = engine.read([np.zeros((100, 300, 3), np.uint8)])

    assert texts(words) == ["25%", "OFF", "now", "until", "Sunday"]
    assert words[3].box == pytest.approx((10, 50, 10 + 200 * 5 / 12, 70))
    assert engine.version.startswith("1.7.2+words")


@pytest.mark.usefixtures("installed")
def test_easyocr_downloads_nothing_unless_allowed() -> None:
    make_engine("easyocr", model_dir=Path("models"))
    assert Reader.made_with["download_enabled"] is False
    assert Reader.made_with["model_storage_directory"] == "models"

    make_engine("easyocr", allow_download=True)
    assert Reader.made_with["download_enabled"] is True


@pytest.mark.usefixtures("installed")
def test_missing_models_of_easyocr_are_named_with_the_setting() -> None:
    with pytest.raises(OcrError, match=r"empty.*craft_mlt_25k.*ocr\.model_dir"):
        make_engine("easyocr", model_dir=Path("empty"))


def test_easyocr_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "easyocr", None)

    with pytest.raises(OcrError, match=r"pip install 'ytb-ads\[easyocr\]'"):
        make_engine("easyocr")


def test_every_engine_is_known_by_its_name() -> None:
    assert ENGINES == ("rapidocr", "easyocr")
