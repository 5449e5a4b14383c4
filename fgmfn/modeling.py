"""FGMFN from picture and words to a sentiment: encoders, multiscale tokens, fusion, head and the three losses.

`SentimentModel` is the base class of every model of the comparison; `FgmfnForSentiment` is the paper's network.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.utils import ModelOutput

from fgmfn.configuration import FgmfnConfig, PiecesConfig, SentimentConfig
from fgmfn.encoders import ImageEncoder, Loaded, build_text_encoder, load_text_encoder, longest_text
from fgmfn.errors import ConfigError, InputError, did_you_mean
from fgmfn.fusion import CrossAttentionFusion, Hiding, JointTransformer
from fgmfn.inputs import PAIR, Inputs
from fgmfn.losses import ImageTextContrast, MutualInformation
from fgmfn.multiscale import DeepestGrid, MultiscaleFeatures
from fgmfn.pooling import TextPooling
from fgmfn.remote_code import SavesCode


@dataclass
class SentimentOutput(ModelOutput):
    """Output of a model of the comparison; losses that it lacks are None, and all of them without labels."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    """[B, C]"""
    task_loss: Tensor | None = None
    itc_loss: Tensor | None = None
    mi_loss: Tensor | None = None


class SentimentModel(SavesCode, PreTrainedModel):
    """A classifier of image-text advertisements: takes a batch with the fields of `inputs` and returns logits.

    Construction downloads nothing. `load_pretrained` fetches pretrained weights before a first training;
    `from_pretrained` reads a trained model from its own folder only.
    """

    config_class = FgmfnConfig
    config: Any
    base_model_prefix = ""
    main_input_name = "input_ids"
    auto_classes = ("AutoModel", "AutoModelForSequenceClassification")
    modalities: ClassVar[tuple[str, ...]] = ()
    """`text`, `image` or both: the model's inputs."""
    inputs: ClassVar[Inputs]
    """Fields of a batch; `forward` takes exactly these, and labels."""
    recipe: ClassVar[dict[str, Any]] = {}
    """Training settings of the model's own paper; a user's settings override them."""
    text_parts: ClassVar[tuple[str, ...]] = ("text_encoder",)
    """Names of the parts that `freeze_text_encoder` freezes."""
    encoded_fields: ClassVar[dict[str, str]] = {}
    """Fields of a batch that only one part reads, before all others: `pixel_values` and `input_ids`. If the part is
    frozen, its output may replace them."""
    recomputed_parts: ClassVar[tuple[str, ...]] = ("text_encoder", "target_encoder")
    """Names of the text encoders whose layers can be computed again for the gradients."""
    progress = 0.0
    """Completed share of the training; the trainer updates it."""
    notes: ClassVar[tuple[str, ...]] = ()
    """Parts of the paper's model that are always missing or different here."""

    def __call__(self, *fields: Any, return_dict: Any = None, **named: Any) -> Any:
        """Return `forward`'s output; floating-point inputs are converted to the weights' precision.

        Args:
            fields: fields of a batch, in the order of `forward`.
            return_dict: False returns a tuple of the values that are not None; None: as the configuration says.
            named: fields of a batch by name.
        """
        own = [self._in_own_precision(value) for value in fields]
        named = {name: self._in_own_precision(value) for name, value in named.items()}
        if not torch.compiler.is_compiling():
            self._check_sizes(dict(zip(inspect.signature(self.forward).parameters, own, strict=False)) | named)
        output = super().__call__(*own, **named)
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()

    def named_classes(self) -> dict[str, str]:
        """Add the configuration's class."""
        return super().named_classes() | {"AutoConfig": type(self.config).__name__}

    def _check_sizes(self, fields: Mapping[str, Any]) -> None:
        """Refuse fields with different numbers of rows, and texts that are too long for the text encoder.

        Raises:
            InputError: The numbers of rows differ, or a text is too long.
        """
        rows = {name: len(value) for name, value in fields.items() if isinstance(value, Tensor) and value.ndim}
        if len(set(rows.values())) > 1:
            raise InputError(f"{', '.join(f'{count} {name}' for name, count in rows.items())}; as many rows of each")
        ids = fields.get("input_ids")
        if isinstance(ids, Tensor) and isinstance(self.config, PiecesConfig):
            longest = longest_text(self.config.text_config)
            if ids.shape[1] > longest:
                raise InputError(
                    f"a text of {ids.shape[1]} word pieces; {type(self).__name__} reads at most {longest}: set "
                    f"max_length, or [data] max_tokens, to {longest} or less"
                )

    def get_input_embeddings(self) -> nn.Module:
        """Return the embeddings of the words or word pieces that the model reads.

        Raises:
            NotImplementedError: The model has no encoder of word pieces.
        """
        embeddings: nn.Module = self._text_encoders()[0].get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embeddings of the first text encoder."""
        self._text_encoders()[0].set_input_embeddings(value)

    def _text_encoders(self) -> list[PreTrainedModel]:
        parts = [getattr(self, name, None) for name in self.text_parts]
        if not (found := [part for part in parts if isinstance(part, PreTrainedModel)]):
            raise NotImplementedError(f"{type(self).__name__} has no encoder of word pieces")
        return found

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *given: Any, **options: Any) -> nn.Module:
        """Resize the embeddings to this many word pieces, as transformers does, and update the configuration."""
        for encoder in self._text_encoders()[1:]:
            encoder.resize_token_embeddings(new_num_tokens, *given, **options)
        resized: nn.Module = super().resize_token_embeddings(new_num_tokens, *given, **options)
        if isinstance(self.config, PiecesConfig):
            self.config.text_config |= {"vocab_size": self.get_input_embeddings().num_embeddings}
        return resized

    def _in_own_precision(self, value: Any) -> Any:
        return value.to(self.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Compute the text encoders' layers again for the gradients instead of keeping them.

        A convolutional backbone cannot do this because of its batch statistics.

        Args:
            activation_checkpointing_kwargs: arguments of `torch.utils.checkpoint.checkpoint`.
            options: arguments of `PreTrainedModel`'s method.

        Raises:
            ConfigError: The model has no text encoder that supports this.
        """
        encoders = self._recomputable()
        if not encoders:
            raise ConfigError(f"gradient_checkpointing: {type(self).__name__} has no text encoder that can do so")
        for encoder in encoders:
            encoder.activation_checkpointing_enable(activation_checkpointing_kwargs, **options)

    def activation_checkpointing_disable(self) -> None:
        """Keep the layers' outputs again instead of recomputing them."""
        for encoder in self._recomputable():
            encoder.activation_checkpointing_disable()
            if getattr(encoder, "_require_grads_hooks", None):
                encoder.disable_input_require_grads()  # transformers leaves them, and such a model is not pickled

    def _recomputable(self) -> list[PreTrainedModel]:
        parts = [getattr(self, name) for name in self.recomputed_parts if hasattr(self, name)]
        return [part for part in parts if part.supports_gradient_checkpointing]

    def add_encoders(self) -> None:
        """Build the encoders of this model's modalities with random weights."""
        if "image" in self.modalities:
            self.image_encoder = ImageEncoder(self.config)
        if "text" in self.modalities:
            self.text_encoder = build_text_encoder(self.config)

    def load_pretrained(self, tokenizer: Any) -> None:
        """Load the pretrained weights of the text encoder and of every part with its own `load_pretrained`.

        Args:
            tokenizer: tokenizer of the batches; word vectors are looked up by its words.

        Raises:
            WeightsError: The weights cannot be fetched or read.
        """
        if hasattr(self, "text_encoder") and self.config.pretrained:
            self.text_encoder = load_text_encoder(self.config)
        for part in self.children():
            if not isinstance(part, PreTrainedModel) and hasattr(part, "load_pretrained"):
                part.load_pretrained(self.config, tokenizer)

    @property
    def loaded(self) -> list[Loaded]:
        """Origin of the weights of each part whose weights `load_pretrained` has replaced."""
        return [vars(part)["loaded"] for part in self.modules() if "loaded" in vars(part)]

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Eq. 2: token ids [B, n] -> token states [B, n, d]; the first one stands for the sentence.

        In place of the ids you can pass the output of the frozen layers, [B, n, d], from `encode`.
        """
        if input_ids.is_floating_point():
            encoder: Any = self.text_encoder
            mask = create_bidirectional_mask(encoder.config, input_ids, attention_mask)
            for layer in _layers(encoder)[self.frozen_layers() :]:
                input_ids = layer(input_ids, mask)
            return input_ids
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.text_encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state

    def departures(self) -> tuple[str, ...]:
        """Return the differences from the model's paper under the current settings, for its card and the tables."""
        return (*self.notes, *self.config.departures(self.modalities))

    def after_step(self) -> None:
        """Move weights back within their bounds after each step; most models have no bounds."""

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 8: the mean over rows of the cross-entropy of logits [B, C], smoothed and weighted as the settings say.

        PyTorch divides by the sum of the weights. The mean over rows does not depend on how processes share a batch.
        """
        smoothing = self.config.label_smoothing if self.training else 0.0
        losses = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
        if self.config.class_weights and self.training:
            # Python numbers are passed to a GPU as arguments; copying a tensor would wait for all earlier work
            losses = losses * sum(weight * (labels == label) for label, weight in enumerate(self.config.class_weights))
        return losses.mean()

    def freeze(self, beginnings: Sequence[str]) -> None:
        """Never train the parts with these names; their modules stay in evaluation mode.

        Raises:
            ConfigError: No parameter's name begins with one of the names.
        """
        parameters_at(self, beginnings)
        self._frozen: tuple[str, ...] = (*getattr(self, "_frozen", ()), *(f"{name}." for name in beginnings))
        self.train(self.training)

    def frozen_fields(self) -> list[str]:
        """Return the `encoded_fields` whose part, or its first layers, is frozen: its output for a row is constant."""
        self.train()
        return [
            field
            for field, part in self.encoded_fields.items()
            if _is_frozen(self.get_submodule(part)) or (field == "input_ids" and self.frozen_layers())
        ]

    def frozen_layers(self) -> int:
        """Count the text encoder's frozen layers below the first one that trains; 0 if its embeddings train."""
        encoder: Any = self.text_encoder
        layers = _layers(encoder)
        if not layers or not _is_frozen(encoder.embeddings):
            return 0
        return next((number for number, layer in enumerate(layers) if not _is_frozen(layer)), len(layers))

    def encoding(self, field: str) -> dict[str, Any]:
        """Return the settings on which `encode` depends, beside the encoder and its input."""
        return {"layers": self.frozen_layers() if field == "input_ids" else None}

    def encode(self, field: str, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the encoder's output, which may replace a batch's pictures, [B, F], or word pieces, [B, n, d]."""
        if field == "pixel_values":
            encoder: Any = self.get_submodule(self.encoded_fields[field])
            return encoder.encoded(batch[field])
        types = {"token_type_ids": batch["token_type_ids"]} if "token_type_ids" in batch else {}
        text: Any = self.text_encoder
        read = text(input_ids=batch[field], attention_mask=batch["attention_mask"], output_hidden_states=True, **types)
        return read.hidden_states[self.frozen_layers()] if _layers(text) else read.last_hidden_state

    def freeze_text_encoder(self) -> None:
        """Freeze the text encoder or its lowest layers, as configured; call it again when the encoder is replaced."""
        parts = [part for part in self.text_parts if hasattr(self, part)]
        if getattr(self.config, "freeze_text_encoder", False):
            self.freeze(parts)
        elif layers := getattr(self.config, "freeze_text_layers", 0):
            below = ["embeddings", *(f"encoder.layer.{number}" for number in range(layers))]
            self.freeze([f"{part}.{name}" for part in parts for name in below])

    def post_init(self) -> None:
        """End the construction of a model."""
        super().post_init()
        self.freeze_text_encoder()

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; dropout and batch statistics of frozen parts stay in evaluation mode."""
        super().train(mode)
        for name, module in self.named_modules() if getattr(self, "_frozen", ()) else ():
            if name and f"{name}.".startswith(self._frozen):
                module.eval()
        # again: transformers replaces the parameters that it loads, and calls eval() at the end
        for weight in parameters_at(self, [name.rstrip(".") for name in getattr(self, "_frozen", ())]).values():
            weight.requires_grad_(False)
        return self

    def task_output(self, logits: Tensor, labels: Tensor | None) -> SentimentOutput:
        """Eq. 8: the output of a model whose only loss is cross-entropy."""
        if labels is None:
            return SentimentOutput(logits=logits)
        loss = self.classification_loss(logits, labels)
        return SentimentOutput(loss=loss, logits=logits, task_loss=loss)


def _layers(encoder: Any) -> Any:
    """Return the layers of a BERT or RoBERTa encoder, which can be called one by one; empty for other types."""
    return encoder.encoder.layer if encoder.config.model_type in ("bert", "roberta") else ()


def _is_frozen(part: nn.Module) -> bool:
    """Return whether no weight of a part trains and all its modules are in evaluation mode."""
    weights, modules = part.parameters(), part.modules()
    return not any(weight.requires_grad for weight in weights) and not any(module.training for module in modules)


def parameters_at(model: nn.Module, beginnings: Iterable[str]) -> dict[str, nn.Parameter]:
    """Return the parameters whose names begin with one of some names of parts, such as `text_encoder.encoder.layer.0`.

    Raises:
        ConfigError: No parameter's name begins with one of them.
    """
    found: dict[str, nn.Parameter] = {}
    named = dict(model.named_parameters())
    for beginning in beginnings:
        at = {name: weight for name, weight in named.items() if f"{name}.".startswith(f"{beginning}.")}
        if not at:
            parts = [name for name, _ in model.named_children()]
            raise ConfigError(
                f"no parameter of {type(model).__name__} begins with {beginning!r}{did_you_mean(beginning, parts)}; "
                f"its parts are {', '.join(parts)}"
            )
        found |= at
    return found


class Baseline(SentimentModel):
    """A model of another paper: PyTorch's default initialisation; cross-entropy is the only loss."""

    config_class = SentimentConfig

    def _init_weights(self, module: nn.Module) -> None:
        """Keep a layer's initial weights; encoders initialise their own weights when they are built."""


class SentimentHead(nn.Module):
    """Eq. 7: features [B, in_features] -> logits [B, C]."""

    def __init__(self, config: FgmfnConfig, in_features: int) -> None:
        super().__init__()
        d = config.hidden_size
        if config.head == "paper":
            layers = [nn.Dropout(config.dropout), nn.Linear(in_features, config.num_labels), nn.Tanh()]
        else:
            layers = [
                nn.Linear(in_features, d),
                nn.Tanh(),
                nn.Dropout(config.dropout),
                nn.Linear(d, config.num_labels),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits; with `head = "paper"` they lie within [-1, 1]."""
        return self.layers(features)


class FgmfnForSentiment(SentimentModel):
    """Fine-Grained Multiscale Cross-Modal Feature Network (section III)."""

    modalities = ("text", "image")
    inputs = Inputs(("pixel_values", *PAIR, "groups"), pair="real_target", marked=True)
    encoded_fields: ClassVar[dict[str, str]] = {"pixel_values": "image_encoder", "input_ids": "text_encoder"}

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__(config)
        self.add_encoders()
        visual = MultiscaleFeatures if config.msvf_enabled else DeepestGrid
        self.visual_tokens = visual(config, self.image_encoder.channels)
        self.hiding = Hiding(config.hide_text, config.hide_image)
        self.fusion = CrossAttentionFusion(config) if config.cross_attention_enabled else JointTransformer(config)
        self.head = SentimentHead(config, (4 if config.head_unfused else 2) * config.hidden_size)
        self.pooling = TextPooling(config.pooling, config.hidden_size)
        self.image_pooling = TextPooling(config.image_pooling, config.hidden_size)
        # vectors from before the fusion have their own pooling weights
        alone = config.itc_alpha or config.mi_beta or config.head_unfused
        self.pooling_alone = TextPooling(config.pooling, config.hidden_size) if alone else None
        self.contrast = ImageTextContrast(config) if config.itc_alpha else None
        self.mutual_information = MutualInformation(config) if config.mi_beta else None
        self.post_init()
        if isinstance(self.fusion, CrossAttentionFusion) and config.cross_attention_starts_closed:
            self.fusion.close()  # after the layers are drawn

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        groups: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SentimentOutput:
        """Classify a batch.

        Args:
            pixel_values: normalised pictures, [B, 3, H, W].
            input_ids: word pieces, [B, n].
            attention_mask: 1 where a word piece is real, [B, n].
            token_type_ids: segment of each word piece, [B, n], for encoders that tell segments apart.
            groups: identities of each row's text, ad and picture, [B, 3]; rows that share one are positives
                of each other in the contrastive loss.
            labels: class of each row, [B]; without them only the logits are computed.

        Returns:
            Logits [B, C] and, with labels, eq. 12's loss and its three parts.
        """
        text = self.encode_text(input_ids, attention_mask, token_type_ids)
        image = self.visual_tokens(self.image_encoder(pixel_values))
        text_tokens, image_tokens = self.pooling.tokens, self.image_pooling.tokens
        fused_text, fused_image = self.fusion(
            *self.hiding(text, image), attention_mask.bool(), text_tokens=text_tokens, image_tokens=image_tokens
        )
        everywhere = attention_mask.new_ones(fused_image.shape[:2])
        features = [self.image_pooling(fused_image, everywhere), self.pooling(fused_text, attention_mask)]
        if self.pooling_alone is not None:
            sentence, picture = self.pooling_alone(text, attention_mask), image[:, 0]
        if self.config.head_unfused:
            features += [picture, sentence]
        logits = self.head(torch.cat(features, dim=-1))
        if labels is None:
            return SentimentOutput(logits=logits)
        task = loss = self.classification_loss(logits, labels)
        contrast = information = None
        if self.contrast is not None:
            contrast = self.contrast(sentence, picture, groups, labels)
            remaining = 1 - self.progress if self.config.itc_schedule == "falling" else 1
            loss = loss + remaining * self.config.itc_alpha * contrast  # eq. 12
        if self.mutual_information is not None:
            information = self.mutual_information(sentence, picture, labels)
            loss = loss + self.config.mi_beta * information
        return SentimentOutput(loss=loss, logits=logits, task_loss=task, itc_loss=contrast, mi_loss=information)
