"""KWI, Kaiming weight initialisation (He et al. 2015, equation 3 of appendix A)."""

import math

import torch
from torch import Tensor


def draw_kernel(shape: tuple[int, ...], in_block: bool, generator: torch.Generator) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k] with entries from N(0, 2 / (k k C_in))."""
    _, in_channels, height, width = shape
    standard_deviation = math.sqrt(2 / (height * width * in_channels))
    return torch.randn(shape, generator=generator, dtype=torch.float64) * standard_deviation
