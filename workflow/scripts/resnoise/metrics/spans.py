"""Frobenius norms of the Jacobians of all spans of blocks, at several inputs at once.

A span (i, j) is the map from the input of block i to the output of block j, with Jacobian J at a
given input. One block has a closed form (``resnoise.metrics.jacobian_norm``). For longer spans,

    E ||J^T u||^2 = ||J||_F^2    for random signs u,

and one u sent backward from block j gives an estimate for every i at once. The spread over several
u tells how exact their mean is, and so how many are needed: few where the singular values of J
are alike, hundreds where a few of them dominate, as in the late blocks of trained plain networks.
There the estimate is split, as in Hutch++ (Meyer et al. 2021): with orthonormal columns Q,

    ||J||_F^2 = ||J^T Q||_F^2 + E ||J^T (1 - Q Q^T) u||^2,

where the first part is exact and the second has little spread if Q spans the dominant directions at
the output of block j. Any Q that is independent of u is right. Here the blocks map a few random
vectors at the input of the first block to it, so that one forward pass serves all spans.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnoise.metrics.blocks import Block, LinearBlock
from resnoise.metrics.jacobian_norm import ExactNorm, has_closed_form

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

METHODS = ("", "closed form", "signs", "sketch")
CLOSED_FORM, SIGNS, SKETCHED = 1, 2, 3


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Squared norms of all spans' Jacobians, float64 [S, blocks, blocks], at [s, i, j] with i <= j.

    Attributes:
        squared: ||J||_F^2 or its estimate; NaN for i > j.
        deviation: standard error of ``squared``; 0 where it is exact. For few vectors it is widened
            according to Student's distribution, so that +-1.96 times it is a 95 % interval for any
            number.
        probes: vectors sent through the blocks for it; 0 for the closed form.
        method: position in ``METHODS``; 0 for i > j.
    """

    squared: NDArray[np.float64]
    deviation: NDArray[np.float64]
    probes: NDArray[np.float64]
    method: NDArray[np.float64]


class SpanNorms:
    """Norms of a chain of blocks for inputs of one size; all that needs only weights is kept."""

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        relative_error: float,
        max_probes: int,
        seed: int,
        closed_form: bool = True,
    ) -> None:
        """Prepare.

        Args:
            blocks: the chain.
            relative_error: standard error of ||J||_F, relative to it, at which to stop.
            max_probes: number of random signs after which to stop, for each sample and span.
            seed: of the random vectors, which otherwise depend only on the number of the sample.
            closed_form: use the closed form of blocks that have one; False estimates these too.
        """
        self.blocks = blocks
        self.relative_error = relative_error
        self.max_probes = max_probes
        self.seed = seed
        self.closed_form = closed_form
        self.exact: dict[int, ExactNorm] = {}

    def estimate(self, chain: Sequence[LinearBlock], samples: Sequence[int]) -> Estimates:
        """Return the norms of all spans.

        Args:
            chain: the blocks' Jacobians at S inputs.
            samples: numbers of the S samples. The vectors of a sample do not depend on the others.
        """
        count = len(chain)
        shape = (len(samples), count, count)
        result = Estimates(np.full(shape, np.nan), *(np.zeros(shape) for _ in range(3)))
        hard = [self._signs(chain, j, samples, result) for j in range(count)]
        self._sketches(chain, hard, samples, result)
        for j, linear in enumerate(chain):
            if self._is_exact(linear.block):
                norms = self._exact(j, linear)
                result.squared[:, j, j] = norms.squared(linear).cpu().numpy()
                for array in (result.deviation, result.probes):
                    array[:, j, j] = 0
                result.method[:, j, j] = CLOSED_FORM
        return result

    def _exact(self, j: int, linear: LinearBlock) -> ExactNorm:
        if j not in self.exact:
            self.exact[j] = ExactNorm(linear.block, *linear.size)
        return self.exact[j]

    def _first_estimated(self, chain: Sequence[LinearBlock], j: int) -> int:
        """Return how many of the spans that end with block j, longest first, are estimated."""
        return j if self._is_exact(chain[j].block) else j + 1

    def _is_exact(self, block: Block) -> bool:
        return self.closed_form and has_closed_form(block)

    def _signs(
        self, chain: Sequence[LinearBlock], j: int, samples: Sequence[int], result: Estimates
    ) -> Tensor:
        """Estimate all spans that end with block j; return the samples that need a sketch."""
        device = chain[j].output.device
        spans = self._first_estimated(chain, j)
        active = torch.arange(len(samples), device=device)
        hard = active[:0]
        if spans == 0:
            return hard
        draw = _Signs(self.seed, samples, f"block {j}")
        tally = _Tally(len(samples), j + 1, device)
        part: Sequence[LinearBlock] = chain[: j + 1]
        while len(active):
            rows = active.tolist()
            u = draw.next(rows, chain[j].output.shape[1:], chain[j].output, tally.next_round)
            tally.add(active, _backward(part, u))
            needed = tally.needed(active, self.relative_error, spans)
            if tally.drawn == FIRST_ROUND + ROUND:
                hard = active[needed.clamp(max=self.max_probes) > WORTH_A_SKETCH]
            keep = (needed > tally.drawn) & (tally.drawn < self.max_probes)
            keep &= ~torch.isin(active, hard)
            done = active[~keep]
            tally.write(done, spans, j, SIGNS, 0, result)
            if not bool(keep.all()):
                part = [linear.select(keep) for linear in part]
            active = active[keep]
        return hard

    def _sketches(
        self,
        chain: Sequence[LinearBlock],
        wanted: Sequence[Tensor],
        samples: Sequence[int],
        result: Estimates,
    ) -> None:
        """Estimate spans by sketch and signs.

        Args:
            chain: the blocks.
            wanted: for every last block j, positions of the samples that need it.
            samples: numbers of the samples.
            result: written to.
        """
        anyone = torch.unique(torch.cat([*wanted]))
        if not len(anyone):
            return
        chain = [linear.select(anyone) for linear in chain]
        chosen = [samples[row] for row in anyone.tolist()]
        first = chain[0]
        inputs = first.block.convolutions[0].kernel.shape[1]
        columns = min(SKETCH, inputs * math.prod(first.size))
        signs = _Signs(self.seed, chosen, "sketch")
        v = signs.next(range(len(chosen)), (inputs, *first.size), first.masks[0], columns)
        for j, linear in enumerate(chain):
            v = _orthonormal(linear.forward(v))
            here = torch.isin(anyone, wanted[j]).nonzero()[:, 0]
            if len(here):
                part = [block.select(here) for block in chain[: j + 1]]
                names = [chosen[row] for row in here.tolist()]
                self._sketched(part, j, v[:, here], names, anyone[here], result)

    def _sketched(
        self,
        chain: Sequence[LinearBlock],
        j: int,
        q: Tensor,
        samples: Sequence[int],
        positions: Tensor,
        result: Estimates,
    ) -> None:
        """Estimate all spans that end with block j, the last of the chain, with the help of Q.

        Args:
            chain: blocks up to j at S inputs.
            j: number of the last one.
            q: orthonormal columns, [columns, S, C, h, w].
            samples: numbers of the samples.
            positions: their positions in ``result``.
            result: written to.
        """
        spans = self._first_estimated(chain, j)
        head = _backward(chain, q.clone()).sum(0)
        tally = _Tally(len(samples), j + 1, q.device, head)
        draw = _Signs(self.seed, samples, f"rest of block {j}")
        active = torch.arange(len(samples), device=q.device)
        while len(active):
            u = draw.next(active.tolist(), q.shape[2:], q, tally.next_round)
            tally.add(active, _backward(chain, _without(q, u)))
            needed = tally.needed(active, self.relative_error, spans)
            keep = (needed > tally.drawn) & (tally.drawn < self.max_probes)
            done = active[~keep]
            tally.write(done, spans, j, SKETCHED, 2 * len(q), result, positions)
            if not bool(keep.all()):
                chain = [linear.select(keep) for linear in chain]
                q = q[:, keep]
            active = active[keep]


