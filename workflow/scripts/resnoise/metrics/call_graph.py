"""The operations between the layers of any network, and which layers all of a picture passes.

The input of a layer is a *cut* if every way from the picture to the logits leads through it, so
that it alone determines what follows: no shortcut runs around it. This shows in the graph that
PyTorch keeps for derivatives, whatever the numbers are; an operation without a derivative ends a
way.
"""

import dataclasses
import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from resnoise.errors import quoted
from resnoise.metrics.calls import Call, Calls, frozen

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A tensor that a layer reads or returns.

    Attributes:
        edge: where it is in the graph; None if no derivative leads there.
        shape: its shape.
        silent: on which pictures it is 0, bool [B].
    """

    edge: GradientEdge | None
    shape: torch.Size
    silent: Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A network at some pictures.

    Attributes:
        start: where the ways of the picture end.
        inputs: what each layer reads.
        outputs: what each layer returns.
        features: what the last layer reads.
        response: what the last layer returns.
        logits: [B, classes].
    """

    start: Node
    inputs: list[Place]
    outputs: list[Place]
    features: Tensor
    response: Tensor
    logits: Tensor

    def cuts(self) -> list[bool]:
        """Return of each layer whether its input is a cut."""
        end = self.logits.grad_fn
        if end is None:
            return [False] * len(self.inputs)
        return [
            place.edge is not None and not _leads(end, self.start, place.edge)
            for place in self.inputs
        ]


def trace(calls: Calls, inputs: Tensor) -> Graph:
    """Run a network and keep the graph of its operations.

    Args:
        calls: the network's layers.
        inputs: standardised pictures, [B, C, H, W].

    Raises:
        ResnoiseError: other layers are called than for the picture at the beginning.
    """
    places: tuple[list[Place], list[Place]] = ([], [])
    last: list[Tensor] = []

    def place(call: Call, x: Tensor) -> Place:
        # Taken now, because what follows may overwrite the tensor.
        edge = get_gradient_edge(x) if x.requires_grad else None
        silent = ~call.by_picture(x.detach(), len(inputs)).flatten(1).any(1)
        return Place(edge, x.shape, silent)

    def before(call: Call, x: Tensor) -> None:
        places[0].append(place(call, x))
        last[:] = [x]

    def after(call: Call, _x: Tensor, output: Tensor) -> None:
        places[1].append(place(call, output))
        last[1:] = [output]

    picture = inputs.detach().requires_grad_()
    start = get_gradient_edge(picture).node
    with torch.enable_grad(), frozen(calls.network):
        # A copy, because the network may overwrite its input.
        logits = calls.run(picture.clone(), before, after)
    features, response = last
    return Graph(start, *places, features, response, logits)


def cut_layers(calls: Calls, picture: Tensor) -> list[bool]:
    """Return of each layer of a network whether its input is a cut.

    Of a network that PyTorch cannot differentiate none is known to be one.

    Args:
        calls: the network's layers.
        picture: an input, [1, C, H, W].
    """
    try:
        return trace(calls, picture).cuts()
    except RuntimeError as error:
        _log.info("layers behind dead ones are not marked: %s", quoted(error))
        return [False] * len(calls.calls)


def behind(silent: Tensor, cuts: Sequence[bool]) -> Tensor:
    """Return which layers nothing of a picture reaches, bool [B, layers].

    Args:
        silent: of which layers the input is 0, bool [B, layers].
        cuts: of which it is a cut. Behind such a one that is 0, activations depend on biases only.
    """
    return silent | ((silent & torch.tensor(cuts, device=silent.device)).cumsum(1) > 0)


def _leads(end: Node, start: Node, without: GradientEdge) -> bool:
    """Whether a way leads from one node of the graph to another without passing an edge."""
    seen, waiting = {end}, [end]
    while waiting:
        for node, number in waiting.pop().next_functions:
            if (
                node is None
                or node in seen
                or (node is without.node and number == without.output_nr)
            ):
                continue
            if node is start:
                return True
            seen.add(node)
            waiting.append(node)
    return False
