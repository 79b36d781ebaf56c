"""Layer cushions (section 5; Arora et al. 2018, definition 3): how well layers carry real inputs.

For a layer with weights W and an input x, the previous layer's output after its ReLU, the cushion
is ``||W x|| / (||W||_F ||x||)``. ``W x`` is the response without bias; across a layer with an
identity connection it includes the identity, while ``||W||_F`` is the norm of the weights without
the ones of the ID entries. The layer cushion is the smallest value over the training set.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnoise.devices import Computing
from resnoise.metrics import states
from resnoise.metrics.layers import Layer, layers, norms, ratio
from resnoise.metrics.resumable import Measurement, activation_bytes
from resnoise.specs.metrics import LayerCushionSpec
from resnoise.storage.digests import csv_path
from resnoise.storage.files import remove
from resnoise.trained.run import Measurable

# Only the activations around one layer are held at a time: fewer than one copy of all of them, even
# in a network of few layers.
_COPIES = 1.0


@torch.no_grad()
def layer_cushions(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return the cushions of all layers for each picture, float64 [B, layers].

    A cushion is NaN where the layer is dead and infinite where it has exploded
    (``resnoise.metrics.states``): such a picture does not bound the layer cushion. Behind a stage
    whose output is 0, activations are those of the biases, the same for all such pictures, so that
    these layers are dead as well. Norms are summed in float64, the network computes in its own
    precision. In fully-fledged networks W is the kernel alone, without the batch normalisation that
    follows.

    Args:
        network: a network in evaluation mode.
        inputs: [B, C, H, W].
    """
    found = layers(network)
    cushions = inputs.new_zeros((len(inputs), len(found)), dtype=torch.float64)
    weights = [layer.weight_norm() for layer in found]
    lost = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)

    def measure(layer: Layer, x: Tensor, output: Tensor) -> None:
        # Computed within the hook, because the network overwrites the output afterwards.
        column = layer.number - 1
        response, size = norms(layer.linear_response(x, output)), norms(x)
        if layer.takes_stage_input:
            lost.logical_or_(size == 0)
        cushions[:, column] = ratio(response, weights[column] * size, lost)

    hooks = [
        layer.module.register_forward_hook(
            lambda _module, arguments, output, layer=layer: measure(layer, arguments[0], output)
        )
        for layer in found
    ]
    try:
        network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return cushions


def measure_run(
    run: Measurable,
    spec: LayerCushionSpec,
    outputs: Sequence[Path],
    computing: Computing,
) -> None:
    """Write the cushion of every layer for every chosen training picture, without augmentation.

    Columns: snapshot ("final", or every kept one), layer (number from 1), name, sample (index of
    the picture in the training set), cushion, state ("dead" or "exploded" where there is no
    cushion; see ``resnoise.metrics.states``). The final weights of a diverged run have no rows. A
    killed measurement continues where it was.

    Args:
        run: the run, or a network trained elsewhere.
        spec: which pictures and snapshots.
        outputs: the CSV file to write.
        computing: where to compute.

    Raises:
        ResnoiseError: more pictures are wanted than the training set has.
    """
    (output,) = outputs
    measured = Measurement(run, spec, output, computing)
    names: list[str] = []
    state: dict[str, NDArray[np.float64]] = {}
    for label, network in measured.networks.items():
        names = [layer.name for layer in layers(network)]
        state[label] = np.full((len(measured.samples), len(names)), np.nan)

    def picture_bytes(label: str, one: Tensor) -> float:
        return _COPIES * activation_bytes(measured.networks[label], one)

    for part, inputs in measured.batches(state, picture_bytes):
        for label, network in measured.networks.items():
            state[label][part] = layer_cushions(network, inputs).cpu().numpy()
    with csv_path(output) as temporary:
        _write(temporary, state, names, measured.samples)
    remove(measured.checkpoint)


def _write(
    path: Path,
    cushions: dict[str, NDArray[np.float64]],
    names: list[str],
    samples: NDArray[np.int64],
) -> None:
    """Write the rows layer by layer, so that only the text of one layer is in memory."""
    columns = ["snapshot", "layer", "name", "sample", "cushion", states.COLUMN]
    pd.DataFrame(columns=columns).to_csv(path, index=False)
    for label, values in cushions.items():
        for column, name in enumerate(names):
            rows = {
                "snapshot": label,
                "layer": column + 1,
                "name": name,
                "sample": samples,
                "cushion": states.numbers(values[:, column]),
                states.COLUMN: states.texts(values[:, column]),
            }
            frame = pd.DataFrame(rows)
            frame.to_csv(path, mode="a", header=False, index=False, float_format="%.7g")
