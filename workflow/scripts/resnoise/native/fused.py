"""Loss and gradients of a ``SimplifiedNet`` on a graphics card, in fused Triton kernels, float32.

One launch each for convolution + bias + identity + ReLU, for the gradient of an activation with the
identity and the mask of the ReLU before it, for the gradients of a layer's weights and biases, and
for pooling, linear layer and loss. Sums over pictures are made in parts of a fixed size that are
added in a fixed order, for all layers in one launch: the same bits every time. Products are those
of float32 (``fused_kernels`` says how) unless TF32 is allowed.
"""

import operator
import os
from collections.abc import Sequence
from itertools import pairwise

import torch
import triton
from torch import Tensor, nn

from resnoise.native import fused_kernels as kernels
from resnoise.networks.simplified import SimplifiedNet

# Tensor cores take at least so many channels.
_FEWEST_CHANNELS = 16
# Pictures are halved twice.
_SIZE_MULTIPLE = 4
# Most channels of a program, of the input and of the output.
_CHANNELS = 64
# Pixels that a program reads at a time; twice as many where there are so many pixels that every
# multiprocessor has several programs all the same.
_PIXELS = 64
_MANY_PIXELS = 65_536
# A sum over pixels is made in at most so many parts, of at least so many pixels each.
_PARTS = 256
_PIXELS_OF_PART = 256
# Sums of parts that a program makes, and parts that it reads at a time.
_SUMS, _PARTS_AT_A_TIME = 64, 32


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

    The parameters stay in the network and are read at each call. Memory for activations, and for
    their gradients, is kept for every size of mini-batch that gradients were computed of.

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
        exact = not allow_tf32
        self._layers = [_Layer(network.conv1, False, exact, first=True)]
        self._layers += [_Layer(block.conv, block.residual, exact) for block in network.blocks()]
        self._sums = torch.empty(
            sum(layer.size for layer in self._layers), device=network.fc.weight.device
        )
        self._work: dict[tuple[int, ...], _Work] = {}

    @torch.no_grad()
    def loss_and_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set the gradients of all parameters to those of the mean cross-entropy.

        Args:
            images: float32 [B, C, H, W], channels last.
            labels: int64 [B].

        Returns:
            The mean cross-entropy (scalar) and the number of wrong predictions (int64 scalar).
        """
        work = self._work.get(tuple(images.shape))
        if work is None:
            work = _Work(self._layers, images, self.network.fc.out_features)
            self._work[tuple(images.shape)] = work
        self._forward(images, work.activations)
        fc, last, g = self.network.fc, work.activations[-1], work.gradients[-1]
        batch, height, width, channels = last.shape
        classes = fc.out_features
        kernels.classify[(batch,)](
            *(last, fc.weight, fc.bias, labels, g),
            *(work.pooled, work.deltas, work.losses, work.wrong, batch),
            *(height - 2, width - 2, channels, classes),
            triton.next_power_of_2((height - 2) * (width - 2)),
            triton.next_power_of_2(classes),
        )
        fc.weight.grad, fc.bias.grad = work.deltas.t() @ work.pooled, work.deltas.sum(0)
        steps = zip(self._layers, pairwise(work.activations), work.parts, strict=True)
        for number, (layer, (x, _), parts) in reversed([*enumerate(steps)]):
            g = work.gradients[number + 1]
            layer.add_to_parts(x, g, parts)
            if number:
                layer.backward(x, g, work.gradients[number])
        kernels.add_parts[(len(work.table),)](
            work.all_parts, self._sums, work.table, _SUMS, _PARTS_AT_A_TIME
        )
        place = 0
        for layer in self._layers:
            layer.set_gradients(self._sums[place : place + layer.size])
            place += layer.size
        return work.losses.mean(), work.wrong.sum()

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, C, H, W] to logits [B, classes]."""
        x = self._layers[0].padded_input(inputs)
        self._layers[0].fill(x, inputs)
        for layer in self._layers:
            y = layer.output(x)
            layer.forward(x, y)
            x = y
        fc = self.network.fc
        return torch.addmm(fc.bias, x[:, 1:-1, 1:-1].mean((1, 2)), fc.weight.t())

    def _forward(self, images: Tensor, activations: Sequence[Tensor]) -> None:
        self._layers[0].fill(activations[0], images)
        for layer, (x, y) in zip(self._layers, pairwise(activations), strict=True):
            layer.forward(x, y)


