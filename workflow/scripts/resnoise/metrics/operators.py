"""Norms of convolutions and linear layers as linear maps between whole activations.

A convolution is a matrix with a row for each output channel and position and a column for each
input channel and position. Its norms are not those of its kernel: they depend on the size of the
pictures, on the stride, and on the border, which is padded with zeros.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from resnoise.errors import ResnoiseError
from resnoise.seeds import generator

# Of the iteration for the largest singular value: number of vectors, largest relative change of
# the value in its last step, and largest number of steps.
_VECTORS = 8
_CHANGE = 1e-7
_STEPS = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Operator:
    """A layer without its bias, as a linear map.

    Attributes:
        weight: the kernel [C_out, C_in, k_h, k_w] or the matrix [outputs, inputs], float64.
        shape: shape of the input, (C_in, H, W) or (inputs,).
        stride: of the convolution, vertical and horizontal.
        padding: the same.
    """

    weight: Tensor
    shape: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def apply(self, x: Tensor) -> Tensor:
        """Map inputs [B, *shape] to outputs."""
        return self._apply(self.weight, x)

    def _apply(self, weight: Tensor, x: Tensor) -> Tensor:
        if weight.dim() == 2:
            return F.linear(x, weight)
        return F.conv2d(x, weight, None, self.stride, self.padding)

    def transposed(self, y: Tensor) -> Tensor:
        """Map outputs to inputs by the transposed matrix."""
        if self.weight.dim() == 2:
            return y @ self.weight
        inputs: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
            (len(y), *self.shape), self.weight, y, self.stride, self.padding
        )
        return inputs

    def row_norms(self) -> Tensor:
        """Return the 2-norm of each row of the matrix, float64 [rows].

        At the border, a row lacks the entries that would read the padding.
        """
        ones = self.weight.new_ones((1, *self.shape))
        return self._apply(self.weight.square(), ones).flatten().sqrt()

    def frobenius_norm(self) -> float:
        """Return the Frobenius norm of the matrix."""
        return float(torch.linalg.vector_norm(self.row_norms()))

    def spectral_norm(self) -> float:
        """Return the largest singular value of the matrix, by subspace iteration.

        Like every value of the iteration, it is a lower bound; the iteration ends when a step
        changes it by less than a relative 1e-7. The vectors that it starts from are random, always
        the same.

        Raises:
            ResnoiseError: it does not end, or a weight is not a finite number.
        """
        if not bool(self.weight.isfinite().all()):
            raise ResnoiseError("the spectral norm of weights that are not finite was asked for")
        size = math.prod(self.shape)
        drawn = torch.randn(
            (size, min(_VECTORS, size)),
            generator=generator(0, "spectral norm"),
            dtype=torch.float64,
        )
        basis = torch.linalg.qr(drawn.to(self.weight))[0]
        found = 0.0
        for _ in range(_STEPS):
            image = self.apply(basis.T.reshape(-1, *self.shape))
            value = float(torch.linalg.matrix_norm(image.flatten(1), ord=2))
            if value - found <= _CHANGE * value:
                return value
            found = value
            back = self.transposed(image).flatten(1).T
            basis = torch.linalg.qr(back)[0]
        raise ResnoiseError(f"the spectral norm of a layer was not found in {_STEPS} steps")


def operator(module: nn.Conv2d | nn.Linear, weight: Tensor, shape: tuple[int, ...]) -> Operator:
    """Return a layer as a linear map, with other weights of the same shape.

    Args:
        module: the layer.
        weight: its weights.
        shape: shape of its input for one picture, (C_in, H, W) or (inputs,).
    """
    if isinstance(module, nn.Linear):
        return Operator(weight.double(), shape)
    (vertical, horizontal), padding = module.stride, module.padding
    assert not isinstance(padding, str)
    return Operator(
        weight.double(), shape, (vertical, horizontal), (int(padding[0]), int(padding[1]))
    )
