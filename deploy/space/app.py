"""A page to try a model on: drop a video, see the verdict with the frames behind it. A Space of the Hub runs this."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# before Gradio is imported: nothing about its use is sent anywhere
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from fgmfn.inference import Predictor
from flows.errors import VerdictError
from flows.settings import load_settings
from flows.verdict.ads import see_ad

MODEL = Path(os.environ.get("MODEL", Path(__file__).parent / "model"))


def verdict(predictor: Predictor, video: str) -> tuple[dict[str, float], list[tuple[Any, str]]]:
    """The probability of each class for an ad, and the frames that were asked about, each with its words.

    Raises:
        VerdictError: the video gives no frame with enough words; the message says why.
    """
    path = Path(video)
    seen = see_ad(path, path.stem, load_settings())
    if seen.failure:
        raise VerdictError(f"no verdict: {seen.failure.reason} ({seen.failure.detail})")
    frames = [(frame.image(), frame.text) for frame in seen.kept]
    [answer] = predictor.predict_ads([frames])
    return answer.probabilities, frames


def page(predictor: Predictor) -> Any:
    """The page, to be launched."""
    import gradio

    def answer(video: str) -> tuple[dict[str, float], list[tuple[Any, str]]]:
        try:
            return verdict(predictor, video)
        except VerdictError as error:
            raise gradio.Error(str(error)) from None

    outputs = [gradio.Label(label="Verdict"), gradio.Gallery(label="Frames and their words")]
    return gradio.Interface(
        answer, gradio.Video(label="Ad"), outputs, title="Ad sentiment", flagging_mode="never", api_name="verdict"
    )


if __name__ == "__main__":
    page(Predictor.open(MODEL)).launch()
