"""Review as a Prefect flow: `ad_sentiment` to `labels`, by the policy of the settings."""

from __future__ import annotations

import logging

import pyarrow as pa
from prefect import flow

from annotation.protocol import accept_comments
from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.counts import StageCount
from flows.settings import ReviewSettings

log = logging.getLogger("ytb_ads")

STAGE = "review"
POLICIES = {"auto": accept_comments}


@flow(name="review", validate_parameters=False)
def review(catalog: Catalog, settings: ReviewSettings) -> StageCount:
    """Settle the label of every ad that the comments label, as the policy says."""
    settle = POLICIES[settings.policy]
    columns = ["video_id", "label", "mean_score", "fingerprint"]
    ads = catalog.read("ad_sentiment", columns, where="label IS NOT NULL").to_pylist()
    rows = []
    for ad in ads:
        decision = settle(ad["label"])
        rows.append(
            {
                "video_id": ad["video_id"],
                "label": decision.label,
                "decided_by": decision.decided_by,
                "n_reviewers": decision.n_reviewers,
                "agreement": decision.agreement,
                "mean_score": ad["mean_score"],
                "fingerprint": ad["fingerprint"],
            }
        )
    changed = catalog.replace("labels", pa.Table.from_pylist(rows, schema=TABLES["labels"].schema))
    count = StageCount(STAGE, "ads", rows_in=len(ads) if changed else 0, rows_out=len(rows) if changed else 0)
    log.info("%s", count)
    return count
