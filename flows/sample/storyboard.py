"""Content of each synthetic ad: its product, words, colours, mood and comments, drawn from a seed.

The mood shows in the words and in the colours, in neither of them always: a model has something to learn from both,
and cannot learn it from one line.
"""

from __future__ import annotations

import hashlib
import random
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

Mood = Literal["positive", "negative", "mixed"]
Kind = Literal["ordinary", "few_words", "static", "corrupt", "no_comments"]
Color = tuple[int, int, int]
"""Red, green, blue."""

_WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
CATEGORIES = tuple(_WORDS["products"])
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
# shares of warm, cold and plain comments under an ad of each mood
_SHARES: dict[str, tuple[float, float, float]] = {
    "positive": (0.88, 0.02, 0.10),
    "negative": (0.02, 0.88, 0.10),
    "mixed": (0.40, 0.40, 0.20),
}


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


def write_comments(mood: str, product: str, count: int, draw: random.Random, first_at: int) -> list[dict[str, Any]]:
    """Comments of one ad as yt-dlp writes them, about a tenth of them replies.

    Args:
        mood: of the ad; `positive`, `negative` or `mixed`.
        product: what is advertised.
        count: number of comments.
        draw: random generator.
        first_at: Unix time of the first comment.
    """
    said = _WORDS["comments"]
    pools = (said["warm"], said["cold"], said["plain"])
    comments: list[dict[str, Any]] = []
    for number in range(count):
        (texts,) = draw.choices(pools, _SHARES[mood])
        parent = draw.choice(comments)["id"] if comments and draw.random() < 0.1 else "root"
        author = draw.randrange(2_000)
        text = draw.choice(texts).format(product) + draw.choice(said["endings"]).format(draw.choice(_WORDS["places"]))
        comments.append(
            {
                "id": f"c{number:03d}",
                "parent": parent,
                "text": text,
                "like_count": int(draw.expovariate(0.2)),
                "author_id": f"synthetic-author-{author}",
                "author": f"@author{author}",
                "author_is_uploader": False,
                "timestamp": first_at + 600 * number,
            }
        )
    return comments


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
        brand=draw.choice(_WORDS["brands"]),
        product=draw.choice(_WORDS["products"][category]),
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
    pools = [_WORDS["cards"]["warm" if warm == (draw.random() < _WORDS_AGREE) else "cold"] for _ in range(count)]
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
