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

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from resnoise.metrics.blocks import Block, LinearBlock
from resnoise.metrics.jacobian_norm import ExactNorm, has_closed_form
from resnoise.metrics.probes import (
    CLOSED_FORM,
    FIRST_ROUND,
    ROUND,
    SIGNS,
    SKETCH,
    SKETCHED,
    WORTH_A_SKETCH,
    Estimates,
    Signs,
    Tally,
)


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
        result = Estimates.of(len(samples), count)
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
        draw = Signs(self.seed, samples, f"block {j}")
        tally = Tally(len(samples), j + 1, device)
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
        signs = Signs(self.seed, chosen, "sketch")
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
        tally = Tally(len(samples), j + 1, q.device, head)
        draw = Signs(self.seed, samples, f"rest of block {j}")
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
