"""The service behind the routes: pictures, words and videos in, answers of the model in service out."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, Any, TypeVar

from fastapi import Request
from PIL import Image

from data_catalog.catalog import Catalog
from fgmfn.explaining import Explainer
from fgmfn.inference import Prediction
from flows.crawl.fields import clean_text
from flows.serve.metrics import Metrics
from flows.serve.models import ModelInService, Served
from flows.serve.pictures import Pictures, check_picture
from flows.serve.queue import Batches
from flows.serve.refusals import Refusal
from flows.serve.schemas import Answer, FrameAnswer, Health, RegionPoints, Verdict, Why, WordPoints
from flows.serve.uploads import Uploads
from flows.serve.worker import Videos
from flows.settings import Settings
from flows.verdict.ads import SeenAd
from flows.verdict.given import name_of

T = TypeVar("T")

_STUCK_S = 60.0
"""A batch that takes longer than this never ends."""


@dataclass(frozen=True)
class Row:
    """A picture with its words, as it came."""

    picture: bytes | None
    text: str | None


_Ready = tuple[Image.Image | None, str]


class Service:
    """Everything of one running server; made within its event loop.

    Args:
        settings: all settings.
        models: the model in service.
        uploads: where videos lie meanwhile.
        metrics: where it counts.
    """

    def __init__(self, settings: Settings, models: ModelInService, uploads: Uploads, metrics: Metrics) -> None:
        self.limits, self.models, self.metrics = settings.serve, models, metrics
        self._pictures = Pictures(self.limits.max_pixels)
        self._videos = Videos(settings, uploads)
        self._batches: Batches[Served, _Ready, Prediction] = Batches(
            _predict,
            most_rows=self.limits.batch_rows,
            wait_s=self.limits.batch_wait_ms / 1000,
            capacity=self.limits.queue_rows,
            observe=self._count,
        )
        metrics.queue_rows.set_function(lambda: self._batches.admitted)
        metrics.videos.set_function(lambda: self._videos.admitted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the promotions until the server ends; every accepted request has its answer by then."""
        watching = asyncio.create_task(self.models.watch(self.limits.reload_s))
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await self._batches.close()
            self._pictures.close()
            self._videos.close()

    def _count(self, rows: int, seconds: float) -> None:
        self.metrics.rows.inc(rows)
        self.metrics.batch_rows.observe(rows)
        self.metrics.batch_seconds.observe(seconds)

    async def rows(self, rows: Sequence[Row], *, why: bool = False) -> tuple[Served, list[Answer]]:
        """Answers for pictures with their words, by one model; with `why` what the answer rests on, of a single row.

        Raises:
            Refusal: there is no room, or a picture or text is not taken.
        """
        served = self.models.current
        if len(rows) > self.limits.max_rows:
            raise Refusal(413, "too_many_rows", f"More than {self.limits.max_rows} pictures; send several requests.")
        if why and len(rows) > 1:
            raise Refusal(422, "malformed", "`why=true` is for one picture at a time.")
        with self._batches.room_for(len(rows)):
            answers = await _all([self._row(served, row, why=why) for row in rows])
        return served, answers

    async def _row(self, served: Served, row: Row, *, why: bool) -> Answer:
        text = row.text
        if row.picture is None:
            if served.looks or text is None:
                what = "a picture, by which the model judges" if served.looks else "a text or a picture"
                raise Refusal(422, "no_picture", f"A row needs {what}.")
            pixels = 0
        else:
            pixels = check_picture(row.picture, self.limits.max_pixels)
            if text is None:
                text = await self._videos.read(row.picture)
        if len(text) > self.limits.max_text:
            raise Refusal(413, "too_long", f"A text has more than {self.limits.max_text:,} characters; shorten it.")
        found = await self._predicted(served, row.picture, pixels, text)
        reasons = await self._why(served, row.picture, pixels, text) if why else None
        return Answer(**_verdict(found), text=text, why=reasons)

    async def _why(self, served: Served, picture: bytes | None, pixels: int, text: str) -> Why:
        """Reasons for an answer; this runs the model some dozens of times, while other requests wait."""
        explain = Explainer(served.predictor).explain
        if picture is None or not served.looks:
            [found] = await self._batches.alone(lambda: explain([], [text]))
        else:
            async with self._pictures.decoded(picture, pixels) as image:
                [found] = await self._batches.alone(lambda: explain([image], [text]))
        return Why(
            words=[WordPoints(text=each.word.text, points=each.points or 0.0) for each in found.top_words],
            regions=[RegionPoints(**asdict(each.box), points=each.points) for each in found.regions if each.points],
            modalities=asdict(found.modalities),
        )

    async def _predicted(self, served: Served, picture: bytes | None, pixels: int, text: str) -> Prediction:
        if picture is None or not served.looks:
            return await self._batches.answer(served, (None, text))
        async with self._pictures.decoded(picture, pixels) as image:
            return await self._batches.answer(served, (image, text))

    async def video(self, content: IO[bytes], name: str, *, pictures: bool, why: bool = False) -> tuple[Served, Answer]:
        """The answer for an ad by its video.

        Args:
            content: the file.
            name: what the file is called, from which its moments follow as `ytb-ads predict` has them.
            pictures: whether the frames' pictures are answered, too.
            why: whether it is said of the surest frame what its answer rests on.

        Raises:
            Refusal: there is no room, or the video gives no frame that the model can be asked about.
        """
        begun_s = time.monotonic()
        seen = await self._videos.see(content, name_of(clean_text(name)))
        self.metrics.video_seconds.observe(time.monotonic() - begun_s)
        if (failure := seen.failure) is not None:
            raise Refusal(422, str(failure.reason), _why_not(seen))
        served = self.models.current
        kept = seen.kept
        with self._batches.room_for(len(kept)):
            found = await _all(
                [self._predicted(served, frame.jpeg, frame.width * frame.height, frame.text) for frame in kept]
            )
            surest = max(range(len(kept)), key=lambda number: max(found[number].probabilities.values()))
            frame = kept[surest]
            pixels = frame.width * frame.height
            reasons = await self._why(served, frame.jpeg, pixels, frame.text) if why else None
        of_frame = {frame.index: prediction for frame, prediction in zip(kept, found, strict=True)}
        frames = [
            FrameAnswer(
                timestamp_s=frame.timestamp_s,
                text=frame.text,
                verdict=Verdict(**_verdict(of_frame[frame.index])) if frame.kept else None,
                picture=base64.b64encode(frame.jpeg).decode() if pictures else None,
                why=reasons if frame.index == kept[surest].index else None,
            )
            for frame in seen.frames
        ]
        return served, Answer(**_verdict(served.predictor.joined(found)), frames=frames)

    def refuse_if_full(self) -> None:
        """Refuse a request before its body is read, where there is no room for a single row.

        Raises:
            Refusal: there is none.
        """
        with self._batches.room_for(1):
            pass

    def health(self) -> Health:
        """Health of the service, and the model that answers."""
        since_s = self._batches.busy_since_s
        stuck = since_s is not None and time.monotonic() - since_s > _STUCK_S
        status = "stuck" if stuck else "degraded" if self.models.refused else "ok"
        return Health(
            status=status,
            model=self.models.current.name,
            refused_model=self.models.refused,
            queue_rows=self._batches.admitted,
        )


