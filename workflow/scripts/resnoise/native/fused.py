# mypy: ignore-errors
# ruff: noqa: N803, N806 (constants of kernels in capitals)
"""Loss and gradients of a ``SimplifiedNet`` on a graphics card, in fused Triton kernels, float32.

One launch each for convolution + bias + identity + ReLU, for the gradient of an activation with the
identity and the mask of the ReLU before it, and for the gradients of weights and biases. All read
and write pictures and kernels as they lie in memory, channels last. Sums over pictures are made in
parts of a fixed size that are added in a fixed order: the same bits every time. Products are those
of float32 (three TF32 products each, which is as exact) unless TF32 is allowed.
"""

import os

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from resnoise.networks.simplified import SimplifiedNet

# Output pixels of a program, and parts that the sums over pixels are divided into.
_PIXELS = 128
_PARTS = 64
# Tensor cores take at least so many channels.
_FEWEST_CHANNELS = 16
# Pictures are halved twice.
_SIZE_MULTIPLE = 4


@triton.jit
def _convolve(
    x, w, b, y, pixels,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, K: tl.constexpr,
    S: tl.constexpr, IDENTITY: tl.constexpr, M: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write y [B, H / S, W / S, K] = relu(conv(x [B, H, W, C], w [K, 9, C]) + b [+ id])."""
    OH: tl.constexpr = H // S
    OW: tl.constexpr = W // S
    m = tl.program_id(0) * M + tl.arange(0, M)
    live = m < pixels
    n, i, j = m // (OH * OW), m % (OH * OW) // OW, m % OW
    c, k = tl.arange(0, CP), tl.arange(0, K)
    total = tl.zeros((M, K), tl.float32)
    for tap in range(9):
        row, column = i * S + tap // 3 - 1, j * S + tap % 3 - 1
        inside = live & (row >= 0) & (row < H) & (column >= 0) & (column < W)
        at = ((n * H + row) * W + column)[:, None] * C + c[None, :]
        a = tl.load(x + at, mask=inside[:, None] & (c < C)[None, :], other=0.0)
        kernel = tl.load(
            w + (k[None, :] * 9 + tap) * C + c[:, None],
            mask=(c < C)[:, None] & (k < K)[None, :],
            other=0.0,
        )
        total = tl.dot(a, kernel, total, input_precision=PRECISION)
    total += tl.load(b + k)[None, :]
    if IDENTITY:
        at = ((n * H + i * S) * W + j * S)[:, None] * C + (k % C)[None, :]
        total += tl.load(x + at, mask=live[:, None], other=0.0)
    tl.store(y + m[:, None] * K + k[None, :], tl.maximum(total, 0.0), mask=live[:, None])


@triton.jit
def _input_gradient(
    g, w, x, out, pixels,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, K: tl.constexpr,
    S: tl.constexpr, IDENTITY: tl.constexpr, M: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write out [B, H, W, C] = transpose(conv)(g) [+ that of the identity] where x > 0."""
    OH: tl.constexpr = H // S
    OW: tl.constexpr = W // S
    m = tl.program_id(0) * M + tl.arange(0, M)
    live = m < pixels
    n, i, j = m // (H * W), m % (H * W) // W, m % W
    c, k = tl.arange(0, C), tl.arange(0, K)
    total = tl.zeros((M, C), tl.float32)
    for tap in range(9):
        row, column = i + 1 - tap // 3, j + 1 - tap % 3
        inside = live & (row >= 0) & (column >= 0) & (row % S == 0) & (column % S == 0)
        inside &= (row // S < OH) & (column // S < OW)
        at = ((n * OH + row // S) * OW + column // S)[:, None] * K + k[None, :]
        a = tl.load(g + at, mask=inside[:, None], other=0.0)
        kernel = tl.load(w + (k[:, None] * 9 + tap) * C + c[None, :])
        total = tl.dot(a, kernel, total, input_precision=PRECISION)
    if IDENTITY:
        own = live & (i % S == 0) & (j % S == 0)
        at = ((n * OH + i // S) * OW + j // S)[:, None] * K + c[None, :]
        for stack in tl.static_range(K // C):
            total += tl.load(g + at + stack * C, mask=own[:, None], other=0.0)
    at = m[:, None] * C + c[None, :]
    positive = tl.load(x + at, mask=live[:, None], other=0.0) > 0
    tl.store(out + at, tl.where(positive, total, 0.0), mask=live[:, None])


@triton.jit
def _weight_gradient(
    x, g, weights, biases, pixels, each,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, K: tl.constexpr,
    S: tl.constexpr, M: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Sums over ``each`` output pixels: weights [parts, K, 9, C] and biases [parts, K]."""
    OH: tl.constexpr = H // S
    OW: tl.constexpr = W // S
    tap, part = tl.program_id(0), tl.program_id(1)
    c, k = tl.arange(0, CP), tl.arange(0, K)
    total = tl.zeros((CP, K), tl.float32)
    bias = tl.zeros((K,), tl.float32)
    for start in range(0, each, M):
        m = part * each + start + tl.arange(0, M)
        live = m < pixels
        n, i, j = m // (OH * OW), m % (OH * OW) // OW, m % OW
        row, column = i * S + tap // 3 - 1, j * S + tap % 3 - 1
        inside = live & (row >= 0) & (row < H) & (column >= 0) & (column < W)
        gradient = tl.load(g + m[:, None] * K + k[None, :], mask=live[:, None], other=0.0)
        at = ((n * H + row) * W + column)[None, :] * C + c[:, None]
        a = tl.load(x + at, mask=inside[None, :] & (c < C)[:, None], other=0.0)
        total = tl.dot(a, gradient, total, input_precision=PRECISION)
        bias += tl.sum(gradient, 0)
    at = ((part * K + k[None, :]) * 9 + tap) * C + c[:, None]
    tl.store(weights + at, total, mask=(c < C)[:, None] & (k < K)[None, :])
    if tap == 0:
        tl.store(biases + part * K + k, bias)


def supported(network: nn.Module, height: int, width: int) -> str | None:
    """Return None if ``FusedSimplifiedNet`` can compute ``network``, else the reason why not.

    Args:
        network: any network.
        height: height of the pictures.
        width: width of the pictures.
    """
    if type(network) is not SimplifiedNet:
        return f"Triton code exists for SimplifiedNet only, not for {type(network).__name__}"
    channels, weights = network.conv1.out_channels, network.fc.weight
    if channels < _FEWEST_CHANNELS or channels & (channels - 1):
        return f"Triton code needs a width that is a power of two from 16 on, not {channels}"
    if height % _SIZE_MULTIPLE or width % _SIZE_MULTIPLE:
        return f"Triton code needs sides that are multiples of 4, not {height}x{width} pixels"
    if weights.dtype != torch.float32:
        return f"Triton code computes in float32, not in {weights.dtype}"
    # With this variable, Triton interprets kernels on any device.
    if weights.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"Triton code computes on a GPU, not on the device {weights.device.type}"
    return None


def backend(network: SimplifiedNet, threads: int) -> "FusedSimplifiedNet":
    """Return the backend for a network that is ``supported``; ``threads`` are of no use here."""
    del threads
    on_card = network.fc.weight.device.type == "cuda"
    return FusedSimplifiedNet(network, on_card and torch.backends.cudnn.allow_tf32)


class FusedSimplifiedNet:
    """Computes what a ``SimplifiedNet`` and autograd compute.

    The parameters stay in the network and are read at each call.

    Attributes:
        name: what a run's record calls this backend.
        network: the network, channels last.
    """

    name = "triton"

    def __init__(self, network: SimplifiedNet, allow_tf32: bool = False) -> None:
        """Take a network for which ``supported`` returns None.

        Args:
            network: the network.
            allow_tf32: let the card round the factors of products to TF32.
        """
        self.network = network
        self._precision = "tf32" if allow_tf32 else "tf32x3"
        convolutions = [(network.conv1, False)]
        convolutions += [(block.conv, block.residual) for block in network.blocks()]
        self._layers = [_Layer(conv, identity, self._precision) for conv, identity in convolutions]

    @torch.no_grad()
    def loss_and_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set the gradients of all parameters to those of the mean cross-entropy.

        Args:
            images: float32 [B, C, H, W], channels last.
            labels: int64 [B].

        Returns:
            The mean cross-entropy (scalar) and the number of wrong predictions (int64 scalar).
        """
        activations = [images.permute(0, 2, 3, 1).contiguous()]
        for layer in self._layers:
            activations.append(layer.forward(activations[-1]))
        last = activations[-1]
        pooled = last.mean((1, 2))
        fc = self.network.fc
        logits = torch.addmm(fc.bias, pooled, fc.weight.t())
        loss = F.cross_entropy(logits, labels)
        classes = torch.arange(logits.shape[1], device=labels.device)
        delta = (logits.softmax(1) - (labels[:, None] == classes).float()) / len(labels)
        fc.weight.grad, fc.bias.grad = delta.t() @ pooled, delta.sum(0)
        pixels = last.shape[1] * last.shape[2]
        g = ((delta @ fc.weight) / pixels)[:, None, None, :] * (last > 0)
        for layer, x in zip(reversed(self._layers), reversed(activations[:-1]), strict=True):
            layer.set_gradients(x, g)
            if layer is not self._layers[0]:
                g = layer.backward(x, g)
        return loss, (logits.argmax(1) != labels).sum()

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, C, H, W] to logits [B, classes]."""
        x = inputs.permute(0, 2, 3, 1).contiguous()
        for layer in self._layers:
            x = layer.forward(x)
        return torch.addmm(self.network.fc.bias, x.mean((1, 2)), self.network.fc.weight.t())


class _Layer:
    """One convolution; activations are [B, H, W, C]."""

    def __init__(self, conv: nn.Conv2d, identity: bool, precision: str) -> None:
        self.conv = conv
        self.identity = identity
        self.stride = conv.stride[0]
        self.precision = precision
        self.padded = max(_FEWEST_CHANNELS, triton.next_power_of_2(conv.in_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(conv(x) [+ identity])."""
        batch, height, width, channels = x.shape
        outputs = self.conv.out_channels
        y = x.new_empty(batch, height // self.stride, width // self.stride, outputs)
        pixels = y.numel() // outputs
        _convolve[(triton.cdiv(pixels, _PIXELS),)](
            *(x, self._kernel(self.conv.weight), self.conv.bias, y, pixels),
            *(height, width, channels, self.padded, outputs),
            *(self.stride, self.identity, _PIXELS, self.precision),
        )
        return y

    def backward(self, x: Tensor, g: Tensor) -> Tensor:
        """Return the gradient before the ReLU that made x, given that before this layer's ReLU."""
        batch, height, width, channels = x.shape
        out = torch.empty_like(x)
        pixels = batch * height * width
        _input_gradient[(triton.cdiv(pixels, _PIXELS),)](
            *(g, self._kernel(self.conv.weight), x, out, pixels),
            *(height, width, channels, g.shape[3]),
            *(self.stride, self.identity, _PIXELS, self.precision),
        )
        return out

    def set_gradients(self, x: Tensor, g: Tensor) -> None:
        """Set the gradients of weights and biases."""
        _, height, width, channels = x.shape
        outputs = g.shape[3]
        pixels = g.numel() // outputs
        each = triton.cdiv(triton.cdiv(pixels, _PARTS), _PIXELS) * _PIXELS
        parts = triton.cdiv(pixels, each)
        weights = x.new_empty(parts, outputs, 9, channels)
        biases = x.new_empty(parts, outputs)
        _weight_gradient[(9, parts)](
            *(x, g, weights, biases, pixels, each),
            *(height, width, channels, self.padded, outputs),
            *(self.stride, _PIXELS, self.precision),
        )
        if self.conv.weight.grad is None:
            self.conv.weight.grad = torch.empty_like(self.conv.weight)
        torch.sum(weights, 0, out=self._kernel(self.conv.weight.grad))
        self.conv.bias.grad = biases.sum(0)

    def _kernel(self, kernel: Tensor) -> Tensor:
        """Return a view [K, 9, C] of a kernel [K, C, 3, 3] that lies channels last."""
        return kernel.detach().permute(0, 2, 3, 1).view(kernel.shape[0], 9, kernel.shape[1])
