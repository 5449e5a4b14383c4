"""With `ocr.detail = "decision"` frames are kept exactly as with everything read, whatever is left unread."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.frames.picture import Picture
from flows.frames.sampling import sample_frames
from flows.ocr.engine import OcrOptions
from flows.ocr.rapid.detection import Quad
from flows.ocr.rapid.engine import Ladder, RapidOcrEngine
from flows.ocr.registry import ocr_engine, texts_fingerprint
from flows.ocr.words import Line, count_certain, read_words
from flows.settings import OcrSettings, Settings
from tests.flows.ocr.pictures import drawn

SIDES = (320, 480, 640)
SAID = (
    "SALE",
    "10",
    "x",
    "I",
    "十",
    "1 299 €",
    "Now 25% OFF",
    "Fresh bread",
    "S A L E",
    "fast|safe",
    "until Sunday only",
    "-",
)


@st.composite
def boxed_lines(draw: st.DrawFn) -> Line:
    """A line of one of the pieces of text, anywhere, upright or slanted, sure or not."""
    text = draw(st.sampled_from(SAID))
    left, width = draw(st.integers(0, 500)), draw(st.integers(8, 300))
    top, height, rise = draw(st.sampled_from((0, 5, 40))), draw(st.sampled_from((20, 24, 60))), draw(st.integers(-9, 9))
    quad = [(left, top), (left + width, top + rise), (left + width, top + height + rise), (left, top + height)]
    return Line.evenly_set(text, draw(st.sampled_from((0.3, 0.6, 0.79, 0.95))), quad)


@settings(max_examples=200, deadline=None)
@given(st.lists(boxed_lines(), max_size=3), st.lists(boxed_lines(), max_size=3), st.data())
def test_certain_words_count_whatever_other_lines_there_are(certain: list[Line], others: list[Line], data: Any) -> None:
    company = data.draw(st.permutations([*certain, *others]))

    assert count_certain(certain, 0.5) <= len(read_words(company, 0.5))


class Maps:
    """A detector that marks rectangles, others at each side."""

    def __init__(self, marked: dict[int, list[tuple[int, int, int, int]]], suspected: dict[int, float]) -> None:
        self.marked, self.suspected = marked, suspected

    def probabilities(self, picture: Picture, side: int) -> NDArray[np.float32]:
        scale = side / max(picture.shape[:2])
        answer = np.zeros([round(length * scale) for length in picture.shape[:2]], np.float32)
        answer[0, 0] = self.suspected[side]
        for left, top, width, height in self.marked[side]:
            x, y, right, low = (round(end * scale) for end in (left, top, left + width, top + height))
            answer[y:low, x:right] = 0.9
        return answer


class Reader:
    """A recogniser that reads one text or another, by where a box lies."""

    def __init__(self, seed: int) -> None:
        self.seed, self.read_boxes = seed, 0

    def read(self, picture: Picture, quad: Quad) -> Line | None:
        self.read_boxes += 1
        drawn_lot = np.random.default_rng([self.seed, *np.abs(quad).astype(int).ravel()])
        if drawn_lot.random() < 0.1:
            return None
        on_its_head = quad[1][0] < quad[0][0]  # what is sure upright is not sure so
        confidence = float(drawn_lot.choice([0.4, 0.7] if on_its_head else [0.4, 0.7, 0.9]))
        return Line.evenly_set(str(drawn_lot.choice(SAID)), confidence, quad)

    def read_otherwise(self, picture: Picture, quad: Quad) -> Line | None:
        return self.read(picture, quad[[2, 3, 0, 1]])


BOXES = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 300), st.integers(20, 400), st.integers(6, 80)), max_size=7
)
SUSPICION = st.sampled_from((0.0, 0.2))


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(SIDES, BOXES)),
    st.fixed_dictionaries(dict.fromkeys(SIDES, SUSPICION)),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_the_decision_is_that_of_everything_read(
    marked: dict[int, list[tuple[int, int, int, int]]], suspected: dict[int, float], seed: int, enough: int
) -> None:
    picture = np.zeros((400, 640, 3), np.uint8)
    everything = Ladder(Maps(marked, suspected), Reader(seed), SIDES, 0.5, None)  # type: ignore[arg-type]
    hasty = replace(everything, recogniser=Reader(seed), enough=enough)  # type: ignore[arg-type]

    of_all, found = everything.read(picture), hasty.read(picture)

    assert (len(read_words(found.lines)) > enough) == (len(read_words(of_all.lines)) > enough)
    assert hasty.recogniser.read_boxes <= everything.recogniser.read_boxes  # type: ignore[attr-defined]
    assert found.rungs <= of_all.rungs
    if not found.decided:  # what was not decided early was read in full
        assert [line.text for line in found.lines] == [line.text for line in of_all.lines]


@pytest.fixture(scope="module")
def everything() -> RapidOcrEngine:
    return RapidOcrEngine(OcrOptions())


@pytest.fixture(scope="module")
def hasty(everything: RapidOcrEngine) -> RapidOcrEngine:
    engine = ocr_engine(OcrSettings(detail="decision"))
    assert isinstance(engine, RapidOcrEngine)
    return engine


def test_small_print_below_enough_large_words_is_neither_looked_for_nor_read(
    everything: RapidOcrEngine, hasty: RapidOcrEngine
) -> None:
    picture = drawn("Fresh bread every morning", "", "Now 25% off", size=(1280, 720), font_size=60)
    picture[400:] = drawn(*["Terms apply to every order"] * 5, size=(1280, 320), font_size=12)

    found, of_all = hasty.ladder.read(picture), everything.ladder.read(picture)

    assert (found.rungs, found.decided) == (1, True)
    assert of_all.rungs > 1
    assert [line.text for line in found.lines] == ["Fresh bread every morning", "Now 25% off"]
    assert len(of_all.lines) > len(found.lines)


def test_a_frame_with_too_few_large_words_is_read_in_full(everything: RapidOcrEngine, hasty: RapidOcrEngine) -> None:
    picture = drawn("", "", "Terms and conditions apply", size=(1280, 720), font_size=12)

    assert hasty.read([picture]) == everything.read([picture])


def _decisions(pictures: list[Picture], everything: RapidOcrEngine, hasty: RapidOcrEngine) -> list[tuple[bool, bool]]:
    return [
        (len(words) > 5, len(of_all) > 5)
        for words, of_all in zip(hasty.read(pictures), everything.read(pictures), strict=True)
    ]


def _streets(folder: Path) -> list[Picture]:
    rows = [json.loads(row) for row in (folder / "street.jsonl").read_text("utf-8").splitlines()]
    return [cv2.imread(str(folder / row["image"])).astype(np.uint8) for row in rows]


@pytest.mark.slow
def test_a_frame_of_every_third_ad_and_some_streets_are_decided_as_with_everything_read(
    everything: RapidOcrEngine, hasty: RapidOcrEngine, shared_data: Path
) -> None:
    files = [path for path in sorted((shared_data / "ads").rglob("*")) if path.suffix in {".mp4", ".webm"}]
    frames = [sample_frames(path, path.stem).frames[0].jpeg for path in files[::3]]
    pictures = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(np.uint8) for jpeg in frames]

    decisions = _decisions([*pictures, *_streets(shared_data / "ocr")[::8]], everything, hasty)

    assert len(decisions) > 18
    assert all(hasty_one == other for hasty_one, other in decisions)


def test_rows_say_after_how_many_words_reading_ended(hasty: RapidOcrEngine, everything: RapidOcrEngine) -> None:
    assert hasty.version == f"{everything.version}+decision5"


def test_the_threshold_is_part_of_the_fingerprint_where_it_ends_the_reading() -> None:
    fingerprints = {
        texts_fingerprint(Settings(ocr=OcrSettings(detail="decision", more_than_words=number))) for number in (4, 5)
    }

    assert len(fingerprints | {texts_fingerprint(Settings())}) == 3
    assert texts_fingerprint(Settings(ocr=OcrSettings(more_than_words=4))) == texts_fingerprint(Settings())
