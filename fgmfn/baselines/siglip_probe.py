"""A linear probe on SigLIP (Zhai et al., 2023): CLIP's idea with a sigmoid loss and better features."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import CLIPImageProcessor

from fgmfn.baselines.parts.probe import Probe, ProbeConfig

GREY = (0.5, 0.5, 0.5)


@strict
class SiglipProbeConfig(ProbeConfig):
    """Settings of the probe on SigLIP."""

    model_type = "fgmfn_siglip_probe"
    family: ClassVar[str] = "siglip"
    text_defaults: ClassVar[dict[str, Any]] = {"model_type": "siglip_text_model"}

    encoders: str = "google/siglip-base-patch16-224"
    """Name on the Hugging Face Hub or local folder of both encoders and their tokenizer."""


class SiglipProbeForSentiment(Probe):
    """ViT-B/16 at 224 pixels and its text encoder, 768 wide each."""

    config_class = SiglipProbeConfig

    def feature_count(self, pair: Any) -> int:
        """The image encoder's own width beside the text encoder's projection."""
        return int(pair.vision_config.hidden_size) + int(pair.text_config.projection_size)

    def image_processor(self, side: int) -> CLIPImageProcessor:
        """Squeeze the whole picture into the square, as SigLIP's pretraining did; values from -1 to 1."""
        square = {"height": side, "width": side}
        return CLIPImageProcessor(
            size=square, crop_size=square, do_center_crop=False, image_mean=list(GREY), image_std=list(GREY)
        )
