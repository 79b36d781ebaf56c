"""Dominant gradient flow (appendices D.2 and D.4) of any network for which it is defined.

``resnoise.metrics.flow_readings`` makes f_l of ``G[j, c, p] = dR/da_j * da_j/dx_l[c, p]``. Where
``resnoise.metrics.path_gradients`` carries G through the project's own networks layer by layer,
here PyTorch computes it, with a backward pass for each path j. Batch normalisation is that of
evaluation mode.

The paper's definition needs these, and networks without them are refused:

- a linear layer makes the logits of one vector a of each picture;
- a_j is made of channel j of the last convolution's output alone, as by pooling, batch
  normalisation and ReLU: there path j ends;
- x_l, the activation of layer l, is what the next layer reads; its number of channels divides that
  of a, so that path j runs through channel ``j mod C_l``. Other layers are left out;
- all of the gradient passes through some x_l (``resnoise.metrics.call_graph``). Those count as
  outputs of blocks; around the others, which are inside blocks, a shortcut runs.

So there is no flow for networks that flatten pixels, have several linear layers at their end, have
tokens, or whose shortcuts run around all activations, as those of pre-activation networks without
projections do.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnoise import devices
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError, quoted
from resnoise.metrics import flow_readings, states
from resnoise.metrics.call_graph import Graph, Place, behind, trace
from resnoise.metrics.calls import Call, Calls
from resnoise.metrics.path_gradients import feature_gradients
from resnoise.metrics.resumable import Measurement
from resnoise.specs.flow import BLOCK_OUTPUT, INSIDE, READINGS
from resnoise.specs.metrics import CallFlowSpec
from resnoise.storage import csvfile
from resnoise.storage.files import remove
from resnoise.trained.run import Measurable

_log = logging.getLogger(__name__)

COLUMNS = (
    *("reading", "layer", "layers", "name", "group", "place", "channels", "pictures"),
    *(states.COLUMN, "f_mean", "f_mean_error", "f_median", "f_median_error"),
)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# What the graph holds, in copies of the inputs and outputs of all layers.
_GRAPH_COPIES = 3.0
# Largest part of a_j, relative to all, that may come from other channels than j by rounding.
_ROUNDING = 1e-4


class NoFlow(ResnoiseError):  # noqa: N818 - a property of the network, not a mistake
    """Dominant gradient flow is not defined for a network.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"no dominant gradient flow is defined: {reason}")
        self.reason = reason


