"""Every model at a size that a test can afford, and how many parameters it has at its paper's: one line per model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


TINY: dict[str, Tiny] = {
    "res_target": Tiny(PICTURE | WORDS | {"hidden_size": 10, "freeze_backbone": True}, (59_645_111, 1_501_303)),
    "vgg16": Tiny(VGG, (134_272_835, 134_272_835), learning_rate=2e-4, epochs=2),
    "bilstm": Tiny(WORDS | {"hidden_size": 10}, (4_446_003, 4_446_003)),
    "text_cnn": Tiny(WORDS | {"filters": 8}, (3_361_203, 3_361_203)),
    "roberta": Tiny(PIECES, (124_647_939, 124_647_939), learning_rate=2e-3),
    "mimn": Tiny(PICTURE | WORDS | {"hidden_size": 10}, (64_312_211, 6_168_403)),
    "esafn": Tiny(PICTURE | WORDS | {"hidden_size": 10}, (60_163_411, 2_019_603)),
    "vilbert": Tiny(
        PIECES
        | PICTURE
        | {"text_config": TEXT | {"num_hidden_layers": 3}, "visual_size": 48, "visual_feed_forward": 40}
        | {"visual_heads": 2, "visual_layers": 2},
        (295_957_062, 237_813_254),
        learning_rate=2e-3,
    ),
    "tombert": Tiny(PIECES | PICTURE, (292_859_971, 234_716_163), learning_rate=2e-3),
    "lxmert_mmsa": Tiny(
        PIECES | PICTURE | {"text_config": TEXT | {"l_layers": 1, "r_layers": 1, "x_layers": 2}},
        (267_269_443, 209_125_635),
        silent=("lxmert.encoder.x_layers.1.visn_",),
        learning_rate=2e-3,
    ),
    "arfn": Tiny(PIECES | PICTURE | {"cell_size": 24}, (335_667_907, 277_524_099), learning_rate=2e-3),
    "aom": Tiny(
        PIECES | PICTURE | {"parser": "", "word_values": {"sad": -1.0, "good": 0.5}},
        (144_006_980, 85_863_172),
        silent=("attention.state",),
        learning_rate=2e-3,
    ),
    "mtvaf": Tiny(PIECES | PICTURE | {"prefix_width": 24}, (140_469_907, 116_961_875), learning_rate=2e-3),
    "fgmfn": Tiny(FAMILY, (132_871_250, 132_871_250), learning_rate=2e-3),
    "text_only": Tiny(FAMILY, (109_484_547, 109_484_547), learning_rate=2e-3),
    "image_only": Tiny(FAMILY, (11_572_803, 11_572_803), learning_rate=2e-3),
    "late_fusion": Tiny(PIECES | PICTURE | {"backbone": "test_vit"}, (212_693_763, 212_693_763), learning_rate=2e-3),
    "clip_probe": Tiny(PAIR, (151_280_388, 3_075)),
    "siglip_probe": Tiny(PAIR, (203_160_581, 4_611)),
    "tfidf": Tiny({}, None),
}
