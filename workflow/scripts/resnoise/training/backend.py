"""How loss and gradients of a mini-batch are computed."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise.specs import RecipeSpec


class Backend(Protocol):
    """What the training loop needs of a network."""

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

    def __init__(self, network: nn.Module, recipe: RecipeSpec) -> None:
        """Wrap ``network``, which stays the owner of its parameters."""
        self.network = network
        self.forward = torch.compile(network) if recipe.compile else network
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
