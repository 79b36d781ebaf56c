# mypy: ignore-errors
# ruff: noqa: N803, N806, D417 (constants of kernels in capitals, explained once, above)
"""Triton kernels of ``fused``: convolutions with what comes after them, and their gradients.

Pictures lie in memory channels last with a border of zeros, [B, H + 2, W + 2, C], so that no kernel
asks whether a pixel exists. Height H, width W and channels C are those of a layer's input, without
the border; K is the number of its outputs' channels, S its stride. A program computes M pixels and
N channels of its result, from R numbers of an input at a time, or sums over M pixels at a time. All
sums are made in a fixed order, so the same numbers give the same bits every time.

Float32 products on tensor cores: each factor is the sum of two numbers of TF32, and three of the
four products of these are added up, which is as exact as float32. What is written twice here is
meant so: Triton splits a factor in the registers that the products read it from only if it is
needed once, and otherwise takes it through shared memory, which takes twice as long.
"""

import triton
import triton.language as tl


@triton.jit
def _high(x):
    """The nearest number with the 10 bits of TF32's fraction."""
    bits = x.to(tl.int32, bitcast=True) + 0x1000
    return ((bits >> 13) << 13).to(tl.float32, bitcast=True)


@triton.jit
def _high_again(x):
    """The same as ``_high``, in other words."""
    bits = x.to(tl.int32, bitcast=True) + 0x1000
    return (bits - (bits & 0x1FFF)).to(tl.float32, bitcast=True)


@triton.jit
def _low(x):
    """What ``_high`` leaves of x."""
    bits = x.to(tl.int32, bitcast=True) + 0x1000
    return x - (bits & -0x2000).to(tl.float32, bitcast=True)


@triton.jit
def _dot(a, b, total, EXACT: tl.constexpr):
    """Return total + a b, EXACT or with factors rounded to TF32."""
    if EXACT:
        # Not added to the total by the tensor cores, which round every sum toward zero: over all
        # the products of a number, that costs two digits.
        part = tl.dot(_low(a), _high(b), input_precision="tf32")
        part = tl.dot(_high(a), _low(b), part, input_precision="tf32")
        part = tl.dot(_high_again(a), _high_again(b), part, input_precision="tf32")
        return total + part
    return tl.dot(a, b, total, input_precision="tf32")


