"""Fused Triton kernels against PyTorch; test_fused.py runs this with Triton's interpreter."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from test_backend import RECIPE
from triton.runtime import interpreter

from resnoise import devices
from resnoise.data import dataset
from resnoise.data.samples import Samples
from resnoise.native import fused, fused_kernels
from resnoise.networks.simplified import SimplifiedNet, build
from resnoise.specs.run import NetworkSpec, RunSpec
from resnoise.storage import tensorfile
from resnoise.training.loop import train
from resnoise.training.run import RunFiles

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts of sums for few pictures, and few programs, which take the interpreter long."""
    monkeypatch.setattr(fused, "_PIXELS_OF_PART", 64)
    monkeypatch.setattr(fused, "_SUMS", 4096)


@pytest.fixture(autouse=True)
def tensor_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter multiply as a card does.

    It leaves out the last 13 bits of the factors, and rounds toward zero each time it has added
    eight products to the sum.
    """

    def cut(factor: interpreter.TensorHandle) -> np.ndarray:
        bits = np.ascontiguousarray(factor.data).view(np.uint32) & np.uint32(0xFFFFE000)
        return bits.view(np.float32).astype(np.float64)

    def toward_zero(exact: np.ndarray) -> np.ndarray:
        near = exact.astype(np.float32)
        return np.where(np.abs(near) > np.abs(exact), np.nextafter(near, np.float32(0)), near)

    def dot(self: Any, a: Any, b: Any, total: Any, *_: Any) -> Any:
        left, right, found = cut(a), cut(b), total.data
        for k in range(0, left.shape[1], 8):
            found = toward_zero(left[:, k : k + 8] @ right[k : k + 8] + found)
        return interpreter.TensorHandle(found, total.dtype.scalar)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", dot)


def gradients(network: SimplifiedNet) -> torch.Tensor:
    """All gradients of a network in one vector, in float64."""
    return torch.cat(
        [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    ).double()


@triton.jit
def split(x, high, again, low, SIZE: tl.constexpr):  # noqa: N803
    """Write the numbers of TF32 whose sum x is."""
    at = tl.arange(0, SIZE)
    number = tl.load(x + at)
    tl.store(high + at, fused_kernels._high(number))
    tl.store(again + at, fused_kernels._high_again(number))
    tl.store(low + at, fused_kernels._low(number))


def test_a_number_is_the_sum_of_two_of_tf32() -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.randn(1000) * 10.0**power for power in (-30, -3, 0, 20)])
    x = torch.cat([x, torch.tensor([0.0, 1.0, -1.0, 1 + 2.0**-11, 2 - 2.0**-23]).repeat(96)[:96]])
    high, again, low = (torch.empty_like(x) for _ in range(3))
    split[(1,)](x, high, again, low, len(x))
    assert torch.equal(high, again) and torch.equal(high + low, x)
    assert not (high.view(torch.int32) & 0x1FFF).any()
    assert (low.abs() <= 2.0**-11 * x.abs()).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_reaches_the_loss(value: float) -> None:
    network = build(8, 16, 10, 3, False)
    # A weight of the first layer, behind which all others are sound.
    network.conv1.weight.data[0, 0, 0, 0] = value
    backend = fused.backend(devices.place(network, CPU, "float32"), 1)
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert not backend.logits(images).isfinite().any()
    loss, _ = backend.loss_and_gradients(images, torch.zeros(2, dtype=torch.int64))
    assert not loss.isfinite()


@pytest.mark.parametrize(("width", "channels", "residual"), [(32, 1, False), (16, 3, True)])
def test_loss_and_gradients_are_those_of_autograd_in_float64(
    width: int, channels: int, residual: bool
) -> None:
    torch.manual_seed(0)
    network = build(8, width, 10, channels, residual)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    exact = build(8, width, 10, channels, residual).double()
    exact.load_state_dict(network.state_dict())
    inputs = torch.randn(3, channels, 8, 8).contiguous(memory_format=torch.channels_last)
    labels = torch.tensor([1, 5, 7])
    output = exact(inputs.double())
    expected = F.cross_entropy(output, labels)
    expected.backward()
    backend = fused.backend(devices.place(network, CPU, "float32"), 1)
    if residual:
        # What is left of a call is overwritten by the next one.
        backend.loss_and_gradients(inputs.flip(0), labels)
    loss, wrong = backend.loss_and_gradients(inputs, labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert int(wrong) == int((output.argmax(1) != labels).sum())
    torch.testing.assert_close(backend.logits(inputs).double(), output, rtol=1e-5, atol=1e-6)
    for (name, found), right in zip(network.named_parameters(), exact.parameters(), strict=True):
        assert found.grad is not None and right.grad is not None, name
        assert found.grad.stride() == found.stride(), name
        assert (found.grad - right.grad).norm() < 1e-5 * right.grad.norm(), name
    # Nearly as exact as float32, which TF32 is not.
    right = gradients(exact)
    assert (gradients(network) - right).norm() < 2e-6 * right.norm()
    if residual:
        rounded = fused.FusedSimplifiedNet(network, allow_tf32=True)
        rounded.loss_and_gradients(inputs, labels)
        assert (gradients(network) - right).norm() > 1e-4 * right.norm()


def test_a_run_by_fused_kernels_is_that_of_pytorch_to_rounding(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    images = numbers.integers(0, 256, (6, 8, 8, 1), np.uint8)
    samples = Samples(images[:4], np.arange(4) % 2, images[4:], np.arange(2), ("a", "b"))
    dataset.save(tmp_path / "data.safetensors", samples, "noise")
    pictures = dataset.load(tmp_path / "data.safetensors")
    weights = {}
    for name in ("triton", "torch"):
        recipe = dataclasses.replace(RECIPE, batch_size=3, crop_padding=1, conv_backend=name)
        spec = RunSpec(NetworkSpec("residual", 8, 16), "hmwi", 1, recipe)
        files = RunFiles.in_folder(tmp_path / name)
        train([spec], pictures, [files], device="cpu", threads=1, code="code")
        (session,) = json.loads(files.record.read_text("utf-8"))["sessions"]
        assert session["conv_backend"] == name
        weights[name] = tensorfile.load(files.weights)[0]
    for key, array in weights["triton"].items():
        np.testing.assert_allclose(array, weights["torch"][key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("width", "size", "dtype", "reason"),
    [
        (8, 8, torch.float32, "a power of two from 16 on, not 8"),
        (48, 8, torch.float32, "a power of two from 16 on, not 48"),
        (16, 6, torch.float32, "multiples of 4, not 6x6 pixels"),
        (16, 8, torch.float64, "float32, not in torch.float64"),
        (16, 8, torch.float32, None),
    ],
)
def test_what_they_cannot_compute_has_a_reason(
    width: int, size: int, dtype: torch.dtype, reason: str | None
) -> None:
    found = fused.supported(build(8, width, 10, 3, False).to(dtype), size, size)
    assert found == reason if reason is None else reason in found
