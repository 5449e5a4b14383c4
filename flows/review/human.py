"""Policy `human`: what people have judged becomes labels, and what nobody has judged becomes a round."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_catalog.catalog import Catalog, Drop
from flows.errors import SettingsError
from flows.review.waiting import Waiting
from flows.settings import ReviewSettings, Settings

if TYPE_CHECKING:
    from annotation.outcomes import Verdict
    from annotation.rounds import DrawnRound, RoundSettings
    from annotation.store import Store
    from annotation.store.round_store import Round

log = logging.getLogger("ytb_ads")

STAGE = "review"
EXCLUDED = "excluded_by_people"
"""Reason of an ad that the discussion excluded."""
NOT_REVIEWED = "not_reviewed"
"""Reason of an ad that people have not judged."""
FRAME_EXCLUDED = "frame_excluded_by_people"
"""Reason of a frame that more than half of its reviewers excluded; the release leaves it out."""


@dataclass(frozen=True)
class Judged:
    """What people said in the rounds that are over; an open round can still change its mind."""

    verdicts: Mapping[str, Verdict]
    """By ad; a later round's word goes first."""
    reviews: Sequence[Mapping[str, Any]]
    """Rows of the table `reviews`."""


def store_location(catalog: Catalog, settings: ReviewSettings) -> str:
    """Where the annotation's store is: what the settings name, or the catalog's own file.

    Raises:
        SettingsError: the catalog is on an object store, which cannot hold the file.
    """
    from annotation.store import default_location

    if settings.store and settings.store.get_secret_value():
        return settings.store.get_secret_value()
    if not catalog.is_local:
        raise SettingsError(
            f"{catalog.root}: what people do cannot be kept there; name a file or a PostgreSQL server as review.store"
        )
    return default_location(catalog.root)


def has_store(catalog: Catalog, settings: ReviewSettings) -> bool:
    """Whether people may have judged anything: a server that is named, or a file that is there."""
    named = settings.store.get_secret_value() if settings.store else ""
    if not named and not catalog.is_local:
        return False
    location = store_location(catalog, settings)
    return "://" in location or Path(location).expanduser().exists()


def count_entries_of(catalog: Catalog, settings: ReviewSettings, video_id: str) -> int:
    """How many entries of people's rounds show an ad.

    Raises:
        StoreError: what people said cannot be read.
    """
    if not has_store(catalog, settings):
        return 0
    with review_store(catalog, settings) as store:
        return store.rounds.count_entries_of(video_id)


def withdraw_ads(catalog: Catalog, settings: ReviewSettings, video_ids: Iterable[str]) -> int:
    """Take ads that the catalog is to hold no longer out of all rounds; returns how many entries that were.

    Raises:
        StoreError: what people said cannot be removed.
    """
    ids = list(video_ids)
    if not ids or not has_store(catalog, settings):
        return 0
    with review_store(catalog, settings) as store:
        return store.rounds.withdraw(ids)


@contextmanager
def review_store(catalog: Catalog, settings: ReviewSettings, *, must_exist: bool = False) -> Iterator[Store]:
    """The annotation's store, for as long as it is needed.

    Raises:
        StoreError: it cannot be opened.
    """
    from annotation.store import open_store

    store = open_store(store_location(catalog, settings), must_exist=must_exist)
    try:
        yield store
    finally:
        store.close()


def already_judged(catalog: Catalog, settings: ReviewSettings) -> frozenset[str]:
    """Ads on which the rounds that are over have said the last word; none where there has been no round.

    Raises:
        StoreError: what people said cannot be read.
    """
    if not has_store(catalog, settings):
        return frozenset()
    with review_store(catalog, settings) as store:
        return frozenset(read_judged(store, frozenset(catalog.values("ads", "video_id"))).verdicts)


def read_judged(store: Store, held: frozenset[str]) -> Judged:
    """What the closed rounds came to.

    Args:
        store: where people's words are.
        held: ads of the catalog. Of others, which were forgotten say, nothing is read.
    """
    from annotation.outcomes import reviews, verdicts

    closed = [each.id for each in store.rounds.all() if not each.is_open]
    of_ads = {verdict.video_id: verdict for each in closed for verdict in verdicts(store, each)}
    rows = [asdict(review) for each in closed for review in reviews(store, each)]
    return Judged(
        {ad: verdict for ad, verdict in of_ads.items() if ad in held},
        [{**row, "excluded_frames": list(row["excluded_frames"])} for row in rows if row["video_id"] in held],
    )


def left_out(labelled: Sequence[str], judged: Judged, with_frames: frozenset[str]) -> list[Drop]:
    """A drop for every ad that the comments label and people do not.

    Args:
        labelled: ads that the comments label.
        judged: what people said.
        with_frames: ads that have a frame with enough words, so that they can be judged.
    """
    return [
        _drop(ad, ad, EXCLUDED, "the discussion excluded it")
        if ad in judged.verdicts
        else _drop(
            ad,
            ad,
            NOT_REVIEWED,
            "people have not judged it" if ad in with_frames else "it has no frame with enough words to be judged by",
        )
        for ad in labelled
        if ad not in judged.verdicts or judged.verdicts[ad].decision is None
    ]


def left_out_frames(judged: Judged) -> list[Drop]:
    """A drop for every frame that the reviewers of an ad with a label excluded."""
    return [
        _drop(frame, ad, FRAME_EXCLUDED, "more than half of its reviewers excluded it")
        for ad, verdict in judged.verdicts.items()
        if verdict.decision is not None
        for frame in verdict.excluded_frames
    ]


def draw_unjudged(catalog: Catalog, settings: Settings, judged: Judged) -> DrawnRound | None:
    """The round that is to be opened next: ads with frames that nobody has judged; None if there are none."""
    from annotation.errors import RoundError
    from annotation.rounds import draw_round

    asked = round_settings(settings)
    try:
        return draw_round(catalog, asked, gold=settings.review.gold, skip=judged.verdicts.keys())
    except RoundError:
        return None


def round_settings(settings: Settings) -> RoundSettings:
    """What the settings say of a round."""
    from annotation.protocol import Rule
    from annotation.rounds import RoundSettings

    review = settings.review
    return RoundSettings(
        rule=Rule(review.reviewers, review.verifiers, review.agreement),
        seed=review.seed,
        comments_per_entry=review.comments,
        repeat_share=review.repeat_share,
        gold_share=review.gold_share,
        more_than_words=settings.ocr.more_than_words,
    )


def still_open(store: Store) -> Round | None:
    """The round that people work on. One whose entries have all come to their end is closed: its page was killed."""
    from flows.review.watch import close_if_settled

    if (round_id := close_if_settled(store)) is not None:
        log.info("review: round %d is settled and closed", round_id)
    return store.rounds.current()


def read_waiting(store: Store, open_round: Round, settings: ReviewSettings, *, opened: bool) -> Waiting:
    """What an open round waits for."""
    from annotation.outcomes import round_status
    from annotation.protocol import FINAL

    now = round_status(store, open_round.id)
    settled = sum(count for state, count in now.by_state.items() if state in FINAL)
    return Waiting(open_round.id, now.n_entries, settled, opened, settings.address)


def _drop(key: str, video_id: str, reason: str, detail: str) -> Drop:
    return Drop(stage=STAGE, key=key, video_id=video_id, kind="filtered", reason=reason, detail=detail)
