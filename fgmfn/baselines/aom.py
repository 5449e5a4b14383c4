"""AoM (Zhou et al., 2023): BART reads regions and words, nouns filter both, and a graph carries sentiment to a target.

The paper tags nouns and parses with spaCy and takes the words' sentiment from SenticNet. Here the setting `parser`
names a spaCy pipeline and `sentiment_words` a file of words with values. With an empty `parser`, neighbours in the
sentence are linked and only the target is a noun; without `sentiment_words` every word's value is 0. The model card
reports both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn

from fgmfn.baselines.parts.grammar import Annotation, Grammar
from fgmfn.baselines.parts.words import read_word_values
from fgmfn.configuration import PictureConfig, PiecesConfig, require
from fgmfn.encoders import ImageEncoder, build_text_encoder
from fgmfn.errors import ConfigError
from fgmfn.inputs import SENTENCE, Inputs
from fgmfn.modeling import Baseline, SentimentOutput
from fgmfn.pooling import masked_mean, masked_softmax

BART_BASE: dict[str, Any] = {"model_type": "bart", "vocab_size": 50265, "max_position_embeddings": 1024}
LAYERS = 6


@strict
class AomConfig(PiecesConfig, PictureConfig):
    """Settings of AoM."""

    model_type = "fgmfn_aom"
    counts: ClassVar[tuple[str, ...]] = ("graph_layers",)
    text_defaults: ClassVar[dict[str, Any]] = BART_BASE

    text_encoder: str = "facebook/bart-base"
    """Name on the Hugging Face Hub or local folder of a BART and its tokenizer; only its encoder is used."""
    dropout: float | int = 0.1
    graph_layers: int = 2
    graph_weight: float | int = 0.5
    """Weight of the graph's output, which is added to the tokens."""
    parser: str = "en_core_web_sm"
    """Installed spaCy pipeline, or the folder of one, for nouns and dependencies; empty: none."""
    sentiment_words: str | None = None
    """Text file of words and their sentiment: a word, a tab and a number per line. Read when a training starts."""
    word_values: dict[str, Any] = field(default_factory=dict)
    """The words with values from -1 to 1, saved with a trained model; you may set them in place of a file."""

    def complete(self) -> None:
        """Set BART's width to this model's, under BART's own names."""
        super().complete()
        d, heads = self.hidden_size, self.heads
        bart = {
            "d_model": d,
            "encoder_layers": self.text_config.get("num_hidden_layers", LAYERS),
            "encoder_attention_heads": heads,
            "encoder_ffn_dim": 4 * d,
            "decoder_layers": 0,
            "decoder_attention_heads": heads,
            "decoder_ffn_dim": 4 * d,
        }
        self.text_config = bart | self.text_config
        # A BART of the hub says d_model and encoder_layers only; both names must agree.
        self.text_config |= {
            "hidden_size": self.text_config["d_model"],
            "num_hidden_layers": self.text_config["encoder_layers"],
        }

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Say whether a parser and the sentiment of words are missing."""
        missing = super().departures(modalities)
        if not self.parser:
            missing.append("no parser: neighbouring words are linked, and the target is the only noun")
        if not (self.word_values or self.sentiment_words):
            missing.append("no sentiment of words (setting sentiment_words): every word's value is 0")
        return missing

    @property
    def longest_text(self) -> int:
        """Word pieces that BART reads behind the picture's regions."""
        return int(self.text_config["max_position_embeddings"]) - self.grid**2

    def check(self) -> None:
        """Refuse values out of their range."""
        super().check()
        require(self.graph_weight >= 0, "graph_weight", self.graph_weight, "0 or more")
        kind = self.text_config["model_type"]
        require(kind == "bart", "text_encoder", self.text_encoder, f"a BART, not {kind}")
        for word, value in self.word_values.items():
            fits = isinstance(value, int | float) and -1 <= value <= 1
            require(fits, f"word_values.{word}", value, "a number from -1 to 1")


class NounAttention(nn.Module):
    """Attention of each token and region over the nouns, with a gate that keeps what fits them.

    The score is W tanh([Wn N; Wm H]). Its part from H is the same for every noun and cancels in the softmax: with the
    printed formula, all tokens read the nouns with the same weights, and Wm never learns.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.noun = nn.Linear(d, d)
        self.state = nn.Linear(d, d)
        # The two halves of W; a bias would cancel as well.
        self.noun_score = nn.Linear(d, 1, bias=False)
        self.state_score = nn.Linear(d, 1, bias=False)
        self.gate = nn.Linear(2 * d, 1)

    def forward(self, states: Tensor, nouns: Tensor) -> Tensor:
        """States [B, t, d], and 1 where one is a noun [B, t] -> filtered states [B, t, d]."""
        of_nouns = self.noun_score(self.noun(states).tanh()).transpose(1, 2)
        scores = of_nouns + self.state_score(self.state(states).tanh())
        read = masked_softmax(scores, nouns) @ states
        kept = self.gate(torch.cat([states, read], dim=-1)).sigmoid()
        return kept * states + (1 - kept) * read


class GraphConvolution(nn.Module):
    """ReLU(A H W + b), a node's links divided by the sum of their sizes, which the description leaves open."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.linear = nn.Linear(d, d)

    def forward(self, nodes: Tensor, links: Tensor) -> Tensor:
        """Nodes [B, t, d], links [B, t, t] -> [B, t, d]."""
        return self.linear(links @ nodes / links.abs().sum(dim=-1, keepdim=True)).relu()


