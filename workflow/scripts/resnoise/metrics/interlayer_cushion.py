"""Interlayer cushions (section 5; Arora et al. 2018): how well spans of layers carry real inputs.

For the map from the input x of block i, of h x w pixels, to the output of block j, with Jacobian J
at x (batch normalisation in evaluation mode), the cushion is

    sqrt(h w) ||J x|| / (||J||_F ||x||).

J x is exact, and so is ||J||_F of a single block of at most two convolutions. For longer spans
||J||_F is estimated, with a standard error (``resnoise.metrics.spans``).

In networks of any other architecture, blocks are what is between tensors that alone determine the
rest, or between modules that the user names (``resnoise.metrics.between``).
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnoise import devices
from resnoise.devices import Computing
from resnoise.errors import quoted
from resnoise.metrics import states
from resnoise.metrics.between import PointMeter
from resnoise.metrics.blocks import Chain, LinearBlock, chain
from resnoise.metrics.cushions import Cushions, cushions
from resnoise.metrics.layers import norms
from resnoise.metrics.probes import METHODS, ROUND, SKETCH
from resnoise.metrics.resumable import Measurement
from resnoise.metrics.spans import SpanNorms
from resnoise.specs.metrics import InterlayerCushionSpec
from resnoise.storage import csvfile
from resnoise.storage.files import remove
from resnoise.trained.run import Measurable

_log = logging.getLogger(__name__)

# Larger batches are no faster.
LARGEST_BATCH = 32
# Largest difference of two ways to compute a network, relative to its norm.
_ROUNDING = 1e-3
COLUMNS = ["snapshot", "first", "last", "sample", "cushion", "standard_error", "method", "probes"]
COLUMNS.append(states.COLUMN)
# The modules with whose outputs a span begins and ends, of networks that are no chain of blocks.
ENDS = ("from", "to")


class Meter:
    """Measures the interlayer cushions between the blocks of a ResNet.

    Attributes:
        names: none, because the blocks are known by their numbers.
    """

    names: Sequence[str] = ()

    def __init__(self, network: nn.Module, spec: InterlayerCushionSpec) -> None:
        """Prepare for a network; ``resnoise.metrics.blocks.chain`` says which ones it can take."""
        self.chain: Chain = chain(network)
        self.norms = SpanNorms(
            self.chain.blocks,
            relative_error=spec.relative_error,
            max_probes=spec.max_probes,
            seed=spec.probe_seed,
        )

    @property
    def blocks(self) -> int:
        """Return the number of blocks."""
        return len(self.chain.blocks)

    @torch.no_grad()
    def __call__(self, inputs: Tensor, samples: Sequence[int]) -> Cushions:
        """Return the cushions at inputs [B, C, H, W] of the network's dtype.

        Args:
            inputs: standardised pictures.
            samples: numbers of the pictures, on which the random vectors depend.
        """
        x = self.chain.stem(inputs)
        points, linear = [], []
        for block in self.chain.blocks:
            points.append(x)
            linear.append(block.linearise(x))
            x = linear[-1].output
        numerator = _responses(linear, points)
        estimates = self.norms.estimate(linear, samples)
        positions = [x.shape[2] * x.shape[3] for x in points]
        ends = np.stack([_norms(x[None])[0].cpu().numpy() for x in (*points, x)], axis=1)
        return cushions(positions, ends, numerator, estimates)

    @torch.no_grad()
    def picture_bytes(self, inputs: Tensor) -> int:
        """Return roughly how many bytes measuring one picture [1, C, H, W] takes.

        Inputs and masks of all blocks are held throughout. Besides them there are the random
        vectors of one round, or the sketch: about eight copies at the size of the largest layer.
        """
        x = self.chain.stem(inputs)
        held, largest = x.numel(), x.numel()
        for block in self.chain.blocks:
            masks = block.linearise(x).masks
            held += x.numel() + sum(mask.numel() for mask in masks)
            largest = max(largest, *(mask.numel() for mask in masks))
            x = masks[-1]
        vectors = max(ROUND, SKETCH, len(self.chain.blocks))
        # Masks of the samples that need more vectors are copied, and so is the sketch.
        return (3 * held + 8 * vectors * largest) * inputs.element_size()


def _responses(linear: Sequence[LinearBlock], points: Sequence[Tensor]) -> NDArray[np.float64]:
    """Return ||J x|| of all spans, [B, blocks, blocks], 0 for i > j."""
    count = len(linear)
    found = np.zeros((len(points[0]), count, count))
    v = points[0][None]
    for j, block in enumerate(linear):
        if j > 0:
            v = torch.cat([v, points[j][None]])
        v = block.forward(v)
        found[:, : j + 1, j] = _norms(v).t().cpu().numpy()
    return found


def _norms(v: Tensor) -> Tensor:
    """Return the 2-norms of [k, B, C, h, w], float64 [k, B]."""
    norms: Tensor = torch.linalg.vector_norm(v, dim=(2, 3, 4), dtype=torch.float64)
    return norms


def choose(
    network: nn.Module,
    spec: InterlayerCushionSpec,
    example: Tensor,
    memory_mb: int,
    between: Sequence[str] = (),
) -> "Meter | PointMeter":
    """Return what measures the interlayer cushions of a network of any architecture.

    Args:
        network: in evaluation mode, of the dtype to compute in.
        spec: how exact.
        example: inputs of two pictures, [2, C, H, W].
        memory_mb: memory for activations in megabytes.
        between: names of the modules between which to measure; none for all blocks.

    Raises:
        ResnoiseError: the network or a name cannot be used.
    """
    if not between and _is_chain(network, example):
        return Meter(network, spec)
    meter = PointMeter(network, spec, example, memory_mb, between)
    _log.info("interlayer cushions between the outputs of %s", ", ".join(meter.names))
    return meter


@torch.no_grad()
def _is_chain(network: nn.Module, example: Tensor) -> bool:
    """Whether ``resnoise.metrics.blocks`` can take a network, and computes what the network does.

    A network of another architecture may have parts of the same names. The log says why not.
    """
    try:
        parts = chain(network)
        groups = [child for name, child in network.named_children() if name.startswith("layer")]
        last = [*groups[-1].children()][-1]
    # Anything can be in parts of the same names.
    except Exception as error:
        _log.info("no chain of blocks: %s", quoted(error))
        return False
    seen: list[Tensor] = []
    keep = last.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    try:
        with keep:
            network(example)
        x = parts.stem(example)
        for block in parts.blocks:
            x = block.linearise(x).output
        (output,) = seen
        same = x.shape == output.shape
        if same:
            # What overflows, and is not a number, is no difference.
            same = not bool((norms(x - output) > _ROUNDING * norms(output)).any())
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        _log.info("no chain of blocks: %s", quoted(error))
        return False
    if not same:
        _log.info("no chain of blocks: they compute something else than the network")
    return same


def measure_run(
    run: Measurable,
    spec: InterlayerCushionSpec,
    outputs: Sequence[Path],
    computing: Computing,
    between: Sequence[str] = (),
) -> None:
    """Write the interlayer cushions of a run as CSV, a row for each picture and span.

    Columns: snapshot ("final", or every kept one), first and last (numbers of the span's blocks,
    from 1), sample (index of the picture in the training set), cushion, standard_error, method
    ("closed form", "signs", "sketch", or "rows" for the sum over all rows of J), probes (number of
    vectors from which it was estimated), state ("dead" or "exploded" where there is no cushion; see
    ``Cushions``); and for networks that are no chain of blocks as the project's own are, from and
    to (names of the modules with whose outputs the span begins and ends). The final weights of a
    diverged run have no rows. A killed measurement continues where it was.

    Args:
        run: the run, or a network trained elsewhere.
        spec: which pictures and snapshots, and how exact.
        outputs: the CSV file to write.
        computing: where to compute.
        between: names of the modules between which to measure; none for all blocks.

    Raises:
        ResnoiseError: more pictures are wanted than the training set has.
    """
    (output,) = outputs
    measured = Measurement(run, spec, output, computing)
    dtype = devices.WEIGHT_DTYPES[spec.precision]
    example = measured.example().to(dtype)
    meters = {
        label: choose(network.to(dtype), spec, example, computing.memory_mb, between)
        for label, network in measured.networks.items()
    }
    fields = [field.name for field in dataclasses.fields(Cushions)]
    state: dict[str, NDArray[np.float64]] = {}
    for label, meter in meters.items():
        shape = (len(measured.samples), meter.blocks, meter.blocks)
        state |= {f"{label}/{field}": np.full(shape, np.nan) for field in fields}

    def picture_bytes(label: str, one: Tensor) -> float:
        return meters[label].picture_bytes(one.to(dtype))

    for part, inputs in measured.batches(state, picture_bytes, LARGEST_BATCH):
        for label, meter in meters.items():
            found = meter(inputs.to(dtype), measured.samples[part].tolist())
            for field in fields:
                state[f"{label}/{field}"][part] = getattr(found, field)
    frames = (
        frame
        for label, meter in meters.items()
        for frame in rows(
            label,
            Cushions(*(state[f"{label}/{field}"] for field in fields)),
            measured.samples,
            meter.names,
        )
    )
    named = any(len(meter.names) for meter in meters.values())
    columns = [*COLUMNS, *(ENDS if named else ())]
    csvfile.write_parts(output, frames, columns, float_format="%.7g")
    remove(measured.checkpoint)


def rows(
    label: str, found: Cushions, samples: NDArray[np.int64], names: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Yield the rows of one span after the other; the columns are those of ``measure_run``.

    Args:
        label: of the weights, for the column snapshot.
        found: cushions of all pictures.
        samples: [B], numbers of the pictures.
        names: of the points between blocks, one more than blocks; none for no columns from and to.
    """
    for i, j in zip(*np.triu_indices(found.value.shape[1]), strict=True):
        columns: dict[str, Any] = {
            "snapshot": label,
            "first": i + 1,
            "last": j + 1,
            "sample": samples,
            "cushion": states.numbers(found.value[:, i, j]),
            "standard_error": found.standard_error[:, i, j],
            "method": [METHODS[int(m)] for m in found.method[:, i, j]],
            "probes": found.probes[:, i, j].astype(int),
            states.COLUMN: states.texts(found.value[:, i, j]),
        }
        if names:
            columns |= dict(zip(ENDS, (names[int(i)], names[int(j) + 1]), strict=True))
        yield pd.DataFrame(columns)
