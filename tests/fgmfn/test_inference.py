"""Predictions of single ads and tweets: what a model is given there is what it was trained on, or it says so."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.data import Collator, Rows, Source, SplitDataset
from fgmfn.data.pictures import decode
from fgmfn.errors import DataError, InputError
from fgmfn.inference import Checkpoint, Prediction, Predictor, load_checkpoint, predict
from fgmfn.inputs import Words
from fgmfn.predictions import METRICS
from fgmfn.processing import read_by
from fgmfn.scoring import predict_split
from tests.fgmfn.models import TARGETS, ad_split, build, processor_for, tweet_split

KINDS: dict[str, Callable[[], Rows]] = {"ads": ad_split, "tweets": tweet_split}
READERS = [name for name, row in MODELS.items() if "text" in row.modalities]
CATEGORY_READERS = ("res_target", "roberta", "mimn", "esafn", "tombert", "arfn", "aom", "mtvaf", "late_fusion")


def checkpoint(name: str, rows: Rows, has_targets: bool | None = None) -> Checkpoint:
    """A small model that was trained on rows such as these, or made for them; None: as the rows say."""
    model, processor = build(name), None
    if isinstance(model, FittedModel):
        model.fit(rows, rows, seed=0)
    else:
        processor = processor_for(model.eval())
    return Checkpoint(Path("runs") / name, name, model, processor, "rows", has_targets)


def source_of(rows: Rows, loaded: Checkpoint) -> Source:
    """The rows as a test split of the data that the checkpoint was trained on."""
    return Source("data", Path("data"), "rows", loaded.class_names, {"test": rows})


def pictures_of(rows: Rows) -> list[Image.Image]:
    """The rows' pictures, decoded."""
    assert rows.pictures is not None
    return [decode(rows.pictures.read(row), rows.name[row]) for row in range(len(rows))]


def with_own_pictures(loaded: Checkpoint) -> Checkpoint:
    """Let the model of shuffled pictures see of a split's rows what it sees of an ad: its own picture."""
    if loaded.name == "shuffled_pictures":
        model: Any = loaded.model
        model.inputs = replace(model.inputs, shuffled=False)
    return loaded


def shares(predictions: list[Prediction]) -> np.ndarray:
    """Probabilities [rows, C]."""
    return np.array([list(one.probabilities.values()) for one in predictions])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_an_ad_or_tweet_alone_is_classified_as_the_row_of_a_split_is(name: str, kind: str) -> None:
    rows = KINDS[kind]()
    loaded = checkpoint(name, rows, rows.has_targets)
    images = pictures_of(rows) if "image" in MODELS[name].modalities else []
    singly = predict(loaded, images, rows.text, rows.target)
    in_split = predict_split(with_own_pictures(loaded), source_of(rows, loaded), "test", progress=False)
    assert np.allclose(shares(singly), in_split, atol=1e-6)
    assert [one.label for one in singly] == [loaded.class_names[number] for number in in_split.argmax(axis=1)]


@pytest.mark.parametrize("name", [name for name in MODELS if issubclass(model_class(name), FittedModel)])
def test_a_fitted_model_that_was_saved_says_the_same_and_predicts_single_tweets(name: str, tmp_path: Path) -> None:
    rows = tweet_split()
    fitted = checkpoint(name, rows)
    fitted.model.save_pretrained(tmp_path)
    (tmp_path / METRICS).write_text(json.dumps({"row_set_hash": "rows", "has_targets": True}))
    loaded = load_checkpoint(tmp_path)
    assert loaded.has_targets is True
    images = pictures_of(rows) if "image" in MODELS[name].modalities else []
    said = predict(loaded, images, rows.text, rows.target)
    assert isinstance(fitted.model, FittedModel)
    before = fitted.model.probabilities(rows)
    assert np.array_equal(model_class(name).from_pretrained(tmp_path).probabilities(rows), before)
    assert np.allclose(shares(said), before, atol=1e-5)
    assert before.sum(axis=1) == pytest.approx(1.0)
    with pytest.raises(InputError, match="--target"):
        predict(loaded, images, rows.text)


@pytest.mark.parametrize("name", READERS)
def test_a_model_that_learned_of_targets_asks_for_one(name: str) -> None:
    rows = tweet_split()
    images = pictures_of(rows) if "image" in MODELS[name].modalities else []
    with pytest.raises(InputError, match=rf"{name} was trained on texts with targets.*\(--target\)"):
        predict(checkpoint(name, rows, True), images, rows.text)


