"""Policy `human`: judged ads get labels, and a new round is opened for the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotation.ending import announce_ending, read_ending
from annotation.errors import AnnotationError, RoundError, StoreError
from annotation.outcomes import Verdict, reviews, round_status, verdicts
from annotation.protocol import FINAL, Rule
from annotation.rounds import DrawnRound, RoundOptions, RoundSettings, draw_round
from annotation.store import Store, default_location, open_store
from annotation.store.round_store import Round
from data_catalog.catalog import Catalog, Drop
from data_catalog.storage import Place
from flows.settings import ReviewSettings, Settings
from flows.stages import REVIEW, ReviewReason

log = logging.getLogger("ytb_ads")

WATCH_EVERY_S = 2.0
"""Time between two checks of a round; one reads what is new in the log, and nothing else."""


@dataclass(frozen=True)
class Judged:
    """Verdicts and reviews of the closed rounds; those of an open round can still change."""

    verdicts: Mapping[str, Verdict]
    """By ad; a later round's word goes first."""
    reviews: Sequence[Mapping[str, Any]]
    """Rows of the table `reviews`."""


@dataclass(frozen=True)
class Waiting:
    """An open round, as a build leaves it."""

    round_id: int
    n_entries: int
    """Entries that people settle; what comes twice is counted once."""
    n_settled: int
    opened: bool
    """This run has opened the round; otherwise it was open, and nothing was added to it."""
    page: str
    """Address of the page on which people judge."""
    release: Place | None = None
    """The release of what was judged before, brought up to date before the round was opened."""

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "release": str(self.release) if self.release else None}

    def __str__(self) -> str:
        how = "opened" if self.opened else "still open, and nothing was added to it"
        left = self.n_entries - self.n_settled
        return f"review: round {self.round_id} is {how}; {left} of {self.n_entries} entries wait for people"


def store_location(catalog: Catalog, settings: ReviewSettings) -> str:
    """Location of the annotation's store: as the settings name it, or the catalog's own file.

    Raises:
        StoreError: the catalog is on an object store, which cannot hold the file.
    """
    if settings.store and settings.store.get_secret_value():
        return settings.store.get_secret_value()
    return default_location(catalog.root)


def has_store(catalog: Catalog, settings: ReviewSettings) -> bool:
    """Whether people may have judged anything: a server is named, or the file exists."""
    try:
        location = store_location(catalog, settings)
    except StoreError:
        return False
    return "://" in location or Path(location).expanduser().exists()


def count_entries_of(catalog: Catalog, settings: ReviewSettings, video_id: str) -> int:
    """Number of entries of all rounds that show an ad.

    Raises:
        StoreError: what people said cannot be read.
    """
    if not has_store(catalog, settings):
        return 0
    with review_store(catalog, settings) as store:
        return store.rounds.count_entries_of(video_id)


def withdraw_ads(catalog: Catalog, settings: ReviewSettings, video_ids: Iterable[str]) -> int:
    """Remove ads from all rounds, before they leave the catalog; returns the number of entries removed.

    Raises:
        StoreError: what people said cannot be removed.
    """
    ids = list(video_ids)
    if not ids or not has_store(catalog, settings):
        return 0
    with review_store(catalog, settings) as store:
        return store.rounds.withdraw(ids)


def lacks_round(catalog: Catalog, settings: ReviewSettings, opened_at: datetime) -> str | None:
    """Describe what a catalog lacks of a closed round; None if the round belongs to it.

    Rounds of two stores have the same numbers. A store that the settings name is the same for every catalog: there the
    round's ads tell whose it is. Some may be gone meanwhile.

    Args:
        catalog: whose round it may be.
        settings: name the store, if it does not lie in the catalog.
        opened_at: moment at which the round was opened.

    Raises:
        StoreError: what people said cannot be read.
    """
    if not has_store(catalog, settings):
        return "nobody has judged anything there"
    with review_store(catalog, settings, must_exist=True) as store:
        found = next((each for each in store.rounds.all() if each.opened_at == opened_at), None)
        if found is None:
            return f"no round was opened there at {opened_at.isoformat()}"
        ads = {entry.video_id for entry in store.rounds.entries(found.id).values()}
    held = ads.intersection(catalog.values("ads", "video_id"))
    return f"it holds {len(held)} of the {len(ads)} ads of round {found.id}" if 2 * len(held) < len(ads) else None


