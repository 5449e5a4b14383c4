"""A round: the ads to be judged and what is shown of each, drawn once from the catalog and frozen.

What is frozen are ids. Frames never change; a comment that was forgotten since is gone from the page too. Some
entries may come twice to every reviewer, which tells how far people agree with themselves, and some may be `gold`,
ads whose answer is known. Both look like all others, and only the store tells them apart.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow.dataset as ds

from annotation.errors import RoundError, TrainingError
from annotation.events import CHOICES, Choice, Event
from annotation.protocol import FLAG_KINDS, Rule
from data_catalog.catalog import Catalog
from data_catalog.schemas import Label

EntryKind = Literal["ordinary", "repeat", "gold"]
"""A gold entry is judged and settled like an ordinary one; the votes on a repeat settle nothing."""


PAPERS_RULE = Rule()
"""Five reviewers, one verifier, a majority."""


@dataclass(frozen=True)
class RoundOptions:
    """Options of a round's pages; frozen with the round, so that everybody is asked the same."""

    question: str = "How does the ad come across?"
    """Question that people answer; shown on the page."""
    choice_names: tuple[tuple[Choice, str], ...] = ()
    """Display names of choices, if they differ from those of the language; files and tables keep the original names."""
    language: str = "en"
    """Language of the reviewers' pages and of the project's own guidelines."""
    guidelines: str = ""
    """Markdown; empty: the project's own."""
    training_share: float = 0.8
    """Share of right answers in the training round that a reviewer needs before the round."""
    least_look_ms: int = 400
    """Milliseconds that an ad must be on the screen, with its picture painted, before a judgement of it counts."""
    show_video: bool = True
    """Whether people can watch the ad: on the page if its video is kept, else by a link to its web page."""
    discussion_names: Literal["names", "pseudonyms"] = "names"
    """Names shown in a discussion and to a verifier."""
    verifier_first: bool = False
    """Whether verifiers decide before they see the reviewers' votes and notes."""

    def __post_init__(self) -> None:
        if not 0 <= self.training_share <= 1:
            raise RoundError(f"training_share is {self.training_share}; expected a share between 0 and 1")
        # a stored round holds lists
        object.__setattr__(self, "choice_names", tuple((choice, name) for choice, name in self.choice_names))
        called = {choice: choice for choice in CHOICES} | {choice: name.strip() for choice, name in self.choice_names}
        if len(called) > len(CHOICES) or len({name.casefold() for name in called.values() if name}) < len(CHOICES):
            raise RoundError(f"choice_names {dict(self.choice_names)}; expected a name of its own for each choice")
        if self.least_look_ms < 0:
            raise RoundError(f"least_look_ms is {self.least_look_ms}; expected 0 or more milliseconds")
        if self.discussion_names not in ("names", "pseudonyms"):
            raise RoundError(f"discussion_names {self.discussion_names!r}; expected names or pseudonyms")


DEFAULT_OPTIONS = RoundOptions()


