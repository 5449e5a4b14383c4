"""`transformers.pipeline` on trained models: the same predictions as `predict`, however ads are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import AutoProcessor, pipeline

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.errors import InputError
from fgmfn.inference import load_checkpoint, predict
from fgmfn.processing import read_by
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


def test_ads_may_be_given_in_anything_that_gives_them_one_by_one(pipe: Pipe, expected: list[dict[str, float]]) -> None:
    ads = [{"text": text, "image": image} for text, image in zip(TEXTS, IMAGES, strict=True)]
    same(list(pipe(dict(enumerate(ads)).values(), batch_size=2)), expected)
    same(pipe(tuple(ads)), expected)
    assert pipe([]) == pipe(()) == list(pipe(iter([]))) == []


def test_a_pipeline_that_is_saved_says_the_same_when_it_is_loaded(
    pipe: Pipe, expected: list[dict[str, float]], tmp_path: Path
) -> None:
    saved: Any = pipe
    saved.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    again: Any = pipeline("ad-sentiment", model=str(tmp_path), device=-1)
    same(again(text=TEXTS, images=IMAGES), expected)
    for processor in (again.processor, AutoProcessor.from_pretrained(tmp_path)):
        assert processor.to_dict() == saved.processor.to_dict()


def test_a_saved_pipeline_remembers_that_its_model_was_trained_on_targets(tmp_path: Path) -> None:
    model, rows = build("text_only"), tweet_split()
    made = processor_for(model)
    made.reads = read_by(model.inputs, has_targets=True)
    pipe: Any = pipeline("ad-sentiment", model=model, processor=made, device=-1)
    pipe.save_pretrained(tmp_path)
    again: Any = pipeline("ad-sentiment", model=str(tmp_path), device=-1)
    given = {"text": rows.text, "targets": list(TARGETS)}
    same(again(**given), [shares(one) for one in pipe(**given)])
    with pytest.raises(InputError, match="trained on texts with targets"):
        again(text=rows.text)


def test_no_number_of_ads_or_classes_is_taken_for_another(pipe: Pipe) -> None:
    ad = {"text": TEXTS[0], "image": IMAGES[0]}
    for name in ("top_k", "batch_size"):
        for wrong in (0, -1, True, 1.5, "2"):
            with pytest.raises(InputError, match=f"{name} = .*; expected a whole number, 1 or more"):
                pipe([ad], **{name: wrong})
    assert [len(pipe(ad, top_k=number)) for number in (1, 2, 9)] == [1, 2, 2]


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
        ({"text": 5, "image": IMAGES[0]}, {}, "an ad whose text is a int"),
        ({"text": ["x"], "image": IMAGES[0]}, {}, "an ad whose text is a list"),
        (None, {"text": 5, "images": [IMAGES[0]]}, "text is a int"),
    ],
)
def test_what_is_no_whole_ad_is_refused(pipe: Pipe, given: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pipe(given, **options)
    with pytest.raises(TypeError, match="max_length"):
        pipe({"text": "x", "image": IMAGES[0]}, max_length=3)
