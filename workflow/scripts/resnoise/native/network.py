"""Loss, gradients and logits of a ``SimplifiedNet`` by the C code in conv.c, on the CPU.

Several times as fast as PyTorch in float64, for which it has no fast convolutions. Results are the
same bits for any number of threads and from call to call.
"""

import ctypes
import functools
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from resnoise.errors import NativeUnavailable, ResnoiseError
from resnoise.native import build
from resnoise.networks.simplified import SimplifiedNet

# A vector of the C code has up to 16 channels, and 8 where networks are narrow. Pictures are halved
# twice, and then divided in tiles of 2x2 pixels.
_CHANNEL_MULTIPLE = 8
_WIDE_MULTIPLE = 16
_SIZE_MULTIPLE = 8
_DTYPES = (torch.float32, torch.float64)


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("in_channels", "out_channels", "height", "width", "stride", "identity")
    ]


class _Parameters(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "weight_grad", "bias_grad")),
        *((name, ctypes.c_int64 * 4) for name in ("strides", "grad_strides")),
    ]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("images", ctypes.c_void_p),
        ("strides", ctypes.c_int64 * 4),
        ("count", ctypes.c_int64),
        ("labels", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "weight_grad", "bias_grad")),
        *((name, ctypes.c_void_p) for name in ("logits", "losses", "wrong")),
    ]


def supported(network: nn.Module, height: int, width: int) -> str | None:
    """Return None if ``NativeSimplifiedNet`` can compute ``network``, else the reason why not.

    Args:
        network: any network.
        height: height of the pictures.
        width: width of the pictures.
    """
    if type(network) is not SimplifiedNet:
        return f"native code exists for SimplifiedNet only, not for {type(network).__name__}"
    return _network_problem(network) or _size_problem(height, width)


def backend(network: SimplifiedNet, threads: int) -> "NativeSimplifiedNet":
    """Return the C code's backend for a network that is ``supported``, with ``threads`` threads.

    Raises:
        NativeUnavailable: the library cannot be compiled or loaded.
    """
    return NativeSimplifiedNet(network, threads)