async def while_waited_for(request: Request, work: Coroutine[Any, Any, T], limit_s: float) -> T:
    """Do work as long as the client waits for it and the time allows; otherwise end it and everything begun for it.

    Args:
        request: whose body was read.
        work: what to do.
        limit_s: how long it may take.

    Raises:
        Refusal: the time is over, or the client is gone and nobody hears it.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_gone(request))
    try:
        done, _ = await asyncio.wait((working, leaving), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            return working.result()
        if leaving in done:
            raise Refusal(499, "gone", "The client is gone.")
        raise Refusal(
            504, "timeout", f"No answer came in {limit_s:g} s. Try again later, or send less.", retry_after_s=5
        )
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _all(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, or the first failure, with which the others end."""
    if len(works) == 1:
        return [await works[0]]
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _predict(served: Served, rows: Sequence[_Ready]) -> list[Prediction]:
    images = [image for image, _ in rows if image is not None]
    return served.predictor.predict(images, [text for _, text in rows])


def _verdict(found: Prediction) -> dict[str, Any]:
    return {
        "label": found.label,
        "probabilities": found.probabilities,
        "interval": found.interval,
        "sure": found.sure,
    }


def _why_not(seen: SeenAd) -> str:
    """Reason why a video has no answer; it calls the file `video`, its name in the service."""
    failure = seen.failure
    detail = failure.detail if failure is not None else ""
    return f"The video has no frame to judge by: {failure.reason if failure else ''}. {detail}".strip()[:600]


def open_models(settings: Settings, catalog: Catalog, name: str | None, metrics: Metrics) -> ModelInService:
    """The model to serve, counted in the metrics.

    Raises:
        ModelError: there is none, or it cannot be served.
    """

    def changed(served: Served | None) -> None:
        metrics.model_refused.set(served is None)
        if served is not None:
            metrics.model.clear()
            metrics.model.labels(served.name).set(1)
            metrics.model_since.set(served.loaded_at.timestamp())

    return ModelInService(catalog, name, batch_size=settings.serve.batch_rows, changed=changed)
