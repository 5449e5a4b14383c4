"""Pictures and words become a model's inputs, and the same processor comes back from its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fgmfn.errors import WeightsError
from fgmfn.processing import Augmentation, FgmfnProcessor, image_processor, pretrained_tokenizer, train_tokenizer
from tests.fgmfn.models import small_config

TEXTS = ["Golden hour, half the price", "THIS APP WILL RUIN YOUR LIFE", "25% OFF the RGB timelight today"]


def _processor(max_tokens: int = 16) -> FgmfnProcessor:
    return FgmfnProcessor(image_processor(small_config()), train_tokenizer(TEXTS, 200), max_tokens=max_tokens)


def test_a_picture_of_any_shape_becomes_the_models_square() -> None:
    images = [Image.new("RGB", size, (255, 0, 0)) for size in ((640, 360), (50, 400), (64, 64))]
    assert _processor()(images=images)["pixel_values"].shape == (3, 3, 64, 64)


def test_evaluation_keeps_the_centre_of_the_picture() -> None:
    wide = Image.new("RGB", (300, 100), (0, 0, 0))
    wide.paste((255, 255, 255), (100, 0, 200, 100))
    pixels = _processor()(images=[wide])["pixel_values"]
    assert pixels.min() > 0  # nothing of the black sides is left


def test_texts_are_cut_and_padded_to_one_length() -> None:
    batch = _processor(max_tokens=6)(text=["price", TEXTS[1] * 9])
    assert batch["input_ids"].shape == (2, 6)
    assert batch["attention_mask"].sum(dim=1).tolist()[1] == 6
    tokenizer = _processor().tokenizer
    assert batch["input_ids"][:, 0].tolist() == [tokenizer.cls_token_id] * 2
    assert batch["input_ids"][1, -1] == tokenizer.sep_token_id


def test_a_second_text_follows_the_first_as_a_segment_of_its_own() -> None:
    processor = _processor()
    tokenizer = processor.tokenizer
    tokens = processor.tokenize(["half the price"], ["golden hour"])
    first, second = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("half the price", "golden hour")
    )
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert tokens["input_ids"] == [[cls, *first, sep, *second, sep]]
    assert tokens["token_type_ids"] == [[0] * (len(first) + 2) + [1] * (len(second) + 1)]
    batch = processor(text=["half the price"], text_pair=["golden hour"])
    assert batch["input_ids"].tolist() == tokens["input_ids"]


def test_a_saved_processor_gives_the_same_inputs(tmp_path: Path) -> None:
    before = _processor(max_tokens=9)
    before.save_pretrained(tmp_path)
    after = FgmfnProcessor.from_pretrained(tmp_path)
    image = Image.effect_noise((200, 120), 90).convert("RGB")
    one, two = (processor(images=[image], text=[TEXTS[0]]) for processor in (before, after))
    assert set(one) == set(two)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert after.max_tokens == 9


def test_the_vocabulary_is_the_same_every_time() -> None:
    # Many merges tie here; left alone, the trainer decides between them by the order of a hash map.
    texts = ["abab baba cabba", "bcab acba dcab", "abcd dcba bdca", "caca dbdb adad"] * 3
    assert len({str(sorted(train_tokenizer(texts, 40).get_vocab().items())) for _ in range(30)}) == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4))
def test_no_sign_of_the_training_texts_is_unknown(texts: list[str]) -> None:
    tokenizer = train_tokenizer(texts, 100)
    for encoded in tokenizer(texts)["input_ids"]:
        assert tokenizer.unk_token_id not in encoded


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300), st.integers(0, 5), st.integers(0, 9))
def test_a_crop_of_any_picture_is_the_models_square(width: int, height: int, epoch: int, row: int) -> None:
    augmentation = Augmentation(image_size=32, min_crop=0.2, mirror=True, seed=3)
    assert augmentation(Image.new("RGB", (width, height)), epoch=epoch, row=row).size == (32, 32)


def test_a_tokenizer_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer.*--from-scratch"):
        pretrained_tokenizer(str(tmp_path / "nowhere"))
