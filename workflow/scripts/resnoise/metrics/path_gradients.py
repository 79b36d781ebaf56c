"""Dominant gradient flow (appendices D.2 and D.4): f_l for every layer of a network.

R is the risk of one picture, a the pooled outputs of the last layer, x_l the activation of layer l
with C_l channels and entries p. ``G[j, c, p] = dR/da_j * da_j/dx_l[c, p]`` is the part of the
gradient that a_j mediates, and ``own(c) = {j : j mod C_l = c}`` holds the sub-activation paths
through channel c. Sub-activation c has a dominant gradient flow when

    ratio[c, p] = |sum of G[j, c, p] over own(c)| / |sum of G[j, c, p] over all other j|

has a mean over p above 1 (inequality 5); f_l is the share of such sub-activations (equation 13).
Entries where both sums are 0 have ratio 0.

The mean is ill-conditioned where a denominator is near 0, so that it is computed in float64 unless
asked otherwise, and the share of sub-activations whose median ratio exceeds 1 stands beside it.
Measured by tests/benchmarks/gradient_flow_speed.py on plain-32 and residual-32 at 32 pictures, each
after the first iteration and after three epochs of CIFAR-10: in float32 99 % of the means of ratios
are off by less than 1 %, the worst by 500 %. Of the plain network up to 0.42 % of the f_l of single
pictures (0.01 % of the sub-activations) differ from those in float64, by up to 0.062, and f_l over
the pictures by up to 0.002; of the residual network none differ. By the median none differ at all.

G is linear in what starts at the features, and a layer with C channels needs only the C sums over
own(c). So the seeds of j and j + C are added as soon as channels halve on the way down, which is
exact: 64, 32 and 16 seeds in the three groups instead of 64 in all.
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
from resnoise.metrics.linearised import Layer, Linearised, Shortcut
from resnoise.native.input_gradient import NativeInputGradient, supported

_log = logging.getLogger(__name__)

# Seeds of a chunk of pictures that stay in the processor's cache are several times as fast.
_CHUNK_BYTES = 4 * 2**20
_COPY_BYTES = 8 * 2**20


def feature_gradients(features: Tensor, logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Return dR/da of each picture's cross-entropy R, [B, F].

    Args:
        features: a, [B, F].
        logits: [B, classes].
        labels: int64 [B].
        weight: of the linear layer, [classes, F].
    """
    errors = logits.softmax(1)
    errors[torch.arange(len(labels), device=labels.device), labels] -= 1
    return errors @ weight