@pytest.mark.parametrize("name", ["vgg16", "image_only"])
def test_a_model_of_pictures_alone_needs_no_target_and_says_that_it_reads_none(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = tweet_split()
    loaded, images = checkpoint(name, rows, True), pictures_of(rows)
    bare = predict(loaded, images, rows.text)
    assert "target" not in caplog.text
    with caplog.at_level(logging.WARNING):
        assert predict(loaded, images, rows.text, rows.target) == bare
    assert f"{name} reads no target" in caplog.text


@pytest.mark.parametrize("name", READERS)
def test_a_model_of_ads_reads_their_category_or_says_that_it_reads_no_target(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ad_split()
    loaded = checkpoint(name, rows, False)
    images = pictures_of(rows) if "image" in MODELS[name].modalities else []
    bare = shares(predict(loaded, images, rows.text))
    with caplog.at_level(logging.WARNING):
        # The word stands in the text; where it stands must not be read, as it never was in training.
        told = shares(predict(loaded, images, rows.text, ["good"] * 4))
    warned = f"{name} was trained on ads and reads no target" in caplog.text
    assert warned == (name not in CATEGORY_READERS)
    assert np.array_equal(bare, told) == warned


def test_a_checkpoint_that_does_not_say_what_it_learned_from_takes_both() -> None:
    rows = tweet_split()
    loaded = checkpoint("text_only", rows, None)
    with_targets, without = (shares(predict(loaded, [], rows.text, given)) for given in (rows.target, None))
    assert np.allclose(with_targets, predict_split(loaded, source_of(rows, loaded), "test", progress=False))
    assert not np.allclose(with_targets, without)


def test_a_target_must_stand_in_the_text_for_a_model_that_reads_around_it() -> None:
    rows = tweet_split()
    elsewhere = [*rows.target[:1], "Bob", *rows.target[2:]]
    with pytest.raises(InputError, match="'Bob' does not stand in text 2; esafn reads the words around it"):
        predict(checkpoint("esafn", rows, True), pictures_of(rows), rows.text, elsewhere)
    assert len(predict(checkpoint("tombert", rows, True), pictures_of(rows), rows.text, elsewhere)) == 4


def test_further_words_are_read_by_a_model_that_reads_them() -> None:
    rows = replace(tweet_split(), auxiliary=["a sad game [SEP] bad", "", "good", "so"])
    loaded, images = checkpoint("mtvaf", rows, True), pictures_of(rows)
    said = shares(predict(loaded, images, rows.text, rows.target, rows.auxiliary))
    assert np.allclose(said, predict_split(loaded, source_of(rows, loaded), "test", progress=False), atol=1e-6)
    without = shares(predict(loaded, images, rows.text, rows.target))
    assert [np.allclose(one, other, atol=1e-6) for one, other in zip(said, without, strict=True)] == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("words", ["auxiliary", "both"])
@pytest.mark.parametrize("name", [name for name in READERS if not name.endswith("_probe")])
def test_a_model_that_was_trained_on_captions_reads_them_alone_as_in_a_split(
    name: str, words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    captions = ["a sad game", "", "good Tom", "so good"]
    rows = replace(tweet_split(), auxiliary=captions)
    loaded = replace(checkpoint(name, rows.reading(words), words == "both"), words=words)
    images = pictures_of(rows) if "image" in MODELS[name].modalities else []
    in_split = predict_split(with_own_pictures(loaded), source_of(rows.reading(words), loaded), "test", progress=False)
    with caplog.at_level(logging.WARNING):
        singly = predict(loaded, images, rows.text, rows.target, captions)
    assert np.allclose(shares(singly), in_split, atol=1e-6)
    assert ("reads no target" in caplog.text) == (words == "auxiliary")
    if words == "auxiliary":
        others = predict(loaded, images, ["other"] * 4, None, captions)
        assert np.array_equal(shares(others), shares(singly))
    with pytest.raises(InputError, match=f"was trained with words = '{words}': give the auxiliary texts"):
        predict(loaded, images, rows.text, rows.target)
    with pytest.raises(DataError, match=f"opened with words = 'text', but .* was trained with '{words}'"):
        predict_split(loaded, source_of(rows, loaded), "test", progress=False)


@pytest.mark.parametrize("words", ["auxiliary", "both"])
@pytest.mark.parametrize("name", ["text_only", "bilstm", "tombert", "esafn"])
def test_a_processor_reads_captions_as_its_model_was_trained_on_them(name: str, words: Words) -> None:
    captions = ["a sad game", "", "good Tom", "so good"]
    rows, model = replace(tweet_split(), auxiliary=captions), build(name)
    read, processor = rows.reading(words), processor_for(model)
    processor.reads = read_by(model.inputs, has_targets=read.has_targets, words=words)
    dataset = SplitDataset(read, processor, model.inputs)
    expected = Collator(processor, model.inputs)([dataset[row] for row in range(4)])
    given: dict[str, Any] = {"text": rows.text, "targets": rows.target, "auxiliary": captions}
    if model.inputs.pictures:
        given["images"] = pictures_of(rows)
    made = processor(**given, pad_to_multiple_of=8)
    for field in ("input_ids", "attention_mask", "token_type_ids", "target_ids", "target_span"):
        if field in expected:
            length = min(made[field].shape[-1], expected[field].shape[-1])
            assert np.array_equal(made[field][..., :length], expected[field][..., :length]), field
            assert int(made[field][..., length:].sum()) == int(expected[field][..., length:].sum()) == 0
    with pytest.raises(InputError, match="trained on auxiliary texts"):
        processor(**(given | {"auxiliary": None}))


def test_a_caption_stands_between_the_sentence_and_the_target() -> None:
    model = build("text_only")
    processor = processor_for(model)
    rows = replace(tweet_split(), auxiliary=["so good", "", "so good", "so good"])
    spelled = {}
    for words in ("text", "auxiliary", "both"):
        row = SplitDataset(rows.reading(words), processor, model.inputs)[0]
        spelled[words] = processor.tokenizer.decode(row["input_ids"]).replace(" ", "")
    sentence, target = spelled["text"].removeprefix("[CLS]").removesuffix("[SEP]").split("[SEP]")
    assert "$t$" in sentence
    assert spelled["both"] == f"[CLS]{sentence}[SEP]sogood[SEP]{target}[SEP]"
    assert spelled["auxiliary"] == "[CLS]sogood[SEP]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": 1}, "1 pictures and 4 texts"),
        ({"targets": ["Tom"]}, "1 targets and 4 texts"),
        ({"targets": list(TARGETS), "auxiliary": ["a"] * 5}, "5 auxiliary texts and 4 texts"),
    ],
)
def test_every_text_needs_its_own(given: dict[str, Any], message: str) -> None:
    rows = tweet_split()
    pictures = pictures_of(rows)[: given.pop("images", 4)]
    with pytest.raises(InputError, match=message):
        predict(checkpoint("mtvaf", rows, True), pictures, rows.text, **given)


