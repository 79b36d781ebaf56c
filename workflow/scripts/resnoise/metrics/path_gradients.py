"""The gradient of the risk as each pooled output mediates it (appendices D.2 and D.4), by layer.

R is the risk of one picture, a the pooled outputs of the last layer, x_l the activation of layer l
with C_l channels and entries p: ``G[j, c, p] = dR/da_j * da_j/dx_l[c, p]``. It is carried from
layer to layer by the layers' transposes, for all j at once, and ``resnoise.metrics.flow_readings``
makes f_l of it.

The mean of ratios in f_l is ill-conditioned where a denominator is near 0. So G is computed in
float64 by default, and beside it the share of tests whose median ratio exceeds 1 is reported.
Measured by tests/benchmarks/gradient_flow_speed.py on plain-32 and residual-32 at 32 pictures, each
after the first iteration and after three epochs of CIFAR-10, for the reading ``set``: in float32 99
% of the means of ratios are off by less than 1 %, the worst by 500 %. For the plain network, up to
0.42 % of the f_l of single pictures (0.01 % of the tests) differ from those in float64, by up to
0.062, and f_l over all pictures by up to 0.002; for the residual network none differ. By the
median, none differ for either network.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from resnoise.errors import NativeUnavailable
from resnoise.metrics.flow_readings import parts, share
from resnoise.metrics.linearised import Layer, Linearised, Shortcut
from resnoise.native.input_gradient import NativeInputGradient, supported
from resnoise.specs.flow import READINGS

_log = logging.getLogger(__name__)

# Pictures are processed in chunks. On a CPU, those whose G fits into the cache are several times as
# fast; on a card, launching the operations on small ones takes longer than computing them.
_CHUNK_BYTES = {"cpu": 4 * 2**20, "cuda": 512 * 2**20}
_COPY_BYTES = 8 * 2**20


def feature_gradients(features: Tensor, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Return dR/da of each picture's cross-entropy R, [B, F].

    Args:
        features: a, [B, F].
        logits: [B, classes].
        labels: int64 [B].
        weight: weights of the linear layer, [classes, F].
    """
    errors = logits.softmax(1)
    errors[torch.arange(len(labels), device=labels.device), labels] -= 1
    return errors @ weight


