"""The Frobenius norm of a block's Jacobian, from masks and weights, without forming the Jacobian.

For two convolutions, J = D2 (W2 D1 W1 + S). The row of W2 D1 W1 for output channel k at pixel q is
A T, where

    A[d, m] = W2[k, m, d] D1[m, q + d]        (taps d of W2, middle channels m)
    T[d, m] = W1[m] shifted by d in a window around q, clipped at the picture's border

so its squared norm is A G A^T with G = T T^T, which depends on the weights and on how the border
clips the window, not on the input. The shortcut adds twice the entries of W2 D1 W1 where S is not
zero, which are a convolution of D1, and the squares of S.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from resnoise.metrics.blocks import Block, LinearBlock

# Rows of A in one matrix product: enough for full speed, few enough to stay in the caches.
_ROWS = 4096


class ExactNorm:
    """Squared Frobenius norms of the Jacobians of a block with one or two convolutions.

    All that depends only on the weights is computed once.
    """

    def __init__(self, block: Block, height: int, width: int) -> None:
        """Prepare for inputs of ``height`` x ``width`` pixels; see ``has_closed_form``."""
        assert has_closed_form(block)
        self.block = block
        self.height = height
        self.width = width
        if len(block.convolutions) == 1:
            self.row_squares = _row_squares(block, height, width)
        else:
            self.classes = _border_classes(block, height, width)
            if block.shortcut is not None:
                self.cross, self.cross_padding = _cross_kernel(block)

    def squared(self, linear: LinearBlock) -> Tensor:
        """Return ||J||_F^2 of every sample, float64 [S].

        Args:
            linear: Jacobians of this block at inputs of the size given before.
        """
        assert linear.block is self.block
        assert tuple(linear.size) == (self.height, self.width)
        last = linear.masks[-1]
        if len(linear.masks) == 1:
            return _sum(last * self.row_squares)
        total = self._chain(linear.masks[0], last)
        shortcut = self.block.shortcut
        if shortcut is not None:
            stride = self.block.convolutions[1].stride
            entries = F.conv2d(linear.masks[0], self.cross, None, stride, self.cross_padding)
            # The average of n pixels has n entries of 1 / n.
            squares = shortcut.square().sum(1)[:, None, None] / _averaged(self.block) ** 2
            total += _sum(last * (2 * entries + squares))
        return total

    def _chain(self, middle: Tensor, last: Tensor) -> Tensor:
        """Return ||D2 W2 D1 W1||_F^2 of every sample.

        Args:
            middle: diagonals of D1, [S, M, h, w].
            last: diagonals of D2, [S, C, h', w'].
        """
        second = self.block.convolutions[1]
        samples, channels, rows, columns = last.shape
        side = second.kernel.shape[2]
        taps = side * side
        # [S, pixels, taps, M]: the entries of D1 on which each output pixel depends.
        p = second.padding
        seen = F.pad(middle, (p, p, p, p)).permute(0, 2, 3, 1).contiguous()
        seen = seen.unfold(1, side, second.stride).unfold(2, side, second.stride)
        seen = seen.permute(0, 1, 2, 4, 5, 3).reshape(samples, rows * columns, -1)
        live = last.permute(0, 2, 3, 1).reshape(samples, rows * columns, channels) > 0
        weights = second.kernel.permute(0, 2, 3, 1).reshape(channels, -1).contiguous()
        step = weights.shape[1] // taps * side
        total = weights.new_zeros(samples, dtype=torch.float64)
        for pixels, strips in self.classes:
            sample, place, channel = live[:, pixels].nonzero(as_tuple=True)
            here = seen[:, pixels]
            for chunk in range(0, len(sample), _ROWS):
                part = slice(chunk, chunk + _ROWS)
                a = here[sample[part], place[part]]
                a *= weights[channel[part]]
                norms = a.new_zeros(len(a))
                for index, strip in enumerate(strips):
                    begin = index * step
                    product = a[:, begin : begin + step] @ strip
                    norms += torch.linalg.vecdot(product, a[:, begin:])
                total.index_add_(0, sample[part], norms.double())
        return total


def has_closed_form(block: Block) -> bool:
    """Return whether ``ExactNorm`` can be used: for one and two convolutions.

    Not for one convolution beside a shortcut that averages pixels: its kernel may not reach them.
    """
    return len(block.convolutions) == 2 or (len(block.convolutions) == 1 and not block.pooled)


def _sum(x: Tensor) -> Tensor:
    """Return the sum of every sample's entries in float64."""
    return x.flatten(1).sum(1, dtype=torch.float64)


def _row_squares(block: Block, height: int, width: int) -> Tensor:
    """Return the squared norm of every row of W1 + S as [C, h', w']."""
    (layer,) = block.convolutions
    kernel = layer.kernel
    if block.shortcut is not None:
        kernel = kernel.clone()
        kernel[:, :, layer.padding, layer.padding] += block.shortcut
    squares = kernel.square().sum(1, keepdim=True)
    # At the border the taps outside of the picture do not count.
    inside = kernel.new_ones(1, 1, height, width)
    return F.conv2d(inside, squares, None, layer.stride, layer.padding)[0]


