"""Pictures and words become a model's inputs, and the same processor comes back from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

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
    before = _framing("letterbox", max_tokens=9, interpolation="bilinear")
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


def _framing(fit: str, side: int = 64, **settings: Any) -> FgmfnProcessor:
    config = small_config(image_size=side)
    return FgmfnProcessor(image_processor(config), train_tokenizer(TEXTS, 200), fit=fit, **settings)


SIDES = st.integers(2, 300)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(0, 5), st.integers(0, 9), st.sampled_from(["letterbox", "squash", "crop"]))
def test_a_training_picture_of_any_shape_is_the_models_square(
    width: int, height: int, epoch: int, row: int, fit: str
) -> None:
    augmentation = Augmentation(min_crop=0.2, mirror=True, seed=3)
    processor = _framing(fit, crop_share=0.9)
    assert augmentation(Image.new("RGB", (width, height)), processor, epoch=epoch, row=row).size == (64, 64)


def _marked(width: int, height: int) -> Image.Image:
    """Green, with a red mark in each corner as words at the edges of an ad."""
    image = Image.new("RGB", (width, height), (0, 255, 0))
    for left in (0, width - width // 8):
        for top in (0, height - height // 8):
            image.paste((255, 0, 0), (left, top, left + width // 8, top + height // 8))
    return image


def _red_and_green(square: Image.Image) -> tuple[int, int]:
    pixels = np.asarray(square).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60)
    green = (pixels[..., 1] > 200) & (pixels[..., 0] < 60)
    return int(red.sum()), int(green.sum())


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (1280, 720), (300, 300)])
@pytest.mark.parametrize("epoch", range(6))
def test_a_letterboxed_picture_keeps_all_its_corners_in_training_at_the_scale_of_evaluation(
    width: int, height: int, epoch: int
) -> None:
    processor, image = _framing("letterbox", 128), _marked(width, height)
    red, green = _red_and_green(processor.square(image))
    trained = Augmentation(min_crop=1.0, mirror=False, seed=1)(image, processor, epoch=epoch, row=0)
    assert _red_and_green(trained) == pytest.approx((red, green), rel=0.08)
    # Four marks of an eighth by an eighth, and the picture's area on the square.
    area = 128 * 128 * min(width, height) / max(width, height)
    assert red == pytest.approx(area * 4 / 64, rel=0.15)
    assert red + green == pytest.approx(area, rel=0.06)


def test_each_fit_shows_what_it_says() -> None:
    image = _marked(640, 360)
    letterboxed, squashed = (np.asarray(_framing(fit).square(image)) for fit in ("letterbox", "squash"))
    ground = [round(255 * mean) for mean in _framing("letterbox").image_processor.image_mean]
    assert letterboxed[0, 32].tolist() == letterboxed[-1, 0].tolist() == ground  # above and below
    assert [letterboxed[14, 0, 0] > 200, letterboxed[49, 63, 0] > 200] == [True, True]
    assert [squashed[0, 0, 0] > 200, squashed[-1, -1, 0] > 200] == [True, True]
    cropped = _framing("crop", crop_share=0.5).square(image)
    assert _red_and_green(cropped) == (0, 64 * 64)
    # The middle half of the shorter side, 180 pixels, as a resize of that part gives it.
    noise = Image.effect_noise((640, 360), 90).convert("RGB")
    part = noise.crop((230, 90, 410, 270)).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(_framing("crop", crop_share=0.5).square(noise)).astype(int) - np.asarray(part)).mean() < 2


def test_a_crop_in_training_is_as_large_as_in_evaluation_and_lies_elsewhere() -> None:
    processor = _framing("crop", crop_share=0.8)
    stripes = Image.fromarray(np.tile(np.arange(640) % 256, (360, 1)).astype(np.uint8)).convert("RGB")
    steps = []
    for epoch in range(4):
        square = Augmentation(min_crop=1.0, mirror=False, seed=1)(stripes, processor, epoch=epoch, row=0)
        row = np.asarray(square)[0, :, 0].astype(int)
        steps.append(float(np.median(np.diff(row))))
    assert steps == pytest.approx([0.8 * 360 / 64] * 4, abs=0.6)


def test_a_processor_of_an_older_run_shows_pictures_as_it_did(tmp_path: Path) -> None:
    old = FgmfnProcessor(image_processor(small_config()), train_tokenizer(TEXTS, 200))
    old.save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    saved = json.loads(file.read_text())
    for name in ("fit", "crop_share", "interpolation"):
        saved.pop(name, None)
    file.write_text(json.dumps(saved))
    image = Image.effect_noise((200, 120), 90).convert("RGB")
    loaded = FgmfnProcessor.from_pretrained(tmp_path)
    expected = old.image_processor([image], return_tensors="pt")["pixel_values"]
    assert torch.equal(loaded(images=[image])["pixel_values"], expected)
    assert torch.equal(loaded.pixels([loaded.square(image)]), expected)


def test_a_tokenizer_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer.*--from-scratch"):
        pretrained_tokenizer(str(tmp_path / "nowhere"))


def byte_level(texts: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of RoBERTa's kind: bytes joined to pieces, `</s>` as separator."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    core.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    names = {"bos": 0, "cls": 0, "pad": 1, "sep": 2, "eos": 2, "unk": 3, "mask": 4}
    return PreTrainedTokenizerFast(
        tokenizer_object=core, **{f"{name}_token": special[number] for name, number in names.items()}
    )


@pytest.mark.parametrize("text", ["Bob won [SEP] a dog", "[SEP] Bob [SEP][SEP] a dog", "Bob [sep] won"])
def test_a_separator_is_the_tokenizers_own_and_moves_no_other_word(text: str) -> None:
    processor = FgmfnProcessor(image_processor(small_config()), byte_level(["Bob won a dog", "a sad game"]))
    cut = processor.tokenize([text], offsets=True)
    spelled = processor.tokenizer.convert_ids_to_tokens(cut["input_ids"][0])
    assert spelled.count("</s>") == text.count("[SEP]") + 1
    for piece, (start, end) in zip(spelled, cut["offset_mapping"][0], strict=True):
        if piece not in ("<s>", "</s>") and end > start:
            assert text[start:end].strip() in ("", piece.removeprefix("Ġ"))