class _Signs:
    """Random signs; those of a sample do not depend on the other samples."""

    def __init__(self, seed: int, samples: Sequence[int], purpose: str) -> None:
        words = list(purpose.encode())
        self.streams = [
            np.random.PCG64(np.random.SeedSequence([seed, sample, *words])) for sample in samples
        ]

    def next(self, rows: Sequence[int], shape: Sequence[int], like: Tensor, count: int) -> Tensor:
        """Return the next [count, rows, *shape] for some of the samples, channels last."""
        channels, height, width = shape
        size = math.prod(shape)
        words = -(-size // 64)
        signs = torch.empty(count, len(rows), size, dtype=like.dtype)
        table = _SIGNS_OF_BYTES.to(like.dtype).numpy()
        for place, row in enumerate(rows):
            drawn = self.streams[row].random_raw(count * words).astype("<u8").view(np.uint8)
            part = table.take(drawn, axis=0).reshape(count, -1)[:, :size]
            signs[:, place] = torch.from_numpy(part)
        shaped = signs.view(count, len(rows), height, width, channels)
        return shaped.permute(0, 1, 4, 2, 3).to(like.device)


# The eight signs that each byte stands for.
_SIGNS_OF_BYTES = torch.from_numpy(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64) * 2 - 1
)


class _Tally:
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
        variance *= _student(self.drawn - 1) ** 2
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
        deviation = (self.variance(samples) / self.drawn).sqrt() * _student(self.drawn - 1)
        result.squared[places] = self.mean(samples)[:, :spans].cpu().numpy()
        result.deviation[places] = deviation[:, :spans].cpu().numpy()
        result.probes[places] = self.drawn + extra
        result.method[places] = method


def _student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's distribution divided by that of the normal one.

    By the Cornish-Fisher expansion to third order; within 1 % from 3 degrees of freedom on.
    """
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return 1 + (first / freedom + second / freedom**2 + third / freedom**3) / z


def _backward(chain: Sequence[LinearBlock], u: Tensor) -> Tensor:
    """Return ||J^T u||^2 of the spans from every block to the last one, float64 [k, S, blocks].

    Args:
        chain: the blocks.
        u: vectors at the output of the last one, [k, S, C, h, w], overwritten.
    """
    squares = []
    for linear in reversed(chain):
        u = linear.backward(u)
        squares.append(torch.linalg.vector_norm(u, dim=(2, 3, 4), dtype=torch.float64).square())
    return torch.stack(squares[::-1], dim=2)


def _orthonormal(v: Tensor) -> Tensor:
    """Return an orthonormal basis of the span of k vectors, for each of S samples."""
    columns = v.flatten(2).permute(1, 2, 0)
    basis = torch.linalg.qr(columns)[0].permute(2, 0, 1)
    basis = basis.reshape(-1, *v.shape[1:])
    return _channels_last(basis)


def _without(q: Tensor, u: Tensor) -> Tensor:
    """Return (1 - Q Q^T) u for Q [columns, S, ...] and u [k, S, ...]."""
    basis, vectors = q.flatten(2), u.flatten(2)
    inner = torch.einsum("csn,ksn->ksc", basis, vectors)
    rest = vectors - torch.einsum("csn,ksc->ksn", basis, inner)
    return _channels_last(rest.view(u.shape))


def _channels_last(x: Tensor) -> Tensor:
    """Return [k, S, C, h, w] in the order in memory in which convolutions are fastest."""
    flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return flat.view(x.shape)
