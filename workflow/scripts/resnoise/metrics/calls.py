"""The layers with weights of any network, found by hooks while a picture passes through it.

A layer is a call of a convolution or of a linear layer, in the order of execution. The projections
of PyTorch's attention (``torch.nn.MultiheadAttention``), which calls no such modules, are layers
too: ``in_proj`` for queries, keys and values together, and ``out_proj``. A module that is called
several times is a layer each time (``fc``, ``fc#2``, ...).
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from resnoise.errors import ResnoiseError, quoted
from resnoise.metrics.layers import norms

_log = logging.getLogger(__name__)

WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
# Largest difference, relative to the norm, between a layer's input for a picture alone and in a
# batch, where they differ by rounding only.
_ROUNDING = 1e-3

# Is given the layer, its input, and its output; returns another output, or None for the same.
After = Callable[["Call", Tensor, Tensor], Tensor | None]
# Is given the layer and its input; returns another input, or None for the same.
Before = Callable[["Call", Tensor], Tensor | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer.

    Attributes:
        number: place in the order of execution, from 1.
        name: what the state dict calls the layer, with ``#2``, ``#3``, ... for further calls.
        module: the convolution or linear layer; of attention, the whole attention.
        weight: its weights as stored, so of a grouped convolution [C_out, C_in / groups, ...].
        bias: None if there is none.
        tokens_first: whether the input is [tokens, pictures, features], as within attention, or
            the same in rows, [tokens * pictures, features].
    """

    number: int
    name: str
    module: nn.Module
    weight: Tensor
    bias: Tensor | None
    tokens_first: bool

    def weight_norm(self) -> float:
        """Return ``||W||_F`` in float64."""
        return float(torch.linalg.vector_norm(self.weight.detach().double()))

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return ``W x`` of this layer, without bias, for weights of the same shape."""
        if isinstance(self.module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            found: Tensor = self.module._conv_forward(x, weight, None)
            return found
        return F.linear(x, weight)

    def response(self, output: Tensor) -> Tensor:
        """Return ``W x``: the layer's output without bias."""
        if self.bias is None:
            return output
        if isinstance(self.module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return output - self.bias.view(-1, *(1,) * (self.weight.dim() - 2))
        return output - self.bias

    def by_picture(self, x: Tensor, pictures: int) -> Tensor:
        """Return an input or output as [pictures, ...].

        All of a picture's tokens or windows are one vector: of a linear layer that is applied to T
        tokens, x is the whole [T, D].

        Raises:
            ResnoiseError: the first dimension does not hold the pictures.
        """
        if self.tokens_first:
            return x.reshape(-1, pictures, x.shape[-1]).transpose(0, 1)
        if len(x) == pictures:
            return x
        if len(x) % pictures:
            raise ResnoiseError(
                f"layer {self.name}: an input of shape {tuple(x.shape)} for {pictures} pictures, "
                "needed: pictures, or parts of each picture, along the first dimension"
            )
        return x.reshape(pictures, -1)

    def as_called(self, x: Tensor, like: Tensor) -> Tensor:
        """Return [pictures, ...] in the shape ``like``, in which the layer gets its inputs."""
        return x.transpose(0, 1).reshape(like.shape) if self.tokens_first else x.reshape(like.shape)


class Calls:
    """All layers of a network.

    Attributes:
        network: the network, in evaluation mode.
        calls: its layers in the order of execution.
        unused: names of convolutions and linear layers that are not called.
        independent: whether pictures of a batch do not affect each other, so that layers can be
            measured on several at once.
    """

    @torch.no_grad()
    def __init__(self, network: nn.Module, example: Tensor) -> None:
        """Find the layers.

        Args:
            network: maps pictures to logits; in evaluation mode.
            example: inputs of two or more pictures, [B, C, H, W]; one for an unknown batch.

        Raises:
            ResnoiseError: the network has no layer, or does not return one tensor.
        """
        self.network = network
        # Weights that an attention passes to torch.nn.functional.linear itself.
        self._owners: dict[int, tuple[str, nn.Module]] = {}
        self._names: dict[nn.Module, str] = {}
        for name, module in network.named_modules():
            if isinstance(module, nn.MultiheadAttention):
                self._add_attention(name, module)
        for name, module in network.named_modules():
            if isinstance(module, WEIGHT_LAYERS) and id(module.weight) not in self._owners:
                self._names[module] = name
        self.calls: list[Call] = []
        alone = self._find(example[:1])
        if not self.calls:
            raise ResnoiseError(
                f"a network of type {type(network).__name__} given, which calls no convolution and "
                "no linear layer, needed: at least one"
            )
        called = {call.module for call in self.calls}
        self.unused = [name for module, name in self._names.items() if module not in called]
        if self.unused:
            _log.info("not called, so not measured: %s", ", ".join(self.unused))
        self.independent = len(example) > 1 and self._same(alone, example[:2])

    def _add_attention(self, name: str, module: nn.MultiheadAttention) -> None:
        prefix = f"{name}." if name else ""
        for part in ("in_proj", "q_proj", "k_proj", "v_proj"):
            if (weight := getattr(module, f"{part}_weight", None)) is not None:
                self._owners[id(weight)] = (prefix + part, module)
        self._owners[id(module.out_proj.weight)] = (f"{prefix}out_proj", module)

    def _find(self, example: Tensor) -> list[float]:
        """Fill ``calls``, and return the norm of each layer's input for a single picture."""
        seen: dict[str, int] = {}
        sizes: list[float] = []

        def note(
            name: str, module: nn.Module, weight: Tensor, bias: Tensor | None, x: Tensor
        ) -> Call:
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                name = f"{name}#{seen[name]}"
            inside = isinstance(module, nn.MultiheadAttention)
            self.calls.append(Call(len(self.calls) + 1, name, module, weight, bias, inside))
            sizes.append(float(torch.linalg.vector_norm(x, dtype=torch.float64)))
            return self.calls[-1]

        with self._hooked(note, None, None):
            logits(self.network, example)
        return sizes

    def _same(self, alone: list[float], pair: Tensor) -> bool:
        """Whether the first of two pictures has the same inputs of layers as alone; log if not."""
        together: list[float] = []

        def see(call: Call, x: Tensor, _output: Tensor) -> None:
            together.append(float(norms(call.by_picture(x, 2))[0]))

        try:
            self.run(pair, after=see)
        # Some networks fix the number of pictures and fail with another, in any way.
        except Exception as error:
            _log.info("measured picture by picture, because two at once fail: %s", quoted(error))
            return False
        same = all(abs(a - b) <= _ROUNDING * abs(a) for a, b in zip(alone, together, strict=True))
        if not same:
            _log.info("measured picture by picture, because pictures of a batch affect each other")
        return same

    def run(
        self, inputs: Tensor, before: Before | None = None, after: After | None = None
    ) -> Tensor:
        """Return the logits of inputs [B, C, H, W], [B, classes].

        Args:
            inputs: standardised pictures.
            before: called before each layer; may change its input.
            after: called after each layer; may change its output.

        Raises:
            ResnoiseError: other layers are called than for the picture at the beginning.
        """
        following = iter(self.calls)

        def note(
            name: str, _module: nn.Module, _weight: Tensor, _bias: Tensor | None, _x: Tensor
        ) -> Call:
            call = next(following, None)
            if call is None or call.name.partition("#")[0] != name:
                raise ResnoiseError(
                    f"layer {name}: called where {call.name if call else 'nothing'} was called for "
                    "the first picture, needed: the same layers in the same order for all pictures"
                )
            return call

        with self._hooked(note, before, after):
            output: Tensor = self.network(inputs)
        return output

    def picture_bytes(self, one: Tensor) -> int:
        """Return the size in bytes of the inputs and outputs of all layers for one picture."""
        numbers = 0

        def count(_call: Call, x: Tensor, output: Tensor) -> None:
            nonlocal numbers
            numbers += x.numel() + output.numel()

        self.run(one, after=count)
        return numbers * one.element_size()

    @contextlib.contextmanager
    def _hooked(
        self, note: Callable[..., Call], before: Before | None, after: After | None
    ) -> Iterator[None]:
        """Call ``note``, ``before`` and ``after`` at each layer while the network runs."""
        open_calls: list[Call] = []

        def enter(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            x = arguments[0]
            call = note(self._names[module], module, module.weight, module.bias, x)
            open_calls.append(call)
            changed = before(call, x) if before else None
            return None if changed is None else (changed, *arguments[1:])

        def leave(_module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
            call = open_calls.pop()
            return after(call, arguments[0], output) if after else None

        plain = F.linear

        def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            # Projections for queries alone, for example, use a part of the stored weights.
            owner = self._owners.get(id(weight)) or self._owners.get(id(weight._base))
            if owner is None:
                return plain(x, weight, bias)
            name, module = owner
            call = note(name, module, weight, bias, x)
            changed = before(call, x) if before else None
            x = x if changed is None else changed
            output = plain(x, weight, bias)
            changed = after(call, x, output) if after else None
            return output if changed is None else changed

        handles = []
        for module in self._names:
            handles += [
                module.register_forward_pre_hook(enter),
                module.register_forward_hook(leave),
            ]
        seen = mock.patch.object(F, "linear", linear) if self._owners else contextlib.nullcontext()
        try:
            with unfused(), seen:
                yield
        finally:
            for handle in handles:
                handle.remove()


def logits(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return the output of a network, [N, classes].

    Raises:
        ResnoiseError: it does not return one such tensor.
    """
    output = network(inputs)
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(inputs):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ResnoiseError(
            f"a network of type {type(network).__name__} given, which returns {shape} for "
            f"inputs of shape {tuple(inputs.shape)}, needed: one tensor of logits, [pictures, "
            "classes]"
        )
    return output


@contextlib.contextmanager
def unfused() -> Iterator[None]:
    """Compute attention by separate operations, which are seen and have derivatives of any kind."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Leave out derivatives with respect to weights, which would take time and memory."""
    wanted = [weight for weight in network.parameters() if weight.requires_grad]
    for weight in wanted:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanted:
            weight.requires_grad_(True)
