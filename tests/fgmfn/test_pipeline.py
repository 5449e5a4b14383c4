"""`transformers.pipeline` on trained models: the same predictions as `predict`, however ads are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import pipeline

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.errors import InputError
from fgmfn.inference import load_checkpoint, predict
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import TARGETS, build, processor_for, tweet_split

STEPPED = [name for name in MODELS if not issubclass(model_class(name), FittedModel)]
TEXTS = ["Golden hour, half the price", "Bad", "now or never"]
IMAGES = [Image.effect_noise((90, 50 + 20 * number), 80).convert("RGB") for number in range(3)]
Pipe = Callable[..., Any]


@pytest.fixture(scope="module")
def pipe(finished: Finished) -> Pipe:
    """The trained FGMFN's."""
    return pipeline("ad-sentiment", model=str(finished[1][0].checkpoint), device=-1)


@pytest.fixture(scope="module")
def expected(finished: Finished) -> list[dict[str, float]]:
    """What `predict` says of the ads."""
    found = predict(load_checkpoint(finished[1][0].checkpoint), IMAGES, TEXTS)
    return [one.probabilities for one in found]


def shares(said: list[dict[str, Any]]) -> dict[str, float]:
    """Scores by label; they come in falling order."""
    assert [one["score"] for one in said] == sorted((one["score"] for one in said), reverse=True)
    return {one["label"]: one["score"] for one in said}


def same(said: Any, expected: Any) -> None:
    """Each ad's scores are those expected."""
    assert len(said) == len(expected)
    for one, other in zip(said, expected, strict=True):
        assert shares(one) == pytest.approx(other, abs=1e-6)


def test_ads_may_be_given_one_by_one_in_a_list_a_generator_or_as_columns(
    pipe: Pipe, expected: list[dict[str, float]], tmp_path: Path
) -> None:
    ads = [{"text": text, "image": image} for text, image in zip(TEXTS, IMAGES, strict=True)]

    def generated() -> Iterator[dict[str, Any]]:
        yield from ads

    same([pipe(ad) for ad in ads], expected)
    for batch_size in (1, 2, 3, 8):
        same(pipe(ads, batch_size=batch_size), expected)
        same(list(pipe(generated(), batch_size=batch_size)), expected)
    same(pipe(text=TEXTS, images=IMAGES), expected)
    same([pipe(text=TEXTS[0], images=IMAGES[0])], expected[:1])
    IMAGES[0].save(tmp_path / "frame.png")
    same([pipe({"text": TEXTS[0], "image": str(tmp_path / "frame.png")})], expected[:1])
    assert len(pipe(ads[0], top_k=1)) == 1


def test_a_model_of_one_modality_takes_that_alone(finished: Finished) -> None:
    for trained, given, field in ((finished[1][1], TEXTS, "text"), (finished[1][2], IMAGES, "images")):
        pipe = pipeline("ad-sentiment", model=str(trained.checkpoint), device=-1)
        loaded = load_checkpoint(trained.checkpoint)
        found = predict(loaded, [], TEXTS) if field == "text" else predict(loaded, IMAGES, [""] * 3)
        expected = [one.probabilities for one in found]
        same(pipe(given), expected)
        same(pipe(**{field: given}), expected)
        same([pipe(given[0])], expected[:1])


@pytest.mark.parametrize("name", STEPPED)
def test_every_model_says_the_same_of_an_ad_alone_and_in_a_batch(name: str) -> None:
    model, rows = build(name), tweet_split()
    ads = [
        {"text": text, "target": target} | ({"image": IMAGES[0]} if "image" in model.modalities else {})
        for text, target in zip(rows.text, TARGETS, strict=True)
    ]
    pipe = pipeline("ad-sentiment", model=model, processor=processor_for(model), device=-1)
    same(pipe(ads, batch_size=4), [shares(pipe(ad)) for ad in ads])


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("words alone", {}, "0 pictures and 1 texts"),
        ({"image": IMAGES[0]}, {}, "reads words"),
        ({"text": "x", "picture": IMAGES[0]}, {}, "an ad with picture"),
        ([{"text": "x", "image": IMAGES[0]}, {"text": "x"}], {"batch_size": 2}, "1 of 2 ads have image"),
        (None, {}, "expected either ads, or text and images"),
        (None, {"text": ["x", "y"], "images": [IMAGES[0]]}, "2 text, 1 image"),
    ],
)
def test_what_is_no_whole_ad_is_refused(pipe: Pipe, given: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pipe(given, **options)
    with pytest.raises(TypeError, match="max_length"):
        pipe({"text": "x", "image": IMAGES[0]}, max_length=3)
