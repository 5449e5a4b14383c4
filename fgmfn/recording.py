"""Behaviour of a model's parts in training, on a few fixed rows after each epoch: gradients, gate, attention.

Looking changes nothing of the training. The rows are drawn by a generator of their own and read once. The model looks
at them as in evaluation, so that nothing is drawn or dropped out, batch statistics stay, and processes exchange
nothing. Gradients go to no parameter. The first process looks alone, and the others wait for it at the next exchange.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fgmfn.callbacks import LOSS_PARTS
from fgmfn.data import Collator, SplitDataset
from fgmfn.fusion import CrossAttentionFusion, JointTransformer
from fgmfn.modeling import SentimentModel, SentimentOutput
from fgmfn.multiscale import MultiscaleFeatures
from fgmfn.processing import FgmfnProcessor

log = logging.getLogger(__name__)

FEWEST, MOST = 8, 16
"""Rows that are looked at: of each hundred training rows one, within these limits."""


class PartsRecorder(TrainerCallback):
    """Looks into the model after each epoch's steps, before it is scored.

    Args:
        model: the one that trains.
        processor: makes its batches.
        train: the training rows, of which the sample is drawn; crops are those of the first epoch.
        at_once: rows that go through the model together in training, more of which it may have no memory for.
        seed: of the sample.
    """

    def __init__(
        self, model: SentimentModel, processor: FgmfnProcessor, train: SplitDataset, *, at_once: int, seed: int
    ) -> None:
        size = min(max(FEWEST, min(MOST, len(train) // 100)), at_once, len(train))
        drawn = np.random.default_rng(seed).choice(len(train), size=size, replace=False)
        self._model = model
        self._batch = Collator(processor, model.inputs)([train[row] for row in sorted(drawn.tolist())])
        self.newest: dict[str, Any] | None = None
        """The latest result of `look_inside`."""

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Look."""
        if not state.is_world_process_zero:
            return
        try:
            batch = {name: values.to(self._model.device) for name, values in self._batch.items()}
            self.newest = look_inside(self._model, batch)
        except torch.OutOfMemoryError:
            self.newest = None
            log.warning(
                "no memory to look at the gradients of %d rows: this epoch's record lacks them",
                len(self._batch["labels"]),
            )


