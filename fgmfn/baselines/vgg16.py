"""VGG16 (Simonyan and Zisserman, 2015) on the whole picture, with its last layer replaced: an older CNN."""

from __future__ import annotations

from typing import Any, ClassVar

import timm
from huggingface_hub.dataclasses import strict
from torch import Tensor

from fgmfn.configuration import PictureConfig, require
from fgmfn.encoders import create_backbone
from fgmfn.inputs import Inputs
from fgmfn.modeling import Baseline, SentimentOutput

FC_WIDTH = 4096
VGG = "a VGG of timm, such as vgg16"


@strict
class Vgg16Config(PictureConfig):
    """Settings of the VGG16 row."""

    model_type = "fgmfn_vgg16"
    counts: ClassVar[tuple[str, ...]] = ("fc6_width",)

    backbone: str = "vgg16"
    """Name of a VGG model in timm."""
    freeze_backbone: bool = False
    """Must stay False: the whole network is tuned."""
    fc6_width: int = FC_WIDTH
    """Width of the first fully connected layer; only 4096 can be pretrained."""

    def check(self) -> None:
        """Refuse a backbone that is not a VGG."""
        super().check()
        require(not self.freeze_backbone, "freeze_backbone", self.freeze_backbone, "false")
        is_vgg = self.backbone.startswith("vgg") and timm.is_model(self.backbone)
        require(is_vgg, "backbone", self.backbone, VGG)


class Vgg16ForSentiment(Baseline):
    """VGG16; its layer fc8 gives the classes."""

    config_class = Vgg16Config
    modalities = ("image",)
    inputs = Inputs(("pixel_values",))
    main_input_name = "pixel_values"
    # Ours throughout, usual for tuning a CNN on few pictures; the paper trains on ImageNet from scratch.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 1e-4, "epochs": 20, "batch_size": 32}

    def __init__(self, config: Vgg16Config) -> None:
        super().__init__(config)
        self._create(pretrained=False)
        self.post_init()

    def load_pretrained(self, tokenizer: Any) -> None:
        """Load the weights that were trained on ImageNet, except fc8's.

        Raises:
            WeightsError: They cannot be fetched or read.
        """
        if self.config.pretrained:
            self._create(pretrained=True)

    def _create(self, *, pretrained: bool) -> None:
        config = self.config
        self.network = create_backbone(
            config,
            VGG,
            pretrained=pretrained,
            num_classes=config.num_labels,
            drop_rate=config.dropout,
            mlp_ratio=config.fc6_width / FC_WIDTH,
        )

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> SentimentOutput:
        """Classify pictures [B, 3, H, W]."""
        return self.task_output(self.network(pixel_values), labels)
