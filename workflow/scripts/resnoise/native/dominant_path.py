"""Dominant-path networks by the C code in conv.c, as simplified networks with zeros in kernels.

PyTorch computes them with depthwise convolutions. These do less than the C code, but where pictures
are small, calling them takes many times as long as what they do.
"""

import torch
from torch import Tensor, nn

from resnoise.native import network as dense
from resnoise.networks.dominant_path import DominantPathNet
from resnoise.networks.simplified import SimplifiedNet

# A step takes a quarter of PyTorch's time with 8x8 pixels and eight channels, and 1.7 times as long
# with 16x16 pixels and sixteen.
_MOST_PIXELS = 8 * 8


def supported(network: nn.Module, height: int, width: int) -> str | None:
    """Return None if ``NativeDominantPathNet`` can compute ``network``, else the reason why not.

    Args:
        network: any network.
        height: height of the pictures.
        width: width of the pictures.
    """
    if type(network) is not DominantPathNet:
        return f"this native code exists for DominantPathNet only, not for {type(network).__name__}"
    if height * width > _MOST_PIXELS:
        return (
            f"native code computes dominant paths for up to {_MOST_PIXELS} pixels, not for "
            f"{height}x{width}, where PyTorch is faster"
        )
    return dense.supported(_Kernels(network).network, height, width)


def backend(network: DominantPathNet, threads: int) -> "NativeDominantPathNet":
    """Return what computes a network that is ``supported``, on ``threads`` threads.

    Raises:
        NativeUnavailable: the library cannot be compiled or loaded.
    """
    return NativeDominantPathNet(network, threads)


class NativeDominantPathNet:
    """Computes what a ``DominantPathNet`` and autograd compute.

    The network stays the owner of its parameters, which are read at each call. Two Python threads
    must not use one object at the same time.

    Attributes:
        name: what a run's record calls this backend.
    """

    name = "native"

    def __init__(self, network: DominantPathNet, threads: int) -> None:
        """Load the library; compile it if the cache has none.

        Args:
            network: a network for which ``supported`` returns None.
            threads: at least 1.

        Raises:
            NativeUnavailable: the library cannot be compiled or loaded.
            ResnoiseError: no such number of threads, or the network is not supported.
        """
        self._kernels = _Kernels(network)
        self._dense = dense.NativeSimplifiedNet(self._kernels.network, threads)

    def loss_and_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set the gradients of all parameters to those of the mean cross-entropy.

        See ``NativeSimplifiedNet.loss_and_gradients``.
        """
        self._kernels.fill()
        results = self._dense.loss_and_gradients(images, labels)
        self._kernels.take_gradients()
        return results

    def logits(self, images: Tensor) -> Tensor:
        """Map images [B, C, H, W] of the network's dtype to logits [B, classes]."""
        self._kernels.fill()
        return self._dense.logits(images)


class _Kernels:
    """The kernels of a ``DominantPathNet`` with their zeros.

    Attributes:
        network: the ``SimplifiedNet`` that computes the same; it shares all parameters but the
            kernels of the blocks.
    """

    def __init__(self, network: DominantPathNet) -> None:
        convolutions = network.convolutions()
        self._kept = [part for convolution in convolutions for part in convolution.kept()]
        shapes = [convolution.kernel_shape for convolution in convolutions]
        sizes = [torch.Size(shape).numel() for shape in shapes]
        # One tensor for all kernels, so that all kept entries are written in one call.
        self._values = torch.zeros(sum(sizes), dtype=network.fc.weight.dtype)
        self._kernels = [
            nn.Parameter(values.view(shape))
            for values, shape in zip(torch.split(self._values, sizes), shapes, strict=True)
        ]
        # Number every entry and let each convolution keep what it keeps of the numbers.
        numbered = torch.split(torch.arange(sum(sizes)), sizes)
        places = []
        for convolution, numbers, shape in zip(convolutions, numbered, shapes, strict=True):
            places += [part.reshape(-1) for part in convolution.of_kernel(numbers.view(shape))]
        self._places = torch.cat(places)
        self._sizes = [part.numel() for part in self._kept]
        channels, width = network.conv1.in_channels, network.conv1.out_channels
        with torch.device("meta"):
            self.network = SimplifiedNet(
                network.depth, width, network.fc.out_features, channels, network.residual
            )
        self.network.conv1, self.network.fc = network.conv1, network.fc
        for block, convolution, kernel in zip(
            self.network.blocks(), convolutions, self._kernels, strict=True
        ):
            block.conv.weight, block.conv.bias = kernel, convolution.bias

    @torch.no_grad()
    def fill(self) -> None:
        """Write the kept entries to the kernels."""
        self._values[self._places] = torch.cat([part.reshape(-1) for part in self._kept])

    @torch.no_grad()
    def take_gradients(self) -> None:
        """Give the kept entries their gradients of the kernels'."""
        gradients = [kernel.grad.reshape(-1) for kernel in self._kernels if kernel.grad is not None]
        taken = torch.split(torch.cat(gradients)[self._places], self._sizes)
        for part in self._kept:
            if part.grad is None:
                # Laid out as the parameter, which the fused optimisers of PyTorch need.
                part.grad = torch.empty_like(part)
        torch._foreach_copy_(
            [part.grad for part in self._kept if part.grad is not None],
            [values.view(part.shape) for values, part in zip(taken, self._kept, strict=True)],
        )