def dominant_shares(
    network: Linearised, gradients: Tensor, native: bool = True
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return f_l of every picture and layer by each reading, by mean and median over positions.

    On a CPU, each of PyTorch's threads takes a part of the pictures and works alone, because the
    work of one layer for a few pictures is too short to be divided. Each thread holds one chunk of
    pictures in memory at a time. The results are the same for any number of threads.

    Args:
        network: at B pictures.
        gradients: dR/da of the pictures, [B, F].
        native: use the project's C code where it can compute a layer.

    Returns:
        Reading -> two float64 tensors [B, L - 1]: shares for layers 1 ... L - 1. The last layer L
        is left out, because nothing but own paths goes through it. A share is NaN where the layer
        is dead, because nothing of the picture reaches it or no gradient does, and infinite where
        gradients overflow (``resnoise.metrics.states``).
    """
    count = len(gradients)
    threads = min(torch.get_num_threads(), count) if gradients.device.type == "cpu" else 1
    edges = [count * part // threads for part in range(threads + 1)]
    parts = [range(*pair) for pair in pairwise(edges)]
    # New threads take over PyTorch's number of threads as it is now: one each.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(_shares, network, gradients, part, native) for part in parts]
            shares = torch.cat([job.result() for job in jobs], dim=2)
    finally:
        torch.set_num_threads(before)
    return {name: (one[0], one[1]) for name, one in zip(READINGS, shares, strict=True)}


@torch.no_grad()
def _shares(network: Linearised, gradients: Tensor, pictures: range, native: bool) -> Tensor:
    """Return f_l of some of the pictures, chunk by chunk: [readings, 2, pictures, L - 1]."""
    found = []
    transposes = Transposes(native)
    chunk = _chunk(network)
    for start in pictures[::chunk]:
        own_pictures = slice(start, min(start + chunk, pictures.stop))
        layers = [
            torch.stack([share(given, reading) for reading in READINGS])
            for given in map(parts, path_gradients(network, gradients, own_pictures, transposes))
        ]
        shares = torch.stack(layers[::-1], dim=3)
        found.append(shares.masked_fill(lost(network, own_pictures), torch.nan))
    return torch.cat(found, dim=2)


def lost(network: Linearised, pictures: slice) -> Tensor:
    """Return which layers but the last nothing of a picture reaches, bool [B, L - 1].

    Behind a layer whose output is 0 and that no shortcut bridges, activations depend on the biases
    only.
    """
    layers = network.layers
    bridged = {
        index - back
        for index, layer in enumerate(layers)
        if layer.shortcut
        for back in range(1, layer.shortcut.layers)
    }
    silent = [
        ~layer.live[pictures].flatten(1).any(1) & (index not in bridged)
        for index, layer in enumerate(layers[:-1])
    ]
    return torch.stack(silent, 1).cumsum(1) > 0


def path_gradients(
    network: Linearised, gradients: Tensor, pictures: slice, transposes: "Transposes"
) -> Iterator[Tensor]:
    """Yield G for layers L - 1, ..., 1.

    Args:
        network: at B pictures.
        gradients: dR/da of the pictures, [B, F].
        pictures: positions of the pictures to compute, which are in memory at once.
        transposes: computes the transposes of convolutions.

    Yields:
        A tensor [F, pictures, C_l, H_l, W_l] for each layer, to be used before the next one: it is
        overwritten on the way down.
    """
    layers = network.layers
    # Gradient that has reached each activation so far.
    sums: list[Tensor | None] = [None] * len(layers)
    for index in range(len(layers) - 1, 0, -1):
        layer, target = layers[index], layers[index - 1].live.shape[1:]
        live = layer.live[pictures]
        if index == len(layers) - 1:
            seeds = gradients[pictures, :, None, None] / live[0, 0].numel() * live
            down = _first_step(layer.kernel, seeds)
            # Seed j in channel j.
            arrived = torch.diag_embed(seeds.movedim(1, 3), dim1=0, dim2=2)
        else:
            arrived = _taken(sums, index).mul_(live)
            down = transposes(layer, arrived, target)
        _add(sums, index - 1, down)
        if layer.shortcut:
            source = index - layer.shortcut.layers
            shape = layers[source].live.shape[1:]
            _add(sums, source, _shortcut_back(layer.shortcut, arrived, shape))
        # Shortcuts bridge at most two layers, so nothing else can reach this activation any more.
        yield _present(sums, index - 1)


class Transposes:
    """Carries gradients back through convolutions: in C where possible, otherwise by PyTorch."""

    def __init__(self, native: bool) -> None:
        """Prepare; ``native`` allows C code."""
        self._native = native
        self._known: dict[tuple[object, ...], NativeInputGradient | None] = {}

    def __call__(self, layer: Layer, sums: Tensor, target: torch.Size) -> Tensor:
        """Map gradients [S, B, C_out, ...] of a convolution's output to its input, [S, B, *target].

        Args:
            layer: the layer.
            sums: in any memory format.
            target: channels, rows and columns of the layer's input.
        """
        images = sums.flatten(0, 1)
        native = self._native_code(layer, target) if self._native else None
        if native:
            result = native(layer.kernel, images)
        else:
            result = torch.cat([_transposed(layer, group, target) for group in _groups(images)])
        return result.reshape(*sums.shape[:2], *target)

    def _native_code(self, layer: Layer, target: torch.Size) -> NativeInputGradient | None:
        """Return the C code for layers of this shape; None if it cannot compute them."""
        kernel = layer.kernel
        key = (kernel.shape, kernel.dtype, layer.stride, target)
        if key not in self._known:
            self._known[key] = None
            height, width = target[1:]
            reason = supported(kernel, layer.stride, height, width)
            if reason is None:
                try:
                    threads = torch.get_num_threads()
                    self._known[key] = NativeInputGradient(
                        kernel, layer.stride, height, width, threads
                    )
                except NativeUnavailable as error:
                    reason = str(error)
            if reason:
                _log.info("convolutions by PyTorch: %s", reason)
        return self._known[key]


def _transposed(layer: Layer, images: Tensor, target: torch.Size) -> Tensor:
    """Map gradients [N, C_out, ...] of a convolution's output to its input, by PyTorch."""
    if layer.stride == 1:
        return F.conv2d(images, layer.kernel.transpose(0, 1).flip(2, 3), padding=1)
    size = len(images), *target
    result: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
        size, layer.kernel, images, layer.stride, padding=1
    )
    return result