@triton.jit
def _offsets(
    first, e, last,
    OH: tl.constexpr, OW: tl.constexpr, M: tl.constexpr,
    PICTURE: tl.constexpr, DOWN: tl.constexpr, RIGHT: tl.constexpr,
):  # fmt: skip
    """Return where pixels first + e (those after the last as the last) have their numbers.

    Pixels are counted line by line without border, OH lines of OW in a picture; the next picture,
    the pixel below and the one to the right are PICTURE, DOWN and RIGHT numbers further.
    """
    if OH * OW % M == 0 and M % OW == 0:
        # Whole lines of one picture: what is divided is one number for all, or known beforehand.
        line = first // OW
        return (line // OH * PICTURE + line % OH * DOWN) + (e // OW * DOWN + e % OW * RIGHT)
    p = tl.minimum(first + e, last)
    return p // (OH * OW) * PICTURE + p % (OH * OW) // OW * DOWN + p % OW * RIGHT


@triton.jit
def convolve(
    x, w, other, y, pixels,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, K: tl.constexpr, S: tl.constexpr,
    LINES: tl.constexpr, BACKWARD: tl.constexpr, IDENTITY: tl.constexpr,
    M: tl.constexpr, R: tl.constexpr, N: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Write a layer's output y = relu(conv(x) + bias [+ id]), or the gradient of its input.

    Program (a, b): pixels from a M on, channels from b N on.

    Args:
        x: the input; BACKWARD: the gradient of a layer's output before its ReLU.
        w: kernels [K, 9, C]; BACKWARD: [C, 9, K], where K is the number of the input's channels;
            LINES: [K, 3, 4, C], where the fourth tap of a line is 0.
        other: biases [K]; BACKWARD: the layer's input, whose ReLU was before it.
        y: the output; BACKWARD: the gradient of the layer's input before that ReLU.
        pixels: number of pixels of all outputs.
        LINES: take the taps of a line at once, for few channels.
        IDENTITY: add the identity connection, or its gradient.
    """
    OH: tl.constexpr = H // S
    OW: tl.constexpr = W // S
    LINE: tl.constexpr = (W + 2) * C
    first, e = tl.program_id(0) * M, tl.arange(0, M)
    r, k = tl.arange(0, R), tl.program_id(1) * N + tl.arange(0, N)
    start = _offsets(first, e, pixels - 1, OH, OW, M, (H + 2) * LINE, S * LINE, S * C)
    inputs = x + start[:, None] + r[None, :]
    if BACKWARD:
        kernels = w + r[:, None] * (9 * K) + k[None, :]
    else:
        kernels = w + k[None, :] * (12 * C if LINES else 9 * C) + r[:, None]
    total = tl.zeros((M, N), tl.float32)
    if LINES:
        for line in range(3):
            a, b = tl.load(inputs + line * LINE), tl.load(kernels + line * R)
            total = _dot(a, b, total, EXACT)
    else:
        for step in range(9 * (C // R)):
            tap, part = step // (C // R), step % (C // R) * R
            a = tl.load(inputs + (tap // 3 * LINE + tap % 3 * C + part))
            if BACKWARD:
                # The same taps the other way round.
                b = tl.load(kernels + (part * (9 * K) + (8 - tap) * K))
            else:
                b = tl.load(kernels + (tap * C + part))
            total = _dot(a, b, total, EXACT)
    if IDENTITY:
        total += tl.load(x + (start + LINE + C)[:, None] + (k % C)[None, :])
    at = _offsets(first, e, pixels - 1, OH, OW, M, (OH + 2) * (OW + 2) * K, (OW + 2) * K, K)
    at = (at + (OW + 3) * K)[:, None] + k[None, :]
    if BACKWARD:
        total = tl.where(tl.load(other + at) > 0, total, 0.0)
    else:
        # NaN must reach the loss, by which a run that diverges is known.
        total += tl.load(other + k)[None, :]
        total = tl.maximum(total, 0.0, propagate_nan=tl.PropagateNan.ALL)
    tl.store(y + at, total, mask=(first + e < pixels)[:, None])


@triton.jit
def input_gradient(
    g, w, x, y, pixels,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, K: tl.constexpr, IDENTITY: tl.constexpr,
    M: tl.constexpr, R: tl.constexpr, N: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Write the gradient y of the input of a layer with stride 2, before the ReLU that made it.

    Program (a, b, c): in even or odd lines and columns (c), pixels from a M on, channels from b N
    on.

    Args:
        g: gradient of the layer's output before its ReLU.
        w: kernels [K, 9, C].
        x: the layer's input.
        y: the gradient.
        pixels: number of pixels of the layer's outputs.
        IDENTITY: add the gradient of the identity connection.
    """
    OH: tl.constexpr = H // 2
    OW: tl.constexpr = W // 2
    LINE: tl.constexpr = (OW + 2) * K
    odd_line, odd_column = tl.program_id(2) // 2, tl.program_id(2) % 2
    first, e = tl.program_id(0) * M, tl.arange(0, M)
    r, c = tl.arange(0, R), tl.program_id(1) * N + tl.arange(0, N)
    start = _offsets(first, e, pixels - 1, OH, OW, M, (OH + 2) * LINE, LINE, K) + LINE + K
    gradients = g + start[:, None] + r[None, :]
    kernels = w + r[:, None] * (9 * C) + c[None, :]
    total = tl.zeros((M, N), tl.float32)
    for step in range((1 + odd_line) * (1 + odd_column) * (K // R)):
        tap, part = step // (K // R), step % (K // R) * R
        down, right = tap // (1 + odd_column), tap % (1 + odd_column)
        # An even line was under the middle tap, an odd one under the last tap, and under the first
        # of the next line.
        tap = (1 + odd_line - 2 * down) * 3 + 1 + odd_column - 2 * right
        a = tl.load(gradients + (down * LINE + right * K + part))
        b = tl.load(kernels + (part * (9 * C) + tap * C))
        total = _dot(a, b, total, EXACT)
    if IDENTITY:
        even = odd_line + odd_column == 0
        for stack in tl.static_range(K // C):
            at = start[:, None] + (c + stack * C)[None, :]
            total += tl.load(g + at, mask=even, other=0.0)
    at = _offsets(first, e, pixels - 1, OH, OW, M, (H + 2) * (W + 2) * C, 2 * (W + 2) * C, 2 * C)
    at += ((odd_line + 1) * (W + 2) + odd_column + 1) * C
    at = at[:, None] + c[None, :]
    total = tl.where(tl.load(x + at) > 0, total, 0.0)
    tl.store(y + at, total, mask=(first + e < pixels)[:, None])


@triton.jit
def weight_gradient(
    x, g, parts, pixels, each, size,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, REAL: tl.constexpr, K: tl.constexpr,
    S: tl.constexpr, LINES: tl.constexpr,
    M: tl.constexpr, R: tl.constexpr, N: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Sum gradients of kernels [K, 9, REAL] and biases [K] over ``each`` pixels of the output.

    Program (a, b, c): the sums of part b, for a tap and R channels of the input (a), or R numbers
    of a line, and the output's channels from c N on. ``convolve`` explains LINES.

    Args:
        x: the layer's input.
        g: gradient of the layer's output before its ReLU.
        parts: the sums, ``size`` numbers for each part: kernels, then biases.
        pixels: number of pixels of all outputs.
        each: number of pixels of a part, a multiple of M.
        size: distance of the parts.
        REAL: number of channels of the input without those that were added for alignment.
    """
    OH: tl.constexpr = H // S
    OW: tl.constexpr = W // S
    LINE: tl.constexpr = (W + 2) * C
    step, part = tl.program_id(0), tl.program_id(1)
    k, e = tl.program_id(2) * N + tl.arange(0, N), tl.arange(0, M)
    if LINES:
        offset = step * LINE
        tap, c = step * 3 + tl.arange(0, R) // C, tl.arange(0, R) % C
        there = (c < REAL) & (tl.arange(0, R) < 3 * C)
    else:
        tap, c = step // (C // R), step % (C // R) * R + tl.arange(0, R)
        offset = tap // 3 * LINE + tap % 3 * C + step % (C // R) * R
        there = c < REAL
    total = tl.zeros((N, R), tl.float32)
    bias = tl.zeros((N,), tl.float32)
    inputs, gradients = x + offset + tl.arange(0, R)[None, :], g + (OW + 3) * K + k[:, None]
    for first in range(part * each, tl.minimum((part + 1) * each, pixels), M):
        at = _offsets(first, e, pixels - 1, OH, OW, M, (OH + 2) * (OW + 2) * K, (OW + 2) * K, K)
        if OH * OW % M == 0:
            gradient = tl.load(gradients + at[None, :])
        else:
            there_too = (first + e < pixels)[None, :]
            gradient = tl.load(gradients + at[None, :], mask=there_too, other=0.0)
        at = _offsets(first, e, pixels - 1, OH, OW, M, (H + 2) * LINE, S * LINE, S * C)
        total = _dot(gradient, tl.load(inputs + at[:, None]), total, EXACT)
        if step == 0:
            bias += tl.sum(gradient, 1)
    row = parts + part * size
    at = k[:, None] * (9 * REAL) + (tap * REAL + c)[None, :]
    tl.store(row + at, total, mask=there[None, :])
    if step == 0:
        tl.store(row + 9 * REAL * K + k, bias)


@triton.jit
def add_parts(parts, sums, table, COLUMNS: tl.constexpr, ROWS: tl.constexpr):
    """Add up the parts of all layers: program a makes the sums that line a of the table describes.

    Args:
        parts: what ``weight_gradient`` wrote, layer by layer.
        sums: the sums, layer by layer.
        table: five numbers a line: place of the first part, distance of the parts, their number,
            place of the sums, number of sums, at most COLUMNS.
        ROWS: parts that are read at a time.
    """
    line = table + tl.program_id(0) * 5
    first, distance, count = tl.load(line), tl.load(line + 1), tl.load(line + 2)
    place, width = tl.load(line + 3), tl.load(line + 4)
    row, column = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for begin in range(0, count, ROWS):
        at = first + (begin + row)[:, None] * distance + column[None, :]
        there = (begin + row < count)[:, None] & (column < width)[None, :]
        total += tl.load(parts + at, mask=there, other=0.0)
    tl.store(sums + place + column, tl.sum(total, 0), mask=column < width)


@triton.jit
def classify(
    y, w, bias, labels, g, pooled, deltas, losses, wrong, pictures,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, CLASSES: tl.constexpr,
    PIXELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Pool the last activation, and compute the linear layer, loss and gradients of a picture each.

    Args:
        y: the last activation.
        w: weights of the linear layer [CLASSES, C].
        bias: its biases [CLASSES].
        labels: int64 [B].
        g: gradient of the mean loss by the last activation before its ReLU.
        pooled: means of the activation over pixels [B, C].
        deltas: gradient of the mean loss by the outputs [B, CLASSES].
        losses: cross-entropy of each picture [B].
        wrong: int64 [B], 1 for a wrong prediction.
        pictures: B.
        PIXELS: power of two, at least H * W.
        ROWS: power of two, at least CLASSES.
    """
    n = tl.program_id(0)
    p, c, k = tl.arange(0, PIXELS), tl.arange(0, C), tl.arange(0, ROWS)
    at = ((n * (H + 2) + p // W + 1) * (W + 2) + p % W + 1)[:, None] * C + c[None, :]
    there, real = (p < H * W)[:, None], k < CLASSES
    last = tl.load(y + at, mask=there, other=0.0)
    mean = tl.sum(last, 0) / (H * W)
    tl.store(pooled + n * C + c, mean)
    weights = tl.load(w + k[:, None] * C + c[None, :], mask=real[:, None], other=0.0)
    outputs = tl.sum(weights * mean[None, :], 1) + tl.load(bias + k, mask=real, other=0.0)
    outputs = tl.where(real, outputs, -float("inf"))
    label = tl.load(labels + n)
    right = k == label
    top = tl.max(outputs, 0)
    shares = tl.exp(outputs - top)
    total = tl.sum(shares, 0)
    tl.store(losses + n, tl.log(total) + top - tl.sum(tl.where(right, outputs, 0.0), 0))
    tl.store(wrong + n, (tl.argmax(outputs, 0) != label).to(tl.int64))
    delta = (shares / total - right.to(tl.float32)) / pictures
    tl.store(deltas + n * CLASSES + k, delta, mask=real)
    spread = tl.sum(delta[:, None] * weights, 0) / (H * W)
    tl.store(g + at, tl.where(last > 0, spread[None, :], 0.0), mask=there)
