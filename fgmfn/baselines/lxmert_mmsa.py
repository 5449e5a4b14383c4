"""LXMERT (Tan and Bansal, 2019) for sentiment: words and objects read apart, then each other, pretrained together."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, LxmertConfig, LxmertModel

from fgmfn.baselines.parts.crops import grid_boxes
from fgmfn.configuration import PictureConfig, PiecesConfig, require
from fgmfn.encoders import ImageEncoder, from_pretrained
from fgmfn.errors import ConfigError
from fgmfn.inputs import PAIR, Inputs
from fgmfn.modeling import Baseline, SentimentOutput


@strict
class LxmertMmsaConfig(PiecesConfig, PictureConfig):
    """Settings of LXMERT-MMSA; its `text_config` is that of LXMERT as a whole, its layers in all three encoders."""

    model_type = "fgmfn_lxmert_mmsa"
    text_defaults: ClassVar[dict[str, Any]] = {"model_type": "lxmert"}

    text_encoder: str = "unc-nlp/lxmert-base-uncased"
    """Name on the Hugging Face Hub or local folder of LXMERT and its tokenizer."""
    dropout: float | int = 0.0
    """Of the pooled vector (LXMERT's head has none); its layers have theirs in `text_config`."""

    def check(self) -> None:
        """Refuse another kind of model."""
        super().check()
        kind = self.text_config["model_type"]
        require(kind == "lxmert", "text_config.model_type", kind, "lxmert")


class LxmertMmsaForSentiment(Baseline):
    """LXMERT's own head for answering questions, with the classes as answers.

    The first word's state is all that is read in the end, so that what the last exchange does to the objects has no
    effect: `visn_...` of the last of the `x_layers`. Those weights are LXMERT's and are kept, frozen, for no gradient
    reaches them.
    """

    config_class = LxmertMmsaConfig
    modalities = ("text", "image")
    text_parts = ("lxmert",)
    recomputed_parts = ()
    inputs = Inputs(("pixel_values", *PAIR), pair="real_target", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    # As the paper tunes LXMERT on VQA; how the row of Table 4 was trained is not known.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "epochs": 4, "batch_size": 32, "warmup": 0.1}
    notes: ClassVar[tuple[str, ...]] = (
        "no detector: the objects are the cells of a CNN's grid, and LXMERT was pretrained on a detector's",
    )

    def __init__(self, config: LxmertMmsaConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.image_encoder = ImageEncoder(config)
        objects = {"visual_feat_dim": self.image_encoder.channels[-1]}
        self.lxmert = LxmertModel(AutoConfig.for_model(**config.text_config | objects))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Sequential(
            nn.Linear(d, 2 * d), nn.GELU(), nn.LayerNorm(2 * d), nn.Linear(2 * d, config.num_labels)
        )
        self.post_init()
        self._freeze_unread()

    def _freeze_unread(self) -> None:
        for name, part in self.lxmert.encoder.x_layers[-1].named_children():
            if name.startswith("visn_"):
                part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Train all that is read."""
        super().train(mode)
        self._freeze_unread()
        return self

    def load_pretrained(self, tokenizer: Any) -> None:
        """Take LXMERT's weights as they were pretrained on captions and questions, and the backbone's.

        Raises:
            ConfigError: The backbone's cells are not as wide as the objects that LXMERT knows.
            WeightsError: The weights cannot be fetched or read.
        """
        if self.config.pretrained:
            self._check_width()
            self.lxmert = from_pretrained(LxmertModel, self.config.text_encoder, "LXMERT", **self.config.text_dropouts)
            self._freeze_unread()
        super().load_pretrained(tokenizer)

    def _check_width(self) -> None:
        channels = self.image_encoder.channels[-1]
        known = self.config.text_config.get("visual_feat_dim", LxmertConfig().visual_feat_dim)
        if known != channels:
            raise ConfigError(
                f"model setting backbone = {self.config.backbone!r}: its cells have {channels} channels; "
                f"{self.config.text_encoder!r} was pretrained on objects of {known}, as resnet152 gives"
            )

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n]."""
        objects = self.image_encoder.regions(pixel_values)
        corners = grid_boxes(self.config.grid, objects.device)[:, :4].to(objects.dtype)
        read = self.lxmert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            visual_feats=objects,
            visual_pos=corners.expand(len(objects), -1, -1),
        )
        return self.task_output(self.head(self.dropout(read.pooled_output)), labels)
