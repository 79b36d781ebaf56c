"""Dominant gradient flow against brute force: one ordinary backward pass for every feature."""

import pytest
import torch
import torch.nn.functional as F
from flow_by_definition import shares_by_definition, written_out
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.metrics import path_gradients as gradient_flow
from resnoise.metrics.flow_readings import compared, dominant, parts
from resnoise.metrics.linearised import linearise
from resnoise.metrics.path_gradients import (
    Transposes,
    dominant_shares,
    feature_gradients,
    path_gradients,
)
from resnoise.networks import build
from resnoise.networks.fully_fledged import SHORTCUTS
from resnoise.specs.flow import READINGS
from resnoise.specs.run import NetworkSpec

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")


def network(
    architecture: str, depth: int, width: int, dtype: torch.dtype, shortcut: str | None = None
) -> nn.Module:
    """Return a network with random parameters that let signals through."""
    net = build(NetworkSpec(architecture, depth, width, shortcut), 5).to(dtype)
    numbers = torch.Generator().manual_seed(depth)
    with torch.no_grad():
        for parameter in net.parameters():
            drawn = torch.randn(parameter.shape, generator=numbers, dtype=torch.float64)
            if parameter.dim() == 1:
                parameter.copy_(drawn / 5)
            else:
                parameter.copy_(drawn / parameter[0].numel() ** 0.5)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.add_(1)
    return net


def pictures(batch: int = 5, size: int = 8, dtype: torch.dtype = torch.float64) -> Tensor:
    numbers = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, size, size, generator=numbers, dtype=torch.float64).to(dtype)


