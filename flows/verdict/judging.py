"""Verdicts for any number of ads: several are sampled and read at a time, and share the batches of a model."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from data_catalog.tables.drops import Drop
from flows.crawl.data_api.faults import FaultError
from flows.errors import LaneStoppedError
from flows.settings import Settings
from flows.stages import FRAMES, MEDIA, OCR, MediaReason
from flows.verdict.ads import SeenAd, SeenFrame, see_ad
from flows.verdict.given import GivenAd, KnownAd, know_ad
from flows.verdict.output import Journal, Record

if TYPE_CHECKING:
    from fgmfn.inference import AdPrediction, Prediction

ADS_AT_ONCE = 8
"""Ads whose frames share the model's batches."""
AHEAD = 4
"""Ads for each worker that are sampled and read, or wait for it, before the first of them is answered."""
NOT_SURE = "not sure"
_PICTURE_SIDE, _PICTURE_QUALITY = 640, 80
# a run's curves and card change no answer
_NO_PART_OF_THE_MODEL = {".md", ".png", ".html"}

Fetch = Callable[[str], AbstractContextManager[Path]]
"""Fetches the video of an id, for as long as it is looked at."""
Frames = Sequence[tuple[Image.Image, str]]
"""An ad for a model: pictures with their words."""
Explain = Callable[[Sequence[Frames], Sequence[str]], Sequence[dict[str, Any]]]
"""Explains the answers for ads of these categories, each as JSON has it."""


class AdModel(Protocol):
    """Answers for ads: `fgmfn.inference.Predictor`."""

    def predict_ads(self, ads: Sequence[Frames], targets: Sequence[str] | None = None) -> Sequence[AdPrediction]: ...


@dataclass(frozen=True)
class _Looked:
    """An ad that was sampled and read."""

    given: GivenAd
    known: KnownAd
    seen: SeenAd
    failure: Drop | None


