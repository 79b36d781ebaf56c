"""T(HMWI): the plain network that equals a residual network from HMWI (section 4.2).

With the same seed, the plain network from this initialisation is the twin of the residual one from
HMWI.
"""

import torch
from torch import Tensor

from resnoise.initialisations import hardt_ma
from resnoise.networks.transfer import kernel_to_plain


def draw_kernel(shape: tuple[int, ...], in_block: bool, generator: torch.Generator) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k] of HMWI, in blocks with 1 added at ID entries."""
    kernel = hardt_ma.draw_kernel(shape, in_block, generator)
    return kernel_to_plain(kernel) if in_block else kernel
