"""Dominant-path networks by the C code against autograd."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from resnoise.errors import ResnoiseError
from resnoise.native import build as native_build
from resnoise.native.dominant_path import NativeDominantPathNet, supported
from resnoise.networks import build
from resnoise.networks.dominant_path import DominantPathNet
from resnoise.specs.run import NetworkSpec

ARCHITECTURES = ("dominant-path", "dominant-path-lower-full")
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-5}


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    try:
        native_build.load(single=True, narrow=True)
    except native_build.NativeUnavailable as error:
        pytest.skip(str(error))


def network(
    architecture: str, width: int = 8, dtype: torch.dtype = torch.float64
) -> DominantPathNet:
    """Return a network whose parameters are all random, as training has it in memory."""
    net = build(NetworkSpec(architecture, 14, width), 10, 1).to(dtype)
    assert isinstance(net, DominantPathNet)
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=numbers) / 10)
    return net.to(memory_format=torch.channels_last)


def batch(dtype: torch.dtype = torch.float64, count: int = 19) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(2)
    images = torch.randn(count, 1, 8, 8, generator=numbers, dtype=dtype)
    return images, torch.arange(count) % 10


@pytest.mark.parametrize("dtype", [*TOLERANCE])
@pytest.mark.parametrize("width", [8, 16])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_and_gradients_are_those_of_autograd(
    architecture: str, width: int, dtype: torch.dtype
) -> None:
    net, (images, labels) = network(architecture, width, dtype), batch(dtype)
    exact = copy.deepcopy(net).double()
    outputs = exact(images.double())
    expected = F.cross_entropy(outputs, labels)
    gradients = torch.autograd.grad(expected, [*exact.parameters()])
    backend = NativeDominantPathNet(net, 1)
    # The second call finds gradients there.
    for _ in range(2):
        loss, wrong = backend.loss_and_gradients(images, labels)
        assert loss.item() == pytest.approx(expected.item(), rel=TOLERANCE[dtype])
        assert wrong.item() == (outputs.argmax(1) != labels).sum().item()
        for (name, parameter), gradient in zip(net.named_parameters(), gradients, strict=True):
            assert parameter.grad is not None
            assert parameter.grad.stride() == parameter.stride()
            error = (parameter.grad.double() - gradient).norm() / gradient.norm()
            assert error < TOLERANCE[dtype], name
    torch.testing.assert_close(
        backend.logits(images).double(), outputs.detach(), rtol=TOLERANCE[dtype], atol=1e-5
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_read_at_each_call(architecture: str) -> None:
    net, (images, _) = network(architecture), batch()
    backend = NativeDominantPathNet(net, 1)
    before = backend.logits(images)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5)
    torch.testing.assert_close(backend.logits(images), net(images).detach())
    assert not torch.equal(backend.logits(images), before)


def test_what_is_supported() -> None:
    net = network("dominant-path")
    assert supported(net, 8, 8) is None
    assert "DominantPathNet only, not for SimplifiedNet" in str(
        supported(build(NetworkSpec("residual", 8, 8), 10), 8, 8)
    )
    assert "up to 64 pixels, not for 32x32" in str(supported(net, 32, 32))
    assert "multiples of 8, not 4x4" in str(supported(net, 4, 4))
    assert "multiple of 8, not 4" in str(supported(network("dominant-path", 4), 8, 8))


def test_arguments_that_do_not_fit_are_refused() -> None:
    images, labels = batch()
    with pytest.raises(ResnoiseError, match="images"):
        NativeDominantPathNet(network("dominant-path"), 1).loss_and_gradients(images[0], labels)
