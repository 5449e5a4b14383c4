"""A catalog of small models, and the service over it on a port of this machine."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from PIL import Image

from data_catalog.catalog import Catalog
from fgmfn.baselines import model_class
from fgmfn.inference import Predictor
from flows.models import CURRENT, METRICS
from flows.serve.app import create_app, server_config
from flows.settings import OcrSettings, Settings
from flows.settings.serve import ServeSettings
from tests.fgmfn.models import TINY, processor_for

GOOD, OTHER, BROKEN, WORDS = (f"2026.11.02/{name}" for name in ("fgmfn-a", "fgmfn-b", "fgmfn-c", "text_only-d"))
TEXTS = ("new shoes now", "so good to be home again this year", "bad", "now or never , go", "")


def write_models(folder: Path) -> None:
    """Write three models of their own weights, of which one reads no pictures, and a broken one; the first serves."""
    for seed, name in enumerate((GOOD, OTHER, BROKEN, WORDS)):
        torch.manual_seed(seed)
        kind = model_class(name.partition("/")[2].rpartition("-")[0])
        model = kind(kind.config_class(**TINY["fgmfn"].settings | {"num_labels": 2}))
        model.config.id2label = {0: "negative", 1: "positive"}
        for weights in model.parameters():
            weights.data *= 3  # so that its answers lie apart
        run = folder / "models" / name
        model.save_pretrained(run)
        processor_for(model).save_pretrained(run)
        record = {"model": kind.__name__, "row_set_hash": "rows", "test": {"accuracy": 0.5}, "has_targets": False}
        (run / METRICS).write_text(json.dumps(record))
    weights_file = folder / "models" / BROKEN / "model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:1000])
    promote(folder, GOOD)


def promote(folder: Path, name: str) -> None:
    """Put a run in service, broken or not, as another process does."""
    (folder / "models" / CURRENT).write_text(f"{name}\n")


def picture(seed: int, *, size: tuple[int, int] = (96, 72), kind: str = "JPEG") -> bytes:
    """A picture of coarse noise, another one for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def bare(folder: Path, name: str, rows: Sequence[tuple[bytes, str]]) -> list[dict[str, float]]:
    """What a run's predictor itself says of each row, one at a time."""
    predictor = Predictor.open(folder / "models" / name)
    opened = [Image.open(io.BytesIO(data)).convert("RGB") for data, _ in rows]
    return [predictor.predict([image], [text])[0].probabilities for image, (_, text) in zip(opened, rows, strict=True)]


@dataclass(frozen=True)
class Running:
    """A service that listens."""

    app: FastAPI
    server: uvicorn.Server
    thread: threading.Thread
    port: int
    catalog: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def socket(self) -> socket.socket:
        """A connection without any manners."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    @property
    def batches(self) -> Any:
        return self.app.state.service._batches

    def metric(self, name: str, **labels: str) -> float:
        value = self.app.state.service.metrics.registry.get_sample_value(f"ytb_ads_serve_{name}", labels)
        return value or 0.0


@contextmanager
def serving(catalog: Path, model: str | None = None, **limits: Any) -> Iterator[Running]:
    """The service, until it has ended as after SIGTERM."""
    settings = Settings(ocr=OcrSettings(sides=(640,)), serve=ServeSettings(**({"reload_s": 0.05} | limits)))
    app = create_app(settings, Catalog(catalog), model)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(server_config(app, settings))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield Running(app, server, thread, listening.getsockname()[1], catalog)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "it does not end"


def until(holds: Any, seconds: float = 30.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
