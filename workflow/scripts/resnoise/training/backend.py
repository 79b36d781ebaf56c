"""How loss and gradients of a mini-batch are computed: by PyTorch, or by the project's own code."""

import logging
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise import registry
from resnoise.errors import NativeUnavailable
from resnoise.specs.run import RecipeSpec, RunSpec

_log = logging.getLogger(__name__)


class Backend(Protocol):
    """What the training loop needs of a network.

    Attributes:
        name: "torch", "native" or "triton", for the run's record.
    """

    name: str

    def loss_and_gradients(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set the gradients of all parameters to those of the mean cross-entropy of a mini-batch.

        Args:
            inputs: [B, C, H, W].
            labels: int64 [B].

        Returns:
            The mean cross-entropy (scalar) and the number of wrong predictions (int64 scalar).
        """
        ...

    def logits(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, C, H, W] to logits [B, classes] with the network in evaluation mode."""
        ...


class TorchBackend:
    """Autograd of PyTorch, optionally compiled, optionally with bfloat16 autocast."""

    name = "torch"

    def __init__(self, network: nn.Module, recipe: RecipeSpec) -> None:
        """Wrap ``network``; its parameters are used in place, not copied."""
        self.network = network
        # Not dynamic: after a smaller last mini-batch, another graph would compute all others than
        # in a process that begins with them, as one that continues a run does.
        self.forward = torch.compile(network, dynamic=False) if recipe.compile else network
        self.autocast = recipe.precision == "bfloat16"

    def loss_and_gradients(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See ``Backend``."""
        self.network.train()
        self.network.zero_grad()
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.autocast):
            output = self.forward(inputs)
        output = output.to(inputs.dtype)
        loss = F.cross_entropy(output, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), (output.detach().argmax(1) != labels).sum()

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """See ``Backend``."""
        self.network.eval()
        output: Tensor = self.network(inputs)
        return output


def select(network: nn.Module, spec: RunSpec, height: int, width: int) -> Backend:
    """Return the backend that ``conv_backend`` asks for, or PyTorch where it cannot be used.

    Args:
        network: the network of ``spec``, already on its device and in its dtype.
        spec: the run.
        height: rows of the pictures.
        width: columns of the pictures.
    """
    if spec.recipe.conv_backend == "torch":
        return TorchBackend(network, spec.recipe)
    try:
        return _own(network, spec, height, width)
    except NativeUnavailable as error:
        level = logging.INFO if spec.recipe.conv_backend == "auto" else logging.WARNING
        _log.log(level, "convolutions by PyTorch: %s", error)
        return TorchBackend(network, spec.recipe)


def _own(network: nn.Module, spec: RunSpec, height: int, width: int) -> Backend:
    """Return the project's own backend for a network; arguments as for ``select``.

    Raises:
        NativeUnavailable: it cannot compute this network here; the message says why.
    """
    recipe, architecture = spec.recipe, spec.network.architecture
    code = "Triton code" if recipe.conv_backend == "triton" else "native code"
    if recipe.precision == "bfloat16" or recipe.compile:
        raise NativeUnavailable(f"{code} has neither bfloat16 nor torch.compile")
    try:
        module = registry.load_own_code(architecture, recipe.conv_backend)
    except ModuleNotFoundError as error:
        raise NativeUnavailable(f"{code} needs the package {error.name}") from None
    if module is None:
        raise NativeUnavailable(f"there is no {code} for {architecture} networks")
    if reason := module.supported(network, height, width):
        raise NativeUnavailable(reason)
    backend: Backend = module.backend(network, torch.get_num_threads())
    return backend
