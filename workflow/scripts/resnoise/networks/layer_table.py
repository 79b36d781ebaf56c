"""A network layer by layer, read from the network itself while a picture passes through it.

Layers with parameters are modules; ReLU, sum and average pooling are functions that the networks
call between them. Both are recorded in the order of execution, so that what is drawn or printed is
what is computed.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# Functions that count as layers, by name without the underscores of operators and in-place forms.
_FUNCTIONS = {
    "relu": "ReLU",
    "add": "Sum",
    "mean": "AveragePooling",
    "avg_pool2d": "AveragePooling",
    "adaptive_avg_pool2d": "AveragePooling",
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer, with the sizes of its input and output for a given picture.

    Attributes:
        name: its name in the state dict, such as ``layer1.0.conv``; empty for a function.
        kind: class of the module (``Conv2d``, ``BatchNorm2d``, ``Linear``), or ``ReLU``, ``Sum``,
            ``AveragePooling``.
        block: name of its block, such as ``layer1.0``; empty outside of blocks.
        kernel: rows (and columns) of a convolution's kernel; None for other layers.
        stride: rows from one output of a convolution to the next; None for other layers.
        in_channels: channels of the input; entries of a vector.
        out_channels: channels of the output.
        in_height: rows of the input, 1 for a vector.
        in_width: columns of the input.
        out_height: rows of the output.
        out_width: columns of the output.
        parameters: number of parameters.
        multiply_adds: for one picture; each entry of a kernel is used once for each pixel of the
            output.
        identity: identity connection of the block that the layer is in, see
            ``identity_connection``.
    """

    name: str
    kind: str
    block: str
    kernel: int | None
    stride: int | None
    in_channels: int
    out_channels: int
    in_height: int
    in_width: int
    out_height: int
    out_width: int
    parameters: int
    multiply_adds: int
    identity: str


@torch.no_grad()
def layers(
    network: nn.Module, height: int = 32, width: int = 32, in_channels: int = 3
) -> list[Layer]:
    """Return the layers of a network in the order of execution.

    Args:
        network: any network of this project, on the CPU; it is not changed.
        height: rows of an input picture.
        width: columns of an input picture.
        in_channels: channels of an input picture.
    """
    blocks = dict(_blocks(network))
    recorder = _Recorder(network, blocks)
    was_training = network.training
    dtype = next(network.parameters()).dtype
    try:
        network.eval()
        with recorder:
            network(torch.zeros(1, in_channels, height, width, dtype=dtype))
        recorder.remove_hooks()
        identities = {
            name: identity_connection(block, *recorder.block_inputs[name])
            for name, block in blocks.items()
        }
    finally:
        recorder.remove_hooks()
        network.train(was_training)
    return [
        dataclasses.replace(layer, identity=identities.get(layer.block, "none"))
        for layer in recorder.layers
    ]


@torch.no_grad()
def identity_connection(block: nn.Module, channels: int, height: int, width: int) -> str:
    """Return the kind of identity connection that a block has, found by experiment.

    With all parameters set to 0, only the identity connection is left of a block. Pictures with a 1
    in one channel show to which output channels it leads.

    Args:
        block: a block in evaluation mode.
        channels: channels of its input.
        height: rows of its input.
        width: columns of its input.

    Returns:
        ``none``; ``identity``; ``stacked``: output channels c, c + C, ... get input channel c;
        ``zero-padded``: further output channels get nothing; ``other``.
    """
    zeros = {name: torch.zeros_like(value) for name, value in block.named_parameters()}
    unit = torch.eye(channels, dtype=next(iter(zeros.values())).dtype)
    pictures = unit[:, :, None, None].repeat(1, 1, height, width)
    output = torch.func.functional_call(block, zeros, (pictures,))
    leads = output[:, :, 0, 0].t()
    stacks = max(1, len(leads) // channels)
    if not leads.any():
        return "none"
    if torch.equal(leads, unit):
        return "identity"
    if torch.equal(leads, unit.repeat(stacks, 1)):
        return "stacked"
    if torch.equal(leads[leads.any(dim=1)], unit):
        return "zero-padded"
    return "other"


def _blocks(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Yield the blocks in the groups of a network, with their names."""
    for name, group in network.named_modules():
        if isinstance(group, nn.Sequential):
            yield from ((f"{name}.{place}", block) for place, block in group.named_children())


class _Recorder(TorchFunctionMode):
    """Context manager that records the layers that a picture passes.

    Attributes:
        layers: the recorded layers, still without their identity connections.
        block_inputs: channels, rows and columns of every block's input.
    """

    def __init__(self, network: nn.Module, blocks: dict[str, nn.Module]) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.block_inputs: dict[str, tuple[int, int, int]] = {}
        self._block = ""
        self._within_module = False
        self._hooks = []
        for name, block in blocks.items():
            self._hooks += [
                block.register_forward_pre_hook(self._enter_block(name)),
                block.register_forward_hook(self._leave_block),
            ]
        for name, module in network.named_modules():
            if list(module.parameters(recurse=False)):
                self._hooks += [
                    module.register_forward_pre_hook(self._enter_module),
                    module.register_forward_hook(self._leave_module(name)),
                ]

    def remove_hooks(self) -> None:
        """Remove all hooks from the network."""
        for hook in self._hooks:
            hook.remove()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``function`` and record it if it counts as a layer."""
        result = function(*args, **(kwargs or {}))
        kind = _FUNCTIONS.get(getattr(function, "__name__", "").strip("_"))
        if kind and not self._within_module:
            # A sum may be called with terms of another shape; its input is the output of the layer
            # before.
            last = self.layers[-1]
            shape = (last.out_channels, last.out_height, last.out_width)
            after = _shape(result) if kind == "AveragePooling" else shape
            self._record("", kind, shape, after)
        return result

    def _enter_block(self, name: str) -> Callable[..., None]:
        def enter(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._block = name
            self.block_inputs[name] = _shape(inputs[0])

        return enter

    def _leave_block(self, *_: object) -> None:
        self._block = ""

    def _enter_module(self, *_: object) -> None:
        self._within_module = True

    def _leave_module(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._within_module = False
            self._record(name, type(module).__name__, _shape(inputs[0]), _shape(output), module)

        return leave

    def _record(
        self,
        name: str,
        kind: str,
        before: tuple[int, int, int],
        after: tuple[int, int, int],
        module: nn.Module | None = None,
    ) -> None:
        """Append a layer that maps size ``before`` to ``after``: channels, rows and columns."""
        parameters = list(module.parameters(recurse=False)) if module else []
        weights = sum(p.numel() for p in parameters if p.dim() > 1)
        kernel = next((p.shape[-1] for p in parameters if p.dim() == 4), None)
        stride = getattr(module, "stride", None)
        self.layers.append(
            Layer(
                name=name,
                kind=kind,
                block=self._block,
                kernel=kernel,
                stride=stride[0] if isinstance(stride, tuple) else stride,
                in_channels=before[0],
                in_height=before[1],
                in_width=before[2],
                out_channels=after[0],
                out_height=after[1],
                out_width=after[2],
                parameters=sum(p.numel() for p in parameters),
                multiply_adds=weights * after[1] * after[2],
                identity="none",
            )
        )


def _shape(x: Tensor) -> tuple[int, int, int]:
    """Return channels, rows and columns of [B, C, H, W], or C, 1, 1 of [B, C]."""
    channels, height, width = (*x.shape[1:], 1, 1)[:3]
    return channels, height, width