class _Work:
    """Memory for mini-batches of one shape.

    Attributes:
        activations: with borders of zeros, [B, H + 2, W + 2, C]: the pictures and what each layer
            makes of them.
        gradients: of the activations before their ReLU; layers of one shape take turns in two of
            them. That of the pictures is never written.
        parts: of each layer, the parts of the gradients' sums [parts, size].
        all_parts: the same, one after the other.
        table: int32 [programs, 5], for ``kernels.add_parts``.
        pooled: [B, C].
        deltas: [B, classes].
        losses: [B].
        wrong: int64 [B].
    """

    def __init__(self, layers: Sequence["_Layer"], images: Tensor, classes: int) -> None:
        self.activations = [layers[0].padded_input(images)]
        kept: dict[tuple[tuple[int, ...], int], Tensor] = {}
        self.gradients = [self.activations[0]]
        for number, layer in enumerate(layers):
            self.activations.append(layer.output(self.activations[-1]))
            key = tuple(self.activations[-1].shape), number % 2
            if key not in kept:
                kept[key] = torch.zeros_like(self.activations[-1])
            self.gradients.append(kept[key])
        outputs = [_count(y) for y in self.activations[1:]]
        counts = [triton.cdiv(pixels, _pixels_of_part(pixels)) for pixels in outputs]
        sizes = [layer.size for layer in layers]
        self.all_parts = images.new_empty(sum(map(operator.mul, counts, sizes)))
        self.parts, rows, first, place = [], [], 0, 0
        for size, count in zip(sizes, counts, strict=True):
            for begin in range(0, size, _SUMS):
                width = min(_SUMS, size - begin)
                rows.append((first + begin, size, count, place + begin, width))
            last = first + count * size
            self.parts.append(self.all_parts[first:last].view(count, size))
            first, place = last, place + size
        self.table = torch.tensor(rows, dtype=torch.int32, device=images.device)
        batch, channels = len(images), self.activations[-1].shape[3]
        self.pooled = images.new_empty(batch, channels)
        self.deltas = images.new_empty(batch, classes)
        self.losses = images.new_empty(batch)
        self.wrong = torch.empty(batch, dtype=torch.int64, device=images.device)


def _count(activation: Tensor) -> int:
    """Return the number of pixels [B, H + 2, W + 2, C] without those of the borders."""
    return activation[:, 1:-1, 1:-1, 0].numel()


def _pixels_of_part(pixels: int) -> int:
    """Return over how many of a layer's output pixels a part of the gradients' sums is."""
    return int(max(_PIXELS_OF_PART, triton.cdiv(pixels, _PARTS * _PIXELS) * _PIXELS))


