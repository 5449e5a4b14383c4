"""OCR as a Prefect flow: `frames` to `texts`, one task run per batch of frames; then frames with few words dropped."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.ocr.registry import ocr_engine
from flows.ocr.texts import read_frames, read_texts, words_drops
from flows.pool_worker import end_with_parent
from flows.runner import run_stage
from flows.settings import OcrSettings, Settings
from flows.stages import OCR, WORDS, StageCount


@task(name="read-frames", cache_policy=NO_CACHE)
def read_batch(frames: pa.Table, *, catalog: Catalog, settings: OcrSettings, fingerprint: str) -> StageCount:
    """Read the words of a batch of frames and commit them."""
    end_with_parent()
    frame_ids: list[Any] = frames["frame_id"].to_pylist()
    rows, drops = read_texts(ocr_engine(settings), frames, fingerprint=fingerprint)
    catalog.commit(
        "texts",
        pa.Table.from_pylist(rows, schema=TABLES["texts"].schema),
        stage=OCR.name,
        drops=drops,
        done=frame_ids,
        upstream="frames",
    )
    return OCR.count(rows_in=frames.num_rows, rows_out=len(rows), drops=drops)


@flow(name="ocr", flow_run_name="ocr", validate_parameters=False)
def ocr(catalog: Catalog, settings: Settings) -> StageCount:
    """Read every frame that has no text for the current settings, then drop those with too few words.

    Raises:
        StageError: a frame is lost, or no frame could be read.
        OcrError: the engine is not installed or has no models.
    """
    count = run_stage(OCR, read_batch, catalog, settings, settings=settings.ocr)
    frames = read_frames(catalog, settings).values()
    catalog.replace_drops(WORDS.name, words_drops(frames, settings.ocr.more_than_words))
    return count
