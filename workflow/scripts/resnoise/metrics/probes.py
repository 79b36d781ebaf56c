"""Squared Frobenius norms from random vectors: drawing them, and how many are enough.

For random signs u, ||J^T u||^2 is on average ||J||_F^2. The spread over several u tells how exact
their mean is.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Random vectors in the first round and in each later one; the spread is checked after each round.
# The first round is too small to estimate the spread well: estimates stop after it only if half as
# many vectors would have been enough.
FIRST_ROUND = 4
ROUND = 8
CLEARLY = 2
# Columns of Q, and the number of vectors above which computing Q pays: its columns pass through the
# blocks twice, forward and backward.
SKETCH = 24
WORTH_A_SKETCH = 60

METHODS = ("", "closed form", "signs", "sketch", "rows")
CLOSED_FORM, SIGNS, SKETCHED, ROWS = 1, 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Squared norms of all spans' Jacobians, float64 [S, blocks, blocks], at [s, i, j] with i <= j.

    Attributes:
        squared: ||J||_F^2 or its estimate; NaN for i > j.
        deviation: standard error of ``squared``; 0 where it is exact. For few vectors it is widened
            according to Student's distribution, so that +-1.96 times it is a 95 % interval for any
            number.
        probes: vectors sent through the blocks for it; 0 for the closed form, and the number of
            rows of J if it is the sum over all of them.
        method: position in ``METHODS``; 0 for i > j.
    """

    squared: NDArray[np.float64]
    deviation: NDArray[np.float64]
    probes: NDArray[np.float64]
    method: NDArray[np.float64]

    @classmethod
    def of(cls, samples: int, blocks: int) -> "Estimates":
        """Return estimates of so many samples and blocks, of which none is known yet."""
        shape = samples, blocks, blocks
        return cls(np.full(shape, np.nan), *(np.zeros(shape) for _ in range(3)))


class Signs:
    """Random signs; those of a sample do not depend on the other samples."""

    def __init__(self, seed: int, samples: Sequence[int], purpose: str) -> None:
        words = list(purpose.encode())
        self.streams = [
            np.random.PCG64(np.random.SeedSequence([seed, sample, *words])) for sample in samples
        ]

    def next(self, rows: Sequence[int], shape: Sequence[int], like: Tensor, count: int) -> Tensor:
        """Return the next [count, rows, *shape] for some of the samples, channels last."""
        channels, height, width = shape
        signs = self.flat(rows, math.prod(shape), like.dtype, count)
        shaped = signs.view(count, len(rows), height, width, channels)
        return shaped.permute(0, 1, 4, 2, 3).to(like.device)

    def flat(self, rows: Sequence[int], size: int, dtype: torch.dtype, count: int) -> Tensor:
        """Return the next [count, rows, size] for some of the samples, on the CPU."""
        words = -(-size // 64)
        signs = torch.empty(count, len(rows), size, dtype=dtype)
        table = _SIGNS_OF_BYTES.to(dtype).numpy()
        for place, row in enumerate(rows):
            drawn = self.streams[row].random_raw(count * words).astype("<u8").view(np.uint8)
            part = table.take(drawn, axis=0).reshape(count, -1)[:, :size]
            signs[:, place] = torch.from_numpy(part)
        return signs


# The eight signs that each byte stands for.
_SIGNS_OF_BYTES = torch.from_numpy(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64) * 2 - 1
)


class Tally:
    """Sums over random vectors for every sample and span with one last block."""

    def __init__(
        self, samples: int, spans: int, device: torch.device, head: Tensor | None = None
    ) -> None:
        """Start at 0; ``head`` [S, spans] is the part of the squared norms that is exact."""
        self.drawn = 0
        self.first = torch.zeros(samples, spans, dtype=torch.float64, device=device)
        self.second = torch.zeros_like(self.first)
        self.head = torch.zeros_like(self.first) if head is None else head

    @property
    def next_round(self) -> int:
        """Return how many vectors to draw."""
        return ROUND if self.drawn else FIRST_ROUND

    def add(self, samples: Tensor, squares: Tensor) -> None:
        """Add squared norms [k, len(samples), spans]."""
        self.drawn += len(squares)
        self.first[samples] += squares.sum(0)
        self.second[samples] += squares.square().sum(0)

    def mean(self, samples: Tensor) -> Tensor:
        """Return the estimated squared norms, [len(samples), spans]."""
        return self.head[samples] + self.first[samples] / self.drawn

    def variance(self, samples: Tensor) -> Tensor:
        """Return the variance of one vector's estimate, [len(samples), spans]."""
        n = self.drawn
        spread = self.second[samples] - self.first[samples].square() / n
        return (spread / (n - 1)).clamp(min=0)

    def needed(self, samples: Tensor, relative_error: float, spans: int) -> Tensor:
        """Return how many vectors the worst of the first ``spans`` spans needs, for each sample.

        The relative error of a square root is half that of its argument. After the first round the
        number is increased, to be safe.
        """
        mean, variance = self.mean(samples)[:, :spans], self.variance(samples)[:, :spans]
        variance *= student(self.drawn - 1) ** 2
        limit = (2 * relative_error * mean).square()
        safety = CLEARLY if self.drawn == FIRST_ROUND else 1
        return torch.where(variance > 0, safety * variance / limit, 0).amax(1)

    def write(
        self,
        samples: Tensor,
        spans: int,
        j: int,
        method: int,
        extra: int,
        result: Estimates,
        positions: Tensor | None = None,
    ) -> None:
        """Write the results of some samples; ``extra`` counts the vectors besides the signs."""
        rows = (samples if positions is None else positions[samples]).cpu().numpy()[:, None]
        places = (rows, np.arange(spans)[None], j)
        deviation = (self.variance(samples) / self.drawn).sqrt() * student(self.drawn - 1)
        result.squared[places] = self.mean(samples)[:, :spans].cpu().numpy()
        result.deviation[places] = deviation[:, :spans].cpu().numpy()
        result.probes[places] = self.drawn + extra
        result.method[places] = method


def student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's distribution divided by that of the normal one.

    By the Cornish-Fisher expansion to third order; within 1 % from 3 degrees of freedom on.
    """
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return 1 + (first / freedom + second / freedom**2 + third / freedom**3) / z