def _groups(images: Tensor) -> tuple[Tensor, ...]:
    """Split images into groups, so that PyTorch's copies of their 3x3 windows stay small on a CPU.

    Up to twice as fast as all images at once: for larger copies the system provides new memory at
    every call.
    """
    if images.device.type != "cpu":
        return (images,)
    count = max(1, _COPY_BYTES // (9 * images[0].numel() * images.element_size()))
    return torch.split(images, count)


def _chunk(network: Linearised) -> int:
    """Return for how many pictures G of a layer fits into a chunk, at least 1."""
    paths = network.features.shape[1]
    largest = max(
        paths * layer.live[0].numel() * layer.kernel.element_size() for layer in network.layers
    )
    return max(1, _CHUNK_BYTES[network.features.device.type] // largest)


def _first_step(kernel: Tensor, seeds: Tensor) -> Tensor:
    """Apply the transpose of the last convolution to seeds that are in one channel each.

    Args:
        kernel: [F, C, 3, 3] of a convolution with stride 1.
        seeds: seed j is in channel j, [B, F, H, W].

    Returns:
        [F, B, C, H, W].
    """
    count, channels, height, width = (*seeds.shape[:2], *seeds.shape[2:])
    windows = F.unfold(seeds.movedim(1, 0).reshape(-1, 1, height, width), 3, padding=1)
    windows = windows.view(channels, count, 9, height * width)
    taps = kernel.flip(2, 3).flatten(2).unsqueeze(1)
    return torch.matmul(taps, windows).view(channels, count, -1, height, width)


def _shortcut_back(shortcut: Shortcut, sums: Tensor, target: torch.Size) -> Tensor:
    """Apply the transpose of an identity connection: [S, B, C_out, ...] to [S, B, *target]."""
    copies = sums.shape[2] // target[0]
    if copies == 1:
        return sums
    if shortcut.kind == "stacked":
        seeds, pictures, _, *size = sums.shape
        joined = sums.reshape(seeds, pictures, copies, target[0], *size).sum(2)
    else:
        before = (sums.shape[2] - target[0]) // 2 if shortcut.kind == "padded-around" else 0
        joined = sums.narrow(2, before, target[0])
    result = sums.new_zeros(*sums.shape[:2], *target)
    result[..., :: shortcut.stride, :: shortcut.stride] = joined
    return result


def _add(sums: list[Tensor | None], index: int, more: Tensor) -> None:
    """Add to the gradient that has reached an activation."""
    present = sums[index]
    sums[index] = more if present is None else present.add_(more)


def _present(sums: list[Tensor | None], index: int) -> Tensor:
    """Return the gradient that has reached an activation."""
    present = sums[index]
    assert present is not None
    return present


def _taken(sums: list[Tensor | None], index: int) -> Tensor:
    """Return the gradient that has reached an activation, and drop it."""
    present = _present(sums, index)
    sums[index] = None
    return present
