"""Fully-fledged residual networks for CIFAR (He et al. 2016) and the same without shortcuts.

Blocks of two convolutions with batch normalisation; parameter-free shortcuts that subsample and,
where channels double, pad the channels with zeros or stack them on themselves. State-dict keys
follow the usual naming: conv1, bn1, layer{1,2,3}.{i}.conv{1,2}, layer{1,2,3}.{i}.bn{1,2} and fc.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise.networks.depth import blocks_per_size


def build(
    depth: int, width: int, classes: int, in_channels: int, residual: bool
) -> "FullyFledgedNet":
    """Return a fully-fledged network of ``depth`` = 6n + 2 layers."""
    return FullyFledgedNet(depth, width, classes, in_channels, residual)


# What a shortcut does where channels double. padded-around: half of the zeros before and half after
# the channels; padded-after: zeros after the channels; stacked: the channels on themselves, as in
# simplified networks.
SHORTCUTS = ("padded-around", "padded-after", "stacked")


class BasicBlock(nn.Module):
    """conv - BN - ReLU - conv - BN, plus the shortcut if residual, then ReLU (section 5).

    Attributes:
        stride: of the first convolution.
        residual: whether there is a shortcut.
        kind: where channels double, one of ``SHORTCUTS``.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.residual = residual
        self.kind = "padded-around"

    def shortcut(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride] without parameters."""
        missing = self.bn2.num_features - x.shape[1]
        if missing == 0:
            return x
        subsampled = x[:, :, :: self.stride, :: self.stride]
        if self.kind == "stacked":
            return subsampled.repeat(1, self.bn2.num_features // x.shape[1], 1, 1)
        if self.kind == "padded-after":
            return F.pad(subsampled, (0, 0, 0, 0, 0, missing))
        return F.pad(subsampled, (0, 0, 0, 0, missing // 2, missing - missing // 2))

    def response(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to what the last ReLU is applied to."""
        y: Tensor = torch.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return y.add_(self.shortcut(x)) if self.residual else y

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        return torch.relu_(self.response(x))


class FullyFledgedNet(nn.Module):
    """A CIFAR ResNet of He et al. 2016, or its plain counterpart.

    Attributes:
        depth: number of layers with weights, 6n + 2.
        residual: whether the blocks have shortcuts.
    """

    def __init__(
        self, depth: int, width: int, classes: int, in_channels: int, residual: bool
    ) -> None:
        super().__init__()
        blocks = blocks_per_size(depth)
        self.depth = depth
        self.residual = residual
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _group(width, width, 1, blocks, residual)
        self.layer2 = _group(width, 2 * width, 2, blocks, residual)
        self.layer3 = _group(2 * width, 4 * width, 2, blocks, residual)
        self.fc = nn.Linear(4 * width, classes)

    def choose_shortcut(self, kind: str) -> None:
        """Give all blocks shortcuts of one of the ``SHORTCUTS`` where channels double."""
        for group in (self.layer1, self.layer2, self.layer3):
            for block in group:
                assert isinstance(block, BasicBlock)
                block.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures [B, in_channels, H, W] to logits [B, classes]."""
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def _group(
    in_channels: int, out_channels: int, stride: int, blocks: int, residual: bool
) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride, residual)
    rest = (BasicBlock(out_channels, out_channels, 1, residual) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
