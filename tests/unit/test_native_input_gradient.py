"""The C code for gradients of inputs against PyTorch."""

import pytest
import torch
from torch.nn.grad import conv2d_input

from resnoise.errors import NativeUnavailable, ResnoiseError
from resnoise.native import build
from resnoise.native.input_gradient import NativeInputGradient, supported

try:
    build.load(single=False)
except NativeUnavailable as error:
    pytest.skip(f"no native code: {error}", allow_module_level=True)

# Inputs, outputs, rows, columns, stride, images.
LAYERS = [
    (16, 16, 8, 8, 1, 1),
    (64, 64, 2, 2, 1, 3),
    (32, 32, 6, 10, 1, 17),
    (16, 32, 32, 32, 2, 5),
    (32, 64, 4, 4, 2, 9),
    (16, 48, 2, 6, 2, 2),
    (16, 16, 4, 18, 2, 4),
]


def tensors(layer: tuple[int, ...], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, outputs, height, width, stride, count = layer
    numbers = torch.Generator().manual_seed(0)
    kernel = torch.randn(outputs, inputs, 3, 3, generator=numbers, dtype=dtype)
    size = (count, outputs, height // stride, width // stride)
    return kernel, torch.randn(size, generator=numbers, dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 5e-15), (torch.float32, 3e-6)], ids=str
)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_it_computes_what_pytorch_does(
    layer: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    inputs, _, height, width, stride, count = layer
    kernel, gradient = tensors(layer, dtype)
    native = NativeInputGradient(kernel, stride, height, width, 1)
    expected = conv2d_input((count, inputs, height, width), kernel, gradient, stride, 1)
    for ours in (kernel, kernel.contiguous(memory_format=torch.channels_last)):
        for given in (gradient, gradient.contiguous(memory_format=torch.channels_last)):
            found = native(ours, given)
            assert found.shape == expected.shape
            assert (found - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("layer", LAYERS[2:4], ids=str)
def test_threads_and_earlier_calls_change_no_bit(layer: tuple[int, ...]) -> None:
    height, width, stride = layer[2:5]
    kernel, gradient = tensors(layer, torch.float64)
    one, three = (NativeInputGradient(kernel, stride, height, width, t) for t in (1, 3))
    expected = one(kernel, gradient)
    three(kernel, torch.full_like(gradient, torch.nan))
    three(kernel, gradient[:2])
    assert torch.equal(three(kernel, gradient), expected)
    assert torch.equal(one(kernel, gradient[1:3]), expected[1:3])


@pytest.mark.parametrize(
    ("shape", "stride", "size", "reason"),
    [
        ((16, 8, 3, 3), 2, (8, 8), "multiples of 16 channels"),
        ((16, 16, 5, 5), 1, (8, 8), "3x3 kernels"),
        ((32, 16, 3, 3), 1, (8, 8), "no stride 1 from 16 to 32"),
        ((16, 32, 3, 3), 2, (8, 8), "no stride 2 from 32 to 16"),
        ((16, 16, 3, 3), 3, (9, 9), "no stride 3"),
        ((16, 16, 3, 3), 1, (8, 7), "even sizes, not 8x7"),
    ],
)
def test_layers_it_cannot_compute_are_refused_with_a_reason(
    shape: tuple[int, ...], stride: int, size: tuple[int, int], reason: str
) -> None:
    kernel = torch.zeros(shape, dtype=torch.float64)
    assert reason in (supported(kernel, stride, *size) or "")
    with pytest.raises(ResnoiseError, match=reason):
        NativeInputGradient(kernel, stride, *size, 1)


def test_other_shapes_and_types_are_refused() -> None:
    kernel, gradient = tensors(LAYERS[0], torch.float64)
    native = NativeInputGradient(kernel, 1, 8, 8, 1)
    for wrong in (gradient.float(), gradient[:, :, 1:], gradient[:, 1:]):
        with pytest.raises(ResnoiseError, match=r"gradient: .* allowed: torch.float64 \[1, 16, 8"):
            native(kernel, wrong)
    with pytest.raises(ResnoiseError, match=r"kernel: torch\.float32"):
        native(kernel.float(), gradient)
    assert "bfloat16" in (supported(kernel.bfloat16(), 1, 8, 8) or "")
