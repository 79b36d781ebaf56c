"""Stochastic gradient descent with momentum, by the kernel of PyTorch's fused optimiser.

``torch.optim.SGD(fused=True)`` calls the same kernel and gives the same bits. But the first such
object imports PyTorch's compiler, which takes two seconds, and each step looks all parameters up
again, which takes as long as a step of a small network on small pictures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Group(NamedTuple):
    """Parameters with one weight decay.

    Attributes:
        parameters: of one type on one device.
        weight_decay: what of a parameter is added to its gradient.
    """

    parameters: Sequence[Tensor]
    weight_decay: float


class Descent:
    """Moves parameters against their gradients: v = momentum v + g + decay p, p = p - rate v.

    Attributes:
        groups: the parameters.
        rate: the learning rate, which the caller may set at any time.
        momentum: share of v that is kept at a step; 0: no momentum.
        velocity: v of each parameter; empty before the first step and without momentum.
    """

    def __init__(self, groups: Sequence[Group], rate: float, momentum: float) -> None:
        self.groups = [group for group in groups if group.parameters]
        self.rate = rate
        self.momentum = momentum
        self.velocity: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters, whose gradients must be there and laid out as they are."""
        first = self.momentum != 0 and not self.velocity
        if first:
            # The kernel writes the first v, which is the gradient, without reading it.
            self.velocity = {
                parameter: torch.empty_like(parameter)
                for group in self.groups
                for parameter in group.parameters
            }
        for parameters, decay in self.groups:
            # The kernel refuses fewer gradients than parameters.
            gradients = [p.grad for p in parameters if p.grad is not None]
            torch._fused_sgd_(
                list(parameters),
                gradients,
                [self.velocity[parameter] for parameter in parameters] if self.momentum else [],
                weight_decay=decay,
                momentum=self.momentum,
                lr=self.rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=first,
            )