@contextmanager
def review_store(catalog: Catalog, settings: ReviewSettings, *, must_exist: bool = False) -> Iterator[Store]:
    """The annotation's store, for as long as it is needed.

    Raises:
        StoreError: it cannot be opened.
    """
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
    """Read verdicts and reviews of the closed rounds.

    Args:
        store: where people's words are.
        held: ads of the catalog. Of others, which were forgotten say, nothing is read.
    """
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

    def drop(ad: str) -> Drop:
        if ad in judged.verdicts:
            return REVIEW.drop(ad, ad, ReviewReason.EXCLUDED, "the discussion excluded it")
        judgeable = ad in with_frames
        why = "people have not judged it" if judgeable else "it has no frame with enough words to be judged by"
        return REVIEW.drop(ad, ad, ReviewReason.NOT_REVIEWED, why)

    return [drop(ad) for ad in labelled if ad not in judged.verdicts or judged.verdicts[ad].decision is None]


def left_out_frames(judged: Judged) -> list[Drop]:
    """A drop for every frame that the reviewers of an ad with a label excluded."""
    return [
        REVIEW.drop(frame, ad, ReviewReason.FRAME_EXCLUDED, ReviewReason.FRAME_EXCLUDED.meaning)
        for ad, verdict in judged.verdicts.items()
        if verdict.decision is not None
        for frame in verdict.excluded_frames
    ]


def draw_unjudged(catalog: Catalog, settings: Settings, judged: Judged) -> DrawnRound | None:
    """The round that is to be opened next: ads with frames that nobody has judged; None if there are none."""
    asked = round_settings(settings)
    try:
        return draw_round(
            catalog, asked, gold=settings.review.gold, training=settings.review.training, skip=judged.verdicts.keys()
        )
    except RoundError:
        return None


def round_settings(settings: Settings) -> RoundSettings:
    """The settings of a new round."""
    review = settings.review
    return RoundSettings(
        rule=Rule(review.reviewers, review.verifiers, review.agreement),
        seed=review.seed,
        comments_per_entry=review.comments,
        repeat_share=review.repeat_share,
        gold_share=review.gold_share,
        more_than_words=settings.ocr.more_than_words,
        options=RoundOptions(
            question=review.question,
            choice_names=tuple(review.choice_names.items()),
            language=review.language,
            guidelines=_guidelines(review.guidelines),
            training_share=review.training_share,
            least_look_ms=review.least_look_ms,
            show_video=review.show_video,
            discussion_names=review.discussion_names,
            verifier_first=review.verifier_first,
        ),
    )


def _guidelines(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise AnnotationError(f"review.guidelines: {path} cannot be read ({error})") from error


def still_open(store: Store) -> Round | None:
    """The round that people work on. One whose entries have all come to their end is closed: its page was killed."""
    if (round_id := close_if_settled(store)) is not None:
        log.info("review: round %d is settled and closed", round_id)
    return store.rounds.current()


def read_waiting(store: Store, open_round: Round, settings: ReviewSettings, *, opened: bool) -> Waiting:
    """State of an open round."""
    now = round_status(store, open_round.id)
    settled = sum(count for state, count in now.by_state.items() if state in FINAL)
    return Waiting(open_round.id, now.n_entries, settled, opened, settings.address)


def close_if_settled(store: Store, *, quiet_s: float = 0.0) -> int | None:
    """Close the open round if everything in it is judged, nobody holds it, and no action is unfinished.

    Args:
        store: where people's words are.
        quiet_s: seconds for which nothing must have been done.

    Returns:
        Its number if that closed it.
    """
    current = store.rounds.current()
    if current is None:
        return None
    end = read_ending(store, current.id, quiet_s=quiet_s)
    if end.at is None or datetime.now(UTC) < end.at:
        return None
    # not what has changed since the look
    closed = store.rounds.close(current.id, after_event=end.last_event)
    return None if closed.is_open else closed.id


@contextmanager
def watching(
    store: Store, closed: Callable[[int], None], *, quiet_s: float, every_s: float = WATCH_EVERY_S
) -> Iterator[None]:
    """Watch the store's round for as long as the block runs: its end is announced, and comes.

    Args:
        store: where people's words are.
        closed: called with the number of a round that was closed.
        quiet_s: seconds between the announcement of the end and the end, if nothing is done.
        every_s: time between two looks.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            try:
                announce_ending(store)
                if (round_id := close_if_settled(store, quiet_s=quiet_s)) is not None:
                    closed(round_id)
            except AnnotationError as error:  # a busy or restarting database: the next look may do better
                log.warning("the round could not be looked at: %s", error)

    watcher = threading.Thread(target=watch, name="round-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(timeout=10)
