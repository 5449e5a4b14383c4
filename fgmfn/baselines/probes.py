"""Linear probes on CLIP (Radford et al., 2021) and SigLIP (Zhai et al., 2023): frozen encoders, logistic regression.

Both encoders of a pretrained pair stay as they are, and a regression reads their features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from huggingface_hub.dataclasses import strict
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import AutoConfig, AutoModel, CLIPImageProcessor

from fgmfn.baselines.fitted import FittedModel, Regression, choose_regression
from fgmfn.configuration import SentimentConfig
from fgmfn.data import Collator, Rows, SplitDataset
from fgmfn.data.rows import NOWHERE
from fgmfn.encoders import Loaded, from_pretrained
from fgmfn.errors import ConfigError
from fgmfn.inputs import Inputs
from fgmfn.processing import FgmfnProcessor, pretrained_tokenizer, train_tokenizer

WEIGHTS = "weights.npz"
ENCODERS = "encoders"
INPUTS = Inputs(("pixel_values", "input_ids"))
SMALLEST_SPREAD = 1e-12
"""A feature with a smaller spread is constant except for rounding."""


@strict
class ProbeConfig(SentimentConfig):
    """Settings of a probe."""

    counts: ClassVar[tuple[str, ...]] = ("vocabulary", "batch_size")
    family: ClassVar[str] = ""
    """Kind of the pair, as transformers calls it."""
    text_defaults: ClassVar[dict[str, Any]] = {}

    encoders: str = ""
    """Name on the Hugging Face Hub or local folder of both encoders and their tokenizer."""
    pretrained: bool = True
    """False draws both encoders at random and downloads nothing."""
    text_config: dict[str, Any] = field(default_factory=dict)
    """Sizes of a randomly initialised text encoder; unset ones are the pretrained one's."""
    vision_config: dict[str, Any] = field(default_factory=dict)
    """Likewise for the image encoder."""
    vocabulary: int = 8000
    """Word pieces to learn from the training texts when nothing is pretrained."""
    batch_size: int = 64
    """Rows that are encoded at once."""

    def departures(self, modalities: Sequence[str]) -> list[str]:
        """Say whether the encoders are different ones or start at random."""
        if not self.pretrained:
            return ["its encoders started at random"]
        published = type(self).encoders
        return [f"encoders {self.encoders} in place of {published}"] if self.encoders != published else []


