"""Votes that came faster than their ads can be read. Pure, but for the words, which are the catalog's.

The rule is lenient. An ad takes at least 0.3 s for each of its frames, the time in which the gist of a picture is seen,
and a tenth of a second for each different word on them: 600 words a minute is skimming, twice as fast as people read
(Rayner et al., "So Much to Read, So Little Time", Psychological Science in the Public Interest 17, 2016). A word that
stands on several frames counts once, and the comments not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from annotation.events import Choice, Event, Vote
from annotation.protocol import by_entry, votes_that_count
from annotation.rounds import Entry
from data_catalog.catalog import Catalog

FRAME_S = 0.3
WORD_S = 0.1


@dataclass(frozen=True)
class FastVote:
    """A vote that counts and came too fast."""

    entry_id: str
    video_id: str
    choice: Choice
    taken_s: float
    """For how long the person had the ad on the screen, before earlier votes on it too."""
    least_s: float
    """For how long a reader needs it."""


def least_reading_s(texts: Iterable[str]) -> float:
    """Seconds that an ad takes at least.

    Args:
        texts: the words on each of its frames.
    """
    texts = list(texts)
    words = {word.casefold() for text in texts for word in text.split()}
    return FRAME_S * len(texts) + WORD_S * len(words)


def fast_votes(
    events: Iterable[Event], entries: Mapping[str, Entry], least_s: Mapping[str, float]
) -> dict[str, list[FastVote]]:
    """The votes that came too fast, by person; of those who gave none, nothing.

    Repeats are left out, as their ads are known by then. A vote whose time is not known, because it was imported
    without, is none.

    Args:
        events: the log, in its order.
        entries: the round's entries.
        least_s: seconds that an ad takes at least, by video id.
    """
    found: dict[str, list[FastVote]] = {}
    for entry_id, log in by_entry(events).items():
        entry = entries.get(entry_id)
        if entry is None or entry.kind == "repeat" or entry.video_id not in least_s:
            continue
        for person, counting in votes_that_count(log).items():
            taken = sum(_seconds(each) for each in log if each.kind == "vote" and each.person_id == person)
            if isinstance(counting.payload, Vote) and 0 < taken < least_s[entry.video_id]:
                vote = FastVote(entry_id, entry.video_id, counting.payload.choice, taken, least_s[entry.video_id])
                found.setdefault(person, []).append(vote)
    return found


def read_least_s(catalog: Catalog, entries: Iterable[Entry]) -> dict[str, float]:
    """Seconds that each entry's ad takes at least, by video id; of an ad whose frames are gone, nothing."""
    shown = {entry.video_id: set(entry.frame_ids) for entry in entries}
    texts: dict[str, list[str]] = {}
    for row in catalog.read("texts", ["frame_id", "video_id", "text"]).to_pylist():
        if row["frame_id"] in shown.get(row["video_id"], ()):
            texts.setdefault(row["video_id"], []).append(row["text"] or "")
    return {video_id: least_reading_s(of_ad) for video_id, of_ad in texts.items()}


def _seconds(vote: Event) -> float:
    return max(0.0, (vote.submitted_at - vote.shown_at).total_seconds())
