"""Multiscale visual features: five levels of a CNN become one global token and a grid of region tokens.

Section III-B of the paper, eqs. 1, 3 and 4, with the gated global token of AMFMN (Yuan et al., 2022), the
module that the authors cite. Shapes are those of ResNet-18 on 224 x 224 pictures; d is the model's width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgmfn.configuration import FgmfnConfig


class MultiscaleFeatures(nn.Module):
    """Joins low and high feature levels into region tokens and lets them gate the global feature.

    Args:
        config: the model's settings.
        channels: channels of the five levels F1..F5, 64, 64, 128, 256, 512 for ResNet-18.
    """

    def __init__(self, config: FgmfnConfig, channels: Sequence[int]) -> None:
        super().__init__()
        d = config.hidden_size
        high_grid = 2 * config.grid
        self.low = nn.Conv2d(sum(channels[:3]), d // 2, kernel_size=3, stride=4)
        self.high = nn.Conv2d(sum(channels[3:]), d - d // 2, kernel_size=1)
        self.pooled_cells = 1 if config.msvf_fine_grid else 2
        self.position = GridPosition(high_grid // self.pooled_cells, d)
        self.norm = nn.LayerNorm(d)
        self.global_token = nn.Linear(channels[4], d)
        self.gated = config.msvf_global_gate
        if self.gated:
            self.main = nn.Conv2d(d, 1, kernel_size=1)
            self.gate = nn.Conv2d(d, 1, kernel_size=1)
            self.salience = nn.Linear(high_grid * high_grid, d)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Turn F1..F5 into [B, 1 + 49, d], or [B, 1 + 196, d]: the global token, then the regions row by row."""
        low, high = concatenate_levels(levels)
        joint = self.joint_map(low, high)
        regions = self.position(F.avg_pool2d(joint, kernel_size=self.pooled_cells))
        tokens = torch.cat([self.pooled_token(levels[4], joint).unsqueeze(1), regions], dim=1)
        return self.norm(tokens)

    def joint_map(self, low: Tensor, high: Tensor) -> Tensor:
        """Eq. 4: [B, 256, 56, 56] and [B, 768, 14, 14] -> [B, d, 14, 14]."""
        joint = torch.cat([F.relu(self.low(low)), F.relu(self.high(high))], dim=1)
        # The mean runs over the channels, [B, 1, 14, 14]: the only reading whose sum with the map is defined.
        return joint + high.mean(dim=1, keepdim=True)

    def pooled_token(self, deepest: Tensor, joint: Tensor) -> Tensor:
        """Eq. 1's global feature, [B, d], damped where the joint map sees nothing worth keeping."""
        pooled = self.global_token(deepest.mean(dim=(2, 3)))
        if not self.gated:
            return pooled
        salience = (self.main(joint) * self.gate(joint)).flatten(1)
        return pooled * torch.sigmoid(self.salience(salience))


class DeepestGrid(nn.Module):
    """The ablation w/o MSVF: the deepest level's cells as regions and their plain mean as global token."""

    def __init__(self, config: FgmfnConfig, channels: Sequence[int]) -> None:
        super().__init__()
        self.global_token = nn.Linear(channels[4], config.hidden_size)
        self.region = nn.Conv2d(channels[4], config.hidden_size, kernel_size=1)
        self.position = GridPosition(config.grid, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Turn F5, [B, 512, 7, 7], into [B, 1 + 49, d]."""
        regions = self.position(self.region(levels[4]))
        pooled = self.global_token(levels[4].mean(dim=(2, 3)))
        return self.norm(torch.cat([pooled.unsqueeze(1), regions], dim=1))


class GridPosition(nn.Module):
    """Learned 2-D position: one vector per cell of the grid, added to the cell's token."""

    def __init__(self, grid: int, d: int) -> None:
        super().__init__()
        self.cells = nn.Embedding(grid * grid, d)

    def forward(self, cells: Tensor) -> Tensor:
        """Flatten [B, d, g, g] row by row to [B, g * g, d] with positions added."""
        return cells.flatten(2).transpose(1, 2) + self.cells.weight


def concatenate_levels(levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Eq. 3: F1..F3 at F2's grid and F4, F5 at F4's grid, joined along their channels.

    Returns:
        v_l [B, 256, 56, 56] and v_h [B, 768, 14, 14].
    """
    low = [_resize(level, _grid(levels[1])) for level in levels[:3]]
    high = [_resize(level, _grid(levels[3])) for level in levels[3:]]
    return torch.cat(low, dim=1), torch.cat(high, dim=1)


def _grid(level: Tensor) -> tuple[int, int]:
    return level.shape[-2], level.shape[-1]


def _resize(level: Tensor, size: tuple[int, int]) -> Tensor:
    if _grid(level) == size:
        return level
    if level.shape[-1] > size[-1]:
        # The stem is finer than the common grid: averaging keeps every pixel's share, interpolation would not.
        return F.adaptive_avg_pool2d(level, size)
    return F.interpolate(level, size=size, mode="bilinear", align_corners=False)
