"""Fusion: text tokens and visual tokens look at each other, layer by layer (section III-C, eqs. 5 and 6)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fgmfn.configuration import FgmfnConfig


class CrossAttentionFusion(nn.Module):
    """A stack of bidirectional cross-attention layers, as in LXMERT (Tan and Bansal, 2019)."""

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossAttentionLayer(config) for _ in range(config.cross_attention_layers))

    def close(self) -> None:
        """Let every residual branch add nothing until it has learned to."""
        for branch in self.modules():
            if isinstance(branch, AttendTo):
                _zero(branch.attention.out_proj)
            elif isinstance(branch, FeedForward):
                _zero(branch.layers[2])

    def forward(
        self,
        text: Tensor,
        image: Tensor,
        text_mask: Tensor,
        *,
        text_tokens: int | None = None,
        image_tokens: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fuse both modalities; the last layer does so for the tokens that are wanted alone.

        Args:
            text: token states, [B, n, d].
            image: global token and region tokens, [B, m, d].
            text_mask: True where a token is real, [B, n].
            text_tokens: as many of the text's first ones are wanted; None: all.
            image_tokens: likewise of the image.

        Returns:
            Fused text [B, text_tokens, d] and image [B, image_tokens, d].
        """
        for layer in self.layers[:-1]:
            text, image = layer(text, image, text_mask)
        last: Any = self.layers[-1]
        return (
            last.text_from_image(text[:, :text_tokens], image, None),
            last.image_from_text(image[:, :image_tokens], text, text_mask),
        )


def _zero(layer: nn.Module) -> None:
    for weight in layer.parameters():
        nn.init.zeros_(weight)


class CrossAttentionLayer(nn.Module):
    """One exchange: each modality queries the other's tokens of the layer before (eq. 6)."""

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__()
        self.text_from_image = _direction(config)
        self.image_from_text = self.text_from_image if config.cross_attention_tie_directions else _direction(config)

    def forward(self, text: Tensor, image: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return text [B, n, d] and image [B, m, d] after one exchange; neither sees the other's new state."""
        return self.text_from_image(text, image, None), self.image_from_text(image, text, text_mask)


def _direction(config: FgmfnConfig) -> AttendTo:
    return AttendTo(
        config.hidden_size,
        config.heads,
        config.cross_attention_dropout,
        feed_forward=config.cross_attention_feed_forward,
    )


class AttendTo(nn.Module):
    """Multi-head attention over another modality, with residual and LayerNorm (eq. 5).

    With its feed-forward block it is the cross-attention layer of BERT's kind that several baselines stand on.

    Args:
        d: width of both modalities' tokens.
        heads: attention heads.
        dropout: of the attention, of what was read and of the feed-forward block.
        feed_forward: add a block of two linear layers behind the attention, four times as wide inside.
    """

    def __init__(self, d: int, heads: int, dropout: float, *, feed_forward: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(d, heads, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(d)
        self.feed_forward = FeedForward(d, dropout) if feed_forward else nn.Identity()

    def forward(self, query: Tensor, context: Tensor, context_mask: Tensor | None) -> Tensor:
        """Let [B, q, d] read [B, k, d]; positions where context_mask is False are never read.

        A row whose context is masked as a whole gives NaN: leave at least one position open.
        """
        ignored = None if context_mask is None else ~context_mask
        read, _ = self.attention(query, context, context, key_padding_mask=ignored, need_weights=False)
        return self.feed_forward(self.norm(query + self.dropout(read)))


class FeedForward(nn.Module):
    """Two linear layers around a GELU, with residual and LayerNorm."""

    def __init__(self, d: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(d)

    def forward(self, states: Tensor) -> Tensor:
        """[B, t, d] -> [B, t, d]."""
        return self.norm(states + self.layers(states))


class Hiding(nn.Module):
    """Hides one modality of some training rows from the fusion (modality dropout: Neverova et al., 2016, ModDrop).

    Args:
        text: share of the rows whose words are hidden.
        image: likewise of the picture; no row loses both.
    """

    def __init__(self, text: float, image: float) -> None:
        super().__init__()
        self.text, self.image = text, image

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return text [B, n, d] and image [B, m, d] with zeros in place of what is hidden."""
        if not self.training or not (self.text or self.image):
            return text, image
        drawn = torch.rand(len(text), 1, 1, device=text.device)
        return text * (drawn >= self.text), image * (drawn < 1 - self.image)


class JointTransformer(nn.Module):
    """The ablation w/o CA: a plain Transformer encoder over [text ; image]."""

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            config.hidden_size,
            config.heads,
            dim_feedforward=4 * config.hidden_size,
            dropout=config.cross_attention_dropout,
            activation="gelu",
            batch_first=True,
        )
        # Nested tensors would cut the padding off, and with it the image tokens' places.
        self.encoder = nn.TransformerEncoder(layer, config.transformer_layers, enable_nested_tensor=False)

    def forward(
        self,
        text: Tensor,
        image: Tensor,
        text_mask: Tensor,
        *,
        text_tokens: int | None = None,
        image_tokens: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Same contract as `CrossAttentionFusion.forward`."""
        image_mask = torch.ones(image.shape[:2], dtype=torch.bool, device=image.device)
        ignored = ~torch.cat([text_mask, image_mask], dim=1)
        joint = self.encoder(torch.cat([text, image], dim=1), src_key_padding_mask=ignored)
        return joint[:, : text.shape[1]][:, :text_tokens], joint[:, text.shape[1] :][:, :image_tokens]
