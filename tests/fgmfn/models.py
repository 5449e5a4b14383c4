"""Every model at a size that a test can afford, its full size, and rows and batches for it: one line per model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fgmfn.baselines import model_class
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.data.rows import NOWHERE
from fgmfn.modeling import SentimentModel
from fgmfn.planning import Run
from fgmfn.processing import FgmfnProcessor, image_processor, train_tokenizer, train_words
from fgmfn.training import train_run
from tests.fgmfn.releases import picture

TEXT = {"num_hidden_layers": 1, "vocab_size": 60, "max_position_embeddings": 66, "pad_token_id": 0}
PIECES = {"pretrained": False, "hidden_size": 32, "heads": 2, "text_config": TEXT}
PICTURE = {"pretrained": False, "backbone": "test_resnet", "image_size": 64}
VGG = PICTURE | {"backbone": "vgg11", "fc6_width": 8}
WORDS = {"vocab_size": 60, "word_size": 12}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
PAIR = {
    "pretrained": False,
    "text_config": TOWER | {"max_position_embeddings": 24},
    "vision_config": TOWER | {"image_size": 64, "patch_size": 16},
}
FAMILY = PIECES | PICTURE | {"itc_projection": 16}


@dataclass(frozen=True)
class Tiny:
    """One model: its small settings, its full size, and parameters that no gradient reaches by design."""

    settings: dict[str, Any]
    full_size: tuple[int, int] | None
    """Parameters in total and trainable, for three classes."""
    silent: tuple[str, ...] = ()
    """Beginnings of parameters' names, each with its reason in the model's file."""
    learning_rate: float = 5e-3
    """At which the small model learns the planted problem."""
    epochs: int = 12
    """Within which it does."""
    rows: int = 64
    """From which it does."""


TINY: dict[str, Tiny] = {
    "res_target": Tiny(PICTURE | WORDS | {"hidden_size": 10, "freeze_backbone": True}, (59_645_111, 1_501_303)),
    "vgg16": Tiny(VGG, (134_272_835, 134_272_835), learning_rate=1e-4, epochs=3, rows=32),
    "bilstm": Tiny(WORDS | {"hidden_size": 10}, (4_446_003, 4_446_003)),
    "text_cnn": Tiny(WORDS | {"filters": 8}, (3_361_203, 3_361_203)),
    "roberta": Tiny(PIECES, (124_647_939, 124_647_939), learning_rate=4e-3),
    "mimn": Tiny(PICTURE | WORDS | {"hidden_size": 10}, (64_312_211, 6_168_403)),
    "esafn": Tiny(PICTURE | WORDS | {"hidden_size": 10}, (60_163_411, 2_019_603)),
    "vilbert": Tiny(
        PIECES
        | PICTURE
        | {"text_config": TEXT | {"num_hidden_layers": 3}, "visual_size": 48, "visual_feed_forward": 40}
        | {"visual_heads": 2, "visual_layers": 2},
        (295_957_062, 237_813_254),
        learning_rate=4e-3,
    ),
    "tombert": Tiny(PIECES | PICTURE, (292_859_971, 234_716_163), learning_rate=4e-3),
    "lxmert_mmsa": Tiny(
        PIECES | PICTURE | {"text_config": TEXT | {"l_layers": 1, "r_layers": 1, "x_layers": 2}},
        (267_269_443, 202_037_763),
        learning_rate=4e-3,
    ),
    "arfn": Tiny(PIECES | PICTURE | {"cell_size": 24}, (335_667_907, 277_524_099), learning_rate=4e-3),
    "aom": Tiny(
        PIECES | PICTURE | {"parser": "", "word_values": {"sad": -1.0, "good": 0.5}},
        (144_006_980, 85_863_172),
        silent=("attention.state",),
        learning_rate=4e-3,
    ),
    "mtvaf": Tiny(PIECES | PICTURE | {"prefix_width": 24}, (140_469_907, 116_961_875), learning_rate=4e-3),
    "fgmfn": Tiny(FAMILY, (132_871_250, 132_871_250), learning_rate=4e-3),
    "text_only": Tiny(FAMILY, (109_484_547, 109_484_547), learning_rate=4e-3),
    "image_only": Tiny(FAMILY, (11_572_803, 11_572_803), learning_rate=4e-3),
    "own_late_fusion": Tiny(FAMILY, (121_056_835, 121_056_835), learning_rate=4e-3),
    "picture_branch": Tiny(FAMILY, (13_535_813, 13_535_813), learning_rate=4e-3),
    "shuffled_pictures": Tiny(FAMILY, (132_871_250, 132_871_250), learning_rate=4e-3),
    "late_fusion": Tiny(PIECES | PICTURE | {"backbone": "test_vit"}, (212_693_763, 212_693_763), learning_rate=4e-3),
    "clip_probe": Tiny(PAIR, (151_280_388, 3_075)),
    "siglip_probe": Tiny(PAIR, (203_160_581, 4_611)),
    "tfidf": Tiny({}, None),
}


# --- rows of each kind of data ---

COLOURS = ((200, 40, 40), (40, 40, 200), (40, 200, 40), (90, 90, 90))
ADS = ("new shoes now", "so good to be home again this year", "bad", "now or never , go")
TWEETS = ("so sad that $T$ is gone", "$T$ !", "good game of $T$", "the best of us all go to $T$ now")
TARGETS = ("Tom", "New York", "us", "Ann Lee")


@dataclass(frozen=True)
class Drawn:
    """Pictures that are drawn where they are read."""

    def read(self, row: int) -> bytes:
        """A picture of the row's colour."""
        return picture(COLOURS[row % 4], seed=row)


