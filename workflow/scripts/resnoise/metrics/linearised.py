"""A network at given pictures as a chain of linear layers, which determine its gradients.

With the ReLUs' signs and the statistics of batch normalisation held constant, layer l computes
``x_l = live_l * (kernel_l x_{l-1} + shortcut_l)``, and the layers' transposes carry gradients back.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.networks.fully_fledged import BasicBlock, FullyFledgedNet
from resnoise.networks.simplified import SimplifiedNet


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """An identity connection into a layer.

    Attributes:
        layers: number of layers that it bridges; it starts at the activation that many layers
            before.
        stride: stride of its subsampling.
        kind: what it does where channels double, one of ``SHORTCUTS`` of
            ``resnoise.networks.fully_fledged`` ("stacked" in simplified networks).
    """

    layers: int
    stride: int
    kind: str


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution, batch normalisation folded into it, and its ReLU.

    Attributes:
        kernel: [C_out, C_in, 3, 3].
        stride: of the convolution.
        live: bool [B, C_out, H, W], where the ReLU is active.
        shortcut: the identity connection that is added before the ReLU, if any.
    """

    kernel: Tensor
    stride: int
    live: Tensor
    shortcut: Shortcut | None


@dataclasses.dataclass(frozen=True)
class Linearised:
    """A network, linearised at a mini-batch of pictures.

    Attributes:
        layers: all convolutions from input to output.
        features: pooled outputs a of the last layer, [B, F].
        logits: [B, classes].
    """

    layers: list[Layer]
    features: Tensor
    logits: Tensor


@torch.no_grad()
def linearise(network: nn.Module, inputs: Tensor) -> Linearised:
    """Linearise ``network`` at ``inputs``; batch normalisation uses the statistics of ``inputs``.

    Args:
        network: a simplified or fully-fledged network; it is not changed.
        inputs: [B, C, H, W] of the network's type.

    Raises:
        ResnoiseError: a network of another kind.
    """
    if type(network) is SimplifiedNet:
        layers, outputs = _simplified(network, inputs)
    elif type(network) is FullyFledgedNet:
        layers, outputs = _fully_fledged(network, inputs)
    else:
        raise ResnoiseError(
            f"linearisation of a {type(network).__name__} asked for, allowed: SimplifiedNet, "
            "FullyFledgedNet"
        )
    features = outputs.mean((2, 3))
    return Linearised(layers, features, network.fc(features))


def _simplified(network: SimplifiedNet, inputs: Tensor) -> tuple[list[Layer], Tensor]:
    """Return the layers and the last activation."""
    x = torch.relu(network.conv1(inputs))
    layers = [Layer(network.conv1.weight.detach(), 1, x > 0, None)]
    for block in network.blocks():
        x = block(x)
        shortcut = Shortcut(1, block.stride, "stacked") if block.residual else None
        layers.append(Layer(block.conv.weight.detach(), block.stride, x > 0, shortcut))
    return layers, x


def _fully_fledged(network: FullyFledgedNet, inputs: Tensor) -> tuple[list[Layer], Tensor]:
    """Return the layers and the last activation."""
    kernel, x = _normalised(network.conv1, network.bn1, inputs)
    x = torch.relu(x)
    layers = [Layer(kernel, 1, x > 0, None)]
    for group in (network.layer1, network.layer2, network.layer3):
        for block in group:
            assert isinstance(block, BasicBlock)
            kernel, y = _normalised(block.conv1, block.bn1, x)
            y = torch.relu(y)
            layers.append(Layer(kernel, block.stride, y > 0, None))
            kernel, y = _normalised(block.conv2, block.bn2, y)
            shortcut = None
            if block.residual:
                y = y + block.shortcut(x)
                shortcut = Shortcut(2, block.stride, block.kind)
            x = torch.relu(y)
            layers.append(Layer(kernel, 1, x > 0, shortcut))
    return layers, x


def _normalised(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the kernel with the normalisation's factors, and the normalised response to ``x``."""
    z = conv(x)
    y = F.batch_norm(z, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
    scale = norm.weight / torch.sqrt(z.var((0, 2, 3), correction=0) + norm.eps)
    return conv.weight.detach() * scale[:, None, None, None], y
