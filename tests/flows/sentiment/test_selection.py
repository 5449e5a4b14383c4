"""Which comments count: facts of a wording, and the reasons for leaving a comment out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_catalog.schemas import TABLES
from flows.sentiment.selection import with_reasons, wording
from flows.settings import LeftOut

COPIED = "install this game for free today"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Love it", "LOVE   it!!!"),
        ("sooooo good", "so good"),
        ("great ad https://a.b/c", "great ad www.d.e"),
        ("🤩🤩", "🤩 🤩"),
    ],
)
def test_the_same_words_have_one_digest(one: str, other: str) -> None:
    assert wording(one).digest == wording(other).digest


@pytest.mark.parametrize(("one", "other"), [("love it", "love its"), ("🤩", "😍"), ("top 10", "top 100"), ("", "x")])
def test_other_words_have_another_digest(one: str, other: str) -> None:
    assert wording(one).digest != wording(other).digest


@pytest.mark.parametrize(
    ("text", "only_links"),
    [
        ("https://youtu.be/2M_f7xwhN24", True),
        (" www.a.de  HTTP://b.com/x?y=1 ", True),
        ("youtu.be/2M_f7xwhN24 bit.ly/x", True),
        ("(https://a.b/c)! HATE@b.com", True),
        ("9.5/10", False),
        ("https://youtu.be/2M_f7xwhN24 5 minutes", False),
        ("https://youtu.be/2M_f7xwhN24 🤩", False),
        ("", False),
        ("!!!", False),
    ],
)
def test_a_link_and_nothing_beside_it_is_only_links(text: str, only_links: bool) -> None:
    assert wording(text).only_links is only_links


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_wording(text: str) -> None:
    said = wording(text)
    assert said == wording(text)
    assert -(2**63) <= said.digest < 2**63
    assert said.n_words >= 0


def test_a_comment_of_a_million_characters_has_one() -> None:
    assert wording("so nice " * 125_000).n_words == 250_000
    assert wording("a" * 1_000_000).n_words == 1
    assert wording("(" * 1_000_000 + ".a").n_words == 1


def reasons(
    *comments: dict[str, Any], language: str = "en", leave_out: Collection[str] = tuple(LeftOut)
) -> list[str | None]:
    """Why each of these comments does not count; they came one a minute, by people of their own."""
    scores, told = [], []
    for at, comment in enumerate(comments):
        said = wording(comment["text"])
        ids = {"comment_id": f"c{at}", "video_id": comment.get("ad", "ad")}
        scores.append(
            ids
            | {"positive": 1, "negative": -1, "language": comment.get("language", "en"), "n_words": said.n_words}
            | {"words_digest": said.digest, "only_links": said.only_links}
        )
        told.append(
            {"comment_id": f"c{at}", "author_hash": comment.get("author", f"a{at}"), "like_count": None}
            | {"published_at": datetime(2026, 1, 1, 0, comment.get("minute", at), tzinfo=UTC)}
        )
    table = with_reasons(
        pa.Table.from_pylist(scores, schema=TABLES["comment_scores"].schema),
        pa.Table.from_pylist(told, schema=TABLES["comments"].schema),
        language=language,
        leave_out=leave_out,
    )
    assert table.num_rows == len(comments)
    assert set(table["likes"].to_pylist()) <= {0}
    return [row["left_out"] for row in sorted(table.to_pylist(), key=lambda row: row["comment_id"])]


def test_what_one_person_says_twice_under_an_ad_counts_once() -> None:
    nice = {"text": "nice", "author": "ann"}
    assert reasons(nice, nice | {"text": "NICE!"}, nice | {"author": "bob"}, nice | {"ad": "other"}) == [
        None,
        "duplicate",
        None,
        None,
    ]


def test_the_earlier_one_counts_whatever_the_order_of_the_rows() -> None:
    nice = {"text": "nice", "author": "ann"}
    assert reasons(nice | {"minute": 9}, nice | {"minute": 3}) == ["duplicate", None]


def test_nobody_known_says_nothing_twice() -> None:
    assert reasons({"text": "nice", "author": None}, {"text": "nice", "author": None}) == [None, None]


def test_a_long_wording_copied_by_others_counts_once_and_a_short_one_every_time() -> None:
    assert reasons({"text": COPIED}, {"text": COPIED.upper()}, {"text": COPIED, "ad": "other"}) == [
        None,
        "repeat",
        None,
    ]
    assert reasons({"text": "love this ad so"}, {"text": "love this ad so"}) == [None, None]


def test_a_comment_in_another_language_is_left_out_and_one_in_none_is_not() -> None:
    comments: list[dict[str, Any]] = [
        {"text": "muy bonito", "language": "es"},
        {"text": "lol", "language": None},
        {"text": "nice"},
    ]
    assert reasons(*comments) == ["other_language", None, None]
    assert reasons(*comments, language="es") == [None, None, "other_language"]
    assert reasons(*comments, language="any") == [None, None, None]


def test_a_comment_has_its_first_reason_only() -> None:
    link = {"text": "https://a.b", "author": "ann", "language": "es"}
    assert reasons(link, link) == ["only_links", "only_links"]


def test_a_reason_that_is_not_asked_for_does_not_hold() -> None:
    comments = [{"text": COPIED, "author": "ann"}, {"text": COPIED, "author": "ann"}, {"text": "https://a.b"}]
    assert reasons(*comments) == [None, "duplicate", "only_links"]
    assert reasons(*comments, leave_out=["repeat"]) == [None, "repeat", None]
    assert reasons(*comments, leave_out=[]) == [None, None, None]
