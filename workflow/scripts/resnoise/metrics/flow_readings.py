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

import torch
from torch import Tensor


def compared(gradients: Tensor, reading: str) -> tuple[Tensor, Tensor]:
    """Return the two parts of G that each test of a reading compares.

    Args:
        gradients: G of a layer, [F, B, C, H, W]; F is a multiple of C.
        reading: one of ``resnoise.specs.flow.READINGS``.

    Returns:
        Two tensors [B, tests, H, W], with a test for each channel or for each path.
    """
    paths, pictures, channels, *size = gradients.shape
    if reading == "set":
        merged = gradients.reshape(-1, channels, pictures, channels, *size).sum(0)
        own = torch.diagonal(merged, 0, 0, 2).movedim(-1, 1)
        return own, gradients.sum(0) - own
    numbers = torch.arange(paths, device=gradients.device)
    through = numbers % channels
    own = gradients[numbers, :, through].movedim(0, 1)
    if reading == "single":
        return own, gradients.sum(0)[:, through] - own
    return own, gradients.sum(2).movedim(0, 1) - own


def dominant(own: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Return which tests find a dominant gradient flow, by the mean and by the median over p.

    Args:
        own: parts of G, [B, tests, H, W].
        rest: the parts that they are compared with.

    Returns:
        Two bool tensors [B, tests].
    """
    numerator, denominator = own.abs().flatten(2), rest.abs().flatten(2)
    ratio = numerator / denominator
    ratio[(numerator == 0) & (denominator == 0)] = 0
    # The (lower) median exceeds 1 where more than half of the entries do.
    return ratio.mean(2) > 1, (numerator > denominator).sum(2) * 2 > numerator.shape[2]
