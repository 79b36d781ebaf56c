"""ResNets of all usual kinds, for weights that were trained elsewhere; their structure is data.

Blocks of any number of convolutions with ReLU after them (He et al. 2016a) or before them
(pre-activation, He et al. 2016b; wide ResNets, Zagoruyko & Komodakis 2016), with or without batch
normalisation, shortcuts with or without parameters, and any number of groups. Names of parameters
are torchvision's: conv1, bn1, layer1.0.conv1, layer1.0.bn1, ..., layer1.0.downsample.0 (convolution
of a projection) and .1 (its batch normalisation), fc; ``bn`` is the batch normalisation behind the
last block of a pre-activation network.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise.networks import fully_fledged

# Shortcuts without parameters where a block changes the number of channels or pixels. They keep
# every second row and column, or average 2 x 2 pixels (pooled); the channels that are missing are
# zeros on both sides of the others (around), zeros after them, or the others again (stacked).
SHORTCUTS = (*fully_fledged.SHORTCUTS, "pooled-around", "pooled-after")


@dataclasses.dataclass(frozen=True)
class ConvolutionShape:
    """A convolution, zero-padded so that only its stride changes the number of pixels.

    Attributes:
        inputs, outputs: numbers of channels.
        kernel: rows and columns of the kernel, an odd number.
        stride: rows from one output to the next.
        groups: into which the channels are divided.
        bias: whether there is one.
        norm: whether it has batch normalisation: after it, or before it (and before the ReLU) in
            pre-activation networks.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1
    bias: bool = False
    norm: bool = True

    def build(self) -> nn.Conv2d:
        """Return the convolution, without its batch normalisation."""
        return nn.Conv2d(
            self.inputs,
            self.outputs,
            self.kernel,
            self.stride,
            self.kernel // 2,
            groups=self.groups,
            bias=self.bias,
        )


@dataclasses.dataclass(frozen=True)
class BlockShape:
    """A block.

    Attributes:
        convolutions: at least one.
        shortcut: None for a plain block, "identity", "projection", or one of ``SHORTCUTS``.
        projection: the shortcut's convolution, for "projection" only.
        pooled: whether a projection averages pixels first and then has stride 1 (ResNet-D).
    """

    convolutions: tuple[ConvolutionShape, ...]
    shortcut: str | None
    projection: ConvolutionShape | None = None
    pooled: bool = False


@dataclasses.dataclass(frozen=True)
class Shape:
    """A whole ResNet.

    Attributes:
        stem: the first convolution.
        stem_pool: whether 3 x 3 max pooling with stride 2 follows.
        groups: the blocks, group by group.
        preactivation: whether batch normalisation and ReLU come before the convolutions.
        activated: in pre-activation networks, whether a projection takes its input behind the
            block's first ReLU; else it takes the block's input.
        final_norm: whether there is batch normalisation behind the last block.
        final_relu: whether a ReLU follows it.
        classes: number of logits.
        bias: whether the linear layer has a bias.
    """

    stem: ConvolutionShape
    stem_pool: bool
    groups: tuple[tuple[BlockShape, ...], ...]
    preactivation: bool
    activated: bool
    final_norm: bool
    final_relu: bool
    classes: int
    bias: bool

    @property
    def depth(self) -> int:
        """Return the number of layers with weights, without those in shortcuts."""
        return 2 + sum(len(block.convolutions) for group in self.groups for block in group)


