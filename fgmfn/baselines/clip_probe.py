"""A linear probe on CLIP (Radford et al., 2021): what its frozen encoders already know of sentiment."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import CLIPImageProcessor

from fgmfn.baselines.parts.probe import Probe, ProbeConfig


@strict
class ClipProbeConfig(ProbeConfig):
    """Settings of the probe on CLIP."""

    model_type = "fgmfn_clip_probe"
    family: ClassVar[str] = "clip"
    text_defaults: ClassVar[dict[str, Any]] = {"model_type": "clip_text_model"}

    encoders: str = "openai/clip-vit-base-patch32"
    """Name on the Hugging Face Hub or local folder of both encoders and their tokenizer."""


class ClipProbeForSentiment(Probe):
    """ViT-B/32 and its text encoder, both projected to 512."""

    config_class = ClipProbeConfig

    def feature_count(self, pair: Any) -> int:
        """Both encoders project to one width."""
        return 2 * int(pair.projection_dim)

    def image_processor(self, side: int) -> CLIPImageProcessor:
        """Resize the shorter side and crop the centre."""
        return CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
