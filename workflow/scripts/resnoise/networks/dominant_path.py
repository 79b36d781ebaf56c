"""Dominant-path networks (appendix D.3, Table 5): residual networks with diagonal kernels.

A kernel [C_out, C_in, 3, 3] keeps the entries that lead from an input channel c to the output
channels c, c + C_in, ...: those with ``output mod C_in == input``. Where channels double, the upper
and the lower half of the kernel are both diagonal. All other entries are 0 and stay 0, so that
signals flow along the sub-activation paths only. In the variant "lower-full" the lower half of the
two kernels that double the channels is full.

The kept entries are depthwise convolutions, which is how they are computed: a full convolution with
a masked kernel gives the same outputs and gradients and takes longer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise.networks.simplified import SimplifiedNet


def build(
    depth: int, width: int, classes: int, in_channels: int, residual: bool
) -> "DominantPathNet":
    """Return a network of ``depth`` = 6n + 2 layers with diagonal kernels."""
    return DominantPathNet(depth, width, classes, in_channels, residual, full_lower=False)


def build_lower_full(
    depth: int, width: int, classes: int, in_channels: int, residual: bool
) -> "DominantPathNet":
    """Return the variant whose doubling kernels have a full lower half."""
    return DominantPathNet(depth, width, classes, in_channels, residual, full_lower=True)


class DiagonalConv2d(nn.Module):
    """3x3 convolution whose kernel is 0 except where ``output mod C_in == input``.

    Attributes:
        kernel_shape: shape of the kernel, zeros included: (C_out, C_in, 3, 3).
        weight: the kept entries, [C_out, 1, 3, 3].
        bias: [C_out].
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.kernel_shape = (out_channels, in_channels, 3, 3)
        self.stride = stride
        self.weight = nn.Parameter(torch.zeros(out_channels, 1, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        outputs, inputs = self.kernel_shape[:2]
        stacked = x if outputs == inputs else x.repeat(1, outputs // inputs, 1, 1)
        return F.conv2d(stacked, self.weight, self.bias, self.stride, padding=1, groups=outputs)

    def kept(self) -> list[Tensor]:
        """Return the kernel's kept entries, in parts of which each has ID entries."""
        return [self.weight]

    def of_kernel(self, kernel: Tensor) -> list[Tensor]:
        """Return those entries of ``kernel``, [C_out, C_in, 3, 3], that ``kept`` returns."""
        return [_diagonal(kernel)]

    def set_kernel(self, kernel: Tensor) -> None:
        """Keep of ``kernel``, [C_out, C_in, 3, 3], what is not 0 here."""
        for part, values in zip(self.kept(), self.of_kernel(kernel), strict=True):
            part.copy_(values)


class LowerFullConv2d(nn.Module):
    """3x3 convolution whose kernel is diagonal in outputs 0 ... C_in - 1 and full in the others.

    Attributes:
        kernel_shape: shape of the kernel, zeros included: (C_out, C_in, 3, 3).
        upper: the kept entries of the upper half, [C_in, 1, 3, 3].
        lower: the lower half, [C_out - C_in, C_in, 3, 3].
        bias: [C_out].
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.kernel_shape = (out_channels, in_channels, 3, 3)
        self.stride = stride
        self.upper = nn.Parameter(torch.zeros(in_channels, 1, 3, 3))
        self.lower = nn.Parameter(torch.zeros(out_channels - in_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C_in, H, W] to [B, C_out, H / stride, W / stride]."""
        inputs = self.kernel_shape[1]
        halves = (
            F.conv2d(x, self.upper, self.bias[:inputs], self.stride, padding=1, groups=inputs),
            F.conv2d(x, self.lower, self.bias[inputs:], self.stride, padding=1),
        )
        return torch.cat(halves, dim=1)

    def kept(self) -> list[Tensor]:
        """Return the kernel's kept entries, in parts of which each has ID entries."""
        return [self.upper, self.lower]

    def of_kernel(self, kernel: Tensor) -> list[Tensor]:
        """Return those entries of ``kernel``, [C_out, C_in, 3, 3], that ``kept`` returns."""
        inputs = self.kernel_shape[1]
        return [_diagonal(kernel[:inputs]), kernel[inputs:]]

    def set_kernel(self, kernel: Tensor) -> None:
        """Keep of ``kernel``, [C_out, C_in, 3, 3], what is not 0 here."""
        for part, values in zip(self.kept(), self.of_kernel(kernel), strict=True):
            part.copy_(values)


class DominantPathNet(SimplifiedNet):
    """A simplified network whose blocks have dominant paths only.

    Attributes:
        full_lower: whether the lower halves of doubling kernels are full.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        classes: int,
        in_channels: int,
        residual: bool,
        *,
        full_lower: bool,
    ) -> None:
        super().__init__(depth, width, classes, in_channels, residual)
        for block in self.blocks():
            inputs, outputs = block.conv.in_channels, block.conv.out_channels
            kind = LowerFullConv2d if full_lower and inputs < outputs else DiagonalConv2d
            block.register_module("conv", kind(inputs, outputs, block.stride))

    def convolutions(self) -> list[DiagonalConv2d | LowerFullConv2d]:
        """Return the convolutions of the 6n blocks from input to output."""
        found = (block.get_submodule("conv") for block in self.blocks())
        return [conv for conv in found if isinstance(conv, DiagonalConv2d | LowerFullConv2d)]

    def identity_kernels(self) -> list[Tensor]:
        """Return the kernels across which an identity connection runs, without their zeros."""
        if not self.residual:
            return []
        return [kernel for conv in self.convolutions() for kernel in conv.kept()]


def _diagonal(kernel: Tensor) -> Tensor:
    """Return the entries [C_out, 1, k, k] of a kernel with ``output mod C_in == input``."""
    outputs = torch.arange(kernel.shape[0], device=kernel.device)
    return kernel[outputs, outputs % kernel.shape[1]].unsqueeze(1)
