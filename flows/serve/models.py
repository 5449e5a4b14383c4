"""The model behind the service: the catalog's model in service, replaced when another is promoted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image

from data_catalog.catalog import Catalog
from data_catalog.storage import fetch_folder
from fgmfn.inference import Predictor
from flows.errors import ModelError
from flows.models import CURRENT, METRICS, ModelRun, find_run, run_in_service

log = logging.getLogger("ytb_ads.serve")

_MOST_PATIENCE = 60
"""A promoted model that cannot be served is tried again after 1, 2, 4 ... looks, at most so many."""


@dataclass(frozen=True, eq=False)
class Served:
    """A model that is loaded and answers."""

    name: str
    """`RELEASE/FOLDER` in the catalog."""
    predictor: Predictor
    record: dict[str, Any] = field(repr=False)
    """Its metrics.json."""
    loaded_at: datetime

    @property
    def looks(self) -> bool:
        """Whether the model reads pictures."""
        return "image" in self.predictor.checkpoint.model.modalities


def load(run: ModelRun, batch_size: int) -> Served:
    """Load a run and ask it once.

    Raises:
        Exception: of any kind: it cannot be loaded, or gives no answer for a picture and a text.
    """
    predictor = Predictor.open(fetch_folder(run.folder, METRICS), batch_size=batch_size)
    served = Served(run.name, predictor, run.record, datetime.now(UTC))
    grey = [Image.new("RGB", (64, 64), "grey")] if served.looks else []
    [answer] = predictor.predict(grey, ["now open"])
    shares = np.array(list(answer.probabilities.values()))
    if not np.isfinite(shares).all() or abs(shares.sum() - 1) > 1e-3:
        raise ModelError(f"{run.name}: its probabilities are {answer.probabilities}")
    return served


class ModelInService:
    """The served model, and what is wrong with the one that should be served.

    Args:
        catalog: of the models.
        name: of the run to serve whatever is promoted; None: the one in service.
        batch_size: rows of a forward pass.
        changed: told of every model that is taken in service, and of None where one is refused.

    Raises:
        ModelError: no model is in service, or it cannot be served.
    """

    def __init__(
        self, catalog: Catalog, name: str | None, *, batch_size: int, changed: Callable[[Served | None], None]
    ) -> None:
        self._catalog, self._fixed, self._batch_size, self._changed = catalog, name, batch_size, changed
        run = find_run(catalog, name) if name else run_in_service(catalog)
        if run is None:
            raise ModelError(
                f"{catalog.root}: no model is in service; `ytb-ads train` trains one, and `ytb-ads models promote RUN` "
                "puts it in service"
            )
        try:
            self.current = load(run, batch_size)
        except Exception as error:
            raise ModelError(f"{run.name}: cannot be served: {error}") from error
        self.refused: str | None = None
        """Name of the promoted model that cannot be served, or `CURRENT` where that cannot be read."""
        changed(self.current)

    async def watch(self, every_s: float) -> None:
        """Follow the promotions, until cancelled; a model that cannot be served leaves the present one where it is."""
        if self._fixed:
            return
        looks, patience = 0, 1
        with ThreadPoolExecutor(1, "promotions") as thread:
            while True:
                await asyncio.sleep(every_s)
                loop = asyncio.get_running_loop()
                named, fault = CURRENT, None
                try:
                    run = await loop.run_in_executor(thread, run_in_service, self._catalog)
                    if run is None:
                        raise ModelError("no model is in service any more")
                    named = run.name
                    if named == self.current.name:
                        looks, patience = 0, 1
                        self._settle()
                        continue
                    if named == self.refused and (looks := looks + 1) < patience:
                        continue
                    self._take(await loop.run_in_executor(thread, load, run, self._batch_size))
                except Exception as error:  # noqa: BLE001  whatever a broken model or store raises, the old one serves on
                    fault = error
                if fault is None:
                    looks, patience = 0, 1
                    continue
                patience = min(_MOST_PATIENCE, 2 * patience) if named == self.refused else 1
                looks = 0
                self._refuse(named, fault)

    def _settle(self) -> None:
        """The model that serves is the one in service, again perhaps."""
        if self.refused is not None:
            self.refused = None
            self._changed(self.current)

    def _take(self, served: Served) -> None:
        log.info("model", extra={"model": served.name, "instead_of": self.current.name})
        self.current, self.refused = served, None
        self._changed(served)

    def _refuse(self, name: str, fault: Exception) -> None:
        if name != self.refused:
            log.error("model refused", extra={"model": name, "serving": self.current.name, "why": str(fault)})
        self.refused = name
        self._changed(None)
