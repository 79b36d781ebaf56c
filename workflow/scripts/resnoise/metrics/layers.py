"""A network as its layers with weights, in the order in which a picture passes through them.

Works for every network that is built as the project's own are: ``conv1``, perhaps ``bn1`` and
``maxpool``, groups ``layer1``, ``layer2``, ... of blocks with a method ``response`` (what the
block's last ReLU is applied to), ``fc`` after average pooling.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.networks.simplified import add_identity
from resnoise.networks.transfer import kernel_to_plain
from resnoise.training.objective import HasIdentityKernels


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or the linear layer.

    Attributes:
        number: place in the network, from 1 to its depth.
        name: what the state dict calls it, for example ``layer1.0.conv``.
        module: the layer itself; its weight is without the ones of ID entries.
        identity: whether an identity connection runs across this one layer, as it does in
            simplified residual networks.
        takes_stage_input: whether the module reads the stage's input directly, with no layer or
            pooling before it.
    """

    number: int
    name: str
    module: nn.Conv2d | nn.Linear
    identity: bool
    takes_stage_input: bool

    def weight_norm(self) -> float:
        """Return ``||W||_F`` in float64, without the ones of the ID entries (section 5)."""
        return float(torch.linalg.vector_norm(self.module.weight.detach().double()))

    def transferred_norm(self) -> float:
        """Return ``||T(W)||_F`` in float64: with the ones of the ID entries, if there are any."""
        weight = self.module.weight.detach().double()
        if self.identity:
            weight = kernel_to_plain(weight)
        return float(torch.linalg.vector_norm(weight))

    def linear_response(self, inputs: Tensor, output: Tensor) -> Tensor:
        """Return ``W x``: the output without bias, and with the identity if there is one.

        Args:
            inputs: x, [B, C, H, W] or [B, C].
            output: the module's output for ``inputs``.
        """
        bias = self.module.bias
        if bias is not None:
            output = output - bias.view(-1, *(1,) * (output.dim() - 2))
        if self.identity:
            assert isinstance(self.module, nn.Conv2d)
            if bias is None:
                output = output.clone()
            output = add_identity(output, inputs, self.module.stride[0])
        return output


@dataclasses.dataclass(frozen=True)
class Stage:
    """Consecutive layers with one tensor in and one tensor out: no shortcut crosses their ends.

    A stage of a simplified network is one layer, one of a fully-fledged network is a block.

    Attributes:
        layers: the stage's layers.
        response: maps the stage's input to what its last ReLU is applied to (pre-activation); the
            last stage gives logits and has no ReLU.
    """

    layers: tuple[Layer, ...]
    response: Callable[[Tensor], Tensor]

    @property
    def number(self) -> int:
        """Return the number of the stage's last layer, whose pre-activation is the response."""
        return self.layers[-1].number


def is_own(network: nn.Module) -> bool:
    """Whether ``network`` is built as the project's own are, so that ``stages`` can take it."""
    try:
        return bool(stages(network))
    except ResnoiseError:
        return False


def layers(network: nn.Module) -> list[Layer]:
    """Return all layers of ``network``, numbered from 1.

    Raises:
        ResnoiseError: the network is not built as the project's own are.
    """
    return [layer for stage in stages(network) for layer in stage.layers]


def stages(network: nn.Module) -> list[Stage]:
    """Return the stages of ``network``: applied in order, with ReLU between them, they compute it.

    Raises:
        ResnoiseError: the network is not built as the project's own are.
    """
    parts: list[tuple[str, nn.Module, Callable[[Tensor], Tensor]]] = []
    children = dict(network.named_children())
    try:
        first, linear = children["conv1"], children["fc"]
        normalise = children.get("bn1", nn.Identity())
        # Max pooling and ReLU can be exchanged: the ReLU follows here.
        pool = children.get("maxpool", nn.Identity())
        parts.append(("conv1", first, lambda x: pool(normalise(first(x)))))
        for group in sorted(name for name in children if name.startswith("layer")):
            for name, block in children[group].named_children():
                if "downsample" in dict(block.named_children()):
                    # Its place among the layers of a block would be behind the last one.
                    raise ResnoiseError(
                        f"{group}.{name} has a shortcut with weights, allowed: without weights"
                    )
                parts.append(
                    (f"{group}.{name}", block, cast(Callable[[Tensor], Tensor], block.response))
                )
        parts.append(("fc", linear, lambda x: linear(x.mean((2, 3)))))
    except (KeyError, AttributeError) as error:
        raise ResnoiseError(
            f"a network of type {type(network).__name__} given, allowed: conv1, blocks with a "
            "ReLU at their end in layer1, layer2, ..., and fc"
        ) from error
    identities: set[int] = set()
    if isinstance(network, HasIdentityKernels):
        identities = {id(kernel) for kernel in network.identity_kernels()}
    found = []
    number = 0
    for prefix, part, response in parts:
        members: list[Layer] = []
        for name, module in part.named_modules(prefix=prefix):
            if isinstance(module, nn.Conv2d | nn.Linear):
                number += 1
                direct = not members and isinstance(module, nn.Conv2d)
                identity = id(module.weight) in identities
                members.append(Layer(number, name, module, identity, direct))
        found.append(Stage(tuple(members), response))
    return found


def responses_from(chain: Sequence[Stage], index: int, response: Tensor) -> list[Tensor]:
    """Return the responses of stage ``index`` and all later ones.

    Args:
        chain: all stages of a network.
        index: a position in ``chain``.
        response: that stage's response.
    """
    found = [response]
    for stage in chain[index + 1 :]:
        found.append(stage.response(torch.relu(found[-1])))
    return found


def norms(x: Tensor) -> Tensor:
    """Return the 2-norm of each sample, float64 [B]."""
    # Not flattened, which would copy activations in channels-last memory.
    found: Tensor = torch.linalg.vector_norm(x, dim=tuple(range(1, x.dim())), dtype=torch.float64)
    return found


def ratio(numerator: Tensor, denominator: Tensor, dead: Tensor) -> Tensor:
    """Return a quotient of norms, float64; NaN where it is dead, infinity where it has exploded.

    It is dead where ``dead`` is true and where the denominator is 0.
    """
    exploded = ~(numerator + denominator).isfinite()
    value = (numerator / denominator).masked_fill(dead | (denominator == 0), torch.nan)
    return value.masked_fill(exploded, torch.inf)
