"""What counts as a word, where a line is cut, and in which order lines are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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


LAYOUT = [("one", 0, 0), ("two", 150, 4), ("three", 0, 30), ("four", 150, 33), ("five", 20, 64), ("sixth", 140, 60)]


def turned(one: Line, degrees: float) -> Line:
    """The same line on a picture that is turned clockwise around its corner."""
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return replace(one, quad=one.quad @ matrix + (2000, 2000))


@given(st.floats(-180, 180), st.permutations(LAYOUT))
def test_lines_are_read_in_the_same_order_however_the_picture_is_turned(
    degrees: float, layout: list[tuple[str, float, float]]
) -> None:
    lines = [turned(line(text, left=left, top=top, width=100), degrees) for text, left, top in layout]

    assert words_of(*lines) == ["one", "two", "three", "four", "five", "sixth"]


def test_a_slanted_block_is_read_as_a_whole_between_upright_lines() -> None:
    above, below = line("Only today", top=0, width=300), line("Terms apply", top=400, width=300)
    stamp = [turned(line(text, top=top, width=160), -15) for text, top in (("half the", 0), ("price now", 30))]
    moved = [replace(one, quad=one.quad - (1800, 1800)) for one in stamp]

    assert " ".join(words_of(moved[1], below, moved[0], above)) == "Only today half the price now Terms apply"


def test_a_short_line_follows_the_slant_of_its_neighbours() -> None:
    long = [turned(line("one two three", top=top, width=300), 15) for top in (0, 30)]
    beside = turned(line("5", left=310, top=0, width=20), 15).quad.mean(axis=0)
    upright = line("5", width=20)
    short = replace(upright, quad=upright.quad - upright.quad.mean(axis=0) + beside)

    assert words_of(long[1], short, long[0]) == ["one", "two", "three", "5", "one", "two", "three"]


def measured(text: str, gaps: Sequence[float] = (), heights: Sequence[float] = ()) -> Line:
    return replace(line(text, width=40 * len(text), height=40), gaps=tuple(gaps), heights=tuple(heights))


@pytest.mark.parametrize(
    ("text", "gaps", "words"),
    [
        ("SALENOW", [0, 0.3, 0.33, 0.31, 0.6, 0.34, 0.3], ["SALE", "NOW"]),
        ("SALEnow", [0, 0.3, 0.33, 0.31, 0.6, 0.05, 0.05], ["SALE", "now"]),
        ("S A L E now", [0, 0, 0.3, 0, 0.3, 0, 0.3, 0, 0.6, 0.05, 0.05], ["SALE", "now"]),
        ("NEW", [0, 0.5, 0.45], ["NEW"]),
        ("SALE now", [0, 0.05, 0.04, 0.06, 0, 0.3, 0.05, 0.05], ["SALE", "now"]),
        ("Bill", [0, 0.1, 0.2, 0.1], ["Bill"]),
    ],
)
def test_letters_that_are_set_wide_are_one_word_up_to_a_wider_gap(
    text: str, gaps: list[float], words: list[str]
) -> None:
    assert words_of(measured(text, gaps=gaps)) == words


@pytest.mark.parametrize(
    ("text", "heights", "words"),
    [
        ("MÁSALLÁ", [0.3, 0.3, 0.3, 0.6, 0.6, 0.6, 0.6], ["MÁS", "ALLÁ"]),
        ("MÁsALLÁ", [0.3, 0.31, 0.3, 0.6, 0.6, 0.6, 0.6], ["MÁs", "ALLÁ"]),
        ("BIGsale", [0.6, 0.6, 0.6, 0.22, 0.22, 0.3, 0.22], ["BIG", "sale"]),
        ("DISCOVER", [0.8, *[0.5] * 7], ["DISCOVER"]),
        ("Bargain", [0.6, *[0.44] * 6], ["Bargain"]),
        ("iPhone", [0.6, 0.6, 0.6, 0.44, 0.44, 0.44], ["iPhone"]),
        ("MÁSALLÁ", [0.6] * 7, ["MÁSALLÁ"]),
        ("SALENOW", [0.6, 0, 0, 0, 0, 0.3, 0.3], ["SALENOW"]),
        ("1999", [0.8, 0.8, 0.4, 0.4], ["1999"]),
    ],
)
def test_a_jump_in_the_height_of_letters_parts_words(text: str, heights: list[float], words: list[str]) -> None:
    assert words_of(measured(text, heights=heights)) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("十 Order online 品 now", ["Order", "online", "now"]),
        ("口 50% off 回田 today", ["50%", "off", "today"]),
        ("new 東京 store", ["new", "東京", "store"]),
        ("今天 全场 半价 今 Sony", ["今天", "全场", "半价", "今", "Sony"]),
        ("買 一 送 一", ["買一送一"]),
    ],
)
def test_single_chinese_signs_in_a_latin_text_are_icons(text: str, words: list[str]) -> None:
    assert words_of(line(text)) == words


def test_a_line_in_letters_that_are_not_known_is_quoted_and_no_words() -> None:
    latin, other = line("Order online now", width=300), line("D1 0 H", top=40, confidence=0.6, width=310)

    for unknown in (replace(other, doubt=0.9), replace(other, skipped=0.4)):
        read = read_words([latin, unknown])
        assert ([word.text for word in read], read.unread) == (["Order", "online", "now"], "'D1 0 H' at 0.60")
    assert read_words([latin, Line("", (), (), other.quad, skipped=1.0)]).unread == "nothing"
    assert read_words([latin, line("today", top=80, width=300), replace(other, doubt=0.9)]).unread == ""


@given(st.permutations([(0, "one"), (30, "two"), (60, "three"), (90, "four")]))
def test_the_order_in_which_lines_were_found_does_not_matter(places: list[tuple[int, str]]) -> None:
    assert words_of(*(line(text, top=top) for top, text in places)) == ["one", "two", "three", "four"]
