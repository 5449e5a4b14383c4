"""Review as a Prefect flow: `ad_sentiment` to `labels`, by the policy of the settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed

from annotation.protocol import Decision, accept_comments
from annotation.store.round_store import Round
from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.embedded_server import answers
from flows.review.human import Judged, Waiting, left_out, left_out_frames, read_judged, review_store
from flows.settings import Settings
from flows.stages import REVIEW, StageCount

log = logging.getLogger("ytb_ads")

CLOSED = "ytb-ads.review.closed"
"""Event that starts the deployment which writes the release."""


@flow(name="review", flow_run_name="review", validate_parameters=False)
def review(catalog: Catalog, settings: Settings) -> StageCount:
    """Settle the label of every ad that the comments label, as the policy says.

    Under `human` the labels are what people said in the rounds that are over, and `reviews` holds their words.

    Raises:
        StoreError: what people said cannot be read.
    """
    columns = ["video_id", "label", "mean_score", "fingerprint"]
    ads = catalog.read("ad_sentiment", columns, where="label IS NOT NULL").to_pylist()
    drops: list[Drop] = []
    frame_drops: list[Drop] = []
    if settings.review.policy == "human":
        judged = _judged(catalog, settings)
        decisions = {ad: verdict.decision for ad, verdict in judged.verdicts.items() if verdict.decision}
        drops = left_out([ad["video_id"] for ad in ads], judged, _ads_with_words(catalog, settings))
        frame_drops = left_out_frames(judged)
        catalog.replace("reviews", pa.Table.from_pylist(list(judged.reviews), schema=TABLES["reviews"].schema))
    else:
        _warn_of_judged(catalog)
        decisions = {ad["video_id"]: accept_comments(ad["label"]) for ad in ads}
    rows = [_label(ad, decisions[ad["video_id"]]) for ad in ads if ad["video_id"] in decisions]
    changed = catalog.replace("labels", pa.Table.from_pylist(rows, schema=TABLES["labels"].schema))
    changed |= catalog.replace_drops(REVIEW.name, [*drops, *frame_drops])
    count = REVIEW.count(rows_in=len(ads), rows_out=len(rows), drops=drops) if changed else REVIEW.count()
    log.info("%s", count)
    return count


def waits(waiting: Waiting) -> State[Waiting]:
    """The state of a run that waits for people: ended, as nothing is held while it waits, and named for what it is."""
    return Completed(name="Waiting", message=f"{waiting} at {waiting.page}", data=waiting)


def tell_closed(catalog: Catalog, closed: Round) -> bool:
    """Tell the Prefect server that a round is over, so that the release's deployment starts; whether there is one.

    Where none is named or none answers, the next build writes the release.
    """
    url = PREFECT_API_URL.value()
    if not url or not answers(url):
        return False
    emit_event(
        CLOSED,
        resource={"prefect.resource.id": f"ytb-ads.review.round.{closed.id}"},
        payload={
            "catalog": str(catalog.place.absolute()),
            "round": closed.id,
            "opened_at": closed.opened_at.isoformat(),
        },
    )
    EventsWorker.drain_all()
    return True


def _label(ad: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    return {
        "video_id": ad["video_id"],
        "label": decision.label,
        "decided_by": decision.decided_by,
        "n_reviewers": decision.n_reviewers,
        "agreement": decision.agreement,
        "mean_score": ad["mean_score"],
        "fingerprint": ad["fingerprint"],
    }


def _warn_of_judged(catalog: Catalog) -> None:
    judged = len(set(catalog.values("reviews", "video_id")))
    if judged:
        log.warning(
            "review: people have judged %d of these ads, and the labels go by the comments all the same, as the policy "
            "is auto; build with --review human, or set review.policy, to have people's",
            judged,
        )


def _judged(catalog: Catalog, settings: Settings) -> Judged:
    with review_store(catalog, settings.review) as store:
        return read_judged(store, frozenset(catalog.values("ads", "video_id")))


def _ads_with_words(catalog: Catalog, settings: Settings) -> frozenset[str]:
    enough = pc.field("n_words") > settings.ocr.more_than_words
    return frozenset(catalog.values("texts", "video_id", where=enough))
