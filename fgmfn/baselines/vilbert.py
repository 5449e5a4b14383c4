"""ViLBERT (Lu et al., 2019): one stream of layers for words, one for the picture, which read each other."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from transformers.masking_utils import create_bidirectional_mask

from fgmfn.baselines.parts.crops import grid_boxes
from fgmfn.configuration import PictureConfig, PiecesConfig, require
from fgmfn.encoders import ImageEncoder, build_text_encoder
from fgmfn.inputs import PAIR, Inputs
from fgmfn.modeling import Baseline, SentimentOutput

WHOLE = (0.0, 0.0, 1.0, 1.0, 1.0)
"""Left, top, right, bottom and area of the whole picture, which region 0 represents."""


@strict
class VilbertConfig(PiecesConfig, PictureConfig):
    """Settings of ViLBERT."""

    model_type = "fgmfn_vilbert"
    counts: ClassVar[tuple[str, ...]] = ("visual_size", "visual_heads", "visual_feed_forward", "visual_layers")
    shares: ClassVar[tuple[str, ...]] = ("layer_dropout",)

    visual_size: int = 1024
    """Width of the visual stream, of every exchange inside, and of both pooled vectors."""
    visual_heads: int = 8
    """Heads of the visual stream and of the exchanges."""
    visual_feed_forward: int = 1024
    visual_layers: int = 6
    """Layers of the visual stream. Each shares an exchange with one of the text encoder's last layers."""
    layer_dropout: float | int = 0.1
    """Dropout of the visual stream and the exchanges; `dropout` is the head's."""

    def check(self) -> None:
        """Refuse settings of the two streams that do not fit each other."""
        super().check()
        heads, depth = self.visual_heads, self.text_config.get("num_hidden_layers", 12)
        require(self.visual_size % heads == 0, "visual_size", self.visual_size, f"a multiple of visual_heads={heads}")
        require(self.visual_layers <= depth, "visual_layers", self.visual_layers, f"the text encoder's {depth} or less")
        kind = self.text_config["model_type"]
        require(kind == "bert", "text_config.model_type", kind, "bert, whose layers are run one by one")


