"""Encoders of pictures, from timm, and of words, from transformers, each by name or path."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, ClassVar, Self

import timm
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from fgmfn.configuration import STRIDE, PictureConfig, PiecesConfig
from fgmfn.errors import ConfigError, WeightsError
from fgmfn.packaged import named_as_in_timm, packaged, text_folder

log = logging.getLogger(__name__)

LEVELS = 5


class TimmEncoder(nn.Module):
    """A timm model that reads pictures, with random weights until `load_pretrained`.

    If frozen, it always stays in evaluation mode, or batch statistics of the training pictures would leak into it.

    Args:
        config: names the model and its weight file, and whether it is frozen.
        arguments: of `timm.create_model`, beside those.
    """

    expected: ClassVar[str]
    """Kind of model that the setting `backbone` must name, for the error message."""

    def __init__(self, config: PictureConfig, **arguments: Any) -> None:
        super().__init__()
        self.frozen = config.freeze_backbone
        # Not every timm model has the argument.
        self._arguments = arguments | (
            {"drop_path_rate": config.backbone_drop_path} if config.backbone_drop_path else {}
        )
        self._create(config, pretrained=False)

    def _create(self, config: PictureConfig, *, pretrained: bool) -> None:
        backbone = create_backbone(config, self.expected, pretrained=pretrained, **self._arguments)
        self.backbone = backbone.requires_grad_(not self.frozen)
        self.train(self.training)

    def forward(self, pixel_values: Tensor) -> Any:
        """Return the timm model's output for [B, 3, H, W], or for pictures that are already `encoded`, [B, F]."""
        if pixel_values.ndim == 2:
            return self.decoded(pixel_values)
        with torch.no_grad() if self.frozen else nullcontext():
            return self.backbone(pixel_values)

    def encoded(self, pixel_values: Tensor) -> Tensor:
        """Return the output of `forward` for [B, 3, H, W] as one row of numbers per picture, [B, F]."""
        return self(pixel_values)

    def decoded(self, numbers: Tensor) -> Any:
        """Return the output of `forward` for pictures that are `encoded`, [B, F]."""
        return numbers

    def train(self, mode: bool = True) -> Self:
        """Train, unless the weights are frozen; those that have been loaded since are so, too."""
        if self.frozen:
            self.backbone.requires_grad_(False)
        return super().train(mode and not self.frozen)

    def load_pretrained(self, config: PictureConfig, tokenizer: Any = None) -> None:
        """Replace the weights by timm's pretrained ones, or by those of `config.backbone_weights`.

        Raises:
            WeightsError: The weights cannot be fetched or read.
        """
        if config.pretrained:
            self._create(config, pretrained=True)