class FrozenNorm(nn.Module):
    """Batch normalisation whose statistics have no gradient."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm
        self.num_features = norm.num_features

    def forward(self, x: Tensor) -> Tensor:
        constant = x.detach()
        mean = constant.mean((0, 2, 3), keepdim=True)
        variance = constant.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = (v[None, :, None, None] for v in (self.norm.weight, self.norm.bias))
        return (x - mean) / torch.sqrt(variance + self.norm.eps) * scale + shift


def activations(net: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Return all post-ReLU activations, with their graph; replaces batch normalisation."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, FrozenNorm(child))
    first = net.bn1(net.conv1(inputs)) if hasattr(net, "bn1") else net.conv1(inputs)
    found = [F.relu(first)]
    for group in (net.layer1, net.layer2, net.layer3):
        for block in group:
            x = found[-1]
            if hasattr(block, "conv2"):
                middle = F.relu(block.bn1(block.conv1(x)))
                y = block.bn2(block.conv2(middle))
                shortcut = block.shortcut(x) if block.residual else 0
                found += [middle, F.relu(y + shortcut)]
            else:
                y = block.conv(x)
                if block.residual:
                    x = x[:, :, :: block.stride, :: block.stride]
                    y = y + torch.cat([x] * (y.shape[1] // x.shape[1]), dim=1)
                found.append(F.relu(y))
    return found


def brute_force(net: nn.Module, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    """Return G of every layer but the last, [F, B, C, H, W], from its definition."""
    found = activations(net, inputs.requires_grad_())
    features = found[-1].mean((2, 3))
    risks = F.cross_entropy(net.fc(features), labels, reduction="none")
    (gradients,) = torch.autograd.grad(risks.sum(), features, retain_graph=True)
    parts = []
    for j in range(features.shape[1]):
        mediated = (features[:, j] * gradients[:, j]).sum()
        parts.append(torch.autograd.grad(mediated, found[:-1], retain_graph=True))
    return [torch.stack(of_layer) for of_layer in zip(*parts, strict=True)]


Shares = dict[str, tuple[Tensor, Tensor]]


def flow(net: nn.Module, inputs: Tensor, labels: Tensor, **options: bool) -> Shares:
    at = linearise(net, inputs)
    weight = net.get_parameter("fc.weight").detach()
    return dominant_shares(at, feature_gradients(at.features, at.logits, labels, weight), **options)


def flat(shares: Shares) -> list[Tensor]:
    """Return all tensors of shares."""
    return [tensor for pair in shares.values() for tensor in pair]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("depth", "width", "size"), [(8, 3, 8), (14, 4, 12), (8, 16, 8), (14, 16, 16)]
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_of_all_paths_are_those_of_brute_force(
    architecture: str, depth: int, width: int, size: int, native: bool
) -> None:
    net = network(architecture, depth, width, torch.float64)
    inputs, labels = pictures(size=size), torch.arange(5)
    at = linearise(net, inputs)
    weight = net.get_parameter("fc.weight").detach()
    gradients = feature_gradients(at.features, at.logits, labels, weight)
    found = [
        [layer.clone() for layer in path_gradients(at, gradients, part, Transposes(native))][::-1]
        for part in (slice(0, 2), slice(2, 5))
    ]
    expected = brute_force(net, inputs, labels)
    assert len(found[0]) == len(expected) == depth - 2
    for first, second, whole in zip(*found, expected, strict=True):
        assert whole.abs().max() > 0, "nothing is compared"
        assert (torch.cat([first, second], dim=1) - whole).norm() <= 1e-12 * whole.norm()


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_gradients_through_every_kind_of_shortcut_are_those_of_brute_force(shortcut: str) -> None:
    net = network("full-residual", 14, 3, torch.float64, shortcut)
    inputs, labels = pictures(size=8), torch.arange(5)
    at = linearise(net, inputs)
    weight = net.get_parameter("fc.weight").detach()
    gradients = feature_gradients(at.features, at.logits, labels, weight)
    found = [
        layer.clone() for layer in path_gradients(at, gradients, slice(0, 5), Transposes(True))
    ]
    for layer, whole in zip(found[::-1], brute_force(net, inputs, labels), strict=True):
        assert (layer - whole).norm() <= 1e-12 * whole.norm()


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(("paths", "channels"), [(8, 2), (8, 8), (6, 3)])
def test_each_reading_compares_the_parts_that_it_says(
    reading: str, paths: int, channels: int
) -> None:
    numbers = torch.Generator().manual_seed(paths + channels)
    given = torch.randn(paths, 3, channels, 2, 4, generator=numbers, dtype=torch.float64)
    own, rest = compared(parts(given), reading)
    expected = written_out(given, reading)
    assert own.shape == rest.shape == (3, len(expected), 2, 4)
    for number, (mine, others) in enumerate(expected):
        torch.testing.assert_close(own[:, number], mine, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(rest[:, number], others, rtol=1e-12, atol=1e-14)


def test_set_and_single_are_the_same_with_a_channel_for_each_path_and_differ_otherwise() -> None:
    numbers = torch.Generator().manual_seed(1)
    square = torch.randn(6, 2, 6, 3, 3, generator=numbers, dtype=torch.float64)
    for one, two in zip(
        compared(parts(square), "set"), compared(parts(square), "single"), strict=True
    ):
        torch.testing.assert_close(one, two)
    assert len(compared(parts(square[:, :, :3]), "set")[0][0]) == 3
    assert len(compared(parts(square[:, :, :3]), "single")[0][0]) == 6


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_linearised_networks_compute_what_the_networks_do(architecture: str) -> None:
    net = network(architecture, 14, 3, torch.float64)
    at = linearise(net, pictures())
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.testing.assert_close(at.logits, net.train()(pictures()), rtol=1e-11, atol=1e-11)
    if "full" not in architecture:
        return
    net.load_state_dict(state)
    linearise(net, pictures())
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("native", [True, False])
def test_any_number_of_threads_gives_the_same_shares(native: bool) -> None:
    net = network("residual", 8, 16, torch.float64)
    inputs, labels = pictures(size=8), torch.arange(5)
    expected = flow(net, inputs, labels, native=native)
    try:
        for threads in (2, 3, 8):
            torch.set_num_threads(threads)
            found = flow(net, inputs, labels, native=native)
            assert torch.get_num_threads() == threads, "the setting is lost"
            assert all(map(torch.equal, flat(found), flat(expected)))
    finally:
        torch.set_num_threads(1)


def test_an_error_in_a_thread_is_raised_and_leaves_the_number_of_threads() -> None:
    net = network("plain", 8, 4, torch.float64)
    at = linearise(net, pictures())
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError):
            dominant_shares(at, torch.ones(5, 3, dtype=torch.float64))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shares_follow_from_the_gradients(architecture: str, reading: str) -> None:
    net = network(architecture, 8, 4, torch.float64)
    inputs, labels = pictures(), torch.arange(5)
    by_mean, by_median = flow(net, inputs, labels)[reading]
    assert by_mean.shape == by_median.shape == (5, 6)
    for layer, gradients in enumerate(brute_force(net, inputs, labels)):
        for picture in range(5):
            mean, median = shares_by_definition(gradients[:, picture : picture + 1], reading)
            assert by_mean[picture, layer] == pytest.approx(mean)
            assert by_median[picture, layer] == pytest.approx(median)


def test_entries_without_any_gradient_have_ratio_zero_and_without_rest_infinity() -> None:
    own = torch.tensor([[[[0.0, 0.0]], [[1e-9, 0.0]], [[1.0, 0.5]]]])
    rest = torch.tensor([[[[0.0, 0.0]], [[0.0, 0.0]], [[1.0, 1.0]]]])
    by_mean, by_median = dominant(own, rest)
    # The second is infinite at one of two positions; no other mean or median exceeds 1.
    assert by_mean.tolist() == [[False, True, False]]
    assert not by_median.any()


def test_chunks_of_pictures_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network("residual", 14, 16, torch.float64)
    whole = flow(net, pictures(), torch.arange(5))
    monkeypatch.setitem(gradient_flow._CHUNK_BYTES, "cpu", 1)
    single = flow(net, pictures(), torch.arange(5))
    for one, two in zip(flat(whole), flat(single), strict=True):
        assert torch.equal(one, two)


def test_identity_alone_has_only_dominant_flows() -> None:
    """Without weights in blocks, what reaches channel c comes from its own features only."""
    net = network("residual", 14, 4, torch.float64)
    with torch.no_grad():
        net.conv1.bias.fill_(10)
        for kernel in net.identity_kernels():
            kernel.zero_()
        for block in net.blocks():
            block.conv.bias.fill_(1)
    shares = flow(net, pictures(), torch.arange(5))
    # At a subsampling only a quarter of the positions has any gradient, the mean is infinite.
    for reading in ("set", "carriers"):
        by_mean, by_median = shares[reading]
        assert (by_mean == 1).all()
        assert (by_median[:, -3:] == 1).all()
    # Four and two paths share a channel of the first two groups, and none dominates the others.
    assert (shares["single"][0][:, -3:] == 1).all()
    assert (shares["single"][0][:, 0] < 1).all()


def test_feature_gradients_are_those_of_each_pictures_risk() -> None:
    net = network("residual", 8, 4, torch.float64)
    at = linearise(net, pictures())
    features = at.features.requires_grad_()
    risks = F.cross_entropy(net.fc(features), torch.arange(5), reduction="none")
    (expected,) = torch.autograd.grad(risks.sum(), features)
    found = feature_gradients(
        at.features.detach(), at.logits, torch.arange(5), net.fc.weight.detach()
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_networks_of_other_kinds_are_refused() -> None:
    with pytest.raises(ResnoiseError, match="DominantPathNet asked for, allowed: SimplifiedNet"):
        linearise(build(NetworkSpec("dominant-path", 8, 4), 5).double(), pictures())
