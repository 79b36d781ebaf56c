"""The transfer T between residual and plain networks (section 3, equation 1).

T adds 1 to the ID entries of every kernel across which an identity connection runs; its inverse
subtracts 1. Biases, the first convolution and the linear layer are copied. The residual network and
the plain network with the transferred weights are the same function.
"""

from collections.abc import Mapping, Sequence

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


def kernel_to_plain(kernel: Tensor) -> Tensor:
    """Return T of one kernel [C_out, C_in, k_h, k_w]: 1 added at its ID entries."""
    return kernel + id_entries(kernel.shape).to(kernel)


def kernel_to_residual(kernel: Tensor) -> Tensor:
    """Return the inverse of T of one kernel: 1 subtracted at its ID entries."""
    return kernel - id_entries(kernel.shape).to(kernel)


def to_plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return T of the state dict of a simplified residual network: that of its plain twin.

    Raises:
        ResnoiseError: ``weights`` has no block kernels, so is no simplified network's.
    """
    blocks = _block_kernels(weights)
    return {n: kernel_to_plain(w) if n in blocks else w.clone() for n, w in weights.items()}


def to_residual(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the inverse of T of the state dict of a simplified plain network.

    Raises:
        ResnoiseError: ``weights`` has no block kernels, so is no simplified network's.
    """
    blocks = _block_kernels(weights)
    return {n: kernel_to_residual(w) if n in blocks else w.clone() for n, w in weights.items()}


def _block_kernels(weights: Mapping[str, Tensor]) -> set[str]:
    """Return the names of the kernels in blocks (``layer1.0.conv.weight``, ...)."""
    names = {name for name in weights if name.endswith(".conv.weight")}
    if not names:
        raise ResnoiseError(
            f"transfer needs a simplified network with kernels layer1.0.conv.weight, ..., not "
            f"weights called {', '.join(list(weights)[:3])}, ..."
        )
    return names