@dataclass(frozen=True)
class RoundSettings:
    """Settings of a round; shares are of the ads in it."""

    rule: Rule = PAPERS_RULE
    seed: int = 0
    ads: int | None = None
    """Number of ads, drawn at random from those that the comments label; all of them if None."""
    comments_per_entry: int = 20
    repeat_share: float = 0.0
    gold_share: float = 0.0
    more_than_words: int = 5
    """Frames with more words are shown, as in a release."""
    options: RoundOptions = DEFAULT_OPTIONS

    def __post_init__(self) -> None:
        for name in ("repeat_share", "gold_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise RoundError(f"{name} is {getattr(self, name)}; expected a share between 0 and 1")
        if self.ads is not None and self.ads < 1:
            raise RoundError(f"a round of {self.ads} ads; expected at least 1")
        if self.comments_per_entry < 0:
            raise RoundError(f"{self.comments_per_entry} comments per entry; expected 0 or more")


@dataclass(frozen=True)
class Entry:
    """One thing to judge: an ad with what is shown of it."""

    id: str
    """Says nothing of the ad nor of its kind."""
    video_id: str
    frame_ids: tuple[str, ...]
    comment_ids: tuple[str, ...]
    kind: EntryKind = "ordinary"
    repeats: str | None = None
    """Of a repeat: the entry that it shows once more."""
    known: Label | None = None
    """Of a gold entry: the answer."""


@dataclass(frozen=True)
class DrawnRound:
    """A round that nobody has been shown yet."""

    settings: RoundSettings
    entries: tuple[Entry, ...]
    training: tuple[Entry, ...] = ()
    """Examples with known answers that every reviewer judges first; none of them is among the entries."""


@dataclass(frozen=True)
class Shown:
    """The texts of an entry; what was forgotten since is not in it."""

    words: str = ""
    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The label that the comments give an ad."""

    label: Label
    support: float | None = None
    """Share of the bootstrap's draws that come to this label."""


def draw_round(
    catalog: Catalog,
    settings: RoundSettings,
    *,
    gold: Mapping[str, Label] | None = None,
    training: Mapping[str, Label] | None = None,
    skip: Collection[str] = (),
) -> DrawnRound:
    """Take entries from the catalog: ads that the comments label and that have a frame with enough words.

    Args:
        catalog: where the ads are.
        settings: how many, with how much shown of each.
        gold: known answers by video id; of these that have frames, `gold_share` of the round is drawn.
        training: known answers by video id of the ads that reviewers are trained on; these are not in the round.
        skip: ads that need no judging, such as those of an earlier round.

    Raises:
        RoundError: there is nothing to judge.
        TrainingError: no ad of the training can be shown.
    """
    frames = _frames(catalog, settings.more_than_words)
    labelled = set(catalog.values("ad_sentiment", "video_id", "label IS NOT NULL"))
    video_ids = sorted((labelled & frames.keys()) - set(skip) - (training or {}).keys())
    chance = random.Random(f"{settings.seed}:ads")  # noqa: S311
    if settings.ads is not None:
        video_ids = sorted(chance.sample(video_ids, min(settings.ads, len(video_ids))))
    if not video_ids:
        raise RoundError(
            f"{catalog.root}: no ad to judge; none that the comments label has a frame with more than "
            f"{settings.more_than_words} words and was not judged before"
        )
    answers = dict(gold or {})
    with_answer = sorted(answers.keys() & frames.keys())
    chosen = chance.sample(with_answer, min(round(settings.gold_share * len(video_ids)), len(with_answer)))
    comments = _comments(catalog, settings, {*video_ids, *chosen})
    entries = []
    for video_id in sorted({*video_ids, *chosen}):
        entry = Entry(entry_id(settings.seed, video_id), video_id, frames[video_id], comments.get(video_id, ()))
        entries.append(replace(entry, kind="gold", known=answers[video_id]) if video_id in chosen else entry)
    repeated = chance.sample(entries, round(settings.repeat_share * len(entries)))
    entries += [_once_more(entry, settings.seed) for entry in sorted(repeated, key=lambda entry: entry.video_id)]
    return DrawnRound(settings, tuple(entries), _examples(catalog, settings, training or {}, frames))


def _examples(
    catalog: Catalog, settings: RoundSettings, answers: Mapping[str, Label], frames: Mapping[str, tuple[str, ...]]
) -> tuple[Entry, ...]:
    """The examples of the training that have frames; one that was forgotten since it was chosen is left out."""
    shown = sorted(answers.keys() & frames.keys())
    if answers and not shown:
        raise TrainingError(f"training: none of {', '.join(sorted(answers))} has a frame with enough words to be shown")
    comments = _comments(catalog, settings, shown)
    return tuple(
        Entry(entry_id(settings.seed, each), each, frames[each], comments.get(each, ()), "gold", known=answers[each])
        for each in shown
    )


def _once_more(entry: Entry, seed: int) -> Entry:
    """The repeat of an entry, its comments in another order, so that it is not known by them."""
    comments = sorted(entry.comment_ids, key=lambda comment_id: _digest("again", seed, comment_id))
    if tuple(comments) == entry.comment_ids:
        comments = comments[1:] + comments[:1]
    again = entry_id(seed, entry.video_id, again=True)
    return replace(entry, id=again, kind="repeat", repeats=entry.id, comment_ids=tuple(comments))


def entry_id(seed: int, video_id: str, *, again: bool = False) -> str:
    """An id that cannot be read: 16 hex characters."""
    return _digest("entry", seed, video_id, again)[:16]


def concerned(event: Event, entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """Ids of the entries that an event is about: a flag on a repeat says something of its original, too."""
    entry = entries.get(event.entry_id)
    if entry is None or entry.repeats is None or event.kind not in FLAG_KINDS:
        return (event.entry_id,)
    return event.entry_id, entry.repeats


def order_for(person_id: str, seed: int, entries: Iterable[Entry]) -> list[str]:
    """The ids of the entries, shuffled for one person; what is shown twice comes once in each half.

    The same for ever, on every machine and by every Python: a reload, a restart and another process go on in it.
    """
    entries = list(entries)
    repeated = {entry.repeats for entry in entries}

    def place(entry: Entry) -> float:
        drawn = int(_digest("order", seed, person_id, entry.id), 16) / 2**256
        if entry.repeats is not None:
            return (1 + drawn) / 2
        return drawn / 2 if entry.id in repeated else drawn

    return [entry.id for entry in sorted(entries, key=place)]


def read_shown(catalog: Catalog, entries: Collection[Entry]) -> dict[str, Shown]:
    """Words and comments by entry."""
    frames = sorted({frame_id for entry in entries for frame_id in entry.frame_ids})
    comments = sorted({comment_id for entry in entries for comment_id in entry.comment_ids})
    words = _texts(catalog, "texts", "frame_id", frames)
    written = _texts(catalog, "comments", "comment_id", comments)
    return {
        entry.id: Shown(
            words="\n".join(dict.fromkeys(words[each] for each in entry.frame_ids if words.get(each))),
            comments=tuple(written[each] for each in entry.comment_ids if each in written),
        )
        for entry in entries
    }


def read_predictions(catalog: Catalog) -> dict[str, Prediction]:
    """The comments' label by ad, where there is one."""
    rows = catalog.read("ad_sentiment", ["video_id", "label", "label_support"], "label IS NOT NULL").to_pylist()
    return {row["video_id"]: Prediction(row["label"], row["label_support"]) for row in rows}


def read_categories(catalog: Catalog) -> dict[str, str]:
    """The category by ad, where it has one."""
    rows = catalog.read("ads", ["video_id", "category"], "category IS NOT NULL").to_pylist()
    return {row["video_id"]: row["category"] for row in rows}


def _frames(catalog: Catalog, more_than_words: int) -> dict[str, tuple[str, ...]]:
    """Frames with enough words by ad, in the order of the film."""
    wordy: dict[str, list[tuple[int, str]]] = {}
    for row in catalog.read("texts", ["frame_id", "video_id"], f"n_words > {more_than_words}").to_pylist():
        wordy.setdefault(row["video_id"], []).append((_index(row["frame_id"]), row["frame_id"]))
    return {video_id: tuple(frame_id for _, frame_id in sorted(found)) for video_id, found in wordy.items()}


def _comments(catalog: Catalog, settings: RoundSettings, video_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """A sample of each ad's comments: those with the smallest digests, whatever the order of the table's rows."""
    drawn: dict[str, list[tuple[str, str]]] = {}
    columns: dict[str, list[Any]] = catalog.read("comments", ["comment_id", "video_id"]).to_pydict()
    for comment_id, video_id in zip(columns["comment_id"], columns["video_id"], strict=True):
        if video_id in video_ids:
            ticket = _digest("comment", settings.seed, video_id, comment_id)
            drawn.setdefault(video_id, []).append((ticket, comment_id))
    return {
        video_id: tuple(comment_id for _, comment_id in sorted(tickets)[: settings.comments_per_entry])
        for video_id, tickets in drawn.items()
    }


def _index(frame_id: str) -> int:
    return int(frame_id.rpartition(":")[2])


def _digest(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def _texts(catalog: Catalog, table: str, key: str, wanted: list[str]) -> dict[str, str]:
    rows = catalog.read(table, [key, "text"], ds.field(key).isin(wanted)).to_pylist()
    return {row[key]: row["text"] or "" for row in rows}
