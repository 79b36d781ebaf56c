"""Orthogonal kernels (Saxe et al. 2014), scaled for ReLU."""

import math

import torch
from torch import Tensor, nn


def draw_kernel(shape: tuple[int, ...], in_block: bool, generator: torch.Generator) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k] whose rows [C_in k k] are orthogonal.

    The norm of each row is that of KWI's expectation, sqrt(2), if there are not more rows than
    entries in a row; otherwise the columns are orthogonal instead.
    """
    kernel = torch.empty(shape, dtype=torch.float64)
    return nn.init.orthogonal_(kernel, math.sqrt(2), generator)
