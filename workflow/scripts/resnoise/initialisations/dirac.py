"""Blocks that are the identity, without noise (PyTorch's ``dirac_``).

A plain network from it is, by T, a residual network whose kernels are 0: where the residual branch
of a block is one convolution, this is what Fixup (Zhang et al. 2019) does to the branches.
"""

import torch
from torch import Tensor, nn

from resnoise.initialisations import kaiming


def draw_kernel(shape: tuple[int, ...], in_block: bool, generator: torch.Generator) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k]: 1 at the ID entries; KWI outside of blocks."""
    if not in_block:
        return kaiming.draw_kernel(shape, in_block, generator)
    kernel = torch.empty(shape, dtype=torch.float64)
    # As many groups as the inputs are stacked times, because the default leaves other outputs at 0.
    return nn.init.dirac_(kernel, groups=shape[0] // shape[1])
