"""The two losses beside cross-entropy: image-text contrast (eq. 9) and CRF mutual information (eqs. 10, 11)."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgmfn.configuration import FgmfnConfig
from fgmfn.distributed import all_rows


class ImageTextContrast(nn.Module):
    """Contrastive loss: pulls an ad's picture and words together, and pushes those of other ads apart (eq. 9).

    Three departures from the printed formula. The numerator is the diagonal, not the whole product. The
    logits are divided by the temperature T itself: dividing by exp(0.1) = 1.105 hardly sharpens. Rows that
    share the picture, the text or the ad are positives of each other: with five frames per ad there would
    otherwise always be false negatives.
    """

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__()
        self.text_projection = nn.Linear(config.hidden_size, config.itc_projection)
        self.image_projection = nn.Linear(config.hidden_size, config.itc_projection)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.itc_temperature)))
        self.log_bounds = (math.log(config.itc_temperature_min), math.log(config.itc_temperature_max))
        self.same_class = config.itc_same_class
        self.register_state_dict_post_hook(_save_within_bounds)

    def forward(self, text: Tensor, image: Tensor, groups: Tensor | None, labels: Tensor) -> Tensor:
        """Return the mean of both directions' cross-entropies.

        Args:
            text: unimodal sentence vectors, [B, d].
            image: unimodal picture vectors, [B, d].
            groups: identities of each row's text, ad and picture, [B, 3]; None means no row shares any.
            labels: class of each row, [B].

        If several processes train, the loss covers the rows of all of them, and each process returns the same loss.
        """
        text, image = self.text_projection(text), self.image_projection(image)
        if self.training:
            text, image = all_rows(text), all_rows(image)
            groups = None if groups is None else all_rows(groups)
            labels = all_rows(labels)
        # Under autocast the product would be computed in bfloat16 even with float32 factors.
        with torch.autocast(text.device.type, enabled=False):
            similarities = F.normalize(text.float(), dim=-1) @ F.normalize(image.float(), dim=-1).T
            targets = evenly(shared_rows(groups, len(text), text.device))
            if self.same_class:
                targets = targets.lerp(evenly(labels[:, None] == labels), self.same_class)
            return contrastive_loss(similarities / self._temperature(), targets)

    def _temperature(self) -> Tensor:
        """Return T within its bounds; in training, the parameter itself is clamped."""
        if not self.training:
            return self.log_temperature.float().clamp(*self.log_bounds).exp()
        with torch.no_grad():
            # Clamping only the value that is used would leave the parameter without a gradient.
            self.log_temperature.clamp_(*self.log_bounds)
        return self.log_temperature.float().exp()


def _save_within_bounds(module: ImageTextContrast, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    """Save the clamped temperature: after the last step the parameter may be out of its bounds."""
    name = f"{prefix}log_temperature"
    state[name] = state[name].clamp(*module.log_bounds)


def shared_rows(groups: Tensor | None, rows: int, device: torch.device) -> Tensor:
    """Return [B, B], True where two rows share at least one identity, and on the diagonal."""
    own = torch.eye(rows, dtype=torch.bool, device=device)
    if groups is None:
        return own
    return own | (groups[:, None, :] == groups[None, :, :]).any(dim=-1)


def evenly(positives: Tensor) -> Tensor:
    """Convert a symmetric [B, B], True where two rows belong together, into a uniform distribution for each row."""
    return positives.float() / positives.sum(dim=1, keepdim=True)


def contrastive_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of [B, B] similarities against a distribution for each row, for texts and pictures alike."""
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


class MutualInformation(nn.Module):
    """Loss that makes the label's distributions given the text and given the picture agree (eqs. 10, 11).

    A linear-chain CRF over the single label of a sample has two transitions, start -> y and y -> stop, so
    eq. 10 is s(y) = M[start, y] + P_y + M[y, stop] with a softmax over the classes. Both views share
    M; each has its own emission layer P. Eq. 11's second line lacks its minus sign: minimised as printed it
    has no lower bound.
    """

    def __init__(self, config: FgmfnConfig) -> None:
        super().__init__()
        self.text_emission = nn.Linear(config.hidden_size, config.num_labels)
        self.image_emission = nn.Linear(config.hidden_size, config.num_labels)
        # The only entries of M that a sequence of one label uses.
        self.start = nn.Parameter(0.02 * torch.randn(config.num_labels))
        self.stop = nn.Parameter(0.02 * torch.randn(config.num_labels))
        self.direction = config.mi_direction
        self.likelihood_weight = config.mi_lambda

    def forward(self, text: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        """Return KL + lambda (NLL_text + NLL_image) for unimodal vectors [B, d] and labels [B]."""
        text_view = self.log_probabilities(self.text_emission(text))
        image_view = self.log_probabilities(self.image_emission(image))
        loss = divergence(text_view, image_view, self.direction)
        if self.likelihood_weight:
            likelihood = F.nll_loss(text_view, labels) + F.nll_loss(image_view, labels)
            loss = loss + self.likelihood_weight * likelihood
        return loss

    def log_probabilities(self, emission: Tensor) -> Tensor:
        """Eq. 10 for one label: log p(y | view), [B, C]."""
        return F.log_softmax((self.start + emission + self.stop).float(), dim=-1)


def divergence(text: Tensor, image: Tensor, direction: str) -> Tensor:
    """Mean over the batch of the KL divergence between two views' log-probabilities [B, C] (eq. 11).

    `paper` is KL(text || image); `reverse` is KL(image || text) with the image as a detached teacher;
    `symmetric` is the mean of both divergences, neither detached.
    """
    if direction == "reverse":
        return _kl(image.detach(), text)
    if direction == "symmetric":
        return (_kl(text, image) + _kl(image, text)) / 2
    return _kl(text, image)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) of log-probabilities, mean over the batch."""
    return F.kl_div(q, p, reduction="batchmean", log_target=True)