class NativeSimplifiedNet:
    """Computes what a ``SimplifiedNet`` and autograd compute.

    The parameters stay in the network and are read at each call. Two Python threads must not use
    one object at the same time.

    Attributes:
        name: what a run's record calls this backend.
        network: the network.
        threads: threads of a call, independent of PyTorch's; more than 16 are no faster.
    """

    name = "native"

    def __init__(self, network: SimplifiedNet, threads: int) -> None:
        """Load the library; compile it if the cache has none.

        Args:
            network: a network for which ``supported`` returns None.
            threads: at least 1.

        Raises:
            NativeUnavailable: the library cannot be compiled or loaded.
            ResnoiseError: no such number of threads, or the network is not supported.
        """
        if threads < 1:
            raise ResnoiseError(f"threads: {threads} given, allowed: an integer >= 1")
        if problem := supported(network, _SIZE_MULTIPLE, _SIZE_MULTIPLE):
            raise ResnoiseError(problem)
        self.network = network
        self.threads = threads
        narrow = network.conv1.out_channels % _WIDE_MULTIPLE != 0
        self._library = _library(network.fc.weight.dtype == torch.float32, narrow)
        self._dtype = network.fc.weight.dtype
        self._plan: _Plan | None = None
        self._checked: _Parts | None = None

    def loss_and_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set the gradients of all parameters to those of the mean cross-entropy.

        Gradients that this object has set before are overwritten, those that others have set are
        left alone.

        Args:
            images: [B, C, H, W] of the network's dtype, in any memory format.
            labels: int64 [B].

        Returns:
            The mean cross-entropy (0-dim, the network's dtype) and the number of wrong predictions
            (0-dim int64).

        Raises:
            ResnoiseError: an argument of another type or size, or a label that is no class.
        """
        parts = self._check(images)
        labels = self._checked_labels(labels, len(images))
        parts.set_gradients()
        logits = torch.empty(len(images), self.network.fc.out_features, dtype=self._dtype)
        losses = torch.empty(len(images), dtype=self._dtype)
        wrong = torch.empty(len(images), dtype=torch.int64)
        batch = _Batch(labels=labels.data_ptr(), losses=losses.data_ptr(), wrong=wrong.data_ptr())
        self._call(self._library.plan_gradients, parts, batch, images, logits)
        return losses.mean(), wrong.sum()

    def logits(self, images: Tensor) -> Tensor:
        """Map images [B, C, H, W] of the network's dtype to logits [B, classes].

        Raises:
            ResnoiseError: images of another type or size.
        """
        parts = self._check(images)
        logits = torch.empty(len(images), self.network.fc.out_features, dtype=self._dtype)
        self._call(self._library.plan_logits, parts, _Batch(), images, logits)
        return logits

    def _check(self, images: Tensor) -> "_Parts":
        """Check everything that the C code relies on about network and images.

        Returns:
            What the C code takes of the network.
        """
        channels = self.network.conv1.in_channels
        if not (
            _is_plain(images, self._dtype)
            and images.dim() == 4
            and len(images) > 0
            and images.shape[1] == channels
        ):
            raise ResnoiseError(
                f"images: {_describe(images)} given, allowed: {self._dtype} "
                f"[1 or more, {channels}, height, width] on cpu"
            )
        parameters = _parameters(self.network)
        # A check takes longer than a step on small pictures, so an unchanged network is not checked
        # again.
        if (
            self._checked is None
            or not self._checked.are(parameters)
            or _size_problem(images.shape[2], images.shape[3])
        ):
            if problem := supported(self.network, images.shape[2], images.shape[3]):
                raise ResnoiseError(problem)
            if self.network.fc.weight.dtype != self._dtype:
                raise ResnoiseError(f"the network is no longer of type {self._dtype}")
            self._checked = _Parts(parameters)
        return self._checked

    def _checked_labels(self, labels: Tensor, count: int) -> Tensor:
        """Return the labels in contiguous memory if they are [count] classes."""
        if not _is_plain(labels, torch.int64) or labels.shape != (count,):
            raise ResnoiseError(
                f"labels: {_describe(labels)} given, allowed: torch.int64 [{count}] on cpu"
            )
        low, high = (int(value) for value in labels.aminmax())
        classes = self.network.fc.out_features
        if low < 0 or high >= classes:
            raise ResnoiseError(f"labels: {low} to {high} given, allowed: 0 to {classes - 1}")
        return labels.contiguous()

    def _call(
        self, function: Any, parts: "_Parts", batch: _Batch, images: Tensor, logits: Tensor
    ) -> None:
        """Complete ``batch`` and call a function of the library.

        The C code writes to ``logits``, and ``plan_gradients`` to all other results too.
        """
        size = images.shape[2], images.shape[3]
        if self._plan is None or self._plan.size != size:
            self._plan = _Plan(self._library, self.network, size, self.threads)
        batch.weight, batch.bias, batch.weight_grad, batch.bias_grad = parts.linear
        batch.images = images.data_ptr()
        batch.strides[:] = images.stride()
        batch.count = len(images)
        batch.logits = logits.data_ptr()
        function(self._plan.pointer, parts.kernels, ctypes.byref(batch))


class _Parts:
    """Where the parameters of a checked network and their gradients are, for the C code.

    Attributes:
        kernels: what the C functions take of the convolutions.
        linear: places of weight, bias and their gradients of the linear layer; 0: no gradient.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        """Take what ``_parameters`` returns."""
        self._parameters = parameters
        # Keeps the memory from being used for others: a parameter in its old place is unchanged.
        self._memory = [parameter.detach() for parameter in parameters]
        self._places = [parameter.data_ptr() for parameter in parameters]
        self._gradients: list[Tensor] | None = None
        self.kernels = (_Parameters * (len(parameters) // 2 - 1))()
        for kernel, weight, bias in zip(
            self.kernels, parameters[:-2:2], parameters[1:-2:2], strict=True
        ):
            kernel.weight, kernel.bias = weight.data_ptr(), bias.data_ptr()
            kernel.strides[:] = weight.stride()
        self.linear = (*self._places[-2:], 0, 0)

    def are(self, parameters: list[Tensor]) -> bool:
        """Return whether these are the parameters, in the same memory."""
        return len(parameters) == len(self._parameters) and all(
            now is before and now.data_ptr() == place
            for now, before, place in zip(parameters, self._parameters, self._places, strict=True)
        )

    def set_gradients(self) -> None:
        """Give every parameter a gradient for the C code to write, the same as last time if any."""
        kept = self._gradients
        if kept is not None and all(
            parameter.grad is gradient
            for parameter, gradient in zip(self._parameters, kept, strict=True)
        ):
            return
        # Of the same strides as the parameters, which the fused optimisers of PyTorch need.
        gradients = [torch.empty_like(parameter) for parameter in self._parameters]
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        for kernel, weight, bias in zip(
            self.kernels, gradients[:-2:2], gradients[1:-2:2], strict=True
        ):
            kernel.weight_grad, kernel.bias_grad = weight.data_ptr(), bias.data_ptr()
            kernel.grad_strides[:] = weight.stride()
        self.linear = (*self._places[-2:], gradients[-2].data_ptr(), gradients[-1].data_ptr())
        self._gradients = gradients


class _Plan:
    """Memory of the C code for one network and one size of pictures.

    Attributes:
        size: height and width of the pictures.
        pointer: argument of the C functions.
    """

    def __init__(
        self, library: ctypes.CDLL, network: SimplifiedNet, size: tuple[int, int], threads: int
    ) -> None:
        """Allocate the memory; MemoryError if there is not enough."""
        self.size = size
        height, width = size
        convolutions = _convolutions(network)
        shapes = (_Shape * len(convolutions))()
        for index, (shape, convolution) in enumerate(zip(shapes, convolutions, strict=True)):
            stride = int(convolution.stride[0])
            shape.in_channels, shape.out_channels = (
                convolution.in_channels,
                convolution.out_channels,
            )
            shape.height, shape.width, shape.stride = height, width, stride
            shape.identity = network.residual and index > 0
            height, width = height // stride, width // stride
        self.pointer = ctypes.c_void_p(
            library.plan_create(shapes, len(shapes), network.fc.out_features, threads)
        )
        if not self.pointer:
            raise MemoryError(f"not enough memory for {len(shapes)} layers and {threads} threads")
        weakref.finalize(self, library.plan_destroy, self.pointer)


def _convolutions(network: SimplifiedNet) -> list[nn.Conv2d]:
    """Return the convolutions from input to output."""
    return [network.conv1, *(block.conv for block in network.blocks())]


def _parameters(network: SimplifiedNet) -> list[Any]:
    """Return weight and bias of each convolution from input to output, then of the linear layer.

    They are tensors, or None where an altered network has none.
    """
    layers = [*_convolutions(network), network.fc]
    # Not layer.weight, which takes PyTorch several times as long to look up.
    return [layer._parameters.get(name) for layer in layers for name in ("weight", "bias")]


def _size_problem(height: int, width: int) -> str | None:
    """Return why the C code cannot compute pictures of a size, None if it can."""
    if height < 1 or width < 1 or height % _SIZE_MULTIPLE or width % _SIZE_MULTIPLE:
        return (
            f"native code needs pictures whose sides are multiples of {_SIZE_MULTIPLE}, "
            f"not {height}x{width}"
        )
    return None


def _network_problem(network: SimplifiedNet) -> str | None:
    """Return why the C code cannot compute a network, None if it can."""
    channels, classes = network.conv1.out_channels, network.fc.out_features
    if channels % _CHANNEL_MULTIPLE:
        return (
            f"native code needs a width that is a multiple of {_CHANNEL_MULTIPLE}, not {channels}"
        )
    expected = _parameter_shapes(network.depth, channels, classes, network.conv1.in_channels)
    parameters = dict(network.named_parameters())
    if {name: parameter.shape for name, parameter in parameters.items()} != expected:
        return "native code exists for SimplifiedNet only, and this network was altered"
    dtype = network.fc.weight.dtype
    if dtype not in _DTYPES:
        return f"native code computes in float32 or float64, not in {dtype}"
    for name, parameter in parameters.items():
        if not _is_plain(parameter, dtype):
            return f"native code needs {dtype} on cpu, and {name} is {_describe(parameter)}"
        if parameter.dim() < 4 and not parameter.is_contiguous():
            return f"native code needs contiguous biases and linear layers, which {name} is not"
    return None


@functools.cache
def _parameter_shapes(
    depth: int, width: int, classes: int, in_channels: int
) -> dict[str, torch.Size]:
    """Return the names and shapes of a network's parameters."""
    with torch.device("meta"):
        network = SimplifiedNet(depth, width, classes, in_channels, residual=False)
    return {name: parameter.shape for name, parameter in network.named_parameters()}


def _is_plain(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Return whether ``tensor`` holds values of ``dtype`` in CPU memory that C code can read."""
    return (
        tensor.dtype == dtype
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not tensor.is_neg()
    )


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)} on {tensor.device.type}"


@functools.cache
def _library(single: bool, narrow: bool) -> ctypes.CDLL:
    """Return the library with the types of its functions declared.

    Raises:
        NativeUnavailable: the library cannot be compiled or loaded.
    """
    library = build.load(single, narrow)
    for structure, name in ((_Shape, "shape"), (_Parameters, "parameters"), (_Batch, "batch")):
        size = library[f"size_of_{name}"]
        size.restype = ctypes.c_int64
        if size() != ctypes.sizeof(structure):
            raise NativeUnavailable(f"conv.c and network.py disagree about {name}")
    library.plan_create.restype = ctypes.c_void_p
    library.plan_create.argtypes = [ctypes.POINTER(_Shape), *[ctypes.c_int64] * 3]
    library.plan_destroy.restype = None
    library.plan_destroy.argtypes = [ctypes.c_void_p]
    for function in (library.plan_gradients, library.plan_logits):
        function.restype = None
        function.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Parameters), ctypes.POINTER(_Batch)]
    return library
