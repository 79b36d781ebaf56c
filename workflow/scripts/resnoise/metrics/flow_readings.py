"""Three readings of the paper's dominant gradient flow (appendices D.2 and D.4), from the same G.

R is the risk of one picture, a the pooled outputs of the last layer, x_l the activation of layer l
with C_l channels and entries p. ``G[j, c, p] = dR/da_j * da_j/dx_l[c, p]`` is the part of the
gradient that a_j mediates. Path j runs through channel ``j mod C_l``, and ``own(c) = {j : j mod C_l
= c}`` holds the paths through channel c. A test compares a part of G with another one:

- ``set``: for each channel c, the sum of G[j, c] over own(c) with that over all other j;
- ``single``: for each path j, with its channel c, G[j, c] with the sum of G[j', c] over all j' but
  j ("the sum of all other sources", D.4.1);
- ``carriers``: for each path j, with its channel c, G[j, c] with the sum of G[j, c'] over all
  channels c' of the layer but c ("that signal through the other sub-activations in layer l", D.2).

There is a dominant gradient flow where the mean over p of ``|part| / |other part|`` exceeds 1
(inequality 5). f_l is the share of such tests (equation 13). Entries where both parts are 0 have
ratio 0. In layers with as many channels as paths, ``set`` and ``single`` are the same.
"""

import dataclasses

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnoise.metrics import states


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the tests of all readings compare, from G of one layer.

    Attributes:
        own: of each path the part through its own channel, ``G[j, :, c(j)]``, [B, F, ...].
        carried: of each path the sum over all channels, [B, F, ...].
        total: the sum over all paths, [B, C, ...].
    """

    own: Tensor
    carried: Tensor
    total: Tensor

    def add(self, path: int, gradient: Tensor) -> None:
        """Add G of one path, [B, C, ...], to parts that began as zeros."""
        self.own[:, path] = gradient[:, path % gradient.shape[1]]
        self.carried[:, path] = gradient.sum(1)
        self.total.add_(gradient)


def parts(gradients: Tensor) -> Parts:
    """Return the parts of G, [F, B, C, ...]."""
    numbers = torch.arange(len(gradients), device=gradients.device)
    own = gradients[numbers, :, numbers % gradients.shape[2]].movedim(0, 1)
    return Parts(own, gradients.sum(2).movedim(0, 1), gradients.sum(0))


def compared(given: Parts, reading: str) -> tuple[Tensor, Tensor]:
    """Return the two parts of G that each test of a reading compares.

    Args:
        given: of all paths; their number F is a multiple of C.
        reading: one of ``resnoise.specs.flow.READINGS``.

    Returns:
        Two tensors [B, tests, ...], with a test for each channel or for each path.
    """
    channels = given.total.shape[1]
    if reading == "set":
        pictures, _, *size = given.own.shape
        by_path = given.own.movedim(1, 0).reshape(-1, channels, pictures, *size)
        own = by_path.sum(0).movedim(0, 1)
        return own, given.total - own
    if reading == "single":
        through = torch.arange(given.own.shape[1], device=given.own.device) % channels
        return given.own, given.total[:, through] - given.own
    return given.own, given.carried - given.own


def share(given: Parts, reading: str) -> Tensor:
    """Return f_l of a layer by one reading, by mean and by median over p, float64 [2, pictures].

    It is NaN where no gradient reaches the layer, and infinite where gradients overflow
    (``resnoise.metrics.states``).
    """
    own, rest = compared(given, reading)
    size = own.abs().flatten(1).sum(1) + rest.abs().flatten(1).sum(1)
    state = torch.where(size == 0, torch.nan, torch.where(size.isfinite(), 0, torch.inf)).double()
    return torch.stack([one.double().mean(1) + state for one in dominant(own, rest)])


def dominant(own: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Return which tests find a dominant gradient flow, by the mean and by the median over p.

    Args:
        own: parts of G, [B, tests, ...].
        rest: the parts that they are compared with.

    Returns:
        Two bool tensors [B, tests].
    """
    numerator, denominator = own.abs().flatten(2), rest.abs().flatten(2)
    ratio = numerator / denominator
    ratio[(numerator == 0) & (denominator == 0)] = 0
    # The (lower) median exceeds 1 where more than half of the entries do.
    return ratio.mean(2) > 1, (numerator > denominator).sum(2) * 2 > numerator.shape[2]


def averaged(
    layers: pd.DataFrame, by_mean: NDArray[np.float64], by_median: NDArray[np.float64]
) -> pd.DataFrame:
    """Return a table of layers with their state, f_l over the pictures, and its standard error.

    Args:
        layers: a row for each layer.
        by_mean: f_l of each picture by the mean over p, [pictures, layers].
        by_median: that by the median.
    """
    table = layers.copy()
    for name, shares in (("f_mean", by_mean), ("f_median", by_median)):
        table[states.COLUMN] = [states.common(layer) for layer in shares.T]
        defined = pd.DataFrame(states.numbers(shares))
        # One picture has no standard deviation.
        table[name], table[f"{name}_error"] = defined.mean(), defined.sem()
    return table