@pytest.mark.parametrize("name", ["fgmfn", "clip_probe"])
def test_nothing_asked_is_nothing_answered(name: str) -> None:
    assert predict(checkpoint(name, ad_split(), False), [], []) == []


def test_hostile_words_of_every_kind_are_classified() -> None:
    texts = ["", "\0\ud800 \u202e", "good " * 5000, "Tom"]
    images = pictures_of(tweet_split())
    said = predict(checkpoint("mtvaf", tweet_split(), True), images, texts, ["", "\0", "y" * 9999, "Tom"], texts)
    assert np.isfinite(shares(said)).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_a_picture_of_any_mode_is_seen_as_its_colours(mode: str) -> None:
    loaded = checkpoint("image_only", ad_split(), False)
    picture = pictures_of(ad_split())[0].convert(mode)
    assert predict(loaded, [picture], ["shoes"]) == predict(loaded, [picture.convert("RGB")], ["shoes"])


def test_rows_without_targets_are_refused_by_a_model_that_learned_of_them() -> None:
    loaded = checkpoint("bilstm", tweet_split(), True)
    with pytest.raises(DataError, match=r"no targets.*target in \[source\]"):
        predict_split(loaded, source_of(ad_split(), loaded), "test", progress=False)


@pytest.mark.parametrize("name", [name for name in MODELS if not issubclass(model_class(name), FittedModel)])
def test_an_answer_does_not_depend_on_what_else_is_asked(name: str) -> None:
    rows = tweet_split()
    loaded = checkpoint(name, rows, rows.has_targets)
    images = pictures_of(rows) if "image" in MODELS[name].modalities else []
    together = shares(Predictor(loaded).predict(images, rows.text, rows.target))
    order = [2, 0, 3, 1, 0]
    for size, numbers in ((1, [0, 1, 2, 3]), (2, order), (5, order)):
        chosen = rows.take(numbers)
        shown = [images[number] for number in numbers if images]
        again = Predictor(loaded, batch_size=size).predict(shown, chosen.text, chosen.target)
        assert np.allclose(shares(again), together[numbers], atol=1e-5)


def test_an_ads_frames_are_joined_in_any_order_and_one_frame_is_its_ad() -> None:
    rows = ad_split()
    predictor = Predictor(checkpoint("fgmfn", rows, False), batch_size=3)
    frames = list(zip(pictures_of(rows), rows.text, strict=True))
    one, two, back = predictor.predict_ads([frames[:1], frames * 12, frames[::-1] * 12])
    assert (one.label, one.probabilities) == (one.frames[0].label, one.frames[0].probabilities)
    assert two.label == back.label
    assert two.probabilities == pytest.approx(back.probabilities, abs=1e-6)
    assert np.allclose(shares([two])[0], shares(list(two.frames)).mean(axis=0))
    assert [len(ad.frames) for ad in (one, two)] == [1, 48]
    assert predictor.predict_ads([]) == []
    with pytest.raises(InputError, match="ad 2 has no frame"):
        predictor.predict_ads([frames, []])
    with pytest.raises(InputError, match="1 targets and 2 ads"):
        predictor.predict_ads([frames, frames], ["film"])