def dominant_shares(
    network: Linearised, gradients: Tensor, native: bool = True
) -> tuple[Tensor, Tensor]:
    """Return f_l of every picture and layer, by the mean and by the median over positions.

    On a CPU every thread of PyTorch takes a part of the pictures and works alone: what a layer has
    to do for a few pictures is too short to be divided. Memory is bounded by a chunk of pictures
    for each thread, whatever their number, and the results are the same for any number of threads.

    Args:
        network: at B pictures.
        gradients: dR/da of the pictures, [B, F].
        native: use the project's C code where it can compute a layer.

    Returns:
        Two float64 tensors [B, L - 1]: shares for layers 1 ... L - 1. The last layer L is left out,
        because nothing but own paths goes through it.
    """
    count = len(gradients)
    threads = min(torch.get_num_threads(), count) if gradients.device.type == "cpu" else 1
    edges = [count * part // threads for part in range(threads + 1)]
    parts = [range(*pair) for pair in pairwise(edges)]
    # New threads start with the number of threads that is set now.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(_shares, network, gradients, part, native) for part in parts]
            by_mean, by_median = zip(*(job.result() for job in jobs), strict=True)
    finally:
        torch.set_num_threads(before)
    return torch.cat(by_mean), torch.cat(by_median)


@torch.no_grad()
def _shares(
    network: Linearised, gradients: Tensor, pictures: range, native: bool
) -> tuple[Tensor, Tensor]:
    """Return what ``dominant_shares`` does for some of the pictures, chunk by chunk."""
    by_mean, by_median = [], []
    transposes = Transposes(native)
    chunk = _chunk(network)
    for start in pictures[::chunk]:
        own_pictures = slice(start, min(start + chunk, pictures.stop))
        parts = path_gradients(network, gradients, own_pictures, transposes)
        flows = [dominant(own, rest) for own, rest in parts]
        means, medians = zip(*reversed(flows), strict=True)
        by_mean.append(torch.stack([flow.double().mean(1) for flow in means], dim=1))
        by_median.append(torch.stack([flow.double().mean(1) for flow in medians], dim=1))
    return torch.cat(by_mean), torch.cat(by_median)


def path_gradients(
    network: Linearised, gradients: Tensor, pictures: slice, transposes: "Transposes"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the sums of G over own(c) and over all others for layers L - 1, ..., 1.

    Args:
        network: at B pictures.
        gradients: dR/da of the pictures, [B, F].
        pictures: which of them; all are in memory with their seeds at once.
        transposes: what computes the transposes of convolutions.

    Yields:
        Two tensors [pictures, C_l, H_l, W_l] for each layer.
    """
    layers = network.layers
    # What has come down so far to each activation: [seeds, pictures, C, H, W].
    sums: list[Tensor | None] = [None] * len(layers)
    for index in range(len(layers) - 1, 0, -1):
        layer, target = layers[index], layers[index - 1].live.shape[1:]
        live = layer.live[pictures]
        if index == len(layers) - 1:
            seeds = gradients[pictures, :, None, None] / live[0, 0].numel() * live
            down = _first_step(layer.kernel, seeds)
            # Seed j at channel j.
            arrived = torch.diag_embed(seeds.movedim(1, 3), dim1=0, dim2=2)
        else:
            arrived = _taken(sums, index).mul_(live)
            down = transposes(layer, _merged(arrived, target[0]), target)
        _add(sums, index - 1, down)
        if layer.shortcut:
            source = index - layer.shortcut.layers
            shape = layers[source].live.shape[1:]
            _add(sums, source, _shortcut_back(layer.shortcut, _merged(arrived, shape[0]), shape))
        # Layers above bridge at most two, so all that leads to this activation has come down.
        total = _present(sums, index - 1)
        # A copy, because the sums are overwritten on the way down.
        own = torch.diagonal(total, 0, 0, 2).movedim(-1, 1).clone()
        yield own, total.sum(0) - own


def dominant(own: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Return which sub-activations have a dominant gradient flow, by the mean and by the median.

    Args:
        own: sums of G over own(c), [B, C, H, W].
        rest: sums over all others.

    Returns:
        Two bool tensors [B, C].
    """
    numerator, denominator = own.abs().flatten(2), rest.abs().flatten(2)
    ratio = numerator / denominator
    ratio[(numerator == 0) & (denominator == 0)] = 0
    # The (lower) median exceeds 1 where more than half of the entries do.
    return ratio.mean(2) > 1, (numerator > denominator).sum(2) * 2 > numerator.shape[2]


class Transposes:
    """Carries gradients back through convolutions: by C code where it can, else by PyTorch."""

    def __init__(self, native: bool) -> None:
        """Start without any layer; ``native`` allows C code."""
        self._native = native
        self._known: dict[tuple[object, ...], NativeInputGradient | None] = {}

    def __call__(self, layer: Layer, sums: Tensor, target: torch.Size) -> Tensor:
        """Map sums [S, B, C_out, ...] behind a convolution to those before it, [S, B, *target].

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
        """Return what computes layers of this shape in C, None if nothing does."""
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
    """Map gradients [N, C_out, ...] behind a convolution to those before it, by PyTorch."""
    if layer.stride == 1:
        return F.conv2d(images, layer.kernel.transpose(0, 1).flip(2, 3), padding=1)
    size = len(images), *target
    result: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
        size, layer.kernel, images, layer.stride, padding=1
    )
    return result


def _groups(images: Tensor) -> tuple[Tensor, ...]:
    """Return images in groups whose 3x3 windows PyTorch copies on a CPU without new pages.

    Up to twice as fast as all at once: larger copies are fresh memory of the system at every call.
    """
    if images.device.type != "cpu":
        return (images,)
    count = max(1, _COPY_BYTES // (9 * images[0].numel() * images.element_size()))
    return torch.split(images, count)


def _chunk(network: Linearised) -> int:
    """Return how many pictures' seeds fit into the cache, at least 1."""
    largest = max(
        layer.live[0].numel() * layer.live.shape[1] * layer.kernel.element_size()
        for layer in network.layers
    )
    return max(1, _CHUNK_BYTES // largest)


def _first_step(kernel: Tensor, seeds: Tensor) -> Tensor:
    """Return the last convolution's transpose of seeds that are in one channel each.

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
    """Return the transpose of an identity connection: [S, B, C_out, ...] to [S, B, *target]."""
    copies = sums.shape[2] // target[0]
    if copies == 1:
        return sums
    if shortcut.stacked:
        seeds, pictures, _, *size = sums.shape
        joined = sums.reshape(seeds, pictures, copies, target[0], *size).sum(2)
    else:
        joined = sums.narrow(2, (sums.shape[2] - target[0]) // 2, target[0])
    result = sums.new_zeros(*sums.shape[:2], *target)
    result[..., :: shortcut.stride, :: shortcut.stride] = joined
    return result


def _merged(sums: Tensor, channels: int) -> Tensor:
    """Return ``sums`` [S, ...] with those seeds added that one of ``channels`` channels owns."""
    if len(sums) == channels:
        return sums
    return sums.reshape(-1, channels, *sums.shape[1:]).sum(0)


def _add(sums: list[Tensor | None], index: int, more: Tensor) -> None:
    """Add to what has come down to an activation."""
    present = sums[index]
    sums[index] = more if present is None else present.add_(more)


def _present(sums: list[Tensor | None], index: int) -> Tensor:
    """Return what has come down to an activation."""
    present = sums[index]
    assert present is not None
    return present


def _taken(sums: list[Tensor | None], index: int) -> Tensor:
    """Return what has come down to an activation and forget it."""
    present = _present(sums, index)
    sums[index] = None
    return present