class Probe(FittedModel):
    """The picture's and the text's vectors in the pair's common space, each of length 1, side by side.

    A target precedes its sentence, so the length limit never cuts it off. Features are standardised by the training
    rows' mean and spread, which the fitted weights include. The picture is one centre crop, in training too.
    """

    modalities = ("text", "image")
    strengths: ClassVar[tuple[float, ...]] = (1e-2, 1e-3, 1e-1, 1e-4, 1.0)
    """Inverse strengths of the regression's decay to choose from, the most likely first."""

    @abstractmethod
    def feature_count(self, pair: Any) -> int:
        """Width of both vectors together, from the pair's configuration."""

    @abstractmethod
    def image_processor(self, side: int) -> CLIPImageProcessor:
        """Return the image processor of the pair's pretraining, for squares of that side."""

    def fit(self, train: Rows, dev: Rows, seed: int, *, progress: bool = True) -> dict[str, Any]:
        """Encode both splits once and fit the regression.

        Raises:
            ConfigError: `encoders` names another kind of pair.
            DataError: There are no pictures, or the training rows are all of one class.
            WeightsError: The encoders cannot be fetched or read.
        """
        self._start(_sentences(train), seed)
        features = self.features(train, progress=progress)
        mean, spread = features.mean(axis=0), features.std(axis=0)
        spread[spread < SMALLEST_SPREAD] = 1.0
        known = ((self.features(dev, progress=progress) - mean) / spread, dev.label) if len(dev) else None
        fitted, chosen = choose_regression(
            ((features - mean) / spread, train.label), known, self.config.num_labels, self.strengths, seed
        )
        self._regression = fitted.before_scaling(mean, spread)
        return chosen

    def features(self, rows: Rows, *, progress: bool = True) -> np.ndarray:
        """Encode pictures and texts, [rows, features]; `progress` shows a bar on a terminal."""
        said = replace(rows, text=_sentences(rows), span=[NOWHERE] * len(rows))
        dataset = SplitDataset(said, self._processor, INPUTS)
        loader = DataLoader(dataset, batch_size=self.config.batch_size, collate_fn=Collator(self._processor, INPUTS))
        bar = tqdm(loader, desc=f"{self.config.family} encodes", unit="batch", disable=None if progress else True)
        return np.concatenate([self._encode(batch) for batch in bar])

    @torch.inference_mode()
    def _encode(self, batch: dict[str, torch.Tensor]) -> np.ndarray:
        # SigLIP reads the vector of the last position, padding or not, so it needs texts padded to full length;
        # CLIP never reads beyond a text's end.
        ids, longest = batch["input_ids"], self._processor.max_tokens
        ids = F.pad(ids, (0, longest - ids.shape[1]), value=self._processor.tokenizer.pad_token_id)
        device = self._encoders.device
        read = self._encoders(input_ids=ids.to(device), pixel_values=batch["pixel_values"].to(device))
        return torch.cat([read.image_embeds, read.text_embeds], dim=-1).double().cpu().numpy()

    def _start(self, texts: Sequence[str], seed: int) -> None:
        encoders, tokenizer = self._pretrained() if self.config.pretrained else self._drawn(texts, seed)
        pair = encoders.config
        pictures = self.image_processor(pair.vision_config.image_size)
        longest = pair.text_config.max_position_embeddings
        self._take(encoders, FgmfnProcessor(pictures, tokenizer, max_tokens=longest))

    @property
    def loaded(self) -> list[Loaded]:
        """Origin of both encoders' weights, where they are pretrained."""
        return [self._encoders.loaded] if hasattr(self._encoders, "loaded") else []

    def _take(self, encoders: Any, processor: FgmfnProcessor) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._encoders, self._processor = encoders.eval().requires_grad_(False).to(device), processor

    def _drawn(self, texts: Sequence[str], seed: int) -> tuple[Any, Any]:
        tokenizer = train_tokenizer(sorted(set(texts)), self.config.vocabulary)
        numbers = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        numbers |= {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return AutoModel.from_config(self._pair(numbers)), tokenizer

    def _pair(self, numbers: dict[str, int]) -> Any:
        """Return the configuration of a randomly initialised pair; `numbers` are sizes and ids of its vocabulary."""
        sizes = {"text_config": self.config.text_config | numbers, "vision_config": dict(self.config.vision_config)}
        return AutoConfig.for_model(self.config.family, **sizes)

    def _pretrained(self) -> tuple[Any, Any]:
        name, family = self.config.encoders, self.config.family
        tokenizer = pretrained_tokenizer(name)  # first: without it, weights would be fetched for nothing
        found = from_pretrained(AutoModel, name, "encoders")
        if found.config.model_type != family:
            raise ConfigError(
                f"model setting encoders = {name!r}: a model of type {found.config.model_type!r}; expected {family!r}"
            )
        return found, tokenizer

    def save_weights(self, folder: Path) -> None:
        """Write the regression's arrays, both encoders and their files: a probe is read from its own folder only."""
        np.savez(folder / WEIGHTS, weights=self._regression.weights, bias=self._regression.bias)
        self._encoders.save_pretrained(folder / ENCODERS)
        self._processor.save_pretrained(folder)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote."""
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            self._regression = Regression(arrays["weights"], arrays["bias"])
        encoders = AutoModel.from_pretrained(folder / ENCODERS, local_files_only=True, dtype=torch.float32)
        self._take(encoders, FgmfnProcessor.from_pretrained(folder, local_files_only=True))

    def parameter_counts(self) -> tuple[int, int] | None:
        """Return the parameters of both encoders and the regression; only the regression's are learned."""
        if hasattr(self, "_encoders"):
            encoders = self._encoders
        else:
            with torch.device("meta"):
                encoders = AutoModel.from_config(self._pair({}))
        learned = (self.feature_count(encoders.config) + 1) * self.config.num_labels
        return sum(weight.numel() for weight in encoders.parameters()) + learned, learned


def _sentences(rows: Rows) -> list[str]:
    """Return `target: sentence` for each row; for ads only the words."""
    if not rows.has_targets:
        return rows.text
    return [f"{target}: {text}" for target, text in zip(rows.target, rows.text, strict=True)]


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