class Block(nn.Module):
    """Convolutions with batch normalisation, and the shortcut; subclasses say where ReLUs are.

    Attributes:
        residual: whether there is a shortcut.
        kind: the shortcut; see ``BlockShape``.
        pooled: whether the shortcut averages pixels.
        stride: of the whole block.
    """

    def __init__(self, shape: BlockShape, preactivation: bool) -> None:
        super().__init__()
        self.count = len(shape.convolutions)
        self.stride = 1
        for number, part in enumerate(shape.convolutions, start=1):
            self.add_module(f"conv{number}", part.build())
            if part.norm:
                size = part.inputs if preactivation else part.outputs
                self.add_module(f"bn{number}", nn.BatchNorm2d(size))
            self.stride *= part.stride
        self.residual = shape.shortcut is not None
        self.kind = shape.shortcut
        self.pooled = shape.pooled or (shape.shortcut or "").startswith("pooled")
        self.outputs = shape.convolutions[-1].outputs
        self.downsample: nn.Module | None = None
        if shape.projection is not None:
            parts: list[nn.Module] = [shape.projection.build()]
            if shape.projection.norm:
                parts.append(nn.BatchNorm2d(shape.projection.outputs))
            self.downsample = nn.Sequential(*parts)

    def convolve(self, number: int, x: Tensor) -> Tensor:
        """Apply the convolution of that number, from 1."""
        y: Tensor = self.get_submodule(f"conv{number}")(x)
        return y

    def normalise(self, number: int, x: Tensor) -> Tensor:
        """Apply the batch normalisation of that number, if there is one."""
        norm = getattr(self, f"bn{number}", None)
        return x if norm is None else norm(x)

    def shortcut(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        if self.pooled:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        if self.downsample is not None:
            y: Tensor = self.downsample(x)
            return y
        if self.kind == "identity":
            return x
        if not self.pooled:
            x = x[:, :, :: self.stride, :: self.stride]
        missing = self.outputs - x.shape[1]
        if self.kind == "stacked":
            return x.repeat(1, self.outputs // x.shape[1], 1, 1)
        before = missing // 2 if str(self.kind).endswith("around") else 0
        return F.pad(x, (0, 0, 0, 0, before, missing - before))


class PostActivationBlock(Block):
    """conv - BN - ReLU - ... - conv - BN, plus the shortcut, then ReLU (He et al. 2016a)."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__(shape, preactivation=False)

    def response(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to what the last ReLU is applied to."""
        y = x
        for number in range(1, self.count + 1):
            y = self.normalise(number, self.convolve(number, y))
            if number < self.count:
                y = torch.relu(y)
        return y + self.shortcut(x) if self.residual else y

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        return torch.relu(self.response(x))


class PreActivationBlock(Block):
    """BN - ReLU - conv - ... - BN - ReLU - conv, plus the shortcut (He et al. 2016b)."""

    def __init__(self, shape: BlockShape, activated: bool) -> None:
        super().__init__(shape, preactivation=True)
        # An identity never starts behind the ReLU: it would not be one.
        self.activated = activated and shape.projection is not None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        first = y = torch.relu(self.normalise(1, x))
        y = self.convolve(1, y)
        for number in range(2, self.count + 1):
            y = self.convolve(number, torch.relu(self.normalise(number, y)))
        return y + self.shortcut(first if self.activated else x) if self.residual else y


class ResNet(nn.Module):
    """A ResNet of any ``Shape``.

    Attributes:
        depth: number of layers with weights, without those in shortcuts.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.depth = shape.depth
        self.preactivation = shape.preactivation
        self.final_relu = shape.final_relu
        self.conv1 = shape.stem.build()
        self.bn1 = nn.BatchNorm2d(shape.stem.outputs) if shape.stem.norm else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if shape.stem_pool else nn.Identity()
        # Without batch normalisation the ReLU of a pre-activation network's stem is that of its
        # first block.
        self.stem_relu = shape.stem.norm or not shape.preactivation
        self.groups = [f"layer{number}" for number in range(1, len(shape.groups) + 1)]
        for name, group in zip(self.groups, shape.groups, strict=True):
            blocks = [
                PreActivationBlock(block, shape.activated)
                if shape.preactivation
                else PostActivationBlock(block)
                for block in group
            ]
            self.add_module(name, nn.Sequential(*blocks))
        width = shape.groups[-1][-1].convolutions[-1].outputs
        self.bn = nn.BatchNorm2d(width) if shape.final_norm else nn.Identity()
        self.fc = nn.Linear(width, shape.classes, bias=shape.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures [B, in_channels, H, W] to logits [B, classes]."""
        x = self.bn1(self.conv1(x))
        x = self.maxpool(torch.relu(x) if self.stem_relu else x)
        for name in self.groups:
            x = self.get_submodule(name)(x)
        x = self.bn(x)
        x = torch.relu(x) if self.final_relu else x
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits
