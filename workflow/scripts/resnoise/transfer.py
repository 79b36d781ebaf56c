"""ID entries of a kernel (section 3): where an identity connection adds 1."""

from collections.abc import Sequence

import torch
from torch import Tensor

from resnoise.errors import ResnoiseError


def id_entries(shape: Sequence[int]) -> Tensor:
    """Return a boolean mask of the ID entries of a kernel [C_out, C_in, k_h, k_w].

    They are the centre taps with ``output channel mod C_in == input channel``: a kernel with m
    times more outputs than inputs has m of them for every input channel.

    Raises:
        ResnoiseError: an even height or width, or ``C_out`` is not a multiple of ``C_in``.
    """
    out_channels, in_channels, height, width = shape
    if height % 2 == 0 or width % 2 == 0 or out_channels % in_channels:
        raise ResnoiseError(
            f"a kernel of shape {tuple(shape)} has no ID entries, allowed: odd height and width, "
            "outputs a multiple of inputs"
        )
    mask = torch.zeros(tuple(shape), dtype=torch.bool)
    outputs = torch.arange(out_channels)
    mask[outputs, outputs % in_channels, height // 2, width // 2] = True
    return mask
