"""Metrics of the service in Prometheus's format; no label contains data of a request."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "ytb_ads_serve_"
        every: Any = {"registry": self.registry}
        self.requests = Counter(name + "requests", "Requests answered.", ("route", "method", "status"), **every)
        self.refusals = Counter(name + "refusals", "Requests refused, by the kind of refusal.", ("kind",), **every)
        self.seconds = Histogram(
            name + "request_seconds",
            "Seconds from a request's head to its answer.",
            ("route",),
            buckets=_SECONDS,
            **every,
        )
        self.gone = Counter(name + "disconnected", "Requests whose client left before the answer.", **every)
        self.under_way = Gauge(name + "requests_under_way", "Requests that are received or answered.", **every)
        self.body_bytes = Gauge(name + "body_bytes", "Bytes of the bodies of requests under way.", **every)
        self.rows = Counter(name + "rows", "Pictures with their words that were answered.", **every)
        self.batch_rows = Histogram(name + "batch_rows", "Rows that shared a forward pass.", buckets=_ROWS, **every)
        self.batch_seconds = Histogram(name + "batch_seconds", "Seconds of a batch.", buckets=_SECONDS, **every)
        self.queue_rows = Gauge(name + "queue_rows", "Admitted rows without an answer.", **every)
        self.videos = Gauge(name + "videos", "Videos that are read or wait for it.", **every)
        self.video_seconds = Histogram(name + "video_seconds", "Seconds of reading a video.", buckets=_SECONDS, **every)
        self.model = Gauge(name + "model_info", "1 for the model that answers.", ("model",), **every)
        self.model_since = Gauge(name + "model_loaded_seconds", "When it was loaded, in seconds since 1970.", **every)
        self.reloads = Counter(name + "model_reloads", "Models taken in service while running.", **every)
        self.model_refused = Gauge(
            name + "promoted_model_refused",
            "1 while the promoted model cannot be served and an older one answers.",
            **every,
        )

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
