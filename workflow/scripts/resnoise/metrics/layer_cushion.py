"""Layer cushions (section 5; Arora et al. 2018, definition 3): how well layers carry real inputs.

For a layer with weights W and an input x, the previous layer's output after its ReLU, the cushion
is ``||W x|| / (||W||_F ||x||)``. ``W x`` is the response without bias; across a layer with an
identity connection it includes the identity, while ``||W||_F`` is the norm of the weights without
the ones of the ID entries. The layer cushion is the smallest value over the training set.

In networks of any other architecture, layers are found by ``resnoise.metrics.calls``. x is what
they are called with, of a linear layer applied to tokens the whole matrix of a picture.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnoise.devices import Computing
from resnoise.metrics import states
from resnoise.metrics.call_graph import cut_layers
from resnoise.metrics.calls import Call, Calls
from resnoise.metrics.layers import Layer, is_own, layers, norms, ratio
from resnoise.metrics.resumable import Measurement, activation_bytes
from resnoise.specs.metrics import LayerCushionSpec
from resnoise.storage import csvfile
from resnoise.storage.files import remove
from resnoise.trained.run import Measurable

COLUMNS = ("snapshot", "layer", "name", "sample", "cushion", states.COLUMN)

# Only the activations around one layer are held at a time: fewer than one copy of all of them, even
# in a network of few layers.
_COPIES = 1.0


class Meter:
    """Measures the layer cushions of one network.

    Attributes:
        names: what the state dict calls each layer.
        largest: largest number of pictures to measure at once, None for any.
    """

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        """Find the layers.

        Args:
            network: a network in evaluation mode, of any architecture.
            example: inputs of two pictures, [2, C, H, W], to find them with.

        Raises:
            ResnoiseError: a network without layers, or one that does not return logits.
        """
        self.largest: int | None = None
        self._measure: Callable[[Tensor], Tensor]
        self._picture_bytes: Callable[[Tensor], float]
        if is_own(network):
            self.names = [layer.name for layer in layers(network)]
            self._measure = functools.partial(layer_cushions, network)
            self._picture_bytes = lambda one: _COPIES * activation_bytes(network, one)
            return
        calls = Calls(network, example)
        self.names = [call.name for call in calls.calls]
        self.largest = None if calls.independent else 1
        cuts = cut_layers(calls, example[:1])
        weights = [call.weight_norm() for call in calls.calls]
        self._measure = functools.partial(_of_calls, calls, cuts, weights)
        self._picture_bytes = calls.picture_bytes

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the cushions of all layers for each picture, float64 [B, layers].

        A cushion is NaN where the layer is dead and infinite where it has exploded
        (``resnoise.metrics.states``): such a picture does not bound the layer cushion.

        Args:
            inputs: standardised pictures, [B, C, H, W].
        """
        return self._measure(inputs)

    @torch.no_grad()
    def picture_bytes(self, one: Tensor) -> float:
        """Return the bytes that measuring one picture [1, C, H, W] takes."""
        return self._picture_bytes(one)


@torch.no_grad()
def layer_cushions(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return the cushions of all layers of a network that is built as the project's own are.

    A cushion is NaN where the layer is dead and infinite where it has exploded
    (``resnoise.metrics.states``): such a picture does not bound the layer cushion. Behind a stage
    whose output is 0, activations are those of the biases, the same for all such pictures, so that
    these layers are dead as well. Norms are summed in float64, the network computes in its own
    precision. In fully-fledged networks W is the kernel alone, without the batch normalisation that
    follows.

    Args:
        network: a network in evaluation mode.
        inputs: [B, C, H, W].

    Returns:
        Float64 [B, layers].
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

    def see(layer: Layer) -> Callable[..., None]:
        return lambda _module, arguments, output: measure(layer, arguments[0], output)

    with contextlib.ExitStack() as hooks:
        for layer in found:
            hooks.enter_context(layer.module.register_forward_hook(see(layer)))
        network(inputs)
    return cushions


def _of_calls(
    calls: Calls, cuts: Sequence[bool], weights: Sequence[float], inputs: Tensor
) -> Tensor:
    """Return the cushions of all layers of any network, float64 [B, layers].

    A layer is dead on a picture if its input or its weights, whose norms are given, are 0, and
    behind an input that is 0 and is a cut.
    """
    pictures = len(inputs)
    cushions = inputs.new_zeros((pictures, len(calls.calls)), dtype=torch.float64)
    lost = torch.zeros(pictures, dtype=torch.bool, device=inputs.device)

    def measure(call: Call, x: Tensor, output: Tensor) -> None:
        column = call.number - 1
        response = norms(call.by_picture(call.response(output), pictures))
        size = norms(call.by_picture(x, pictures))
        if cuts[column]:
            lost.logical_or_(size == 0)
        cushions[:, column] = ratio(response, weights[column] * size, lost)

    calls.run(inputs, after=measure)
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
    largest: int | None = None
    meters: dict[str, Meter] = {}
    state: dict[str, NDArray[np.float64]] = {}
    for label, network in measured.networks.items():
        meters[label] = meter = Meter(network, measured.example())
        names, largest = meter.names, meter.largest
        state[label] = np.full((len(measured.samples), len(names)), np.nan)

    def picture_bytes(label: str, one: Tensor) -> float:
        return meters[label].picture_bytes(one)

    for part, inputs in measured.batches(state, picture_bytes, largest):
        for label, meter in meters.items():
            state[label][part] = meter(inputs).cpu().numpy()
    frames = (
        frame
        for label, values in state.items()
        for frame in rows(label, values, names, measured.samples)
    )
    csvfile.write_parts(output, frames, COLUMNS, float_format="%.7g")
    remove(measured.checkpoint)


def rows(
    label: str, cushions: NDArray[np.float64], names: list[str], samples: NDArray[np.int64]
) -> Iterator[pd.DataFrame]:
    """Yield the rows of one layer after the other; the columns are those of ``measure_run``.

    Args:
        label: of the weights, for the column snapshot.
        cushions: [pictures, layers].
        names: of the layers.
        samples: [pictures], their numbers.
    """
    for column, name in enumerate(names):
        values = cushions[:, column]
        yield pd.DataFrame(
            {
                "snapshot": label,
                "layer": column + 1,
                "name": name,
                "sample": samples,
                "cushion": states.numbers(values),
                states.COLUMN: states.texts(values),
            }
        )
