"""Between KWI and T(HMWI): alpha at the ID entries, and noise that keeps the activations' size.

For the question how the paper's effect depends on the size of the ID entries (docs/conjecture.md).
A layer is y = relu(alpha x + n), where n comes from the noise of its kernel. With all of KWI's
noise, y would be larger than x, the more so the larger alpha is, and would grow exponentially with
depth. The variance of the noise is

    s(alpha) variance of KWI + alpha variance of HMWI, s(alpha) = (1 - alpha) (1 + alpha / 3),

where s is a fit, with which the mean square of y is that of x within 3 % at every alpha (without
borders, for independent channels), and the second term, which is small, leaves some noise at alpha
1. With the same seed, the noise of all alpha has the same direction; alpha 0 is KWI and alpha 1
T(HMWI), to the last bit.
"""

import math

import torch
from torch import Tensor

from resnoise.initialisations import hardt_ma, kaiming
from resnoise.networks.transfer import id_entries


def draw_kernel(
    shape: tuple[int, ...],
    in_block: bool,
    generator: torch.Generator,
    alpha: float,
    noise: float = 1.0,
) -> Tensor:
    """Return a float64 kernel [C_out, C_in, k, k] of noise, in blocks with alpha at ID entries.

    Args:
        shape: shape of the kernel.
        in_block: whether it is in a block; the first convolution, which is not, has the noise only.
        generator: source of random numbers.
        alpha: what is added at the ID entries of kernels in blocks, 0 to 1.
        noise: factor of the noise of kernels in blocks.
    """
    state = generator.get_state()
    kwi = kaiming.draw_kernel(shape, in_block, generator)
    generator.set_state(state)
    hmwi = hardt_ma.draw_kernel(shape, in_block, generator)
    share = (1 - alpha) * (1 + alpha / 3)
    # Both are the same draws with other deviations.
    kernel = torch.hypot(math.sqrt(share) * kwi, math.sqrt(alpha) * hmwi).copysign(kwi)
    return noise * kernel + alpha * id_entries(shape).to(kernel) if in_block else kernel
