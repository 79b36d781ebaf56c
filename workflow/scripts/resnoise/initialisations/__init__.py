"""Weights before training (appendix A): kernels by KWI or HMWI, biases 0, PyTorch's linear layer.

Each initialisation is a module with a function ``draw_kernel``; ``resnoise.registry`` lists them.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from resnoise import devices, registry
from resnoise.data.dataset import Dataset
from resnoise.networks import build
from resnoise.seeds import generator
from resnoise.specs.run import RunSpec


@runtime_checkable
class PartialConvolution(Protocol):
    """A convolution that keeps some entries of its kernel; the others are 0."""

    kernel_shape: tuple[int, ...]
    bias: nn.Parameter

    def set_kernel(self, kernel: Tensor) -> None:
        """Take over, from a kernel of shape ``kernel_shape``, the entries that are kept here."""
        ...


def initial_network(spec: RunSpec, dataset: Dataset, device: torch.device) -> nn.Module:
    """Return the network of a run before training, on a device and in the precision of the run.

    Args:
        spec: the run.
        dataset: pictures of the kind that it is trained on.
        device: where to put it.
    """
    network = build(spec.network, len(dataset.class_names), dataset.train_images.shape[3])
    network = devices.place(network, device, spec.recipe.precision)
    initialise(network, spec.initialisation, spec.seed)
    return network


def initialise(network: nn.Module, initialisation: str, seed: int) -> None:
    """Set all parameters of ``network`` in place as ``initialisation`` says.

    Numbers are drawn in float64, layer by layer in the order of execution, and then rounded to the
    parameters' type, so that float32 and float64 runs with the same seed start from the same
    weights. For a ``PartialConvolution`` the whole kernel is drawn and a part of it kept, so that
    with the same seed its weights are among those of the network with whole kernels.

    The linear layer has PyTorch's default: uniform in +-1/sqrt(inputs), bias included; batch
    normalisation starts as the identity.
    """
    draw_kernel = registry.load_initialisation(initialisation).draw_kernel
    numbers = generator(seed, "weights")
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, PartialConvolution):
                module.set_kernel(draw_kernel(module.kernel_shape, True, numbers))
                module.bias.zero_()
            elif isinstance(module, nn.Conv2d):
                # The first convolution is not in a block and never has an identity connection.
                shape = tuple(module.weight.shape)
                module.weight.copy_(draw_kernel(shape, name != "conv1", numbers))
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                for parameter in (module.weight, module.bias):
                    drawn = torch.rand(parameter.shape, generator=numbers, dtype=torch.float64)
                    parameter.copy_((2 * drawn - 1) * bound)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
