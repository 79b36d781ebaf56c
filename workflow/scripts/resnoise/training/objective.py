"""The weight term of the cost (section 4): cost = risk + c / 2 * sum of squared weights.

For a residual network the sum can be taken over the transferred weights T(r), which makes cost and
gradients equal to those of the equivalent plain network (section 4.1).
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from resnoise.networks.transfer import id_entries
from resnoise.specs.run import RecipeSpec
from resnoise.training.descent import Descent, Group


@runtime_checkable
class HasIdentityKernels(Protocol):
    """A network for which the transfer T is defined."""

    def identity_kernels(self) -> list[Tensor]:
        """Return the kernels across which an identity connection runs."""
        ...


class Penalty:
    """The weight term of one network.

    Attributes:
        coefficient: c = penalty / batch size, or the penalty itself.
        penalised: parameters in the sum.
        free: all other parameters.
    """

    def __init__(self, network: nn.Module, recipe: RecipeSpec) -> None:
        """Divide the parameters of ``network`` into penalised and free ones.

        Kernels and the linear layer's weights are penalised; biases and batch normalisation only if
        ``recipe.penalty_on_biases``.
        """
        divisor = recipe.batch_size if recipe.penalty_divided_by_batch else 1
        self.coefficient = recipe.penalty / divisor
        parameters = list(network.parameters())
        self.penalised = [p for p in parameters if recipe.penalty_on_biases or p.dim() > 1]
        self.free = [p for p in parameters if not recipe.penalty_on_biases and p.dim() <= 1]
        kernels: list[Tensor] = []
        if recipe.penalty_on_transferred and isinstance(network, HasIdentityKernels):
            kernels = network.identity_kernels()
        # T adds 1 at the ID entries: |w + id|^2 = |w|^2 + 2 <w, id> + |id|^2. They are laid out as
        # the kernel and its gradient, so that a GPU adds all of them in one launch.
        self._identities = [
            (kernel, torch.zeros_like(kernel).detach().copy_(id_entries(kernel.shape)))
            for kernel in kernels
        ]

    @torch.no_grad()
    def value(self) -> float:
        """Return the weight term, summed in float64."""
        parts = [p.double().square().sum() for p in self.penalised]
        parts += [(2 * k.double() + 1).mul_(identity).sum() for k, identity in self._identities]
        # One copy for all parts, because each copy from a GPU waits for it.
        values: list[float] = torch.stack(parts).tolist()
        return self.coefficient / 2 * sum(values)

    @torch.no_grad()
    def add_identity_gradient(self) -> None:
        """Add the part of the weight term's gradient that comes from T: c at every ID entry.

        The optimiser adds the rest, c times the weights, as weight decay.
        """
        if self._identities:
            kernels, identities = zip(*self._identities, strict=True)
            gradients = [kernel.grad for kernel in kernels]
            # All in one call, which takes a third of the time of a call for each.
            torch._foreach_add_(gradients, identities, alpha=self.coefficient)


def sgd(penalty: Penalty, recipe: RecipeSpec) -> Descent:
    """Return stochastic gradient descent with momentum on the cost."""
    groups = [Group(penalty.penalised, penalty.coefficient), Group(penalty.free, 0.0)]
    return Descent(groups, recipe.learning_rate, recipe.momentum)
