"""HMWI, Hardt-Ma weight initialisation (Hardt & Ma 2017, equation 4 of appendix A)."""

import torch
from torch import Tensor


def draw_kernel(shape: tuple[int, ...], in_block: bool, generator: torch.Generator) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k] with entries from N(0, (1 / (k k C_out))^2)."""
    out_channels, _, height, width = shape
    standard_deviation = 1 / (height * width * out_channels)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * standard_deviation