def _border_classes(block: Block, height: int, width: int) -> list[tuple[Tensor, list[Tensor]]]:
    """Return the output pixels and the G of each way in which the border clips the window.

    G comes in strips. Because it is symmetric, strip i holds the rows of the i-th row of taps and
    only the columns from there on; columns beyond the diagonal block are doubled.
    """
    first, second = block.convolutions
    radius = first.stride * second.padding + first.padding
    rows = _clippings(height, block.stride, radius)
    columns = _clippings(width, block.stride, radius)
    count = len(range(0, width, block.stride))
    positions = _position_grams(block, radius)
    classes = []
    for (row_clip, row_list), (column_clip, column_list) in itertools.product(
        rows.items(), columns.items()
    ):
        pixels = torch.tensor([r * count + c for r in row_list for c in column_list])
        gram = _gram(block, positions, radius, row_clip, column_clip)
        classes.append((pixels.to(gram.device), _strips(gram, second.kernel.shape[2])))
    return classes


def _clippings(size: int, stride: int, radius: int) -> dict[tuple[int, int], list[int]]:
    """Group the output rows (or columns) by how many lines of their window the border cuts off."""
    found: dict[tuple[int, int], list[int]] = {}
    for index in range(len(range(0, size, stride))):
        centre = index * stride
        clip = (max(0, radius - centre), max(0, centre + radius - (size - 1)))
        found.setdefault(clip, []).append(index)
    return found


_Positions = dict[tuple[int, int], tuple[slice, slice, Tensor]]


def _position_grams(block: Block, radius: int) -> _Positions:
    """Return, for positions of the window, the taps that reach them and their Gram matrix.

    The matrix is [rows of taps, columns of taps, M] twice, the inner products over the input
    channels.
    """
    first, second = block.convolutions
    taps, side, stride = second.kernel.shape[2], first.kernel.shape[2], first.stride
    grams: _Positions = {}
    for y, x in itertools.product(range(2 * radius + 1), repeat=2):
        # Tap d of W2 reaches position y by tap y - stride d of W1.
        reaching = [[d for d in range(taps) if 0 <= z - stride * d < side] for z in (y, x)]
        if not all(reaching):  # a stride larger than the kernel passes over it
            continue
        kernels = [
            first.kernel[:, :, y - stride * row, x - stride * column]
            for row, column in itertools.product(*reaching)
        ]
        stacked = torch.cat(kernels)
        shape = (len(reaching[0]), len(reaching[1]), len(first.kernel))
        rows, columns = (slice(line[0], line[-1] + 1) for line in reaching)
        grams[y, x] = (rows, columns, (stacked @ stacked.t()).reshape(*shape, *shape))
    return grams


def _gram(
    block: Block,
    positions: _Positions,
    radius: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> Tensor:
    """Return G for a window without the first and last ``rows`` and ``columns``."""
    second = block.convolutions[1]
    middle, taps = second.kernel.shape[1:3]
    gram = second.kernel.new_zeros(taps, taps, middle, taps, taps, middle)
    end = 2 * radius + 1
    for y, x in itertools.product(
        range(rows[0], end - rows[1]), range(columns[0], end - columns[1])
    ):
        if (y, x) in positions:
            row_taps, column_taps, part = positions[y, x]
            gram[row_taps, column_taps, :, row_taps, column_taps] += part
    return gram.reshape(taps * taps * middle, -1)


def _strips(gram: Tensor, taps: int) -> list[Tensor]:
    """Return a symmetric matrix in strips by rows of taps, without columns before the diagonal."""
    step = len(gram) // taps
    strips = []
    for begin in range(0, len(gram), step):
        strip = gram[begin : begin + step, begin:].clone()
        strip[:, step:] *= 2
        strips.append(strip)
    return strips


def _averaged(block: Block) -> int:
    """Return how many rows (and columns) of pixels the shortcut averages for an output pixel."""
    return block.stride if block.pooled else 1


def _cross_kernel(block: Block) -> tuple[Tensor, int]:
    """Return the kernel that turns D1 into the inner products of the rows of W2 D1 W1 and S.

    It is used as a convolution. The row of S for output channel k and pixel q is nonzero at the
    input pixel that the stride assigns to q, or at the square of pixels that begins there. To the
    pixel at place e of the square lead tap d of W2 and tap e - stride d of W1.
    """
    first, second = block.convolutions
    assert block.shortcut is not None
    cross = torch.zeros_like(second.kernel)
    taps, reach = second.padding, first.padding
    square = range(_averaged(block))
    for y, x in itertools.product(range(-taps, taps + 1), repeat=2):
        for row, column in itertools.product(square, repeat=2):
            back = (row - first.stride * y, column - first.stride * x)
            if max(abs(back[0]), abs(back[1])) <= reach:
                kernel = first.kernel[:, :, reach + back[0], reach + back[1]]
                through = block.shortcut @ kernel.t() / len(square) ** 2
                cross[:, :, taps + y, taps + x] += second.kernel[:, :, taps + y, taps + x] * through
    return cross, taps
