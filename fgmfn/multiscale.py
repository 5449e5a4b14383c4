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
    """Multiscale visual tokens: region tokens from all feature levels, and a global token that they gate.

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
        joint = self.joint_map(levels)
        regions = self.position(F.avg_pool2d(joint, kernel_size=self.pooled_cells))
        tokens = torch.cat([self.pooled_token(levels[4], joint).unsqueeze(1), regions], dim=1)
        return self.norm(tokens)

    def joint_map(self, levels: Sequence[Tensor]) -> Tensor:
        """Eqs. 3 and 4: F1..F5 -> [B, d, 14, 14]."""
        low = self.low_map(levels[:3])
        high, mean = self.high_map(*levels[3:])
        # Mean over the channels, [B, 1, 14, 14]: the only reading of the formula with a defined sum with the map.
        return F.relu(torch.cat([low, high], dim=1)) + mean

    def low_map(self, levels: Sequence[Tensor]) -> Tensor:
        """Join F1..F3 at F2's grid, [B, 256, 56, 56], and convolve them to [B, d / 2, 14, 14].

        The convolution of joined levels is the sum of their separate convolutions, which need no copy of the levels.
        """
        first, second, third = levels
        grid, stride = _grid(second), self.low.stride
        kernels = self.low.weight.split([level.shape[1] for level in levels], dim=1)
        joined = F.conv2d(_resize(first, grid), kernels[0], self.low.bias, stride=stride)
        joined = joined + F.conv2d(second, kernels[1], stride=stride)
        if _grid(third) == (grid[0] / 2, grid[1] / 2) and grid[0] % 4 == grid[1] % 4 == 0:
            return joined + _convolve_enlarged(third, kernels[2])
        return joined + F.conv2d(_resize(third, grid), kernels[2], stride=stride)

    def high_map(self, fourth: Tensor, fifth: Tensor) -> tuple[Tensor, Tensor]:
        """Join F4 and F5 at F4's grid, [B, 768, 14, 14]; convolve them to [B, d - d / 2, 14, 14].

        A 1 x 1 convolution treats each cell alone, so F5 is convolved before it is enlarged, at a quarter of the cost.

        Returns:
            The convolved map, and the mean of the joined channels [B, 1, 14, 14].
        """
        channels = [fourth.shape[1], fifth.shape[1]]
        kernels = self.high.weight.split(channels, dim=1)
        coarse = torch.cat([F.conv2d(fifth, kernels[1]), fifth.sum(dim=1, keepdim=True)], dim=1)
        deep, total = _resize(coarse, _grid(fourth)).split([len(self.high.weight), 1], dim=1)
        mean = (fourth.sum(dim=1, keepdim=True) + total) / sum(channels)
        return F.conv2d(fourth, kernels[0], self.high.bias) + deep, mean

    def pooled_token(self, deepest: Tensor, joint: Tensor) -> Tensor:
        """Return eq. 1's global feature, [B, d], gated by the salience of the joint map."""
        pooled = self.global_token(deepest.mean(dim=(2, 3)))
        if not self.gated:
            return pooled
        layers = (self.main, self.gate)
        weights, biases = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
        both = F.linear(joint.flatten(2).transpose(1, 2), weights.flatten(1), biases)
        salience = both[..., 0] * both[..., 1]
        return pooled * torch.sigmoid(self.salience(salience))


class DeepestGrid(nn.Module):
    """Ablation w/o MSVF: the deepest level's cells as regions, and their mean, without a gate, as global token."""

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


def _convolve_enlarged(level: Tensor, kernels: Tensor) -> Tensor:
    """Enlarge a level to twice its size and convolve it by 3 x 3 kernels with stride 4.

    Rows 4i, 4i + 1 and 4i + 2 of the enlarged level are interpolated from rows 2i - 1, 2i and 2i + 1 of the level:
    kernels that include the interpolation give the same result on the level itself, with stride 2.
    """
    eye = torch.eye(3, dtype=kernels.dtype, device=kernels.device)
    between = F.interpolate(eye[None], scale_factor=2, mode="linear")[0, :, 2:5].T
    kernels = ((kernels @ between).mT @ between).mT
    return F.conv2d(F.pad(level, (1, 0, 1, 0), mode="replicate"), kernels, stride=2)


def _grid(level: Tensor) -> tuple[int, int]:
    return level.shape[-2], level.shape[-1]


def _resize(level: Tensor, size: tuple[int, int]) -> Tensor:
    if _grid(level) == size:
        return level
    if level.shape[-1] > size[-1]:
        # The stem is finer than the common grid: averaging weighs all pixels equally, interpolation would not.
        exact = _grid(level) == (2 * size[0], 2 * size[1])  # the usual case, with a faster kernel
        return F.avg_pool2d(level, kernel_size=2) if exact else F.adaptive_avg_pool2d(level, size)
    return F.interpolate(level, size=size, mode="bilinear", align_corners=False)