class Reading(nn.Module):
    """Multi-head attention of one stream over another, or over itself, and a feed-forward block behind it.

    The streams differ in width, so `AttendTo` cannot be used here.

    Args:
        d: width of the stream that reads.
        context_size: width of the stream that is read.
        config: gives the width inside, the heads and the dropout.
        feed_forward: width inside the feed-forward block.
    """

    def __init__(self, d: int, context_size: int, config: VilbertConfig, feed_forward: int) -> None:
        super().__init__()
        inside, self.heads = config.visual_size, config.visual_heads
        self.query, self.key, self.value = (nn.Linear(size, inside) for size in (d, context_size, context_size))
        self.output = nn.Linear(inside, d)
        self.norm, self.last_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(config.layer_dropout)
        self.feed_forward = nn.Sequential(nn.Linear(d, feed_forward), nn.GELU(), nn.Linear(feed_forward, d))

    def forward(self, states: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """Let [B, q, d] read [B, k, context_size]; positions where context_mask [B, k] is False are never read."""
        query = self._split(self.query(states))
        key, value = (self._split(part(context)) for part in (self.key, self.value))
        open_to = None if context_mask is None else context_mask[:, None, None, :]
        dropped = self.dropout.p if self.training else 0.0
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=open_to, dropout_p=dropped)
        states = self.norm(states + self.dropout(self.output(read.transpose(1, 2).flatten(2))))
        return self.last_norm(states + self.dropout(self.feed_forward(states)))

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Exchange(nn.Module):
    """A co-attention block: each stream reads the other one's states from before the block."""

    def __init__(self, config: VilbertConfig) -> None:
        super().__init__()
        d, v = config.hidden_size, config.visual_size
        self.text_from_image = Reading(d, v, config, 4 * d)
        self.image_from_text = Reading(v, d, config, config.visual_feed_forward)

    def forward(self, text: Tensor, image: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return text [B, n, d] and image [B, m, v] with what they read of each other."""
        return self.text_from_image(text, image), self.image_from_text(image, text, text_mask)


class RegionEmbedding(nn.Module):
    """Sum of a region's features and position; region 0 is the mean of all, positioned as the whole picture."""

    def __init__(self, channels: int, config: VilbertConfig) -> None:
        super().__init__()
        self.grid = config.grid
        self.shown = nn.Linear(channels, config.visual_size)
        self.place = nn.Linear(len(WHOLE), config.visual_size)
        self.norm = nn.LayerNorm(config.visual_size)
        self.dropout = nn.Dropout(config.layer_dropout)

    def forward(self, regions: Tensor) -> Tensor:
        """Regions of a grid [B, k, channels] -> the visual stream's first states, [B, 1 + k, visual_size]."""
        regions = torch.cat([regions.mean(dim=1, keepdim=True), regions], dim=1)
        places = torch.cat([regions.new_tensor([WHOLE]), grid_boxes(self.grid, regions.device).to(regions.dtype)])
        return self.dropout(self.norm(self.shown(regions) + self.place(places)))


class VilbertForSentiment(Baseline):
    """ViLBERT; the head reads the product of both pooled streams, as in the paper's question-answering task.

    The text stream starts from BERT. Neither transformers nor timm offers ViLBERT's weights, pretrained on captioned
    pictures, so the visual stream and the exchanges start at random. The paper does not say how a stream is pooled;
    here it is a linear layer and a ReLU over the first state, to the visual width.
    """

    config_class = VilbertConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *PAIR), pair="real_target", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    # Rate and epochs are the paper's for VQA; its batch of 256 would leave a Twitter set with a dozen steps per
    # epoch.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 4e-5, "epochs": 20, "batch_size": 32, "warmup": 0.1}
    notes: ClassVar[tuple[str, ...]] = (
        "no detector: the regions are the cells of the CNN's grid",
        "without ViLBERT's own pretraining: the text stream starts as BERT, the visual stream as drawn",
    )

    def __init__(self, config: VilbertConfig) -> None:
        super().__init__(config)
        d, v = config.hidden_size, config.visual_size
        self.text_encoder = build_text_encoder(config)
        self.image_encoder = ImageEncoder(config)
        self.region_embedding = RegionEmbedding(self.image_encoder.channels[-1], config)
        depth = range(config.visual_layers)
        self.exchanges = nn.ModuleList(Exchange(config) for _ in depth)
        self.visual_layers = nn.ModuleList(Reading(v, v, config, config.visual_feed_forward) for _ in depth)
        self.text_pooler, self.image_pooler = nn.Linear(d, v), nn.Linear(v, v)
        self.head = nn.Sequential(
            weight_norm(nn.Linear(v, 2 * v)),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            weight_norm(nn.Linear(2 * v, config.num_labels)),
        )
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n]."""
        text, image = self.streams(pixel_values, input_ids, attention_mask, token_type_ids)
        both = self.text_pooler(text[:, 0]).relu() * self.image_pooler(image[:, 0]).relu()
        return self.task_output(self.head(both), labels)

    def streams(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both streams' last states, [B, n, d] and [B, 1 + k, v]; an exchange comes before its two layers."""
        encoder: Any = self.text_encoder
        text = encoder.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        image = self.region_embedding(self.image_encoder.regions(pixel_values))
        mask = create_bidirectional_mask(encoder.config, text, attention_mask)
        layers = list(encoder.encoder.layer)
        alone = len(layers) - len(self.exchanges)
        for layer in layers[:alone]:
            text = layer(text, mask)
        for exchange, layer, visual in zip(self.exchanges, layers[alone:], self.visual_layers, strict=True):
            text, image = exchange(text, image, attention_mask.bool())
            text, image = layer(text, mask), visual(image, image)
        return text, image