def ad_split() -> Rows:
    """Four ads: the target is their category, which does not stand in the text."""
    names = [f"ad{number}:0" for number in range(4)]
    return Rows(
        names,
        names,
        list(ADS),
        ["apparel", "food", "apparel", "film"],
        [NOWHERE] * 4,
        [0, 1, 2, 0],
        names,
        Drawn(),
        False,
    )


def tweet_split(texts: Sequence[str] | None = None, targets: Sequence[str] = TARGETS) -> Rows:
    """Four tweets, each about a target that stands in it; other texts are taken as they are."""
    marked = list(texts or TWEETS)
    starts = [text.find("$T$") for text in marked]
    spans = [NOWHERE if at < 0 else (at, at + len(target)) for at, target in zip(starts, targets, strict=True)]
    whole = [text.replace("$T$", target) for text, target in zip(marked, targets, strict=True)]
    names = [f"tweet{number}" for number in range(len(marked))]
    return Rows(names, names, whole, list(targets), spans, [0, 1, 2, 0][: len(marked)], names, Drawn(), True)


# --- models and batches ---


def build(name: str, **settings: Any) -> Any:
    """A small model with the same weights every time."""
    torch.manual_seed(0)
    kind = model_class(name)
    return kind(kind.config_class(**TINY[name].settings | {"num_labels": 3} | settings))


def processor_for(model: Any, *, max_tokens: int = 32) -> FgmfnProcessor:
    """A processor whose tokenizer has learned the words of the test data."""
    texts = [*ADS, *TWEETS, *TARGETS]
    tokenizer = train_words(texts, 1) if model.inputs.tokens == "words" else train_tokenizer(texts, 60)
    assert len(tokenizer) <= 60, "the test data's words outgrow the tiny models' vocabulary"
    return FgmfnProcessor(image_processor(model.config), tokenizer, max_tokens=max_tokens, max_target_tokens=8)


def batch_of(model: SentimentModel, rows: Rows, numbers: list[int], extra: int = 0) -> dict[str, Tensor]:
    """A batch of some rows, as the trainer makes it; `extra` more padding behind every sentence and target."""
    processor = processor_for(model)
    tokenizer = processor.tokenizer
    dataset = SplitDataset(rows, processor, model.inputs)
    batch = Collator(processor, model.inputs)([dataset[number] for number in numbers])
    own = {field.name: field.axes for field in model.inputs.extras}
    axes = {"input_ids": "n", "attention_mask": "n", "token_type_ids": "n", "target_ids": "m", "target_mask": "m"}
    for field, values in batch.items():
        for axis, letter in enumerate(own.get(field, axes.get(field, ())), 1):
            fill = tokenizer.pad_token_id if field in ("input_ids", "target_ids") else 0
            shape = [extra if at == axis and letter in "nm" else size for at, size in enumerate(values.shape)]
            values = torch.cat([values, values.new_full(shape, fill)], dim=axis)
        batch[field] = values
    return batch


def logits(model: SentimentModel, batch: dict[str, Tensor]) -> Tensor:
    """What a model says in evaluation."""
    with torch.no_grad():
        return model.eval()(
            **{name: values for name, values in batch.items() if name not in ("labels", "groups")}
        ).logits


class Learned(Exception):  # noqa: N818  no error
    """Ends a training whose problem is solved."""


def learn(run: Run, enough: float) -> float:
    """Train until the macro-F1 on the development rows is high enough; return the last one."""
    scores: list[float] = []

    def end_early(epoch: int, macro_f1: float) -> None:
        scores.append(macro_f1)
        if macro_f1 >= enough:
            raise Learned

    with suppress(Learned):
        trained = train_run(run, progress=False, after_epoch=end_early)
        assert trained.dev is not None
        return trained.dev.macro_f1
    return scores[-1]


def small_config(**changes: Any) -> FgmfnConfig:
    """A model of some hundred thousand weights that takes pictures of 64 pixels."""
    settings: dict[str, Any] = {
        "backbone": "test_resnet",
        "pretrained": False,
        "image_size": 64,
        "hidden_size": 32,
        "heads": 4,
        "itc_projection": 16,
        "text_config": {"num_hidden_layers": 1, "vocab_size": 50, "max_position_embeddings": 32},
    }
    return FgmfnConfig(**(settings | changes))


def batch(rows: int = 3, tokens: int = 7, *, labels: bool = True, size: int = 64) -> dict[str, Tensor]:
    """Random inputs of one batch."""
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "pixel_values": torch.randn(rows, 3, size, size, generator=generator),
        "input_ids": torch.randint(5, 50, (rows, tokens), generator=generator),
        "attention_mask": torch.ones(rows, tokens, dtype=torch.long),
    }
    return inputs | ({"labels": torch.arange(rows) % 2} if labels else {})
