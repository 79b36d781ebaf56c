"""Interlayer cushions between points of any network, by automatic differentiation.

For the map from the tensor x at one point to that at a later one, with Jacobian J at x, the cushion
is ``sqrt(n) ||J x|| / (||J||_F ||x||)``, where n is the number of positions of x: the pixels of a
picture, as in ``resnoise.metrics.interlayer_cushion``, or tokens. What reaches the later point by
other ways than through x, which is possible between modules that the user names, is held constant.

J x is exact, by forward differentiation. ||J||_F^2 is the sum over all rows of J where they are
few; otherwise it is estimated from J^T u for random signs u, by backward differentiation, and where
that needs many, in part from a sketch, as in ``resnoise.metrics.spans``.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.autograd.forward_ad as forward
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from resnoise.metrics.calls import Calls, frozen
from resnoise.metrics.cushions import Cushions, cushions, joined
from resnoise.metrics.layers import norms
from resnoise.metrics.points import cuts, named
from resnoise.metrics.probes import (
    FIRST_ROUND,
    ROUND,
    ROWS,
    SIGNS,
    SKETCH,
    SKETCHED,
    WORTH_A_SKETCH,
    Estimates,
    Signs,
    Tally,
)
from resnoise.metrics.resumable import batch_size
from resnoise.specs.metrics import InterlayerCushionSpec

# A Jacobian of at most so many rows is computed row by row.
_FEW_ROWS = 128
# Copies of a picture that carry a vector each through the network at once: more are no faster.
_MOST_COPIES = 16
# The tallies are of one picture.
_ONLY = torch.zeros(1, dtype=torch.long)
# Forward differentiation holds a tangent beside each activation, and inputs beside outputs.
_FORWARD_COPIES = 4


class PointMeter:
    """Measures the interlayer cushions between points of one network.

    Attributes:
        names: names of the points; block k is what is between points k - 1 and k.
        copies: number of copies of a picture that pass through the network at once, as many as the
            memory allows.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: InterlayerCushionSpec,
        example: Tensor,
        memory_mb: int,
        between: Sequence[str] = (),
    ) -> None:
        """Find the points.

        Args:
            network: in evaluation mode, of the dtype to compute in.
            spec: how exact.
            example: inputs of two pictures, [2, C, H, W].
            memory_mb: memory for activations in megabytes.
            between: names of the modules whose outputs are the points; none for all cuts.

        Raises:
            ResnoiseError: the network or a name cannot be used; see ``resnoise.metrics.points``.
        """
        self.spec = spec
        calls = Calls(network, example)
        picture = example[:1]
        self.points = named(calls, between, picture) if between else cuts(calls, picture)
        self.names: Sequence[str] = [point.name for point in self.points.points]
        self.independent = calls.independent
        need = self._saved_bytes(picture)
        self.copies = batch_size(need, memory_mb, _MOST_COPIES if self.independent else 1)
        with torch.no_grad():
            sketch = SKETCH * _FORWARD_COPIES * calls.picture_bytes(picture)
        self.sketches = self.independent and sketch <= memory_mb * 1e6

    @property
    def blocks(self) -> int:
        """Return the number of blocks, one less than that of points."""
        return len(self.names) - 1

    def picture_bytes(self, _one: Tensor) -> float:
        """Return 1: pictures are measured one by one, within the memory given to the meter."""
        return 1.0

    def __call__(self, inputs: Tensor, samples: Sequence[int]) -> Cushions:
        """Return the cushions at inputs [B, C, H, W] of the network's dtype.

        Args:
            inputs: standardised pictures.
            samples: numbers of the pictures, on which the random vectors depend.
        """
        return joined(
            [self._one(inputs[place : place + 1], sample) for place, sample in enumerate(samples)]
        )

    def _one(self, x: Tensor, sample: int) -> Cushions:
        with frozen(self.points.calls.network):
            positions, ends, numerator = self._responses(x)
            estimates = self._norms(x, sample)
        return cushions(positions[:-1], ends, numerator, estimates)

    @torch.no_grad()
    def _responses(self, x: Tensor) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
        """Return the points' positions and norms, and ||J x|| of all spans, [1, blocks, blocks].

        A pass with a copy of the picture for each start of a span, where the copy's tangent begins.
        """
        count = self.blocks
        positions = [0] * len(self.names)
        ends = np.zeros((1, len(self.names)))
        found = np.zeros((1, count, count))
        for begin in range(0, count, self.copies):
            starts = list(range(begin, min(begin + self.copies, count)))

            def see(number: int, output: Tensor, starts: list[int] = starts) -> Tensor:
                value, tangent = forward.unpack_dual(output)  # type: ignore[no-untyped-call]
                positions[number] = self.points.points[number].positions(value[:1].shape)
                ends[0, number] = float(norms(value[:1]))
                tangent = torch.zeros_like(value) if tangent is None else tangent.clone()
                sizes = norms(tangent).cpu().numpy()
                for copy, start in enumerate(starts):
                    if start < number:
                        found[0, start, number - 1] = sizes[copy]
                    elif start == number:
                        tangent[copy] = value[copy]
                dual: Tensor = forward.make_dual(value.clone(), tangent)  # type: ignore[no-untyped-call]
                return dual

            with forward.dual_level():
                self.points.run(_copied(x, len(starts)), see)
        return positions, ends, found

    def _graph(self, x: Tensor, copies: int) -> list[Tensor]:
        """Return the tensors of all points, [copies, ...], with the graph between them."""
        tensors: list[Tensor] = []

        def see(_number: int, output: Tensor) -> Tensor:
            if not output.requires_grad:
                output = output.detach().requires_grad_()
            tensors.append(output)
            # What follows may overwrite it.
            return output.clone()

        with torch.enable_grad():
            self.points.run(_copied(x, copies), see)
        return tensors

    def _saved_bytes(self, picture: Tensor) -> int:
        """Return the bytes that the graph of one copy of a picture holds, and its gradients."""
        held: dict[int, int] = {}
        weights = {weight.data_ptr() for weight in self.points.calls.network.parameters()}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in weights:
                held[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        with frozen(self.points.calls.network), saved_tensors_hooks(pack, lambda x: x):
            tensors = self._graph(picture, 1)
        points = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        # The points, their copies and their gradients.
        return sum(held.values()) + 3 * points

    def _norms(self, x: Tensor, sample: int) -> Estimates:
        """Return ||J||_F^2 of all spans."""
        count = self.blocks
        result = Estimates.of(1, count)
        graph = self._graph(x, self.copies)
        sketch: list[Tensor] = []
        for j in range(1, count + 1):
            size = graph[j][0].numel()
            if size <= _FEW_ROWS:
                squares = _backward(graph, j, torch.eye(size, dtype=x.dtype, device=x.device))
                place = (0, slice(j), j - 1)
                result.squared[place] = squares.sum(0).numpy()
                result.probes[place], result.method[place] = size, ROWS
                continue
            draw = Signs(self.spec.probe_seed, [sample], f"point {j}")
            tally = Tally(1, j, torch.device("cpu"))
            if self._enough(tally, graph, j, draw, None):
                tally.write(_ONLY, j, j - 1, SIGNS, 0, result)
                continue
            sketch = sketch or self._sketch(x, sample)
            q = sketch[j]
            head = _backward(graph, j, q).sum(0)
            tally = Tally(1, j, torch.device("cpu"), head[None])
            draw = Signs(self.spec.probe_seed, [sample], f"rest of point {j}")
            self._enough(tally, graph, j, draw, q)
            tally.write(_ONLY, j, j - 1, SKETCHED, 2 * len(q), result)
        return result

    def _enough(
        self, tally: Tally, graph: list[Tensor], j: int, draw: Signs, q: Tensor | None
    ) -> bool:
        """Send random vectors from point j backward until the standard error is small enough.

        Args:
            tally: where to count them.
            graph: the points' tensors.
            j: the point.
            draw: the vectors.
            q: what is left out of them, orthonormal [columns, size]; None for nothing.

        Returns:
            False if ``q`` is None and a sketch will save many vectors.
        """
        size = graph[j][0].numel()
        while True:
            count = max(tally.next_round, self.copies)
            u = draw.flat([0], size, graph[j].dtype, count)[:, 0].to(graph[j].device)
            if q is not None:
                u = u - (u @ q.T) @ q
            tally.add(_ONLY, _backward(graph, j, u)[:, None])
            needed = float(tally.needed(_ONLY, self.spec.relative_error, j))
            needed = min(needed, self.spec.max_probes)
            # NaN, if numbers overflow, is not larger either.
            if not needed > tally.drawn:
                return True
            left = needed - tally.drawn
            known = tally.drawn >= FIRST_ROUND + ROUND
            if q is None and self.sketches and known and left > WORTH_A_SKETCH:
                return False

    @torch.no_grad()
    def _sketch(self, x: Tensor, sample: int) -> list[Tensor]:
        """Return orthonormal vectors [columns, size] at each point, in the dominant directions."""
        draw = Signs(self.spec.probe_seed, [sample], "sketch")
        found: list[Tensor] = []

        def see(_number: int, output: Tensor) -> Tensor:
            value, tangent = forward.unpack_dual(output)  # type: ignore[no-untyped-call]
            if tangent is None:
                signs = draw.flat([0], value[0].numel(), value.dtype, SKETCH)[:, 0]
                tangent = signs.view(value.shape).to(value.device)
            basis = torch.linalg.qr(tangent.flatten(1).T)[0].T.contiguous()
            found.append(basis)
            columns = torch.zeros_like(value)
            columns[: len(basis)] = basis.view(-1, *value.shape[1:])
            dual: Tensor = forward.make_dual(value.clone(), columns)  # type: ignore[no-untyped-call]
            return dual

        with forward.dual_level():
            self.points.run(_copied(x, SKETCH), see)
        return found


def _copied(x: Tensor, copies: int) -> Tensor:
    """Return [copies, C, H, W] of one picture [1, C, H, W], in the same order in memory."""
    order = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    return x.expand(copies, *x.shape[1:]).clone(memory_format=order)


def _backward(graph: list[Tensor], j: int, u: Tensor) -> Tensor:
    """Return ||J^T u||^2 of the spans from every point before j to point j, float64 [k, j].

    Args:
        graph: the points' tensors, [copies, ...].
        j: the last point.
        u: k vectors at point j, [k, size].
    """
    copies, last = len(graph[j]), graph[j]
    found = []
    for part in torch.split(u, copies):
        # The last part may need fewer copies than there are.
        vectors = torch.zeros_like(last)
        vectors[: len(part)] = part.view(-1, *last.shape[1:])
        gradients = torch.autograd.grad(
            last, graph[:j], vectors, retain_graph=True, allow_unused=True
        )
        squares = [
            torch.zeros(copies, dtype=torch.float64) if one is None else norms(one).square().cpu()
            for one in gradients
        ]
        found.append(torch.stack(squares, 1)[: len(part)])
    return torch.cat(found)