def associate(states: Tensor, words: Tensor, heads: Tensor, nouns: Tensor) -> Tensor:
    """Return the links between nodes: the similarity of two states that grammar or a noun joins; 1 with itself.

    Tokens are joined where one's word depends on the other's; those of one word count as depending on each other.

    Args:
        states: of m regions and n tokens behind them, [B, m + n, d].
        words: numbers of the tokens' words, [B, n]; 0 for none.
        heads: numbers of the words that these depend on, [B, n].
        nouns: 1 where a token belongs to a noun, [B, n]; every region is joined to it.

    Returns:
        [B, m + n, m + n], symmetric.
    """
    regions = states.shape[1] - words.shape[1]
    real = words > 0
    depends = (words[:, :, None] == words[:, None]) | (heads[:, :, None] == words[:, None])
    joined = torch.zeros(states.shape[0], *[states.shape[1]] * 2, dtype=torch.bool, device=states.device)
    joined[:, regions:, regions:] = (depends | depends.transpose(1, 2)) & real[:, :, None] & real[:, None]
    joined[:, :regions, regions:] = nouns.bool()[:, None]
    joined[:, regions:, :regions] = nouns.bool()[:, :, None]
    unit = F.normalize(states, dim=-1)
    itself = torch.eye(states.shape[1], dtype=torch.bool, device=states.device)
    return (unit @ unit.transpose(1, 2) * joined).masked_fill(itself, 1.0)


def encoder_of(bart: Any) -> nn.Module:
    """Return the encoder of a BART."""
    return bart.encoder


class AomForSentiment(Baseline):
    """AoM for a given target: the paper's decoder writes targets and sentiments, here the target is classified.

    The target follows the sentence as a second segment. Its tokens are those in the sentence if that contains it;
    otherwise, as with an ad's category, those of the second segment.
    """

    config_class = AomConfig
    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *SENTENCE), pair="always", extras=Annotation(Grammar(""), {}).extras)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder"}
    # Ours throughout, usual for BART-base: the description names no recipe.
    recipe: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "epochs": 35, "batch_size": 16}
    notes = ("the paper trains its noun attention on a further set of pairs beforehand; this is left out",)

    def __init__(self, config: AomConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self._annotate()
        self.text_encoder = encoder_of(build_text_encoder(config))
        self.image_encoder = ImageEncoder(config)
        self.region = nn.Linear(self.image_encoder.channels[-1], d)
        self.attention = NounAttention(d)
        self.word_value = nn.Linear(1, d)
        self.graph = nn.ModuleList(GraphConvolution(d) for _ in range(config.graph_layers))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(d, config.num_labels)
        self.post_init()

    def _annotate(self) -> None:
        annotation = Annotation(Grammar(self.config.parser), self.config.word_values)
        # Training asks the class for its inputs before there is a model, so that the base class declares them of
        # classes; this model's own know its parser and its words.
        self.inputs = replace(type(self).inputs, extras=annotation.extras)  # type: ignore[misc]

    def load_pretrained(self, tokenizer: Any) -> None:
        """Load the pretrained parts as every model does, keep only BART's encoder, and read the words' values."""
        super().load_pretrained(tokenizer)
        if self.config.pretrained:
            self.text_encoder = encoder_of(self.text_encoder)
        if self.config.sentiment_words is not None:
            self.config.word_values = read_word_values(Path(self.config.sentiment_words))
            self._annotate()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        words: Tensor,
        heads: Tensor,
        nouns: Tensor,
        target_tokens: Tensor,
        word_values: Tensor,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify pictures [B, 3, H, W] with word pieces [B, n] and their annotations, [B, n] each.

        Raises:
            ConfigError: The texts and the regions together are more than BART reads.
        """
        longest = self.config.longest_text
        if input_ids.shape[1] > longest:
            raise ConfigError(
                f"a text of {input_ids.shape[1]} word pieces; aom reads at most {longest} behind the regions of the "
                f"picture: set [data] max_tokens = {longest} or less"
            )
        regions = self.region(self.image_encoder.regions(pixel_values))
        encoder: Any = self.text_encoder
        count = regions.shape[1]
        states = encoder(
            inputs_embeds=torch.cat([regions, encoder.get_input_embeddings()(input_ids)], dim=1),
            attention_mask=F.pad(attention_mask, (count, 0), value=1),
        ).last_hidden_state
        filtered = self.attention(states, F.pad(nouns, (count, 0)))
        links = associate(filtered, words, heads, nouns)
        sentiment = self.word_value(word_values.to(filtered.dtype).unsqueeze(-1))
        nodes = filtered + F.pad(sentiment, (0, 0, count, 0))
        for layer in self.graph:
            nodes = layer(nodes, links)
        tokens = (self.config.graph_weight * nodes + filtered)[:, count:]
        target = masked_mean(tokens, target_tokens)
        return self.task_output(self.classifier(self.dropout(target)), labels)
