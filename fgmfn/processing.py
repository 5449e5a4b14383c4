"""From a picture and its words to a model's inputs: `FgmfnProcessor`, saved and loaded beside the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    AutoTokenizer,
    BatchFeature,
    BertTokenizer,
    CLIPImageProcessor,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from fgmfn.configuration import SentimentConfig
from fgmfn.errors import InputError, WeightsError
from fgmfn.images import as_pictures
from fgmfn.inputs import (
    MARK,
    NOWHERE,
    PAIR,
    SENTENCE,
    SEPARATOR,
    Inputs,
    Words,
    find_target,
    is_paired,
    marked,
    sentence_read,
    token_span,
)
from fgmfn.packaged import text_folder
from fgmfn.remote_code import SavesCode
from fgmfn.settings import DataSettings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LONGEST = 16
"""Ratio of a picture's sides beyond which `shrunk` cuts off the ends, with `crop`."""
UNCUT = 2**30
"""Length limit, in tokens, of a text that is not cut."""
WORD_SPECIALS = ("[PAD]", "[UNK]", "[SEP]")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class FgmfnProcessor(SavesCode, ProcessorMixin):
    """Tokenizer for the words, and resizing and normalisation for the picture.

    Args:
        image_processor: normalises; its `crop_size` is the square's side.
        tokenizer: the text encoder's.
        max_tokens: maximum number of tokens per text; the rest is cut off.
        max_target_tokens: maximum number of tokens per target, for models that read the target alone.
        fit: method of fitting a picture into the square. `letterbox`: whole, on a background of the mean colour;
            `squash`: whole, stretched; `crop`: its middle. None: `image_processor` does it alone.
        crop_share: share of the shorter side that `crop` shows.
        interpolation: name of one of Pillow's filters.
        reads: the model's inputs, from `read_by`; None: not known; all fields that the tokenizer makes are returned.
    """

    auto_classes = ("AutoProcessor",)

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        max_tokens: int = 128,
        max_target_tokens: int = 16,
        fit: str | None = None,
        crop_share: float = 1.0,
        interpolation: str = "bicubic",
        reads: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, **kwargs)
        self.max_tokens = max_tokens
        self.max_target_tokens = max_target_tokens
        self.fit = fit
        self.crop_share = crop_share
        self.interpolation = interpolation
        self.reads = reads

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        text_pair: str | Sequence[str] | None = None,
        *,
        targets: str | Sequence[str] | None = None,
        auxiliary: str | Sequence[str] | None = None,
        padding: bool | str = True,
        truncation: bool | str | None = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = "pt",
        device: Any = None,
        videos: None = None,
        audio: None = None,
        text_kwargs: Mapping[str, Any] | None = None,
        images_kwargs: Mapping[str, Any] | None = None,
        common_kwargs: Mapping[str, Any] | None = None,
    ) -> BatchFeature:
        """Return the model's fields for the given inputs: `pixel_values` [B, 3, H, W], `input_ids` [B, n]...

        If the model is not known (`reads` is None), the picture's field and the tokenizer's fields are returned.

        Args:
            images: one picture or several, as `as_pictures` takes them.
            text: one text or several.
            text_pair: a second text for each, used in place of the target, whether or not the model reads targets.
            targets: what each text is about, for models that read it.
            auxiliary: additional text for each text; used only if the model was trained on auxiliary texts, either in
                place of the texts, which are then ignored, or after them.
            padding: True or `longest`: to the longest text; `max_length`: to `max_length`; False or `do_not_pad`: none.
            truncation: False leaves texts as long as they are; True, or a strategy of the tokenizer, cuts them.
            max_length: replaces `max_tokens`.
            pad_to_multiple_of: padded lengths are multiples of this number.
            return_tensors: `pt` or `np`; None: lists, or a flat list for a single text.
            device: device of the returned tensors.
            videos: accepted for compatibility with other processors; must be None.
            audio: likewise.
            text_kwargs: arguments of this call in a dictionary, as other processors take them.
            images_kwargs: likewise, for `return_tensors` and `device`.
            common_kwargs: likewise.

        Raises:
            InputError: Neither pictures nor texts are given, one of them has a wrong type, their numbers differ,
                a length is too short for any word, or an input that the model needs is missing.
            TypeError: An argument is unknown.
        """
        if videos is not None or audio is not None:
            raise InputError("videos and audio are nothing that these models take")
        named: dict[str, Any] = {"padding": padding, "truncation": truncation, "max_length": max_length}
        named |= {"pad_to_multiple_of": pad_to_multiple_of, "return_tensors": return_tensors, "device": device}
        if grouped := [group for group in (common_kwargs, images_kwargs, text_kwargs) if group]:
            for group in grouped:
                named |= group
            return self(images, text, text_pair, targets=targets, auxiliary=auxiliary, **named)
        words: Words = (self.reads or {}).get("words", "text")
        if words == "auxiliary" and auxiliary is not None:
            text, targets = auxiliary, None
        if images is None and text is None and targets is None:
            raise InputError("neither images nor text; expected one of them or both")
        if words != "text" and text is not None and auxiliary is None:
            raise InputError("the model was trained on auxiliary texts: give them (auxiliary=)")
        given: dict[str, Any] = {"text": text, "text_pair": text_pair, "targets": targets, "auxiliary": auxiliary}
        columns: dict[str, Any] = {
            name: texts_of(**{name: value}) for name, value in given.items() if value is not None
        }
        columns |= {} if images is None else {"images": as_pictures(images)}
        if len({len(values) for values in columns.values()}) > 1:
            raise InputError(
                f"{', '.join(f'{len(values)} {name}' for name, values in columns.items())}; as many of each"
            )
        inputs, has_targets = self._read_inputs(columns)
        batch: dict[str, Any] = {}
        if images is not None and inputs.pictures:
            batch["pixel_values"] = self.pixels([self.square(image) for image in columns["images"]])
            if return_tensors != "pt":
                batch["pixel_values"] = batch["pixel_values"].numpy()
        cut = truncation and truncation != "do_not_truncate"
        limit = self.max_tokens if max_length is None else min(UNCUT, counted(max_length=max_length))
        pad = partial(self.tokenizer.pad, pad_to_multiple_of=pad_to_multiple_of, return_tensors=return_tensors)
        if text is not None and inputs.sentences:
            texts, about = columns["text"], columns.get("text_pair")
            about = columns.get("targets", [""] * len(texts)) if about is None else about
            spans = [
                find_target(one, target) if has_targets else NOWHERE for one, target in zip(texts, about, strict=True)
            ]
            if inputs.marked:
                texts = [marked(one, span)[0] for one, span in zip(texts, spans, strict=True)]
                spans = [marked(one, span)[1] for one, span in zip(columns["text"], spans, strict=True)]
            if words == "both":
                texts = [sentence_read(*both, words) for both in zip(texts, columns["auxiliary"], strict=True)]
            pair = about if text_pair is not None or is_paired(inputs, has_targets=has_targets) else None
            tokens = self.tokenize(
                texts,
                pair,
                limit=self._holding(limit, pair) if cut else UNCUT,
                strategy=truncation if isinstance(truncation, str) and cut else True,
                offsets="target_span" in inputs.fields,
            )
            offsets = tokens.pop("offset_mapping", None)
            padded = pad(tokens, padding, limit if padding == "max_length" else None)
            single = isinstance(text, str) and return_tensors is None
            batch |= {name: values[0] if single else values for name, values in padded.items()}
            if offsets is not None:
                batch["target_span"] = [token_span(at, span) for at, span in zip(offsets, spans, strict=True)]
                if has_targets:
                    _refuse_lost(spans, about)
        if inputs.targets and (text is not None or targets is not None or not inputs.sentences):
            about = columns.get("targets", [""] * len(next(iter(columns.values()))))
            tokens = self.tokenize(about, limit=self.max_target_tokens)
            padded = pad({name: tokens[name] for name in SENTENCE}, padding if padding != "max_length" else True)
            batch |= {"target_ids": padded["input_ids"], "target_mask": padded["attention_mask"]}
        made = BatchFeature(
            {name: values for name, values in batch.items() if name in inputs.fields}, tensor_type=return_tensors
        )
        return made if device is None else made.to(device)

    def _read_inputs(self, columns: Mapping[str, Any]) -> tuple[Inputs, bool]:
        """Return the model's inputs, and whether it was trained on real targets.

        Raises:
            InputError: An input of the model is not given, or no processor can make it.
        """
        if self.reads is None:
            if "targets" in columns or "auxiliary" in columns:
                raise InputError("this processor was saved for no model that is known to read targets; call predict")
            return Inputs(("pixel_values", *PAIR)), False
        reads = self.reads
        inputs = Inputs(tuple(reads["fields"]), pair=reads["pair"], marked=reads["marked"])
        if "text" in columns and reads["extras"]:
            raise InputError(
                f"the model reads {', '.join(reads['extras'])}, which no processor makes: use predict, or the pipeline"
            )
        real = bool(reads["has_targets"])
        needed = real and inputs.reads_target(real=True) and ("text" in columns or not inputs.sentences)
        if needed and not {"targets", "text_pair"} & set(columns):
            raise InputError("the model was trained on texts with targets: give what each text is about (targets=)")
        return inputs, real

    def _holding(self, limit: int, pair: Any) -> int:
        """Return the length limit if the special tokens fit into it.

        Raises:
            InputError: They do not fit.
        """
        special = self.tokenizer.num_special_tokens_to_add(pair=pair is not None)
        if limit < special:
            raise InputError(f"max_length = {limit}; expected {special + 1} or more: {special} are special tokens")
        return limit

    def tokenize(
        self,
        text: Sequence[str],
        text_pair: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        strategy: bool | str = True,
        offsets: bool = False,
    ) -> dict[str, list[list[Any]]]:
        """Return the tokens of each text, cut to `max_tokens`, unpadded; a text without tokens is one unknown token.

        Args:
            text: one text per row.
            text_pair: a second text per row, such as the target of a sentence: `[CLS] sentence [SEP] target [SEP]`.
            limit: replaces `max_tokens`.
            strategy: the tokenizer's truncation strategy for pairs that are too long.
            offsets: add `offset_mapping`, the range of characters of `text` for each token; (0, 0) for special tokens
                and those of the second text.
        """
        refuse_single(text=text, text_pair=text_pair)
        first = [self._separated(readable(one)) for one in text]
        second = None if text_pair is None else [readable(one) for one in text_pair]
        length = limit or self.max_tokens
        cut = self.tokenizer(first, second, truncation=strategy, max_length=length, return_offsets_mapping=offsets)
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

    def _separated(self, text: str) -> str:
        """Replace our separator by the tokenizer's; all other characters keep their positions."""
        own = self.tokenizer.sep_token
        return text if own in (None, SEPARATOR) else text.replace(SEPARATOR, own.ljust(len(SEPARATOR)))

    def shrunk(self, image: Image.Image, zoom: float = 1.0) -> Image.Image:
        """Return a picture resized for `square`, reduced to the part that a square may show.

        `square` returns the same for the result as for the picture itself; the cache stores the result.

        Args:
            image: in RGB.
            zoom: factor of that size, at most the picture's own, for squares that show less than the whole.
        """
        if self.fit is None:
            return image
        whole = self._whole(*image.size)
        if zoom > 1:
            whole = (min(image.width, round(zoom * whole[0])), min(image.height, round(zoom * whole[1])))
        longest = LONGEST * min(whole) if self.fit == "crop" and zoom == 1 else max(whole)
        size = (min(whole[0], longest), min(whole[1], longest))
        across, down = (full * (1 - kept / of) / 2 for full, kept, of in zip(image.size, size, whole, strict=True))
        return image.resize(size, self._filter, box=(across, down, image.width - across, image.height - down))

    def _whole(self, width: int, height: int) -> tuple[int, int]:
        """Size of a picture at the scale of its square."""
        side = self.image_size
        if self.fit == "squash":
            return side, side
        scale = side / max(width, height)
        if self.fit == "crop":
            scale = int(side / self.crop_share) / min(width, height)
        return max(1, round(scale * width)), max(1, round(scale * height))

    @property
    def _filter(self) -> Image.Resampling:
        return Image.Resampling[self.interpolation.upper()]

    def square(self, image: Image.Image, *, share: float = 1.0, place: tuple[float, float] = (0.5, 0.5)) -> Image.Image:
        """Return the square that a model sees of a picture.

        Args:
            image: in RGB, original or `shrunk`.
            share: side length of the part that is shown, as a share of the default.
            place: position of this part in the picture, and of the picture on its background; (0, 0) is the top left,
                (1, 1) the bottom right.
        """
        if self.fit is None:
            return image
        side = self.image_size
        resized = self.shrunk(image) if share == 1 else self._part(image, share, place)
        if resized.size == (side, side):
            return resized
        red, green, blue = (round(255 * mean) for mean in self.image_processor.image_mean)
        square = Image.new("RGB", (side, side), (red, green, blue))
        square.paste(resized, (round(place[0] * (side - resized.width)), round(place[1] * (side - resized.height))))
        return square

    def _part(self, image: Image.Image, share: float, place: tuple[float, float]) -> Image.Image:
        """Cut out and resize a share of the part that is shown by default."""
        side, (width, height) = self.image_size, image.size
        shown = self.crop_share * min(width, height) if self.fit == "crop" else 0
        shown_width, shown_height = share * (shown or width), share * (shown or height)
        left, top = place[0] * (width - shown_width), place[1] * (height - shown_height)
        size = self._whole(width, height) if self.fit == "letterbox" else (side, side)
        box = (left, top, min(width, left + shown_width), min(height, top + shown_height))
        return image.resize(size, self._filter, box=box)

    def pixels(self, squares: Sequence[Image.Image]) -> Tensor:
        """Return normalised squares, [B, 3, H, W]."""
        return self.normalize(self.raw_pixels(squares))

    def raw_pixels(self, squares: Sequence[Image.Image]) -> Tensor:
        """Return squares as bytes, [B, 3, H, W]."""
        if self.fit is not None:
            return torch.from_numpy(np.stack([np.asarray(square) for square in squares])).permute(0, 3, 1, 2)
        raw: Tensor = self.image_processor(list(squares), return_tensors="pt", do_rescale=False, do_normalize=False)[
            "pixel_values"
        ]
        return raw

    def normalize(self, pixels: Tensor) -> Tensor:
        """Convert bytes [B, 3, H, W] into a model's input values, on the same device."""
        own = self.image_processor
        values = pixels.contiguous().float()
        if own.do_normalize:
            factor = own.rescale_factor if own.do_rescale else 1.0
            mean, std = _statistics(tuple(own.image_mean), tuple(own.image_std), factor, pixels.device)
            return (values - mean).div_(std)
        return values * own.rescale_factor if own.do_rescale else values

    @property
    def image_size(self) -> int:
        """Side of the square picture in pixels."""
        return int(self.image_processor.crop_size["height"])