def look_inside(model: SentimentModel, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """Say what the parts of a model do with a batch, labels included, and leave the model as it was.

    Returns:
        `rows`; `gradients`, as `gradient_norms`; `gate`, with `mean` and standard `deviation` of the values that let
        the global token through and their `entropy`, 0 where all are open or closed and 1 where all are half open;
        `attention`, by layer and direction its entropy, 0 where each token reads one other alone and 1 where it reads
        all alike, as the mean over rows, heads and tokens. `gate` is None and `attention` empty where there is none.
    """
    seen: dict[str, Any] = {"rows": len(batch["labels"]), "gradients": {}, "gate": None, "attention": {}}
    with _in_evaluation(model), torch.enable_grad(), _watched(model, seen):
        seen["gradients"] = gradient_norms(model, model(**batch))
    return seen


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluate meanwhile; `train()` afterwards would touch more than the modules' modes."""
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


# --- gradients ---


def gradient_norms(model: nn.Module, output: SentimentOutput) -> dict[str, dict[str, float | None]]:
    """Return the Euclidean norm of each trained part's gradient: of the `loss`, and of its parts as they count in it.

    Norms of several losses do not add up: their gradients may point apart.

    Args:
        model: whose parameters train.
        output: with losses that hold their graph.

    Returns:
        By part, which is the first word of its parameters' names, and by loss; None for what is not finite.
    """
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    losses: dict[str, Tensor] = {
        name: value for name in LOSS_PARTS if (value := output.get(name)) is not None and value.requires_grad
    }
    if not trained or output.loss is None or not output.loss.requires_grad:
        return {}
    # how much of the loss each of its parts is, as a schedule or a setting has it now
    counted = torch.autograd.grad(output.loss, list(losses.values()), retain_graph=True, allow_unused=True)
    shares = {name: share for name, share in zip(losses, counted, strict=True) if share is not None}
    norms: dict[str, list[float]] = {}
    total = [torch.zeros_like(weight) for weight in trained.values()]
    for name, share in shares.items():
        gradients = _gradients(losses[name], trained, share)
        norms[name] = torch.stack(torch._foreach_norm(gradients)).tolist()
        torch._foreach_add_(total, gradients)
    named = sum(losses[name].item() * share.item() for name, share in shares.items())
    if not math.isclose(named, output.loss.item(), rel_tol=1e-4, abs_tol=1e-6):  # it has parts that are not named
        total = _gradients(output.loss, trained, None)
    norms["loss"] = torch.stack(torch._foreach_norm(total)).tolist()
    parts: dict[str, dict[str, float | None]] = {}
    for part in dict.fromkeys(name.partition(".")[0] for name in trained):
        own = [place for place, name in enumerate(trained) if name.partition(".")[0] == part]
        parts[part] = {name: _finite(math.hypot(*(norms[name][place] for place in own))) for name in ("loss", *shares)}
    return parts


def _gradients(loss: Tensor, trained: Mapping[str, Tensor], share: Tensor | None) -> list[Tensor]:
    weights = list(trained.values())
    found = torch.autograd.grad(loss, weights, grad_outputs=share, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(weight) if one is None else one for one, weight in zip(found, weights, strict=True)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# --- gate and attention ---


@contextmanager
def _watched(model: nn.Module, seen: dict[str, Any]) -> Iterator[None]:
    """Note what gate and attention do meanwhile; their own computation stays as it is."""
    hooks: list[Any] = []
    for module in model.modules():
        if isinstance(module, MultiscaleFeatures) and module.gated:
            hooks.append(module.salience.register_forward_hook(partial(_note_gate, seen)))
        if isinstance(module, CrossAttentionFusion | JointTransformer):
            masks: list[Tensor] = []
            hooks.append(module.register_forward_pre_hook(partial(_note_mask, masks)))
            for name, part in module.named_modules():
                if isinstance(part, nn.MultiheadAttention):
                    note = partial(_note_attention, seen["attention"], name, masks)
                    hooks.append(part.register_forward_hook(note, with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _note_gate(seen: dict[str, Any], module: nn.Module, given: Any, salience: Tensor) -> None:
    """The last layer before the gate's sigmoid: [B, d]."""
    gate = salience.detach().float().sigmoid()
    spread = float(gate.std(correction=0))
    seen["gate"] = {"mean": float(gate.mean()), "deviation": spread, "entropy": gate_entropy(gate)}


def gate_entropy(gate: Tensor) -> float:
    """Mean entropy of values between 0 and 1 in bits."""
    return min(1.0, float((torch.special.entr(gate) + torch.special.entr(1 - gate)).mean()) / math.log(2))


def _note_mask(masks: list[Tensor], fusion: nn.Module, given: tuple[Tensor, ...]) -> None:
    masks[:] = [given[2]]


def _note_attention(
    found: dict[str, float | None],
    name: str,
    masks: list[Tensor],
    module: Any,
    given: tuple[Tensor, ...],
    named: dict[str, Any],
    output: Any,
) -> None:
    """Ask the layer for the weights that its fused kernel does not give, in the weights' own precision."""
    own = [one.detach().to(module.out_proj.weight.dtype) for one in given]
    with torch.autocast(own[0].device.type, enabled=False):
        _, weights = module.forward(*own, **named | {"need_weights": True, "average_attn_weights": False})
    padding = named.get("key_padding_mask")
    ignored = None if padding is None else padding if padding.dtype == torch.bool else padding == -math.inf
    layer = int(next(word for word in name.split(".") if word.isdigit())) + 1
    if given[0] is given[1]:
        direction, real = "joint", None if ignored is None else ~ignored
    elif ignored is None:  # no region is ever masked, so it is words that read
        direction, real = "text_from_image", masks[0][:, : given[0].shape[1]]
    else:
        direction, real = "image_from_text", None
    found[f"{layer} {direction}"] = attention_entropy(weights.detach(), ignored, real)


def attention_entropy(weights: Tensor, ignored: Tensor | None = None, real: Tensor | None = None) -> float | None:
    """Return the mean entropy of an attention, as a share of the largest that its open keys allow.

    Args:
        weights: [B, heads, q, k].
        ignored: True where a key is masked, [B, k].
        real: True where a query is no padding, [B, q].

    Returns:
        A number from 0 to 1; None where no query has two keys to choose from.
    """
    rows, _, queries, keys = weights.shape
    count = weights.new_full((rows,), keys) if ignored is None else (~ignored).sum(dim=1)
    counted = (count > 1)[:, None].expand(rows, queries)
    if real is not None:
        counted = counted & real.bool()
    if not counted.any():
        return None
    entropy = torch.special.entr(weights.float()).sum(dim=-1).mean(dim=1)  # over heads: [B, q]
    return min(1.0, float((entropy / count.clamp(min=2).float().log()[:, None])[counted].mean()))
