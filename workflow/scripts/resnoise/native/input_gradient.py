"""The gradient of a convolution's input by the C code in conv.c, on the CPU.

In float64 several times as fast as PyTorch. The results are the same bits for any number of
threads.
"""

import ctypes
import functools
import weakref

import torch
from torch import Tensor

from resnoise.errors import ResnoiseError
from resnoise.native import build

_CHANNEL_MULTIPLE = 16
_DTYPES = (torch.float32, torch.float64)


def supported(kernel: Tensor, stride: int, height: int, width: int) -> str | None:
    """Return None if ``NativeInputGradient`` can compute a layer, else the reason why not.

    Args:
        kernel: [C_out, C_in, 3, 3].
        stride: of the convolution, with a padding of 1.
        height: rows of its input.
        width: columns of its input.
    """
    outputs, inputs, *size = kernel.shape
    if kernel.dtype not in _DTYPES or kernel.device.type != "cpu":
        return f"native code computes in float32 or float64 on cpu, not in {kernel.dtype} on " + (
            kernel.device.type
        )
    if size != [3, 3] or outputs % _CHANNEL_MULTIPLE or inputs % _CHANNEL_MULTIPLE:
        return (
            f"native code needs 3x3 kernels and multiples of {_CHANNEL_MULTIPLE} channels, not "
            f"a kernel {list(kernel.shape)}"
        )
    if (stride, outputs == inputs) not in ((1, True), (2, True), (2, False)) or outputs % inputs:
        return f"native code has no stride {stride} from {inputs} to {outputs} channels"
    if height < 2 or width < 2 or height % 2 or width % 2:
        return f"native code needs even sizes, not {height}x{width}"
    return None


class NativeInputGradient:
    """Computes what ``torch.nn.grad.conv2d_input`` computes, for one shape of layer.

    Two Python threads must not use one object at the same time.
    """

    def __init__(self, kernel: Tensor, stride: int, height: int, width: int, threads: int) -> None:
        """Load the library; compile it if the cache has none.

        Args:
            kernel: a kernel for which ``supported`` returns None, for its shape and type.
            stride: of the convolution.
            height: rows of its input.
            width: columns of its input.
            threads: at least 1.

        Raises:
            NativeUnavailable: the library cannot be compiled or loaded.
            ResnoiseError: the layer is not supported.
        """
        if problem := supported(kernel, stride, height, width):
            raise ResnoiseError(problem)
        self._shape, self._dtype = tuple(kernel.shape), kernel.dtype
        self._input, self._output = (height, width), (height // stride, width // stride)
        self._library = _library(kernel.dtype == torch.float32)
        outputs, inputs = kernel.shape[:2]
        self._plan = ctypes.c_void_p(
            self._library.input_gradient_plan(inputs, outputs, height, width, stride, threads)
        )
        if not self._plan:
            raise MemoryError(f"not enough memory for a layer {self._shape}")
        weakref.finalize(self, self._library.plan_destroy, self._plan)
        self._slack = self._library.input_gradient_slack(self._plan)
        self._padded = torch.empty(0, dtype=self._dtype)

    def __call__(self, kernel: Tensor, gradient: Tensor) -> Tensor:
        """Map the gradient of the output, [N, C_out, H / stride, W / stride], to the input's.

        Args:
            kernel: [C_out, C_in, 3, 3] of the shape and type that this was made for.
            gradient: in any memory format.

        Returns:
            [N, C_in, H, W], channels last.

        Raises:
            ResnoiseError: an argument of another type or shape.
        """
        count, (outputs, inputs) = len(gradient), self._shape[:2]
        expected = (count, outputs, *self._output)
        for name, tensor, shape in (
            ("kernel", kernel, self._shape),
            ("gradient", gradient, expected),
        ):
            if (
                tuple(tensor.shape) != shape
                or tensor.dtype != self._dtype
                or tensor.device.type != "cpu"
            ):
                raise ResnoiseError(
                    f"{name}: {tensor.dtype} {list(tensor.shape)} on {tensor.device.type} given, "
                    f"allowed: {self._dtype} {list(shape)} on cpu"
                )
        height, width = self._output
        values = count * (height + 2) * (width + 2) * outputs
        if len(self._padded) != values + self._slack:
            # Only the inner pixels are ever written, so that the border stays 0.
            self._padded = torch.zeros(values + self._slack, dtype=self._dtype)
        padded = self._padded[:values].view(count, height + 2, width + 2, outputs)
        padded[:, 1:-1, 1:-1] = gradient.movedim(1, 3)
        height, width = self._input
        result = torch.empty(count, height + 2, width + 2, inputs, dtype=self._dtype)
        weight = kernel.contiguous()
        self._library.input_gradient(
            self._plan, weight.data_ptr(), count, padded.data_ptr(), result.data_ptr()
        )
        return result[:, 1:-1, 1:-1].movedim(3, 1)


@functools.cache
def _library(single: bool) -> ctypes.CDLL:
    """Return the library with the types of the functions used here declared.

    Raises:
        NativeUnavailable: the library cannot be compiled or loaded.
    """
    library = build.load(single)
    library.input_gradient_plan.restype = ctypes.c_void_p
    library.input_gradient_plan.argtypes = [ctypes.c_int64] * 6
    library.input_gradient_slack.restype = ctypes.c_int64
    library.input_gradient_slack.argtypes = [ctypes.c_void_p]
    library.input_gradient.restype = None
    library.input_gradient.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    library.plan_destroy.restype = None
    library.plan_destroy.argtypes = [ctypes.c_void_p]
    return library
