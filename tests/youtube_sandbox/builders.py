"""Worlds drawn from a seed, and what may be the matter with a video in them."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from flows.settings.crawl import CrawlSettings
from tests.youtube_sandbox.world import SandboxChannel, SandboxComment, SandboxPlaylist, SandboxVideo, World

_TEXTS = (
    "I love this ad!",
    "This is the worst ad I have ever seen.",
    "Who is the singer?",
    "First",
    "Anyone here in 2026? \N{GRINNING FACE}",
    '50% OFF & still "too" expensive <3',
    "Two lines\nof text",
    "Das ist gro\N{LATIN SMALL LETTER SHARP S}artig",
    "I can't stop watching this, it is great!",
)
_FIRST_DAY = datetime(2012, 1, 1, tzinfo=UTC)
_DAYS = 5_000
_MOST_REPLIES = 30
_THREADS_WITH_REPLIES = 0.15

Trouble = Callable[[SandboxVideo], None]


def _set(**fields: object) -> Trouble:
    def change(video: SandboxVideo) -> None:
        for name, value in fields.items():
            setattr(video, name, list(value) if isinstance(value, list) else value)

    return change


TROUBLES: dict[str, Trouble] = {
    "comments_disabled": _set(comments_disabled=True, threads=[]),
    "gone": _set(gone=True, still_listed=True),
    "private": _set(privacy="private", still_listed=True),
    "members_only": _set(members_only=True),
    "age_restricted": _set(age_restricted=True),
    "region_blocked": _set(blocked_in=("US", "DE")),
    "allowed_elsewhere": _set(allowed_in=("JP",)),
    "removed_comments": _set(hidden_comments=7),
    "no_comments": _set(threads=[]),
    "too_long": _set(duration_s=2 * 3600),
    "other_language": _set(language="fr"),
    "upcoming": _set(live="upcoming", threads=[]),
}
"""What may be the matter with a video, by name."""


def random_world(
    seed: int,
    videos: int = 20,
    comments_per_video: int | tuple[int, int] = 50,
    *,
    replies: bool = True,
    troubles: Sequence[str] = (),
    phrases: dict[str, tuple[str, ...]] | None = None,
    heights: tuple[int, ...] = (360,),
) -> World:
    """A world drawn from a seed: every fourth video is found by each of the four categories' phrases.

    Args:
        seed: the same one gives the same world.
        videos: how many.
        comments_per_video: how many each has, replies included; or the least and the most.
        replies: whether some threads have replies, up to thirty.
        troubles: names from `TROUBLES`; the first videos of the world get one each.
        phrases: search phrases by category; by default those of the settings.
        heights: heights of the pictures that are offered.
    """
    draw = random.Random(seed)
    phrases = phrases or default_phrases()
    categories = list(phrases)
    channels = [
        SandboxChannel(youtube_id(draw, "UC", 22), f"Sandbox {category}", f"@sandbox-{number}")
        for number, category in enumerate(categories)
    ]
    made = []
    for number in range(videos):
        at = number % len(categories)
        video = SandboxVideo(
            youtube_id(draw, "", 11),
            title=f"{categories[at].title()} ad no. {number}",
            channel_id=channels[at].channel_id,
            published_at=_FIRST_DAY + timedelta(seconds=draw.randrange(_DAYS * 86_400)),
            duration_s=draw.randint(6, 120),
            found_by=phrases[categories[at]],
            view_count=draw.randrange(1_000_000),
            like_count=draw.randrange(10_000),
            paid_product_placement=draw.random() < 0.2,
            heights=heights,
        )
        count = comments_per_video if isinstance(comments_per_video, int) else draw.randint(*comments_per_video)
        video.threads = write_threads(draw, count, video.published_at, replies=replies)
        made.append(video)
    for video, trouble in zip(made, troubles, strict=False):
        TROUBLES[trouble](video)
    playlists = [
        SandboxPlaylist(
            youtube_id(draw, "PL", 32), [video.video_id for video in made[at :: len(categories)]], channel.channel_id
        )
        for at, channel in enumerate(channels)
    ]
    return World(made, channels, playlists)


def default_phrases() -> dict[str, tuple[str, ...]]:
    """The search phrases of the settings' own categories."""
    return {name: category.search for name, category in CrawlSettings().categories.items()}


def write_threads(draw: random.Random, count: int, since: datetime, *, replies: bool) -> list[SandboxComment]:
    """So many comments, replies included, in the years after a moment."""
    threads: list[SandboxComment] = []
    while count > 0:
        at = since + timedelta(seconds=draw.randrange(3 * 365 * 86_400))
        thread = _comment(draw, comment_id(draw), at)
        count -= 1
        if replies and draw.random() < _THREADS_WITH_REPLIES:
            number = min(count, draw.choice((1, 2, 3, 5, 6, draw.randint(7, _MOST_REPLIES))))
            count -= number
            thread.replies = [
                _comment(draw, reply_id(draw, thread), at + timedelta(minutes=draw.randint(1, 10_000)))
                for _ in range(number)
            ]
        threads.append(thread)
    return threads


def comment_id(draw: random.Random) -> str:
    """An id as YouTube gives comments."""
    return youtube_id(draw, "Ugx", 16) + "4AaABAg"


def reply_id(draw: random.Random, thread: SandboxComment) -> str:
    """An id as YouTube gives replies: behind that of their thread."""
    return youtube_id(draw, f"{thread.comment_id}.", 22)


def _comment(draw: random.Random, name: str, at: datetime) -> SandboxComment:
    author = int(draw.random() * 5_000)
    return SandboxComment(
        name,
        _TEXTS[int(draw.random() * len(_TEXTS))],
        at,
        f"@author{author}",
        f"UCauthorauthorauth{author:06d}",
        int(draw.random() ** 4 * 100),
    )


def youtube_id(draw: random.Random, prefix: str, length: int) -> str:
    """So many letters of the kind that YouTube's ids are made of, behind a prefix."""
    letters = base64.urlsafe_b64encode(draw.randbytes(length * 3 // 4 + 1)).decode()
    return prefix + letters[:length]