class _Layer:
    """One convolution; activations are [B, H + 2, W + 2, C] with borders of zeros.

    Attributes:
        size: number of its weights and biases.
    """

    def __init__(self, conv: nn.Conv2d, identity: bool, exact: bool, first: bool = False) -> None:
        if conv.bias is None:
            raise ValueError("a convolution without biases")
        self.conv, self.bias = conv, conv.bias
        self.identity = identity
        self.exact = exact
        self.first = first
        self.inputs, self.outputs, self.stride = conv.in_channels, conv.out_channels, conv.stride[0]
        self.size = conv.weight.numel() + self.outputs
        # The first layer takes four pixels of a line at once, which must be enough channels.
        fewest = _FEWEST_CHANNELS // 4
        self.padded = max(fewest, triton.next_power_of_2(self.inputs)) if first else self.inputs
        self._lines = conv.weight.new_zeros(self.outputs, 3, 4, self.padded) if first else None

    def padded_input(self, images: Tensor) -> Tensor:
        """Return memory for pictures [B, C, H, W]."""
        batch, _, height, width = images.shape
        shape = (batch, height + 2, width + 2, self.padded)
        # The last pixel is read together with those after it.
        count = batch * (height + 2) * (width + 2) * self.padded
        return images.new_zeros(count + self.padded)[:count].view(shape)

    def fill(self, x: Tensor, images: Tensor) -> None:
        """Put pictures [B, C, H, W] into the memory that ``padded_input`` returned."""
        x[:, 1:-1, 1:-1, : self.inputs].copy_(images.permute(0, 2, 3, 1))

    def output(self, x: Tensor) -> Tensor:
        """Return memory for the layer's output."""
        batch, height, width, _ = x.shape
        height, width = ((size - 2) // self.stride + 2 for size in (height, width))
        return x.new_zeros(batch, height, width, self.outputs)

    def forward(self, x: Tensor, y: Tensor) -> None:
        """Write relu(conv(x) [+ identity]) to y."""
        weight = self._kernel()
        if self._lines is not None:
            self._lines[:, :, :3, : self.inputs].copy_(weight.view(-1, 3, 3, self.inputs))
            weight = self._lines
        self._convolve(x, weight, self.bias, y, self.stride, backward=False)

    def backward(self, x: Tensor, g: Tensor, out: Tensor) -> None:
        """Write the gradient before the ReLU that made x, given that before this layer's ReLU."""
        weight = self._kernel()
        if self.stride == 1:
            self._convolve(g, weight, x, out, 1, backward=True)
            return
        _, height, width, channels = x.shape
        pixels = _count(g)
        step, columns = min(self.outputs, _CHANNELS), min(channels, _CHANNELS)
        m = _pixels(4 * pixels)
        kernels.input_gradient[(triton.cdiv(pixels, m), channels // columns, 4)](
            *(g, weight, x, out, pixels),
            *(height - 2, width - 2, channels, self.outputs, self.identity),
            *(m, step, columns, self.exact),
        )

    def add_to_parts(self, x: Tensor, g: Tensor, parts: Tensor) -> None:
        """Write the parts [parts, size] of the sums that the gradients are."""
        _, height, width, channels = x.shape
        pixels = _count(g)
        step, columns = self._step(channels), min(self.outputs, _CHANNELS)
        steps = 3 if self.first else 9 * (channels // step)
        kernels.weight_gradient[(steps, len(parts), self.outputs // columns)](
            *(x, g, parts, pixels, _pixels_of_part(pixels), self.size),
            *(height - 2, width - 2, channels, self.inputs, self.outputs),
            *(self.stride, self.first, _PIXELS, step, columns, self.exact),
            num_warps=max(1, step * columns // 1024),
        )

    def set_gradients(self, sums: Tensor) -> None:
        """Set the gradients of weights and biases to sums [size]."""
        weight = sums[: -self.outputs].view(self.outputs, 3, 3, self.inputs)
        self.conv.weight.grad = weight.permute(0, 3, 1, 2)
        self.bias.grad = sums[-self.outputs :]

    def _convolve(
        self, x: Tensor, weight: Tensor, other: Tensor, y: Tensor, stride: int, backward: bool
    ) -> None:
        _, height, width, channels = x.shape
        outputs = y.shape[3]
        pixels, columns = _count(y), min(outputs, _CHANNELS)
        m, lines = _pixels(pixels), self.first
        kernels.convolve[(triton.cdiv(pixels, m), outputs // columns)](
            *(x, weight, other, y, pixels),
            *(height - 2, width - 2, channels, outputs, stride, lines, backward, self.identity),
            *(m, self._step(channels), columns, self.exact),
        )

    def _step(self, channels: int) -> int:
        """Return how many numbers of an input with so many channels are read at a time."""
        return 4 * channels if self.first else min(channels, _CHANNELS)

    def _kernel(self) -> Tensor:
        """Return a view [K, 9, C] of the weights [K, C, 3, 3], which lie channels last."""
        weight = self.conv.weight.detach().permute(0, 2, 3, 1)
        return weight.view(self.outputs, 9, self.inputs)


def _pixels(pixels: int) -> int:
    """Return how many of so many pixels a program computes."""
    return 2 * _PIXELS if pixels >= _MANY_PIXELS else _PIXELS
