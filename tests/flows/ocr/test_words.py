"""What counts as a word, where a line is cut, and in which order lines are read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.ocr.words import Line, is_word, read_words


def line(
    text: str,
    *,
    left: float = 0,
    top: float = 0,
    width: float | None = None,
    height: float = 20,
    confidence: float = 0.9,
) -> Line:
    right = left + (width or 10 * len(text))
    quad = [(left, top), (right, top), (right, top + height), (left, top + height)]
    return Line.evenly_set(text, confidence, quad)


def words_of(*lines: Line, min_confidence: float = 0.5) -> list[str]:
    return [word.text for word in read_words(lines, min_confidence)]


@pytest.mark.parametrize(
    "text",
    [
        "OFF",
        "été",
        "7",
        "a",
        "I",
        "I,",
        "$5",
        "$59.99,",
        "25%",
        "PG-13",
        "4,000",
        "中",
        "東京",
        "don't",
        "R&B",
        "№5",
        "lotus-pendants.example",
        "ночь",
        "हिंदी",
        "½",
        "(a)",
    ],
)
def test_letters_and_digits_make_a_word(text: str) -> None:
    assert is_word(text)


@pytest.mark.parametrize("text", ["", "&", "-", "...", "$", "%", "x", "L.", "|", "©", "é", "♥", "_", "—"])
def test_signs_and_stray_glyphs_are_no_words(text: str) -> None:
    assert not is_word(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Now 25% OFF until Sunday", ["Now", "25%", "OFF", "until", "Sunday"]),
        ("Now 25%OFF", ["Now", "25%", "OFF"]),
        ("only49€now", ["only", "49€", "now"]),
        ("Nur 1 299 € statt 1 499 €", ["Nur", "1299€", "statt", "1499€"]),
        ("$1 000 or US$ 30", ["$1000", "or", "US$30"]),
        ("10 €, 20 € or 499 ₴", ["10€,", "20€", "or", "499₴"]),
        ("Buy 2 100 % cotton", ["Buy", "2", "100%", "cotton"]),
        ("10 000 people", ["10", "000", "people"]),
        ("£20|$30|￥980", ["£20", "$30", "￥980"]),
        ("fast|safe—new", ["fast", "safe", "new"]),
        ("one...two...three", ["one...", "two...", "three"]),
        ("fast,safe,4,000", ["fast,", "safe,4,000"]),
        ("24/7 and a.b.example", ["24/7", "and", "a.b.example"]),
        ("SAVE25% today", ["SAVE", "25%", "today"]),
        ("Was$59.99,now$44.99", ["Was", "$59.99,", "now", "$44.99"]),
        ("2 burgers for $5only", ["2", "burgers", "for", "$5", "only"]),
        ("raised $5M", ["raised", "$5M"]),
        ("5.1% APY", ["5.1%", "APY"]),
        ("ab 49 € im Monat", ["ab", "49€", "im", "Monat"]),
        ("$ 30 off", ["$30", "off"]),
        ("now $ 30", ["now", "$30"]),
        ("minus 25 %", ["minus", "25%"]),
        ("indirim%20", ["indirim", "%20"]),
        ("ab 19,99€pro Monat", ["ab", "19,99€", "pro", "Monat"]),
        ("3 %s", ["3"]),
        ("Bowler & Cane", ["Bowler", "Cane"]),
        ("S A L E", ["SALE"]),
        ("a b", ["a"]),
        ("Vitamin C", ["Vitamin"]),
        ("  spaced   out  ", ["spaced", "out"]),
        ("first\tsecond\u00a0third", ["first", "second", "third"]),
    ],
)
def test_a_line_is_cut_into_its_words(text: str, words: list[str]) -> None:
    assert words_of(line(text)) == words


def test_a_wide_gap_ends_a_word_although_no_space_was_read() -> None:
    quad = np.array([(0, 0), (200, 0), (200, 20), (0, 20)], float)
    places = [0.05, 0.1, 0.15, 0.2, 0.5, 0.55, 0.6, 0.65]
    glued = Line("openshop", (0.9,) * 8, tuple(places), quad)

    first, second = read_words([glued])

    assert (first.text, second.text) == ("open", "shop")
    assert first.box[0] == 0
    assert first.box[2] < 0.3 * 200 < 0.45 * 200 < second.box[0]


def test_words_that_are_set_wide_end_at_the_wider_gaps() -> None:
    text, steps = "S A L E N O W", [1, 1, 1, 1.8, 1, 1]
    letters = np.cumsum([0.5, *steps])
    centres = [float(letters[index // 2]) / 8 for index in range(len(text))]
    quad = np.array([(0, 0), (400, 0), (400, 40), (0, 40)], float)

    assert words_of(Line(text, (0.9,) * len(text), tuple(centres), quad)) == ["SALE", "NOW"]


def test_narrow_letters_do_not_make_a_gap() -> None:
    quad = np.array([(0, 0), (200, 0), (200, 40), (0, 40)], float)
    places = [0.1, 0.12, 0.14, 0.22, 0.24, 0.26]
    assert words_of(Line("billow", (0.9,) * 6, tuple(places), quad)) == ["billow"]


def test_boxes_follow_the_words_along_the_line() -> None:
    first, second = read_words([line("ab cdef", left=100, top=50, width=70)])

    assert first.box == pytest.approx((100, 50, 120, 70))
    assert second.box == pytest.approx((130, 50, 170, 70))


def test_what_is_hardly_legible_is_left_out() -> None:
    lines = [line("clear words"), line("blurred", top=50, confidence=0.4)]

    assert words_of(*lines) == ["clear", "words"]
    assert words_of(*lines, min_confidence=0.3) == ["clear", "words", "blurred"]


def test_a_letter_alone_in_its_row_is_a_stray_glyph() -> None:
    assert words_of(line("十"), line("I", top=50), line("a new day", top=100)) == ["a", "new", "day"]
    assert words_of(line("I"), line("agree", left=40)) == ["I", "agree"]
    assert words_of(line("3")) == ["3"]


@pytest.mark.parametrize("text", ["8", "11", "hi", "OTC", "小写", "I'm"])
def test_a_few_characters_in_a_row_must_be_read_surely(text: str) -> None:
    assert words_of(line(text, confidence=0.79)) == []
    assert words_of(line(text, confidence=0.81)) == [text]
    assert words_of(line(text, confidence=0.6), line("beside", left=100, confidence=0.6)) == [text, "beside"]


def test_lines_are_read_from_top_to_bottom_and_left_to_right() -> None:
    below_left, below_right = line("three", top=60), line("four", top=64, left=200)
    above_right, above_left = line("two", top=0, left=150), line("one", top=5)

    assert words_of(below_right, above_right, below_left, above_left) == ["one", "two", "three", "four"]


def test_a_large_word_beside_two_small_lines_keeps_the_lines_in_order() -> None:
    large = line("SALE", top=0, height=80, width=160)
    upper, lower = line("until", left=200, top=5), line("Sunday", left=200, top=50)

    words = words_of(lower, large, upper)

    assert words.index("until") < words.index("Sunday")


@given(st.lists(st.text(max_size=12), max_size=5))
def test_no_text_is_too_strange(texts: list[str]) -> None:
    lines = [line(text, top=30 * row) for row, text in enumerate(texts) if text.strip()]

    words = read_words(lines)

    given_characters = "".join("".join(texts).split())
    assert all(is_word(word.text) and word.text in given_characters for word in words)
    assert all(word.box[0] <= word.box[2] and word.box[1] <= word.box[3] for word in words)


@given(st.permutations([(0, "one"), (30, "two"), (60, "three"), (90, "four")]))
def test_the_order_in_which_lines_were_found_does_not_matter(places: list[tuple[int, str]]) -> None:
    assert words_of(*(line(text, top=top) for top, text in places)) == ["one", "two", "three", "four"]
