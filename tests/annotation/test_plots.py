"""The dashboard's pictures: drawn for every state of a round, and with every name."""

from __future__ import annotations

import io
import random
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from annotation.agreement import Agreement, measure
from annotation.events import CHOICES, Choice, Event, Vote
from annotation.plots import (
    PICTURES,
    alpha_by_entries_figure,
    alpha_figure,
    balance_figure,
    draw,
    pairs_figure,
)
from annotation.protocol import Rule
from data_catalog.schemas import Label
from tests.annotation.vote_builders import event, ordinary

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")

HOSTILE = {"a": "$x^{$", "b": "<script>&\"'", "c": r"\$\frac{", "d": "\u202egnp.exe", "e": "名" * 60}


def agreement(n_entries: int, people: str = "abcde", seed: int = 0) -> Agreement:
    chance = random.Random(seed)
    entries = ordinary([f"{number:03}" for number in range(n_entries)])
    comments: dict[str, Label] = {entry.video_id: chance.choice(("negative", "positive")) for entry in entries.values()}
    categories = {entry.video_id: chance.choice(["food and beverages", "movie trailers"]) for entry in entries.values()}
    events: list[Event] = []
    for entry in entries.values():
        for person in people:
            choice: Choice = comments[entry.video_id] if chance.random() < 0.8 else chance.choice(CHOICES)
            events.append(event(len(events) + 1, entry.id, person, Vote(choice), seconds=chance.uniform(3, 30)))
    return measure(events, entries, Rule(max(len(people), 1)), comments=comments, categories=categories)


def svg(figure: Figure) -> bytes:
    """The picture with its words as words."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()


@pytest.mark.parametrize(("n_entries", "people"), [(0, ""), (1, "a"), (1, "ab"), (3, "abcde"), (60, "abcde")], ids=str)
def test_every_state_of_a_round_can_be_drawn_with_every_name(n_entries: int, people: str) -> None:
    names = {person: HOSTILE[person] for person in people}
    for picture in PICTURES:
        ET.fromstring(draw(picture, agreement(n_entries, people), names))  # noqa: S314


def test_a_name_from_a_stranger_is_text_in_the_picture() -> None:
    root = ET.fromstring(svg(balance_figure(agreement(9), HOSTILE)))  # noqa: S314
    words = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"$x^{$", "<script>&\"'", r"\\$\\frac{".replace("\\\\", "\\"), "\\u202egnp.exe"} <= words
    assert not [node for node in root.iter() if node.tag.endswith("script")]


def test_what_has_no_number_says_why() -> None:
    nobody = agreement(0, "")
    assert b"no entry has two votes yet" in svg(alpha_figure(nobody))
    assert b"no entry has two votes yet" in svg(alpha_by_entries_figure(nobody))
    assert b"nobody has judged yet" in svg(balance_figure(nobody, {}))
    assert b"fewer than two people" in svg(pairs_figure(nobody, {}))


@pytest.mark.parametrize("name", PICTURES)
def test_threads_that_draw_the_same_round_at_once_give_the_same_bytes(name: str) -> None:
    before = dict(mpl.rcParams)
    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(lambda _: draw(name, agreement(20), HOSTILE), range(2)))
    assert len(set(drawn)) == 1
    assert dict(mpl.rcParams) == before


def test_alpha_is_drawn_against_the_entries_judged() -> None:
    (axes,) = alpha_by_entries_figure(agreement(60)).axes
    judged = list(map(int, np.asarray(axes.lines[0].get_xdata())))
    assert (judged[0], judged[-1]) == (3, 60)
