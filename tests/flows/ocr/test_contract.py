"""What every engine keeps to, over all that are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.errors import OcrError
from flows.ocr.engine import OcrEngine, OcrOptions
from flows.ocr.registry import ENGINES, make_engine
from flows.ocr.words import Word
from tests.flows.ocr.pictures import drawn, plain

WHITE = np.full((360, 640, 3), 255, np.uint8)


# on a processor easyocr takes seconds a picture
_ENGINES = [pytest.param(name, marks=[pytest.mark.slow] if name == "easyocr" else []) for name in ENGINES]


@pytest.fixture(scope="module", params=_ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[OcrEngine]:
    # a package carries the English models of easyocr
    spec = importlib.util.find_spec("easyocr_en_models") if request.param == "easyocr" else None
    models = Path(str(spec.origin)).parent / "models" if spec else None
    try:
        yield make_engine(request.param, OcrOptions(model_dir=models))
    except OcrError as error:
        if request.param == "rapidocr":  # a dependency, never left out
            raise
        pytest.skip(str(error))


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


def test_words_come_in_reading_order_with_boxes_and_confidence(engine: OcrEngine) -> None:
    (words,) = engine.read([drawn("Fresh bread every", "single morning, 25% off")])

    assert [word.strip(",;.") for word in texts(words)] == [
        "Fresh",
        "bread",
        "every",
        "single",
        "morning",
        "25%",
        "off",
    ]
    assert all(0.5 <= word.confidence <= 1 for word in words)
    fresh, bread, *_, off = (word.box for word in words)
    assert fresh[0] == pytest.approx(40, abs=12)
    assert fresh[2] < bread[0] + 8
    assert 50 < fresh[1] < fresh[3] < 120 < off[3]
    assert all(0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 360 for x0, y0, x1, y1 in (word.box for word in words))


def test_pictures_without_text_have_no_words(engine: OcrEngine) -> None:
    white = WHITE[:120]
    grey, black = np.full_like(white, 128), np.zeros_like(white)

    assert engine.read([white, grey, black]) == [[], [], []]
    assert engine.read([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (1, 900), (900, 1), (8, 8), (12, 1500), (1500, 12), (33, 47)])
def test_no_size_is_too_strange(engine: OcrEngine, shape: tuple[int, int]) -> None:
    assert engine.read([np.full((*shape, 3), 90, np.uint8)]) == [[]]


def test_text_on_a_huge_picture_is_read(engine: OcrEngine) -> None:
    (words,) = engine.read([drawn("Enormous savings", size=(4000, 400), font_size=300)])

    assert texts(words)[:1] == ["Enormous"]


def test_noise_is_no_reason_to_fail(engine: OcrEngine) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)

    (words,) = engine.read([noise])

    assert len(words) <= 5


def test_a_picture_is_read_the_same_in_any_company(engine: OcrEngine) -> None:
    pictures = [
        drawn("Short", size=(640, 120)),
        drawn("Our rather long line of advertising", size=(640, 120)),
        drawn("Now 25% off", size=(640, 120), font_size=20),
        drawn("Of another size", size=(400, 160)),
        WHITE[:120],
    ]

    together = engine.read(pictures)
    reversed_order = engine.read(pictures[::-1])[::-1]

    for index, picture in enumerate(pictures):
        (alone,) = engine.read([picture])
        for read in (together[index], reversed_order[index]):
            assert texts(read) == texts(alone)
            assert [word.box for word in read] == [pytest.approx(word.box, abs=0.01) for word in alone]
            assert [word.confidence for word in read] == [pytest.approx(word.confidence, abs=1e-3) for word in alone]
    assert plain(texts(together[1])) == plain(["Our", "rather", "long", "line", "of", "advertising"])


def test_threads_share_an_engine(engine: OcrEngine) -> None:
    names = ["bread", "honey", "lemon", "grape"]
    pictures = [drawn(f"More {name} today", "for you and your family", size=(640, 200)) for name in names]

    with ThreadPoolExecutor(3) as pool:
        read = list(pool.map(lambda picture: engine.read([picture])[0], pictures))

    assert [texts(words)[:3] for words in read] == [["More", name, "today"] for name in names]


@pytest.mark.parametrize(
    "picture", [np.zeros((10, 10), np.uint8), np.zeros((10, 10, 4), np.uint8), np.zeros((10, 10, 3), np.float32)]
)
def test_what_is_no_picture_is_refused_with_its_shape(engine: OcrEngine, picture: Any) -> None:
    with pytest.raises(OcrError, match=r"shape \(10, 10"):
        engine.read([picture])


def test_the_version_names_the_rules_of_counting(engine: OcrEngine) -> None:
    assert engine.name in ENGINES
    assert "+words" in engine.version


def test_nothing_is_printed(engine: OcrEngine, capfd: pytest.CaptureFixture[str]) -> None:
    engine.read([drawn("Some words here"), np.zeros((64, 64, 3), np.uint8)])

    assert capfd.readouterr() == ("", "")