class CallFlow:
    """Measures the dominant gradient flow of one network.

    Attributes:
        table: a row for each layer that is measured; see ``rows`` for the columns.
        largest: largest number of pictures to measure at once, None for any.
    """

    def __init__(self, network: nn.Module, example: Tensor, classes: int) -> None:
        """Find the layers.

        Args:
            network: in evaluation mode, of the dtype to compute in.
            example: inputs of two pictures, [2, C, H, W].
            classes: number of classes of the pictures.

        Raises:
            NoFlow: the flow is not defined.
            ResnoiseError: a network without layers, or one that does not return logits.
        """
        self.calls = Calls(network, example)
        self.largest = None if self.calls.independent else 1
        try:
            graph = trace(self.calls, example[:1])
        except RuntimeError as error:
            raise NoFlow(f"PyTorch cannot differentiate the network ({quoted(error)})") from error
        if not graph.features.requires_grad:
            raise NoFlow("no derivative leads from the logits to the picture")
        self._cuts = graph.cuts()
        self._head = self.calls.calls[-1].weight.detach()
        _check_end(self.calls, graph, classes)
        self._layers = self._chosen(graph)
        sizes = sorted({_pixels(graph, call) for call in self._layers}, reverse=True)
        self.table = pd.DataFrame(
            {
                "layer": [call.number - 1 for call in self._layers],
                "layers": len(self.calls.calls),
                "name": [call.name for call in self._layers],
                "group": [sizes.index(_pixels(graph, call)) + 1 for call in self._layers],
                "place": [
                    BLOCK_OUTPUT if self._cuts[call.number - 1] else INSIDE for call in self._layers
                ],
                "channels": [graph.inputs[call.number - 1].shape[1] for call in self._layers],
            }
        )
        self._positions = [_pixels(graph, call) for call in self._layers]

    def _chosen(self, graph: Graph) -> list[Call]:
        """Return the layers that read the activations to measure."""
        paths = graph.features.shape[1]
        found: list[Call] = []
        others: dict[int, list[str]] = {}
        seen = set()
        for call in self.calls.calls[1:]:
            place = graph.inputs[call.number - 1]
            # A shortcut's convolution reads what the first one of its block has read.
            if place.edge is None or not isinstance(call.module, CONVOLUTIONS):
                continue
            key = place.edge.node, place.edge.output_nr
            if key in seen:
                continue
            seen.add(key)
            channels = place.shape[1]
            if paths % channels:
                others.setdefault(channels, []).append(call.name)
            else:
                found.append(call)
        for channels, names in others.items():
            _log.info(
                "no flow into %s: their %d channels do not divide the %d of the pooled outputs",
                ", ".join(names),
                channels,
                paths,
            )
        if not found:
            raise NoFlow(
                f"no activation between two convolutions has a number of channels that divides the "
                f"{paths} of the pooled outputs"
            )
        if not any(self._cuts[call.number - 1] for call in found):
            raise NoFlow(
                "shortcuts run around all activations, as in pre-activation networks, so that no "
                "activation has all of the gradient"
            )
        return found

    def picture_bytes(self, one: Tensor) -> float:
        """Return the bytes that measuring one picture [1, C, H, W] takes."""
        paths = self._head.shape[1]
        with torch.no_grad():
            graph = _GRAPH_COPIES * self.calls.picture_bytes(one)
        # Two parts of each path, and the comparison of those of the largest layer.
        parts = 2 * paths * (sum(self._positions) + 4 * max(self._positions))
        return graph + parts * one.element_size()

    def __call__(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return f_l of every picture and layer, float64 [readings, 2, B, layers].

        The second dimension is for the mean and the median over p. f_l is NaN where the layer is
        dead, because nothing of the picture reaches it or no gradient does, and infinite where
        gradients overflow (``resnoise.metrics.states``).

        Args:
            inputs: standardised pictures, [B, C, H, W].
            labels: int64 [B].
        """
        graph = trace(self.calls, inputs)
        logits = graph.logits.detach()
        gradients = feature_gradients(graph.features.detach(), logits, labels, self._head)
        edges = [edge for call in self._layers if (edge := graph.inputs[call.number - 1].edge)]
        found = [self._nothing(graph, call, gradients) for call in self._layers]
        for path in range(gradients.shape[1]):
            seed = torch.zeros_like(gradients)
            seed[:, path] = gradients[:, path]
            by_layer = torch.autograd.grad(
                graph.features, edges, seed, retain_graph=True, allow_unused=True
            )
            for parts, gradient in zip(found, by_layer, strict=True):
                if gradient is not None:
                    parts.add(path, gradient.flatten(2))
        silent = torch.stack([place.silent for place in graph.inputs], 1)
        # Around activations within a block that are 0, the picture takes the shortcut.
        lost = behind(silent & torch.tensor(self._cuts, device=silent.device), self._cuts)
        shares = []
        for call, parts in zip(self._layers, found, strict=True):
            share = torch.stack([flow_readings.share(parts, reading) for reading in READINGS])
            shares.append(share.masked_fill(lost[:, call.number - 1], torch.nan))
        return torch.stack(shares, 3)

    def _nothing(self, graph: Graph, call: Call, like: Tensor) -> flow_readings.Parts:
        """Return parts of G that are 0, for the activation that a layer reads."""
        pictures, paths = like.shape
        channels, pixels = graph.inputs[call.number - 1].shape[1], _pixels(graph, call)
        own, carried = (like.new_zeros(pictures, paths, pixels) for _ in range(2))
        return flow_readings.Parts(own, carried, like.new_zeros(pictures, channels, pixels))


def _pixels(graph: Graph, call: Call) -> int:
    """Return the number of positions of the activation that a layer reads."""
    return graph.inputs[call.number - 1].shape[2:].numel()


def _check_end(calls: Calls, graph: Graph, classes: int) -> None:
    """Raise NoFlow unless a linear layer gets one entry from each channel of a convolution."""
    last = calls.calls[-1]
    vectors = graph.features.dim() == 2 and len(graph.features) == len(graph.logits)
    if not (isinstance(last.module, nn.Linear) and vectors) or not torch.equal(
        graph.response, graph.logits
    ):
        raise NoFlow("the logits are not what a linear layer makes of one vector of each picture")
    if graph.logits.shape[1] != classes:
        raise NoFlow(
            f"the network has {graph.logits.shape[1]} classes and the pictures have {classes}, so "
            "that there is no risk whose gradient could flow"
        )
    outputs = zip(calls.calls, graph.outputs, strict=True)
    places = [place for call, place in outputs if isinstance(call.module, CONVOLUTIONS)]
    if not (places and _by_channel(graph.features, places[-1])):
        vector = f"the vector that the last layer {last.name} reads has not one entry for each"
        if places and places[-1].shape[:2] == graph.features.shape:
            raise NoFlow(
                f"{vector} channel of the last convolution alone: other channels change it, as "
                "behind group normalisation or attention"
            )
        raise NoFlow(f"{vector} channel of the last convolution, as pooling makes it")


def _by_channel(features: Tensor, place: Place) -> bool:
    """Whether entry j of the features [B, F] is made of channel j of a tensor [B, F, ...] alone."""
    edge = place.edge
    if edge is None or len(place.shape) < 3 or place.shape[:2] != features.shape:
        return False
    numbers = torch.Generator().manual_seed(0)
    weights = torch.randn(features.shape[1], generator=numbers).to(features)
    one, weighted = (
        torch.autograd.grad(features, edge, seed.expand_as(features), retain_graph=True)[0]
        for seed in (torch.ones_like(weights), weights)
    )
    # What other channels give to an entry has the wrong weight.
    expected = one * weights.view(-1, *(1,) * (one.dim() - 2))
    return bool((weighted - expected).norm() <= _ROUNDING * weighted.norm())


def rows(table: pd.DataFrame, shares: NDArray[np.float64]) -> pd.DataFrame:
    """Return a row for each reading and layer, with the columns ``COLUMNS``.

    Args:
        table: of the layers.
        shares: f_l, [readings, 2, pictures, layers].
    """
    frames = []
    for reading, of_reading in zip(READINGS, shares, strict=True):
        frame = flow_readings.averaged(table.assign(pictures=shares.shape[2]), *of_reading)
        frame.insert(0, "reading", reading)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def measure_run(
    run: Measurable,
    spec: CallFlowSpec,
    outputs: Sequence[Path],
    computing: Computing,
    required: bool = False,
) -> None:
    """Write f_l of a network by all readings.

    A row for each reading and layer: reading (of ``resnoise.metrics.flow_readings``), layer (number
    of the layer called before the one that reads the activation, as in ``layer_cushion.csv``),
    layers (number of all layers), name (of the layer that reads the activation), group (from 1, by
    the number of positions), place (of ``resnoise.specs.flow``), channels, pictures, state, f_mean
    and f_median (by the mean and by the median of the ratios) and their standard errors over the
    pictures. If the flow is not defined, there is one row, whose state says why, as the log does. A
    killed measurement continues where it was.

    Args:
        run: a network trained elsewhere.
        spec: which pictures, and how exact.
        outputs: the CSV file to write.
        computing: where to compute.
        required: whether it is an error if the flow is not defined.

    Raises:
        NoFlow: the flow is not defined but required.
        ResnoiseError: more pictures are wanted than the training set has.
    """
    (output,) = outputs
    measured = Measurement(run, spec, output, computing)
    dtype = devices.WEIGHT_DTYPES[spec.precision]
    (network,) = measured.networks.values()
    classes = len(run.dataset.class_names)
    try:
        flow = CallFlow(network.to(dtype), measured.example().to(dtype), classes)
    except NoFlow as error:
        if required:
            raise
        _log.warning("%s", error)
        csvfile.write(output, pd.DataFrame([{states.COLUMN: error.reason}], columns=COLUMNS))
        return
    shape = (len(READINGS), 2, len(flow.table))
    found = np.full((len(measured.samples), *shape), np.nan)
    labels = torch.from_numpy(run.dataset.train_labels[measured.samples])

    def picture_bytes(_label: str, one: Tensor) -> float:
        return flow.picture_bytes(one.to(dtype))

    for part, inputs in measured.batches({"flow": found}, picture_bytes, flow.largest):
        shares = flow(inputs.to(dtype), labels[part].to(inputs.device))
        found[part] = shares.movedim(2, 0).cpu().numpy()
    csvfile.write(output, rows(flow.table, np.moveaxis(found, 0, 2)))
    remove(measured.checkpoint)
