"""Interlayer cushions of one network at several pictures, and what becomes of those without one."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resnoise.metrics.probes import Estimates


@dataclasses.dataclass(frozen=True)
class Cushions:
    """Interlayer cushions, float64 [B, blocks, blocks], at [b, i, j] with i <= j.

    Attributes:
        value: the cushion; NaN for i > j and where the span is dead, because x or J is 0 or because
            the output of a block before it is 0; infinite where it has exploded
            (``resnoise.metrics.states``).
        standard_error: of ``value``; 0 where it is exact.
        method: position in ``resnoise.metrics.probes.METHODS``.
        probes: number of vectors from which ||J||_F was estimated.
    """

    value: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    method: NDArray[np.float64]
    probes: NDArray[np.float64]


def joined(parts: Sequence[Cushions]) -> Cushions:
    """Return the cushions of all pictures of some parts, in their order."""
    fields = [field.name for field in dataclasses.fields(Cushions)]
    return Cushions(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def cushions(
    positions: Sequence[int],
    ends: NDArray[np.float64],
    numerator: NDArray[np.float64],
    estimates: Estimates,
) -> Cushions:
    """Return sqrt(positions) ||J x|| / (||J||_F ||x||) of all spans.

    Args:
        positions: of the input of each block: its pixels, or tokens.
        ends: norms of the activations before and after every block, [B, blocks + 1].
        numerator: ||J x||, [B, blocks, blocks].
        estimates: of ||J||_F^2.
    """
    size = np.sqrt(np.array(positions, dtype=np.float64))
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
