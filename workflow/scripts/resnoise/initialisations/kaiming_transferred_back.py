"""The residual network that equals a plain network from KWI: the inverse of T (section 3).

With the same seed, the residual network from this initialisation is the twin of the plain one from
KWI: it starts as a function that has no identity connections.
"""

import torch
from torch import Tensor

from resnoise.initialisations import kaiming
from resnoise.networks.transfer import kernel_to_residual


def draw_kernel(shape: tuple[int, ...], in_block: bool, generator: torch.Generator) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k] of KWI, in blocks with 1 taken at ID entries."""
    kernel = kaiming.draw_kernel(shape, in_block, generator)
    return kernel_to_residual(kernel) if in_block else kernel
