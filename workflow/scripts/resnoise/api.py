"""The measurements as functions, for networks and pictures that are in memory, as in a notebook.

Each function takes any ``torch.nn.Module`` that maps pictures to logits, and returns the table that
the workflow writes for such a network. The network is measured on the device and in the precision
of its weights, in evaluation mode, and is afterwards as it was before.

Pictures are either inputs of the network, floating-point [N, C, H, W], standardised as it needs
them; or uint8 [N, H, W, C] with ``mean`` and ``std``.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from resnoise.api_inputs import Labels, Numbers, Pictures, measured, right_classes
from resnoise.errors import ResnoiseError
from resnoise.metrics import call_flow, calls, interlayer_cushion, layer_cushion
from resnoise.metrics import noise_stability as stability
from resnoise.metrics.cushions import joined
from resnoise.metrics.margin import margins as _margins
from resnoise.metrics.noise import COLUMNS
from resnoise.metrics.resumable import LARGEST_BATCH, batch_size
from resnoise.specs.metrics import InterlayerCushionSpec, NoiseStabilitySpec


def layer_cushions(
    network: nn.Module,
    images: Pictures,
    *,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    memory_mb: int = 500,
) -> pd.DataFrame:
    """Return the cushion of every layer on every picture (section 5; Arora et al. 2018, def. 3).

    For a layer with weights W and input x it is ``||W x|| / (||W||_F ||x||)``, W x without bias.
    The layer cushion is its minimum over all training pictures.

    Args:
        network: maps [N, C, H, W] to logits [N, classes].
        images: floating-point inputs of the network [N, C, H, W]; or uint8 [N, H, W, C].
        mean: of each channel of uint8 pictures, for pixels from 0 to 1.
        std: standard deviations, given in the same way.
        memory_mb: memory for activations in megabytes.

    Returns:
        Columns layer (number in the order of execution, from 1), name, sample (number of the
        picture, from 0), cushion, state ("dead" or "exploded" where there is no cushion).

    Raises:
        ResnoiseError: a network or pictures that cannot be measured; the message says why.
    """
    with measured(network, images, mean, std) as (net, inputs):
        meter = layer_cushion.Meter(net, inputs[:2])
        size = batch_size(meter.picture_bytes(inputs[:1]), memory_mb, meter.largest)
        values = torch.cat([meter(part) for part in torch.split(inputs, size)]).cpu().numpy()
    samples = np.arange(len(values))
    frames = layer_cushion.rows("final", values, meter.names, samples)
    return pd.concat(frames, ignore_index=True).drop(columns="snapshot")


def interlayer_cushions(
    network: nn.Module,
    images: Pictures,
    *,
    between: Sequence[str] = (),
    relative_error: float = 0.01,
    max_probes: int = 1000,
    probe_seed: int = 0,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    memory_mb: int = 500,
) -> pd.DataFrame:
    """Return the interlayer cushion of all spans of blocks on every picture (section 5).

    For the map from a tensor x of n positions (pixels or tokens) to a later one, with Jacobian J at
    x, it is ``sqrt(n) ||J x|| / (||J||_F ||x||)``.

    Args:
        network: maps [N, C, H, W] to logits [N, classes].
        images: floating-point inputs of the network [N, C, H, W]; or uint8 [N, H, W, C].
        between: names of modules, in the order of execution, between whose outputs to measure;
            none for all tensors that alone determine the rest.
        relative_error: standard error of a cushion, relative to it, at which to stop.
        max_probes: number of random vectors after which to stop.
        probe_seed: of these vectors.
        mean: of each channel of uint8 pictures, for pixels from 0 to 1.
        std: standard deviations, given in the same way.
        memory_mb: memory for activations in megabytes.

    Returns:
        Columns first, last (numbers of the span's blocks, from 1), sample, cushion, standard_error
        (0 if exact), method, probes, state, and from and to, the names of the modules with whose
        outputs the span begins and ends (not for ResNets whose blocks have a closed form).

    Raises:
        ResnoiseError: a network, pictures or names that cannot be measured; the message says why.
    """
    if not (relative_error > 0 and max_probes >= 1):
        raise ResnoiseError(
            f"relative_error: {relative_error} and max_probes: {max_probes} given, allowed: a "
            "number > 0 and an integer >= 1"
        )
    with measured(network, images, mean, std) as (net, inputs):
        precision = {torch.float64: "float64"}.get(inputs.dtype, "float32")
        spec = InterlayerCushionSpec(
            None, 0, False, relative_error, max_probes, probe_seed, precision
        )
        meter = interlayer_cushion.choose(net, spec, inputs[:2], memory_mb, between)
        largest = interlayer_cushion.LARGEST_BATCH
        size = batch_size(meter.picture_bytes(inputs[:1]), memory_mb, largest)
        parts = []
        for begin in range(0, len(inputs), size):
            part = inputs[begin : begin + size]
            parts.append(meter(part, range(begin, begin + len(part))))
    found = joined(parts)
    frames = interlayer_cushion.rows("final", found, np.arange(len(inputs)), meter.names)
    return pd.concat(frames, ignore_index=True).drop(columns="snapshot")


def noise_stability(
    network: nn.Module,
    images: Pictures,
    *,
    sizes: float | Sequence[float] = (0.03, 0.1, 0.3),
    repeats: int = 5,
    noise_seed: int = 0,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    memory_mb: int = 500,
) -> pd.DataFrame:
    """Return what noise in each layer does to all later ones (section 5; Arora et al. 2018).

    One picture takes about (number of layers) x (number of sizes) x repeats x 4 forward passes. A
    response z_j is what a later layer j computes, before its activation; z' is that with noise.

    - ``equal_weight_noise``: ``||z_j' - z_j|| / ||z_j||`` for noise on the weights W of a layer,
      with norm ``s sqrt(2 C_out)``, which is s times that of weights by Kaiming's initialisation;
    - ``transferred_weight_noise``: the same with norm ``s ||T(W)||``, the ones of the ID entries of
      this project's residual networks included; for all others it equals the next one;
    - ``weight_noise``: the same with norm ``s ||W||``;
    - ``input_noise``: the same for noise on the layer's input x, with norm ``s ||x||``;
    - these names with ``_flips``: the share of pictures whose predicted class changes;
    - ``inverse_smoothness`` (def. 6): how far the map M from z_i to z_j is from linear, for noise
      eta of norm ``s ||z_i||``: ``||M(z_i + eta) - M(z_i) - J eta|| ||z_i|| / (||eta|| ||z_j||)``;
    - ``activation_contraction`` (def. 5): ``||z_i|| / ||relu(z_i)||``, without noise.

    Args:
        network: maps [N, C, H, W] to logits [N, classes].
        images: floating-point inputs of the network [N, C, H, W]; or uint8 [N, H, W, C].
        sizes: of the noise, s in these formulas.
        repeats: number of draws of the noise.
        noise_seed: of the noise.
        mean: of each channel of uint8 pictures, for pixels from 0 to 1.
        std: standard deviations, given in the same way.
        memory_mb: memory for activations in megabytes.

    Returns:
        Columns quantity, size, layer and name (of the layer with the noise), at_layer (whose
        response is measured; the last one's are the logits), mean, standard_error,
        standard_deviation, minimum, maximum, samples, state, repeats.

    Raises:
        ResnoiseError: a network or pictures that cannot be measured; the message says why.
    """
    listed = tuple(np.ravel(sizes).tolist())
    if not (listed and all(size > 0 for size in listed) and repeats >= 1):
        raise ResnoiseError(
            f"sizes: {[*listed]} and repeats: {repeats} given, allowed: numbers > 0 and an integer "
            ">= 1"
        )
    spec = NoiseStabilitySpec(None, 0, False, listed, repeats, noise_seed)
    with measured(network, images, mean, std) as (net, inputs):
        sums = stability.choose(net, spec, inputs[:2])
        size = batch_size(sums.picture_bytes(inputs[:1]), memory_mb, sums.largest)
        for begin in range(0, len(inputs), size):
            part = inputs[begin : begin + size]
            sums.add(part, np.arange(begin, begin + len(part)))
    return pd.DataFrame(sums.rows(), columns=list(COLUMNS[1:]))


def gradient_flow(
    network: nn.Module,
    images: Pictures,
    labels: Labels,
    *,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    memory_mb: int = 500,
) -> pd.DataFrame:
    """Return the dominant gradient flow of every layer for which it is defined (appendix D.4).

    It is the share of paths of a layer's channels whose gradient exceeds that of all others, by
    three readings (``resnoise.metrics.flow_readings``). Means of ratios are sensitive to rounding:
    give a network of float64, as ``network.double()``, where you can. One picture takes as many
    backward passes as the last layer has inputs.

    Args:
        network: maps [N, C, H, W] to logits [N, classes]; a linear layer makes them of one entry
            for each channel of the last convolution.
        images: floating-point inputs of the network [N, C, H, W]; or uint8 [N, H, W, C].
        labels: [N], the right classes.
        mean: of each channel of uint8 pictures, for pixels from 0 to 1.
        std: standard deviations, given in the same way.
        memory_mb: memory for activations in megabytes.

    Returns:
        Columns reading, layer (number of the layer before the activation, from 1), layers (number
        of all layers), name (of the layer that reads the activation), group (from 1, by the size of
        the activations), place ("inside block" where a shortcut runs around the activation),
        channels, pictures, state, f_mean and f_median (share by the mean and by the median over
        positions) and their standard errors.

    Raises:
        ResnoiseError: a network for which it is not defined, or pictures that cannot be measured;
            the message says why.
    """
    with measured(network, images, mean, std) as (net, inputs):
        with torch.no_grad():
            classes = calls.logits(net, inputs[:1]).shape[1]
        right = right_classes(labels, len(inputs), classes).to(inputs.device)
        flow = call_flow.CallFlow(net, inputs[:2], classes)
        size = batch_size(flow.picture_bytes(inputs[:1]), memory_mb, flow.largest)
        parts = zip(torch.split(inputs, size), torch.split(right, size), strict=True)
        shares = torch.cat([flow(*part) for part in parts], 2)
    return call_flow.rows(flow.table, shares.cpu().numpy())


def margins(
    network: nn.Module,
    images: Pictures,
    labels: Labels,
    *,
    mean: Numbers | None = None,
    std: Numbers | None = None,
) -> pd.DataFrame:
    """Return the margin of every picture: the right logit minus the largest other one.

    A change of the logits whose norm is below margin / sqrt(2) changes no prediction.

    Args:
        network: maps [N, C, H, W] to logits [N, classes].
        images: floating-point inputs of the network [N, C, H, W]; or uint8 [N, H, W, C].
        labels: [N], the right classes.
        mean: of each channel of uint8 pictures, for pixels from 0 to 1.
        std: standard deviations, given in the same way.

    Returns:
        Columns sample, margin, and relative (margin / norm of the logits).

    Raises:
        ResnoiseError: pictures that cannot be measured, or labels that are no classes.
    """
    with measured(network, images, mean, std) as (net, inputs), torch.no_grad():
        parts = [calls.logits(net, part) for part in torch.split(inputs, LARGEST_BATCH)]
    logits = torch.cat(parts).double().cpu()
    right = right_classes(labels, *logits.shape)
    found = _margins(logits, right)
    relative = found / torch.linalg.vector_norm(logits, dim=1)
    return pd.DataFrame(
        {"sample": np.arange(len(found)), "margin": found.numpy(), "relative": relative.numpy()}
    )