@dataclass(frozen=True)
class Judge:
    """A model with everything that a verdict depends on."""

    model: AdModel
    name: str
    """Name of the model in the output."""
    digest: str
    """Of the model's files: answers of another one are not taken for its."""
    settings: Settings
    reads_category: bool = False
    """Whether the model reads an ad's category."""
    fetch: Fetch | None = None
    """Fetches videos of addresses; there are none without it."""
    pictures: bool = False
    """Whether records hold the frames' pictures, reduced, as base64 of a JPEG."""
    explain: Explain | None = None

    def judge(self, ads: Iterable[GivenAd | Drop], journal: Journal, *, workers: int = 1) -> Iterator[Record]:
        """Records of ads in their order; each is in the journal before it is given.

        Args:
            ads: the ads, and drops of what is none.
            journal: of an earlier run; what it holds of the same file, model and settings is not done again.
            workers: ads that are sampled and read at a time.

        Raises:
            OcrError: the engine of the settings cannot be used.
            InputError: the model cannot answer for ads at all.
        """
        made_under = self._made_under()
        waiting: deque[tuple[str, Record | Future[_Looked]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for ad in ads:
                    if isinstance(ad, Drop):
                        waiting.append(("", _failed(ad.key, ad, self.name)))
                    else:
                        key = _key(ad, made_under)
                        done = journal.find(key, self._is_enough)
                        waiting.append((key, done | {"ad": ad.name} if done else pool.submit(self._look, ad)))
                    while len(waiting) >= AHEAD * workers + ADS_AT_ONCE:
                        yield from self._answered(waiting, journal)
                while waiting:
                    yield from self._answered(waiting, journal)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _made_under(self) -> list[Any]:
        """Everything besides the video that a verdict depends on."""
        settings = self.settings
        limits = (settings.ocr.more_than_words, settings.crawl.filters.max_duration_s, settings.media.max_size_mb)
        category = settings.source.model_dump(mode="json") if self.reads_category else None
        made = [FRAMES.fingerprint(settings), OCR.fingerprint(settings), *limits, category]
        return [self.digest, *made]

    def _is_enough(self, record: Record) -> bool:
        """Whether an earlier run's record has everything that is asked for."""
        shown = not self.pictures or all(frame["picture"] for frame in record["frames"])
        return shown and (self.explain is None or record["why"] is not None or record["verdict"] is None)

    def _look(self, given: GivenAd) -> _Looked:
        known = know_ad(given, self.settings.source)
        if known.video is not None:
            seen = see_ad(known.video, known.video_id, self.settings)
            return _Looked(given, known, seen, seen.failure)
        try:
            if self.fetch is None:
                raise ValueError(f"{given.name}: an address, and nothing that fetches it")
            with self.fetch(known.video_id) as path:
                seen = see_ad(path, known.video_id, self.settings)
            return _Looked(given, known, seen, seen.failure)
        except FaultError as error:
            failure = error.fault.drop(MEDIA.name, known.video_id, known.video_id)
        except LaneStoppedError as error:
            failure = MEDIA.drop(known.video_id, known.video_id, MediaReason.UNAVAILABLE, str(error))
        return _Looked(given, known, SeenAd(known.video_id), failure)

    def _answered(self, waiting: deque[tuple[str, Record | Future[_Looked]]], journal: Journal) -> Iterator[Record]:
        """Answer the first ad that waits, and those behind it that are read already."""
        ready = [waiting.popleft()]
        while waiting and len(ready) < ADS_AT_ONCE and (isinstance(waiting[0][1], dict) or waiting[0][1].done()):
            ready.append(waiting.popleft())
        looked = {key: found.result() for key, found in ready if isinstance(found, Future)}
        asked = {key: ad for key, ad in looked.items() if ad.failure is None}
        frames = [[(frame.image(), frame.text) for frame in ad.seen.kept] for ad in asked.values()]
        categories = [ad.known.category for ad in asked.values()]
        targets = categories if self.reads_category else None
        predictions = dict(zip(asked, self.model.predict_ads(frames, targets), strict=True)) if asked else {}
        why = dict(zip(asked, self.explain(frames, categories), strict=True)) if asked and self.explain else {}
        for key, found in ready:
            if isinstance(found, dict):
                yield found
                continue
            record = self._record(looked[key], predictions.get(key), why.get(key))
            journal.add(key, record)
            yield record

    def _record(self, ad: _Looked, prediction: AdPrediction | None, why: dict[str, Any] | None) -> Record:
        answers = iter(prediction.frames if prediction else ())
        return {
            "ad": ad.given.name,
            "video_id": ad.known.video_id,
            "title": ad.known.title,
            "category": ad.known.category,
            "model": self.name,
            "verdict": prediction and (NOT_SURE if prediction.sure is False else prediction.label),
            **_answer(prediction),
            "frames": [
                self._frame(frame, next(answers) if frame.kept and prediction else None) for frame in ad.seen.frames
            ],
            "failure": _failure(ad.failure),
            "left_out": [_failure(drop) | {"key": drop.key} for drop in ad.seen.drops if drop is not ad.failure],
            "why": why,
        }

    def _frame(self, frame: SeenFrame, answer: Prediction | None) -> Record:
        return {
            "index": frame.index,
            "timestamp_s": frame.timestamp_s,
            "width": frame.width,
            "height": frame.height,
            "text": frame.text,
            "words": list(frame.words),
            "kept": frame.kept,
            **_answer(answer),
            "picture": _reduced(frame) if self.pictures else None,
        }


def model_digest(folder: Path) -> str:
    """Digest of the files of a model's folder that its answers follow from."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.suffix not in _NO_PART_OF_THE_MODEL:
            with file.open("rb") as opened:
                digest.update(f"{file.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _key(ad: GivenAd, made_under: list[Any]) -> str:
    """Names an ad in its present state, and what its verdict depends on."""
    root = None if ad.root is None else str(ad.root.absolute())
    state = [root, ad.name if root is None else ad.files.name, ad.stamp(), made_under]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32]


def _answer(prediction: Prediction | None) -> Record:
    if prediction is None:
        return dict.fromkeys(("label", "probability", "interval", "sure", "probabilities"))
    probability = prediction.probabilities[prediction.label]
    interval = prediction.interval and list(prediction.interval)
    return {
        "label": prediction.label,
        "probability": probability,
        "interval": interval,
        "sure": prediction.sure,
        "probabilities": prediction.probabilities,
    }


def _failed(name: str, drop: Drop, model: str) -> Record:
    """The record of something that is no ad."""
    return {
        "ad": name,
        "video_id": drop.video_id,
        "title": None,
        "category": None,
        "model": model,
        "verdict": None,
        **_answer(None),
        "frames": [],
        "failure": _failure(drop),
        "left_out": [],
        "why": None,
    }


def _failure(drop: Drop | None) -> Any:
    if drop is None:
        return None
    return {name: str(value) for name, value in asdict(drop).items() if name in ("stage", "kind", "reason", "detail")}


def _reduced(frame: SeenFrame) -> str:
    picture = frame.image()
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_PICTURE_QUALITY)
    return base64.b64encode(file.getvalue()).decode()
