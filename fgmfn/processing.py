"""From a picture and its words to a model's inputs: `FgmfnProcessor`, saved and loaded beside the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoProcessor,
    AutoTokenizer,
    BatchFeature,
    BertTokenizer,
    CLIPImageProcessor,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from fgmfn.configuration import FgmfnConfig, SentimentConfig
from fgmfn.errors import WeightsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
WORD_SPECIALS = ("[PAD]", "[UNK]", "[SEP]")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class FgmfnProcessor(ProcessorMixin):
    """A tokenizer for the words and a resize, centre crop and normalisation for the picture.

    Args:
        image_processor: resizes the shorter side, crops the centre square, normalises.
        tokenizer: the text encoder's.
        max_tokens: tokens per text; what is beyond is cut off.
        max_target_tokens: tokens per target where a model reads it alone.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        max_tokens: int = 128,
        max_target_tokens: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, **kwargs)
        self.max_tokens = max_tokens
        self.max_target_tokens = max_target_tokens

    def __call__(
        self,
        images: Sequence[Image.Image] | None = None,
        text: Sequence[str] | None = None,
        text_pair: Sequence[str] | None = None,
    ) -> BatchFeature:
        """Return `pixel_values` [B, 3, H, W] and `input_ids`, `attention_mask` [B, n] of what is given."""
        batch: dict[str, Any] = {}
        if images is not None:
            batch |= self.image_processor(list(images), return_tensors="pt")
        if text is not None:
            batch |= self.tokenizer.pad(self.tokenize(text, text_pair), return_tensors="pt")
        return BatchFeature(batch)

    def tokenize(
        self,
        text: Sequence[str],
        text_pair: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        offsets: bool = False,
    ) -> dict[str, list[list[Any]]]:
        """Return the tokens of each text, cut to `max_tokens` and not yet padded; a text of none is one unknown token.

        Args:
            text: one text per row.
            text_pair: a second text per row, such as the target of a sentence: `[CLS] sentence [SEP] target [SEP]`.
            limit: cut to so many tokens instead.
            offsets: add `offset_mapping`, the characters of `text` behind each token; (0, 0) for special tokens
                and those of the second text.
        """
        first = [readable(one) for one in text]
        second = None if text_pair is None else [readable(one) for one in text_pair]
        length = limit or self.max_tokens
        cut = self.tokenizer(first, second, truncation=True, max_length=length, return_offsets_mapping=offsets)
        if offsets:
            for row, places in enumerate(cut["offset_mapping"]):
                segments = cut.sequence_ids(row)
                cut["offset_mapping"][row] = [
                    place if of == 0 else (0, 0) for place, of in zip(places, segments, strict=True)
                ]
        values = dict(cut)
        for row, ids in enumerate(values["input_ids"]):
            if not ids:
                one = {"input_ids": self.tokenizer.unk_token_id, "attention_mask": 1, "offset_mapping": (0, 0)}
                for name in values:
                    values[name][row] = [one.get(name, 0)]
        return values

    @property
    def image_size(self) -> int:
        """Side of the square picture that comes out, in pixels."""
        return int(self.image_processor.crop_size["height"])


def readable(text: str) -> str:
    """Put a question mark for half a character, which no tokenizer takes; all others stay at their places."""
    return text.encode(errors="replace").decode()


@dataclass(frozen=True)
class Augmentation:
    """Random crops (and mirrors) of training pictures, the same for the same seed, epoch and row."""

    image_size: int
    min_crop: float
    mirror: bool
    seed: int

    def __call__(self, image: Image.Image, *, epoch: int, row: int) -> Image.Image:
        """Return a random part of the picture, stretched to the model's square."""
        rng = np.random.default_rng((self.seed, epoch, row))
        # A wide frame loses its sides to the square as it would in evaluation, but not always the same ones.
        side = min(image.size)
        crop = side * float(np.sqrt(rng.uniform(self.min_crop, 1.0)))
        left, top = (float(rng.uniform(0, length - crop)) for length in image.size)
        square = image.resize(
            (self.image_size, self.image_size), Image.Resampling.BICUBIC, box=(left, top, left + crop, top + crop)
        )
        if self.mirror and rng.random() < 0.5:
            return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return square


def image_processor(config: SentimentConfig) -> CLIPImageProcessor:
    """Resize, centre crop (224 of 256 pixels, or in that proportion) and the backbone's own normalisation.

    A model that looks at no picture gets one that is never used.
    """
    side = getattr(config, "image_size", 224)
    card = timm.get_pretrained_cfg(config.backbone) if hasattr(config, "backbone") else None
    return CLIPImageProcessor(
        size={"shortest_edge": round(side * 256 / 224)},
        crop_size={"height": side, "width": side},
        image_mean=list(card.mean if card else IMAGENET_MEAN),
        image_std=list(card.std if card else IMAGENET_STD),
    )


def pretrained_tokenizer(name: str) -> Any:
    """Load the tokenizer that belongs to a pretrained text encoder.

    Raises:
        WeightsError: It cannot be fetched or read.
    """
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise WeightsError.unavailable(f"the tokenizer of the text encoder {name!r}", error) from error


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> BertTokenizer:
    """Learn a lower-casing WordPiece vocabulary; the same texts give the same one on every machine."""
    texts, normalizer = [readable(text) for text in texts], normalizers.BertNormalizer(lowercase=True)
    alphabet = sorted({sign for text in texts for sign in normalizer.normalize_str(text) if not sign.isspace()})
    # The trainer numbers continuation signs in the order of a hash map and breaks ties by those numbers, so
    # that two runs disagree. Numbered beforehand, they cannot (huggingface/tokenizers issue 1794).
    fixed = [*SPECIAL_TOKENS, *alphabet, *(f"##{sign}" for sign in alphabet)]
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106  a token of the vocabulary
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocabulary, len(fixed)), special_tokens=fixed, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=learner.get_vocab())


def train_words(texts: Sequence[str], min_count: int) -> PreTrainedTokenizerFast:
    """Number the lower-cased words of some texts: a word is a run of letters and digits, or one other sign.

    Args:
        texts: those of the training split alone.
        min_count: rarer words are unknown ones.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(readable(text)))
    )
    kept = sorted(word for word, count in counts.items() if count >= min_count)
    numbers = {word: number for number, word in enumerate(dict.fromkeys([*WORD_SPECIALS, *kept]))}
    words = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))  # noqa: S106  a token of the vocabulary
    words.normalizer, words.pre_tokenizer = normalizer, splitter
    words.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A [SEP]:1 $B:1", special_tokens=[("[SEP]", numbers["[SEP]"])]
    )
    names = dict(zip(("pad_token", "unk_token", "sep_token"), WORD_SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


AutoProcessor.register(FgmfnConfig, FgmfnProcessor, exist_ok=True)
