"""A whole picture as one vector: a timm model that has a single answer and no feature levels, such as CLIP's."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn

from fgmfn.base_configuration import PictureConfig
from fgmfn.errors import ConfigError, WeightsError


class PictureVector(nn.Module):
    """A vision transformer of timm without its last layer; frozen, it stays in evaluation for good."""

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.frozen = config.freeze_backbone
        self._take(_create(config, pretrained=False))

    def _take(self, backbone: Any) -> None:
        self.backbone = backbone.requires_grad_(not self.frozen)
        self.size: int = backbone.num_features
        self.train(self.training)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, size]."""
        with torch.no_grad() if self.frozen else nullcontext():
            return self.backbone(pixel_values)

    def train(self, mode: bool = True) -> Self:
        """Train, unless the weights are frozen."""
        return super().train(mode and not self.frozen)

    def load_pretrained(self, config: PictureConfig, tokenizer: Any = None) -> None:
        """Replace the weights by timm's pretrained ones, or by those of `config.backbone_weights`.

        Raises:
            WeightsError: The weights cannot be fetched or read.
        """
        if config.pretrained:
            self._take(_create(config, pretrained=True))


def _create(config: PictureConfig, *, pretrained: bool) -> Any:
    overlay = {"file": config.backbone_weights} if config.backbone_weights else None
    if pretrained and overlay and not Path(overlay["file"]).is_file():
        raise WeightsError(f"backbone_weights = {overlay['file']!r}: there is no such file")
    try:
        return timm.create_model(
            config.backbone,
            pretrained=pretrained,
            num_classes=0,
            img_size=config.image_size,
            pretrained_cfg_overlay=overlay,
        )
    except Exception as error:
        # Without a download only the name can be at fault; with one, hub, network, disk and file each raise
        # errors of their own kinds.
        if pretrained:
            raise WeightsError.unavailable(f"the weights of the backbone {config.backbone!r}", error) from error
        raise ConfigError(
            f"model setting backbone = {config.backbone!r}; expected a vision transformer of timm {timm.__version__}, "
            f"such as vit_base_patch32_clip_quickgelu_224.openai: {error}"
        ) from error