@cache
def _statistics(
    mean: tuple[float, ...], std: tuple[float, ...], rescale_factor: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of pixels, [3, 1, 1], on a device; cached, because copying to a GPU blocks it."""
    first, second = (torch.tensor(one, device=device).view(-1, 1, 1) * (1.0 / rescale_factor) for one in (mean, std))
    return first, second


def texts_of(**given: Any) -> list[str]:
    """Return one text or several as a list; the keyword names the argument in errors.

    Raises:
        InputError: A value is not a text, or there is none.
    """
    ((name, value),) = given.items()
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{name} is a {type(value).__name__}; expected a str or several")
    texts = [value] if isinstance(value, str) else list(value)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise InputError(f"{name} {number} is a {type(text).__name__}; expected a str")
    if not texts:
        raise InputError(f"{name} is empty; expected one text or more")
    return texts


def counted(**given: Any) -> int:
    """Return a count; the keyword names the argument in errors.

    Raises:
        InputError: It is not a whole number, or less than 1.
    """
    ((name, value),) = given.items()
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} = {value!r}; expected a whole number, 1 or more")
    return value


def read_by(inputs: Inputs, *, has_targets: bool, words: Words = "text") -> dict[str, Any]:
    """Return a description of a model's inputs, for the processor that is saved beside it.

    Args:
        inputs: the model's.
        has_targets: its training rows have real targets; False: at most the categories of ads.
        words: text that the model reads as a sentence.
    """
    extras = [extra.name for extra in inputs.extras]
    own = {"fields": [*inputs.fields], "pair": inputs.pair, "marked": inputs.marked, "extras": extras}
    return own | {"has_targets": has_targets, "words": words}


def _refuse_lost(spans: Sequence[tuple[int, int]], targets: Sequence[str]) -> None:
    for number, (span, target) in enumerate(zip(spans, targets, strict=True), 1):
        if span == NOWHERE:
            raise InputError(
                f"target {number} {target[:80]!r} does not stand in its text; the model reads the words around it"
            )


def refuse_single(**given: Any) -> None:
    """Refuse a single text or picture instead of a list: a text's letters would be taken for texts.

    Raises:
        InputError: A value is a single text or picture.
    """
    for name, value in given.items():
        if isinstance(value, str | bytes | Image.Image):
            raise InputError(f"{name} is one {type(value).__name__}; expected a list, [{name}]")


def readable(text: str) -> str:
    """Replace unpaired surrogates, which no tokenizer accepts, by question marks; no character moves."""
    return text.encode(errors="replace").decode()


@dataclass(frozen=True)
class Augmentation:
    """Random positions, crops and mirroring of training pictures, reproducible by seed, epoch and row.

    A letterboxed picture is placed anywhere on its background, and a crop anywhere in the picture, as large as in
    evaluation.

    Args:
        min_crop: smallest share of the area that evaluation shows; 1 turns random cropping off.
        mirror: mirror half of the pictures, at random.
        seed: seed of the random draws.
    """

    min_crop: float
    mirror: bool
    seed: int

    @property
    def zoom(self) -> float:
        """Largest magnification, compared with evaluation."""
        return float(1 / np.sqrt(self.min_crop))

    def __call__(self, image: Image.Image, processor: FgmfnProcessor, *, epoch: int, row: int) -> Image.Image:
        """Return the square for a training picture, original or shrunk, in this epoch."""
        rng = np.random.default_rng((self.seed, epoch, row))
        share, across, down = float(np.sqrt(rng.uniform(self.min_crop, 1.0))), rng.random(), rng.random()
        square = processor.square(image, share=share, place=(across, down))
        if self.mirror and rng.random() < 0.5:
            return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return square


def image_processor(config: SentimentConfig, data: DataSettings | None = None) -> CLIPImageProcessor:
    """Return an image processor that normalises as the settings say, or else the backbone's card.

    Without a `fit` it crops the centre (224 of 256 pixels). A model without pictures gets one that is never used.
    """
    data, card = data or DataSettings(), picture_card(config)
    side = getattr(config, "image_size", 224)
    return CLIPImageProcessor(
        size={"shortest_edge": round(side * 256 / 224)},
        crop_size={"height": side, "width": side},
        image_mean=list(data.image_mean or (card.mean if card else IMAGENET_MEAN)),
        image_std=list(data.image_std or (card.std if card else IMAGENET_STD)),
    )


def picture_card(config: SentimentConfig) -> Any:
    """Return timm's card of a model's backbone, or None without a backbone."""
    return timm.get_pretrained_cfg(config.backbone) if hasattr(config, "backbone") else None


def pretrained_tokenizer(name: str) -> Any:
    """Load the tokenizer that belongs to a pretrained text encoder.

    Raises:
        WeightsError: It cannot be fetched or read.
    """
    source = text_folder(name)
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise WeightsError.unavailable(f"the tokenizer of the text encoder {name!r}", error) from error


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> BertTokenizer:
    """Learn a lower-casing WordPiece vocabulary, which is the same on every machine for the same texts."""
    texts, normalizer = [readable(text) for text in texts], normalizers.BertNormalizer(lowercase=True)
    alphabet = sorted({sign for text in texts for sign in normalizer.normalize_str(text) if not sign.isspace()})
    # The trainer numbers continuation signs in the order of a hash map and breaks ties by those numbers, so
    # two runs can differ. Numbering them beforehand prevents that (huggingface/tokenizers issue 1794).
    fixed = [*SPECIAL_TOKENS, *alphabet, *(f"##{sign}" for sign in alphabet)]
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106  a token of the vocabulary
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocabulary, len(fixed)), special_tokens=fixed, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=learner.get_vocab())


def train_words(texts: Sequence[str], min_count: int, *, mark: bool = False) -> PreTrainedTokenizerFast:
    """Number the lower-cased words of texts: a word is a run of letters and digits, or one other sign.

    Args:
        texts: texts of the training split only.
        min_count: rarer words become the unknown token.
        mark: include the signs of a target's mark in the vocabulary, even if the texts do not contain them.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(readable(text)))
    )
    kept = sorted(word for word, count in counts.items() if count >= min_count)
    if mark:
        kept += [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(MARK))]
    numbers = {word: number for number, word in enumerate(dict.fromkeys([*WORD_SPECIALS, *kept]))}
    words = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))  # noqa: S106  a token of the vocabulary
    words.normalizer, words.pre_tokenizer = normalizer, splitter
    words.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A [SEP]:1 $B:1", special_tokens=[("[SEP]", numbers["[SEP]"])]
    )
    names = dict(zip(("pad_token", "unk_token", "sep_token"), WORD_SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)
