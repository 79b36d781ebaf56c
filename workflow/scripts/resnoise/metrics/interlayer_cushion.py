"""Interlayer cushions (section 5; Arora et al. 2018): how well spans of layers carry real inputs.

For the map from the input x of block i, of h x w pixels, to the output of block j, with Jacobian J
at x (batch normalisation in evaluation mode), the cushion is

    sqrt(h w) ||J x|| / (||J||_F ||x||).

J x is exact, and so is ||J||_F of a single block of at most two convolutions. For longer spans
||J||_F is estimated, with a standard error (``resnoise.metrics.spans``).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resnoise import devices
from resnoise.devices import Computing
from resnoise.metrics import states
from resnoise.metrics.blocks import Chain, LinearBlock, chain
from resnoise.metrics.resumable import Measurement
from resnoise.metrics.spans import METHODS, ROUND, SKETCH, SpanNorms
from resnoise.specs.metrics import InterlayerCushionSpec
from resnoise.storage.digests import csv_path
from resnoise.storage.files import remove
from resnoise.trained.run import Measurable

# Larger batches are no faster.
LARGEST_BATCH = 32
COLUMNS = ["snapshot", "first", "last", "sample", "cushion", "standard_error", "method", "probes"]
COLUMNS.append(states.COLUMN)


@dataclasses.dataclass(frozen=True)
class Cushions:
    """Interlayer cushions, float64 [B, blocks, blocks], at [b, i, j] with i <= j.

    Attributes:
        value: the cushion; NaN for i > j and where the span is dead, because x or J is 0 or because
            the output of a block before it is 0; infinite where it has exploded
            (``resnoise.metrics.states``).
        standard_error: of ``value``; 0 where it is exact.
        method: position in ``resnoise.metrics.spans.METHODS``.
        probes: number of vectors from which ||J||_F was estimated.
    """

    value: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    method: NDArray[np.float64]
    probes: NDArray[np.float64]


class Meter:
    """Measures the interlayer cushions of one network."""

    def __init__(self, network: nn.Module, spec: InterlayerCushionSpec) -> None:
        """Prepare for a network; ``resnoise.metrics.blocks.chain`` says which ones it can take."""
        self.chain: Chain = chain(network)
        self.norms = SpanNorms(
            self.chain.blocks,
            relative_error=spec.relative_error,
            max_probes=spec.max_probes,
            seed=spec.probe_seed,
        )

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
        size = np.array([math.sqrt(x.shape[2] * x.shape[3]) for x in points])
        ends = np.stack([_norms(x[None])[0].cpu().numpy() for x in (*points, x)], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = (size / ends[:, :-1])[:, :, None]
            value = scale * numerator / np.sqrt(estimates.squared)
            # The relative error of a square root is half that of its argument.
            error = np.where(
                estimates.deviation > 0, value * estimates.deviation / (2 * estimates.squared), 0
            )
        value = _named(value, ends, numerator, estimates.squared)
        error[~np.isfinite(value)] = np.nan
        return Cushions(value, error, estimates.method, estimates.probes)

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


def _named(
    value: NDArray[np.float64],
    ends: NDArray[np.float64],
    numerator: NDArray[np.float64],
    squared: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the cushions, [B, blocks, blocks], with NaN for dead spans and infinity for exploded.

    Args:
        value: the cushions as computed.
        ends: norms of the activations before and after every block, [B, blocks + 1].
        numerator: ||J x||, [B, blocks, blocks].
        squared: ||J||_F^2.
    """
    # Behind a block whose output is 0, all pictures have the same activations.
    lost = np.logical_or.accumulate(ends == 0, axis=1)[:, :-1, None]
    overflow = np.logical_or.accumulate(~np.isfinite(ends), axis=1)[:, None, 1:]
    exploded = overflow | ~np.isfinite(numerator + squared)
    found = np.where(exploded, np.inf, np.where(lost | (squared == 0), np.nan, value))
    return np.where(np.tri(value.shape[1], k=-1), np.nan, found)


def _norms(v: Tensor) -> Tensor:
    """Return the 2-norms of [k, B, C, h, w], float64 [k, B]."""
    norms: Tensor = torch.linalg.vector_norm(v, dim=(2, 3, 4), dtype=torch.float64)
    return norms


def measure_run(
    run: Measurable,
    spec: InterlayerCushionSpec,
    outputs: Sequence[Path],
    computing: Computing,
) -> None:
    """Write the interlayer cushions of a run as CSV, a row for each picture and span.

    Columns: snapshot ("final", or every kept one), first and last (numbers of the span's blocks,
    from 1), sample (index of the picture in the training set), cushion, standard_error, method
    ("closed form", "signs" or "sketch"), probes (number of vectors from which it was estimated),
    state ("dead" or "exploded" where there is no cushion; see ``Cushions``). The final weights of a
    diverged run have no rows. A killed measurement continues where it was.

    Args:
        run: the run, or a network trained elsewhere.
        spec: which pictures and snapshots, and how exact.
        outputs: the CSV file to write.
        computing: where to compute.

    Raises:
        ResnoiseError: more pictures are wanted than the training set has.
    """
    (output,) = outputs
    measured = Measurement(run, spec, output, computing)
    dtype = devices.WEIGHT_DTYPES[spec.precision]
    meters = {label: Meter(network.to(dtype), spec) for label, network in measured.networks.items()}
    fields = [field.name for field in dataclasses.fields(Cushions)]
    state: dict[str, NDArray[np.float64]] = {}
    for label, meter in meters.items():
        shape = (len(measured.samples), *2 * (len(meter.chain.blocks),))
        state |= {f"{label}/{field}": np.full(shape, np.nan) for field in fields}

    def picture_bytes(label: str, one: Tensor) -> int:
        return meters[label].picture_bytes(one.to(dtype))

    for part, inputs in measured.batches(state, picture_bytes, LARGEST_BATCH):
        for label, meter in meters.items():
            found = meter(inputs.to(dtype), measured.samples[part].tolist())
            for field in fields:
                state[f"{label}/{field}"][part] = getattr(found, field)
    with csv_path(output) as temporary:
        _write(temporary, list(meters), state, measured.samples)
    remove(measured.checkpoint)


def _write(
    path: Path,
    labels: Sequence[str],
    state: Mapping[str, NDArray[np.float64]],
    samples: NDArray[np.int64],
) -> None:
    """Write the rows span by span, so that only the text of one span is in memory."""
    pd.DataFrame(columns=COLUMNS).to_csv(path, index=False)
    for label in labels:
        value, error, method, probes = (
            state[f"{label}/{field.name}"] for field in dataclasses.fields(Cushions)
        )
        for i, j in zip(*np.triu_indices(value.shape[1]), strict=True):
            rows = {
                "snapshot": label,
                "first": i + 1,
                "last": j + 1,
                "sample": samples,
                "cushion": states.numbers(value[:, i, j]),
                "standard_error": error[:, i, j],
                "method": [METHODS[int(m)] for m in method[:, i, j]],
                "probes": probes[:, i, j].astype(int),
                states.COLUMN: states.texts(value[:, i, j]),
            }
            frame = pd.DataFrame(rows)
            frame.to_csv(path, mode="a", header=False, index=False, float_format="%.7g")