class ImageEncoder(TimmEncoder):
    """A backbone that returns its five feature levels F1..F5 (eqs. 1 and 3).

    For ResNet-18 on [B, 3, 224, 224]: 64 x 112 x 112, 64 x 56 x 56, 128 x 28 x 28, 256 x 14 x 14, 512 x 7 x 7.
    """

    expected = "a model of timm that can return its feature levels"

    def __init__(self, config: PictureConfig) -> None:
        super().__init__(config, features_only=True)

    def _create(self, config: PictureConfig, *, pretrained: bool) -> None:
        super()._create(config, pretrained=pretrained)
        levels: Any = self.backbone.feature_info
        strides = levels.reduction()
        if len(strides) != LEVELS or strides[-1] != STRIDE:
            raise ConfigError(
                f"model setting backbone = {config.backbone!r} has feature levels at strides {strides}; five-level "
                f"models need {LEVELS} of them, the last at stride {STRIDE} (2, 4, 8, 16, 32), as ResNets have"
            )
        self.channels: list[int] = levels.channels()
        sides = [config.image_size // stride for stride in strides]
        self._shapes = [(depth, side, side) for depth, side in zip(self.channels, sides, strict=True)]
        # transformers would initialise every convolution again; timm has done so as its architecture requires.
        for module in self.backbone.modules():
            module._is_hf_initialized = True

    def forward(self, pixel_values: Tensor) -> Any:
        """Return the five levels of [B, 3, H, W]; on a GPU in channels-last memory format, which is fastest."""
        if pixel_values.ndim == 2:
            return self.decoded(pixel_values)
        # On a CPU they would gain little, and batch norms add up such numbers with ten times the error.
        layout = torch.contiguous_format if pixel_values.device.type == "cpu" else torch.channels_last
        return super().forward(pixel_values.contiguous(memory_format=layout))

    def encoded(self, pixel_values: Tensor) -> Tensor:
        """Return all levels of [B, 3, H, W] concatenated, [B, F]."""
        return torch.cat([level.flatten(1) for level in self(pixel_values)], dim=1)

    def decoded(self, numbers: Tensor) -> Any:
        """Return the levels that `encoded` joined."""
        parts = numbers.split([math.prod(shape) for shape in self._shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def regions(self, pixel_values: Tensor) -> Tensor:
        """Return the deepest level's cells row by row: [B, 3, H, W] -> [B, 49, channels[-1]]."""
        return self(pixel_values)[-1].flatten(2).transpose(1, 2)


class PictureVector(TimmEncoder):
    """A timm model without its last layer, such as CLIP's vision transformer: [B, 3, H, W] -> [B, size]."""

    expected = "a model of timm, such as vit_base_patch32_clip_quickgelu_224.openai"

    def __init__(self, config: PictureConfig) -> None:
        card = timm.get_pretrained_cfg(config.backbone)
        # a vision transformer is made for one size of pictures
        size = {"img_size": config.image_size} if card is not None and card.fixed_input_size else {}
        super().__init__(config, num_classes=0, **size)
        self.size = int(self.backbone.num_features)


def create_backbone(config: PictureConfig, expected: str, *, pretrained: bool, **arguments: Any) -> Any:
    """Create the timm model that a configuration names.

    Args:
        config: names the model, and a weight file in place of timm's download.
        expected: what the setting must name, for the error message.
        pretrained: fetch its weights, or read the file.
        arguments: of `timm.create_model`.

    Raises:
        ConfigError: timm has no such model, or it cannot be created with these arguments.
        WeightsError: The weights cannot be fetched or read.
    """
    if not timm.is_model(config.backbone):
        raise ConfigError(
            f"model setting backbone = {config.backbone!r}: timm {timm.__version__} has no such model; "
            f"near it: {', '.join(timm.list_models(config.backbone[:6] + '*')[:5]) or 'none'}"
        )
    overlay = _weights_of(config) if pretrained else {}
    try:
        with _recorded_loads() as loads:
            backbone = timm.create_model(
                config.backbone, pretrained=pretrained, pretrained_cfg_overlay=overlay or None, **arguments
            )
    except Exception as error:
        # Without a download only the architecture can be at fault; with one, hub, network, disk and file each
        # raise errors of their own kinds.
        if pretrained and config.backbone_weights:
            raise WeightsError(
                f"backbone weights {config.backbone_weights!r} cannot be loaded into {config.backbone}: "
                f"{shorten(str(error), 300, placeholder=' ...')}; give weights of this architecture"
            ) from error
        if pretrained:
            raise WeightsError.unavailable(f"the weights of the backbone {config.backbone!r}", error) from error
        raise ConfigError(f"model setting backbone = {config.backbone!r}; expected {expected}: {error}") from error
    if pretrained:
        getattr(backbone, "pretrained_cfg", {}).pop("state_dict", None)  # timm would keep a second copy
        lacking = {tensor.data_ptr() for tensors, _ in loads for tensor in tensors}
        # Of a classifier that is cut off, or trained here for other classes, nobody needs the weights.
        own = tuple(f"{name}." for name in _classifiers(backbone))
        missing = [
            name
            for name, tensor in backbone.state_dict().items()
            if (not loads or tensor.data_ptr() in lacking) and not name.startswith(own)
        ]
        source = config.backbone_weights or config.backbone
        foreign = [name for _, names in loads for name in names]
        if config.backbone_weights and foreign:
            raise WeightsError(
                f"backbone weights {source!r}: {config.backbone} has no layer for {len(foreign)} of its tensors, such "
                f"as {foreign[0]}. Give weights of this architecture"
            )
        note_loaded(backbone, "backbone", source, missing, leave_out=own)
    return backbone


def _weights_of(config: PictureConfig) -> dict[str, Any]:
    """Return the arguments for weights other than timm's own, if the settings name any.

    Raises:
        ConfigError: No such package is known.
        WeightsError: There is no such file, or the package is not installed.
    """
    named = config.backbone_weights
    if (file := packaged("backbone_weights", named)) is not None:
        return {"state_dict": named_as_in_timm(torch.load(file, map_location="cpu", weights_only=True))}
    if named and not Path(named).is_file():
        raise WeightsError(f"backbone_weights = {named!r}: there is no such file")
    return {"file": named} if named else {}


def _classifiers(backbone: Any) -> tuple[str, ...]:
    named = getattr(backbone, "pretrained_cfg", {}).get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


@contextmanager
def _recorded_loads() -> Iterator[list[tuple[list[Tensor], list[str]]]]:
    """Collect the missing and the foreign tensors of each state loaded meanwhile: timm ignores both silently."""
    loads: list[tuple[list[Tensor], list[str]]] = []
    load = nn.Module.load_state_dict

    def recorded(module: nn.Module, *given: Any, **options: Any) -> Any:
        result = load(module, *given, **options)
        state = module.state_dict()
        lacking = [state[name] for name in result.missing_keys]
        loads.append((lacking, _foreign(module, result.unexpected_keys)))
        return result

    nn.Module.load_state_dict = recorded  # type: ignore[method-assign, assignment]
    try:
        yield loads
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]


def _foreign(module: nn.Module, further: Collection[str], prefix: str = "") -> list[str]:
    """Return the names of unexpected tensors that belong to layers which the model does not have in its own stages.

    A deeper network has such layers. Heads and poolers, whose stage the model does not have at all, are left out.
    """
    own = {name for name, _ in module.named_modules()}
    names = sorted(name.removeprefix(prefix) for name in further)
    return [name for name in names if name.partition(".")[0] in own and name.rpartition(".")[0] not in own]


@dataclass(frozen=True)
class Loaded:
    """Origin of the initial weights of a part of a model."""

    part: str
    source: str
    """Name on a hub, file or folder."""
    tensors: int
    of: int
    """Number of tensors of the part; the source gave `tensors` of them."""
    sha256: str
    """SHA-256 of the tensors' names and values."""
    unit: str = "tensors"
    """Unit of the counts: `tensors`, or `words` of word vectors."""

    def __str__(self) -> str:
        count = f"{self.tensors} of {self.of} {self.unit} loaded"
        return f"{self.part} from {self.source}: {count}, SHA-256 {self.sha256[:12]}"


def note_loaded(
    module: Any, part: str, source: str, missing: Collection[str], *, leave_out: tuple[str, ...] = ()
) -> None:
    """Note in a module, as `loaded`, that its weights come from a source.

    Args:
        module: with its pretrained weights.
        part: what it is, for the record.
        source: of the weights.
        missing: names of tensors that the source lacks.
        leave_out: beginnings of names that the source need not have.

    Raises:
        WeightsError: A tensor is missing: it would be drawn at random. Or one has values that are not finite.
    """
    state = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(leave_out or "\0")}
    lacking = [name for name in state if name in missing]
    if lacking:
        raise WeightsError(
            f"{part} weights {source!r}: {len(state) - len(lacking)} of {len(state)} tensors are there; it lacks "
            f"{', '.join(lacking[:3])}{' and others' if len(lacking) > 3 else ''}. Give weights of this architecture, "
            f"with its names"
        )
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(f"{part} weights {source!r}: {broken[0]} has values that are not finite")
    module.loaded = Loaded(part, source, len(state), len(state), digest_of(state))


def digest_of(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors' names and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def from_pretrained(
    kind: Any, name: str, part: str, prepare: Callable[[Any], Any] = lambda model: model, **settings: Any
) -> Any:
    """Load a model of transformers in float32 with all of its weights.

    Args:
        kind: its class, or AutoModel.
        name: in the hub, or a folder.
        part: what it is, for errors and the record.
        prepare: cuts off what is not needed.
        settings: of its configuration, in place of those that the weights bring.

    Raises:
        WeightsError: The weights cannot be fetched or read, or a tensor that is needed is missing.
    """
    source = text_folder(name)
    try:
        # Otherwise the encoder would train in the precision of its file.
        model, info = kind.from_pretrained(source, dtype=torch.float32, output_loading_info=True, **settings)
    except (OSError, ValueError) as error:
        raise WeightsError.unavailable(f"the weights of the {part} {name!r}", error) from error
    except RuntimeError as error:
        if "size mismatch" not in str(error) and "mismatched" not in str(error):
            raise
        raise WeightsError(f"the weights of the {part} {name!r} are of other sizes: {error}") from error
    if foreign := _foreign(model, info["unexpected_keys"], f"{model.base_model_prefix}."):
        log.warning(
            "%s weights %r: %d tensors are left out, such as %s: the configuration beside them has fewer layers",
            part,
            name,
            len(foreign),
            foreign[0],
        )
    model = prepare(model)
    note_loaded(model, part, name, info["missing_keys"])
    return model


def build_text_encoder(config: PiecesConfig) -> nn.Module:
    """Make the text encoder of `config.text_config` with random weights; nothing is downloaded."""
    return _without_pooler(AutoModel.from_config(AutoConfig.for_model(**config.text_config)), config)


def load_text_encoder(config: PiecesConfig) -> nn.Module:
    """Load `config.text_encoder` with its pretrained weights, in float32.

    Raises:
        WeightsError: The weights cannot be fetched or read.
    """
    return from_pretrained(
        AutoModel,
        config.text_encoder,
        "text encoder",
        lambda encoder: _without_pooler(encoder, config),
        **config.text_dropouts,
    )


def pretrained_text_config(name: str) -> dict[str, Any]:
    """Return the configuration that belongs to a pretrained text encoder.

    Raises:
        WeightsError: It cannot be fetched or read.
    """
    source = text_folder(name)
    try:
        found = AutoConfig.from_pretrained(source).to_dict()
    except (OSError, ValueError) as error:
        raise WeightsError.unavailable(f"the configuration of the text encoder {name!r}", error) from error
    found.pop("dtype", None)  # the file's precision is not this model's
    # DistilBERT and a few others name their width otherwise.
    return found | {"hidden_size": found.get("hidden_size", found.get("dim"))}


def _without_pooler(encoder: Any, config: PiecesConfig) -> nn.Module:
    """Drop the layer after the first token: FGMFN reads the token states, and BERT's pooler would never train."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    width = encoder.get_input_embeddings().embedding_dim
    if width != config.hidden_size:
        raise ConfigError(
            f"model setting hidden_size = {config.hidden_size}; expected {width}, the width of the text encoder"
        )
    return encoder


def longest_text(text_config: dict[str, Any]) -> int:
    """Return the most tokens that a text encoder reads; RoBERTa numbers its positions after the padding's."""
    positions = int(text_config.get("max_position_embeddings", 512))
    from_padding = text_config.get("model_type") in ("roberta", "xlm-roberta", "camembert")
    return positions - int(text_config.get("pad_token_id", 1)) - 1 if from_padding else positions
