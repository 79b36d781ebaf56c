"""Tensors at the boundaries of modules of any network, and which of them determine all the rest.

A *cut* is the output of a module that alone determines what follows: nothing else from before it is
used, such as a shortcut around it. Between two cuts, a network is a map from one tensor to another.
Cuts are found by trying: with the output of the module for one picture in place of its own, a pass
of another picture must end with the logits of the first one, to the last bit.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.metrics.calls import Call, Calls, unfused

OUTPUT = "output"

# Is given the number of a point and its tensor; returns another tensor, or None for the same.
See = Callable[[int, Tensor], Tensor | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """The output of one call of a module.

    Attributes:
        name: name of the module, with ``#2``, ... for further calls; ``output`` for the logits.
        module: the module.
        place: which of its calls, from 0.
        following: the next layer with weights; None after the last one.
    """

    name: str
    module: nn.Module
    place: int
    following: Call | None

    def positions(self, shape: torch.Size) -> int:
        """Return the number of positions of a tensor [1, ...], to which weights are applied alike.

        These are the pixels of [1, C, H, W], and the tokens of [1, T, D] that a linear layer reads.
        """
        if len(shape) < 3:
            return 1
        count = shape.numel()
        weight = None if self.following is None else self.following.weight
        last = weight is not None and weight.dim() == 2 and shape[-1] == weight.shape[1]
        if last and not (len(shape) == 4 and shape[1] == shape[-1]):
            return count // shape[-1]
        return count // shape[1]


class Points:
    """Some points of a network, in the order in which a picture passes through them."""

    def __init__(self, calls: Calls, points: Sequence[Point]) -> None:
        """Prepare.

        Args:
            calls: the network's layers.
            points: see ``cuts`` and ``named``.
        """
        self.calls = calls
        self.points = list(points)

    def run(self, inputs: Tensor, see: See) -> Tensor:
        """Return the logits [B, classes] of inputs [B, C, H, W], with ``see`` at each point."""
        places = {(point.module, point.place): n for n, point in enumerate(self.points)}

        def leave(module: nn.Module, place: int, output: Any) -> Any:
            number = places.get((module, place))
            return None if number is None else see(number, output)

        with unfused(), _leaving({point.module for point in self.points}, leave):
            logits: Tensor = self.calls.network(inputs)
        return logits


@torch.no_grad()
def cuts(calls: Calls, picture: Tensor) -> Points:
    """Return the last cut before each layer with weights, from the first layer on, and the logits.

    So the input of a layer is a point, after normalisation, activation and pooling, unless the
    layer is within a block that a shortcut crosses: then blocks begin and end at points.

    Args:
        calls: the network's layers.
        picture: an input, [1, C, H, W].

    Raises:
        ResnoiseError: there are fewer than two cuts, the logits do not depend on the picture, or
            they overflow.
    """
    groups, outputs, logits = _outputs(calls, picture)
    if not bool(logits.isfinite().all()):
        raise ResnoiseError(
            f"a network of type {type(calls.network).__name__} given, whose numbers overflow on "
            "the first picture, so that no blocks can be found; name modules with the key between"
        )
    numbers = torch.Generator().manual_seed(0)
    other = torch.randn(picture.shape, generator=numbers).to(picture)
    if torch.equal(Points(calls, []).run(other, lambda *_: None), logits):
        raise ResnoiseError(
            f"a network of type {type(calls.network).__name__} given, whose output does not depend "
            "on its input"
        )
    found = []
    for group in groups:
        for point in reversed(group):
            kept = outputs[point]
            if not isinstance(kept, Tensor) or kept.dim() < 2:
                continue

            def put(_number: int, _output: Tensor, kept: Tensor = kept) -> Tensor:
                return kept.clone()

            if torch.equal(Points(calls, [point]).run(other, put), logits):
                found.append(_best_name(group, point, outputs))
                break
    if len(found) < 2:
        raise ResnoiseError(
            f"a network of type {type(calls.network).__name__} given, of which no tensor between "
            "input and output determines the rest; name modules with the key between"
        )
    return Points(calls, found)


@torch.no_grad()
def named(calls: Calls, names: Sequence[str], picture: Tensor) -> Points:
    """Return the outputs of modules with these names.

    Args:
        calls: the network's layers.
        names: at least two, in the order of execution; of a module that is called several times the
            first call, unless the name says ``#2``, ...
        picture: an input, [1, C, H, W].

    Raises:
        ResnoiseError: there is no such module, it is not called, its output is not a tensor, or the
            order is another.
    """
    groups, outputs, _ = _outputs(calls, picture)
    order = {point.name: (n, point) for n, point in enumerate(p for g in groups for p in g)}
    chosen = []
    for name in names:
        if name not in order:
            raise ResnoiseError(
                f"between: {name!r} given, allowed: modules that are called for a picture "
                f"({', '.join(order)})"
            )
        if not isinstance(outputs[order[name][1]], Tensor):
            raise ResnoiseError(f"between: {name!r} given, allowed: modules that return one tensor")
        chosen.append(order[name])
    if len(chosen) < 2 or [n for n, _ in chosen] != sorted({n for n, _ in chosen}):
        raise ResnoiseError(
            f"between: {', '.join(names)} given, allowed: two or more names in the order in which "
            "a picture passes through the modules"
        )
    return Points(calls, [point for _, point in chosen])


def _outputs(calls: Calls, picture: Tensor) -> tuple[list[list[Point]], dict[Point, Any], Tensor]:
    """Return all points after the first layer by the next layer, their tensors, and logits."""
    names = {module: name for name, module in calls.network.named_modules()}
    entered = 0
    groups: list[list[Point]] = [[] for _ in range(len(calls.calls) + 1)]
    outputs: dict[Point, Any] = {}

    def enter(_call: Call, _x: Tensor) -> None:
        nonlocal entered
        entered += 1

    def leave(module: nn.Module, place: int, output: Any) -> None:
        name = names[module] or OUTPUT
        name = f"{name}#{place + 1}" if place else name
        following = calls.calls[entered] if entered < len(calls.calls) else None
        point = Point(name, module, place, following)
        groups[entered].append(point)
        # A copy, because what follows may overwrite it.
        outputs[point] = output.clone() if isinstance(output, Tensor) else output

    with unfused(), _leaving(set(names), leave):
        logits = calls.run(picture, before=enter)
    return groups[1:], outputs, logits


def _best_name(group: Sequence[Point], cut: Point, outputs: dict[Point, Any]) -> Point:
    """Return the point with the same tensor as a cut, and the plainest name.

    A block ends with its last activation, and a group of blocks with its last block: the innermost
    module with modules of its own is the block.
    """
    if cut.name == OUTPUT:
        return cut
    same = [
        point
        for point in group[: group.index(cut) + 1]
        if isinstance(outputs[point], Tensor)
        and outputs[point].shape == outputs[cut].shape
        and torch.equal(outputs[point], outputs[cut])
    ]
    blocks = [point for point in same if any(True for _ in point.module.children())]
    return blocks[0] if blocks else same[0]


@contextlib.contextmanager
def _leaving(
    modules: set[nn.Module], leave: Callable[[nn.Module, int, Any], Any]
) -> Iterator[None]:
    """Call ``leave`` with a module, the number of its call and its output, at the end of each."""
    seen: dict[nn.Module, int] = {}

    def hook(module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> Any:
        place = seen.get(module, 0)
        seen[module] = place + 1
        return leave(module, place, output)

    with contextlib.ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_hook(hook))
        yield
