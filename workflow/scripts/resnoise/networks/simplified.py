"""Simplified plain and residual networks (section 2 and appendix A, figures 4 and 5).

conv 3x3 + ReLU; three groups of 2n one-convolution blocks with w, 2w and 4w channels, the first
convolution of groups 2 and 3 with stride 2; average pooling; linear layer. No batch normalisation.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from resnoise.networks.depth import blocks_per_size


def build(
    depth: int, width: int, classes: int, in_channels: int, residual: bool
) -> "SimplifiedNet":
    """Return a simplified network of ``depth`` = 6n + 2 layers."""
    return SimplifiedNet(depth, width, classes, in_channels, residual)


def add_identity(y: Tensor, x: Tensor, stride: int) -> Tensor:
    """Add the identity connection of ``x`` to ``y`` in place and return ``y``.

    At a convolution with stride the identity is ``x[:, :, ::stride, ::stride]``; where it
    multiplies the channels by m, the identity is stacked m times, so that output channels c, c + C,
    ... all get input channel c (the ID entries of section 3).

    Args:
        y: [B, m C, H / stride, W / stride], overwritten.
        x: [B, C, H, W], same type.
        stride: stride of the convolution.
    """
    if y.shape == x.shape:
        return y.add_(x)
    channels = x.shape[1]
    shortcut = x[:, :, ::stride, ::stride]
    stacks = y.view(y.shape[0], -1, channels, *y.shape[2:])
    stacks.add_(shortcut.unsqueeze(1))
    return y


class Block(nn.Module):
    """One convolution, with or without identity, and ReLU (figure 5): y = relu(conv(x) [+ x])."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
        self.stride = stride
        self.residual = residual

    def response(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to what ReLU is applied to, [B, C_out, H / stride, W / stride]."""
        # In place, as is the ReLU: the gradient of a convolution does not need its output, and
        # memory traffic is what limits these small networks.
        y: Tensor = self.conv(x)
        return add_identity(y, x, self.stride) if self.residual else y

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        return torch.relu_(self.response(x))


class SimplifiedNet(nn.Module):
    """A simplified plain or residual network.

    Attributes:
        depth: number of layers with weights, 6n + 2.
        residual: whether the blocks have identity connections.
        conv1: the first convolution, without identity in either kind.
        layer1, layer2, layer3: groups of 2n blocks.
        fc: the linear layer.
    """

    def __init__(
        self, depth: int, width: int, classes: int, in_channels: int, residual: bool
    ) -> None:
        super().__init__()
        blocks = 2 * blocks_per_size(depth)
        self.depth = depth
        self.residual = residual
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1)
        self.layer1 = _group(width, width, 1, blocks, residual)
        self.layer2 = _group(width, 2 * width, 2, blocks, residual)
        self.layer3 = _group(2 * width, 4 * width, 2, blocks, residual)
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures [B, in_channels, H, W] to logits [B, classes]."""
        x = torch.relu_(self.conv1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits

    def blocks(self) -> Iterator[Block]:
        """Yield the 6n blocks from input to output."""
        for group in (self.layer1, self.layer2, self.layer3):
            for block in group:
                assert isinstance(block, Block)
                yield block

    def identity_kernels(self) -> list[Tensor]:
        """Return the kernels across which an identity connection runs, none for a plain network."""
        return [block.conv.weight for block in self.blocks()] if self.residual else []


def _group(
    in_channels: int, out_channels: int, stride: int, blocks: int, residual: bool
) -> nn.Sequential:
    first = Block(in_channels, out_channels, stride, residual)
    rest = (Block(out_channels, out_channels, 1, residual) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
