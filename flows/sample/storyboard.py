"""What each synthetic ad is about: its product, words, colours and mood, drawn from a seed.

The mood shows in the words and in the colours, in neither of them always: a model has something to learn from both,
and cannot learn it from one line.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from typing import Literal

Mood = Literal["positive", "negative", "mixed"]
Kind = Literal["ordinary", "few_words", "static", "corrupt", "no_comments"]
Color = tuple[int, int, int]
"""Red, green, blue."""

CATEGORIES = ("food and beverages", "movie trailers", "healthcare", "apparel")

_PRODUCTS = {
    "food and beverages": ("lemonade", "oat cookie", "tomato soup", "iced coffee", "pizza", "yogurt"),
    "movie trailers": ("comedy", "space saga", "detective film", "musical", "sea adventure", "ghost story"),
    "healthcare": ("cough syrup", "vitamin drink", "back cushion", "skin cream", "sleep tea", "eye drops"),
    "apparel": ("rain jacket", "running shoe", "wool scarf", "summer dress", "denim shirt", "winter hat"),
}
_BRANDS = ("Alba", "Brio", "Corvo", "Delta", "Ember", "Fjord", "Grove", "Halo", "Iris", "Juno", "Koda", "Lumen")
_WARM_LINES = (
    ("A fresh new {} made with care", "for you and your family"),
    ("Share a bright moment today", "with the {} everyone enjoys"),
    ("Made by friends for friends", "one {} and many smiles"),
    ("Sunny days start right here", "with our softest {} ever"),
    ("Thank you for ten great years", "of {} and good company"),
    ("Now 25% OFF until Sunday", "treat yourself to a {}"),
)
_COLD_LINES = (
    ("Last chance, act now or lose", "this {} forever, no refunds"),
    ("Hidden fees may still apply", "to every {} sold after midnight"),
    ("Was $59.99, now only $58.99", "for the loudest {} in town"),
    ("Do not miss out again", "your neighbours own this {} already"),
    ("Results are not guaranteed", "read all terms before any {}"),
    ("Limited stock, no returns accepted", "on this final {} sale"),
)
_BRIGHT: tuple[tuple[Color, Color], ...] = (
    ((250, 190, 90), (235, 110, 70)),
    ((255, 215, 120), (120, 200, 120)),
    ((255, 170, 150), (250, 220, 140)),
    ((140, 215, 235), (250, 225, 150)),
)
_DARK: tuple[tuple[Color, Color], ...] = (
    ((40, 45, 60), (90, 95, 110)),
    ((60, 40, 45), (25, 25, 30)),
    ((50, 60, 50), (95, 100, 90)),
    ((30, 40, 70), (70, 70, 80)),
)
_WORDS_AGREE = 0.85
_COLORS_AGREE = 0.8


@dataclass(frozen=True)
class Card:
    """Words that stand on the screen from one moment to another."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Storyboard:
    """One ad before it is drawn."""

    video_id: str
    category: str
    kind: Kind
    mood: Mood
    brand: str
    product: str
    colors: tuple[Color, Color]
    duration_s: int
    cards: tuple[Card, ...]
    n_comments: int
    seed: int
    """For what is drawn later: the scene and the comments."""

    @property
    def title(self) -> str:
        """Title that says what it is."""
        return f"Synthetic ad: {self.brand} {self.product}"


def write_storyboards(ads: int, seed: int) -> list[Storyboard]:
    """Plan a sample: the special kinds that its size has room for, and both moods in equal numbers."""
    draw = _chance(seed, "plan")
    plan = _plan(ads)
    draw.shuffle(plan)
    return [_write(index, kind, mood, seed) for index, (kind, mood) in enumerate(plan)]


def _plan(ads: int) -> list[tuple[Kind, Mood]]:
    special: list[tuple[Kind, Mood]] = []
    if ads >= 8:
        special += [("corrupt", "positive"), ("no_comments", "negative")]
    if ads >= 12:
        special += [("few_words", "positive"), ("static", "negative"), ("ordinary", "mixed")] * (ads // 12)
    moods: tuple[Mood, Mood] = ("positive", "negative")
    return special + [("ordinary", moods[index % 2]) for index in range(ads - len(special))]


def _write(index: int, kind: Kind, mood: Mood, seed: int) -> Storyboard:
    draw = _chance(seed, index)
    category = CATEGORIES[index % len(CATEGORIES)]
    tone = mood if mood != "mixed" else draw.choice(("positive", "negative"))
    bright = (tone == "positive") == (draw.random() < _COLORS_AGREE)
    board = Storyboard(
        video_id="s" + hashlib.sha256(f"{seed}:{index}".encode()).hexdigest()[:10],
        category=category,
        kind=kind,
        mood=mood,
        brand=draw.choice(_BRANDS),
        product=draw.choice(_PRODUCTS[category]),
        colors=draw.choice(_BRIGHT if bright else _DARK),
        duration_s=draw.randint(6, 10),
        cards=(),
        n_comments=0 if kind == "no_comments" else draw.randint(20, 45),
        seed=draw.randrange(2**32),
    )
    return replace(board, cards=tuple(_cards(board, tone == "positive", draw)))


def _cards(board: Storyboard, warm: bool, draw: random.Random) -> list[Card]:
    """One card at a time, no pause between; the first names the brand and stays for a second."""
    opening = Card(0.0, 1.0, (board.brand,))
    if board.kind == "few_words":
        return [opening, Card(1.0, board.duration_s, (f"New: {board.product}",))]
    still = board.kind == "static"
    count = 1 if still else 2
    start_s = 0.0 if still else opening.end_s
    length_s = (board.duration_s - start_s) / count
    pools = [_WARM_LINES if warm == (draw.random() < _WORDS_AGREE) else _COLD_LINES for _ in range(count)]
    texts = [draw.choice(pool) for pool in pools]
    cards = [
        Card(
            start_s + length_s * number,
            start_s + length_s * (number + 1),
            tuple(line.format(board.product) for line in lines),
        )
        for number, lines in enumerate(texts)
    ]
    return cards if still else [opening, *cards]


def _chance(seed: int, part: object) -> random.Random:
    digest = hashlib.sha256(f"sample:{seed}:{part}".encode()).digest()
    return random.Random(int.from_bytes(digest))  # noqa: S311  # pictures, not secrets
