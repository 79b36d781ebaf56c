"""Dominant-path networks: equal to residual networks with masked kernels, in everything."""

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise import devices, registry
from resnoise.config import load as config
from resnoise.initialisations import initialise
from resnoise.networks import build
from resnoise.networks.dominant_path import DominantPathNet
from resnoise.networks.simplified import SimplifiedNet
from resnoise.networks.summary import describe
from resnoise.plan.specs import recipe_spec, run_spec
from resnoise.specs.run import NetworkSpec
from resnoise.training import backend
from resnoise.training.objective import Penalty

VARIANTS = ("dominant-path", "dominant-path-lower-full")
RECIPE = recipe_spec(config.load({}), "dominant-path")


def network(variant: str, depth: int = 8, width: int = 3) -> DominantPathNet:
    """Return a float64 network with random parameters that let signals through."""
    net = build(NetworkSpec(variant, depth, width), 5).double()
    numbers = torch.Generator().manual_seed(depth)
    with torch.no_grad():
        for parameter in net.parameters():
            drawn = torch.randn(parameter.shape, generator=numbers, dtype=torch.float64)
            parameter.copy_(drawn / parameter[0].numel() ** 0.5)
    assert isinstance(net, DominantPathNet)
    return net


def kept(shape: torch.Size, variant: str) -> Tensor:
    """Return which entries a kernel keeps, entry by entry as the paper says."""
    outputs, inputs = shape[:2]
    mask = torch.zeros(shape, dtype=torch.bool)
    for output in range(outputs):
        for channel in range(inputs):
            on_path = output in (channel, channel + inputs)
            in_lower_half = outputs == 2 * inputs and output >= inputs
            if on_path or (variant == "dominant-path-lower-full" and in_lower_half):
                mask[output, channel] = True
    return mask


def masked(net: DominantPathNet, variant: str) -> SimplifiedNet:
    """Return the residual network whose kernels are those of ``net`` and 0 elsewhere."""
    width, classes = net.conv1.out_channels, net.fc.out_features
    full = SimplifiedNet(net.depth, width, classes, 3, residual=True).double()
    with torch.no_grad():
        for name in ("conv1", "fc"):
            full.get_submodule(name).load_state_dict(net.get_submodule(name).state_dict())
        for block, conv in zip(full.blocks(), net.convolutions(), strict=True):
            mask = kept(block.conv.weight.shape, variant)
            block.conv.weight.zero_()
            # Entries in the order of output channels, then input channels.
            block.conv.weight[mask] = torch.cat([part.flatten() for part in conv.kept()])
            block.conv.bias.copy_(conv.bias)
    return full


def pictures(batch: int = 4, size: int = 8) -> Tensor:
    numbers = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, size, size, generator=numbers, dtype=torch.float64)


def backward(net: nn.Module) -> Tensor:
    """Set all gradients for a test loss and return the logits."""
    logits: Tensor = net(pictures())
    F.cross_entropy(logits, torch.arange(len(logits))).backward()
    return logits.detach()


@pytest.mark.parametrize("depth", [8, 14])
@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_and_gradients_are_those_of_masked_kernels(variant: str, depth: int) -> None:
    net = network(variant, depth)
    full = masked(net, variant)
    torch.testing.assert_close(backward(net), backward(full), rtol=1e-12, atol=1e-12)
    for block, conv in zip(full.blocks(), net.convolutions(), strict=True):
        gradient = torch.cat([part.grad.flatten() for part in conv.kept()])  # type: ignore[union-attr]
        mask = kept(block.conv.weight.shape, variant)
        assert gradient.abs().max() > 0, "nothing is compared"
        torch.testing.assert_close(gradient, block.conv.weight.grad[mask], rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(conv.bias.grad, block.conv.bias.grad, rtol=1e-10, atol=1e-13)
    for ours, theirs in ((net.conv1, full.conv1), (net.fc, full.fc)):
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("transferred", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_penalty_is_that_of_masked_kernels(variant: str, transferred: bool) -> None:
    net = network(variant)
    full = masked(net, variant)
    recipe = recipe_spec(
        config.load({"training": {"simplified": {"penalty_on_transferred": transferred}}}), variant
    )
    ours, theirs = Penalty(net, recipe), Penalty(full, recipe)
    assert ours.value() == pytest.approx(theirs.value(), rel=1e-13)
    for penalty, parameters in ((ours, net.parameters()), (theirs, full.parameters())):
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        penalty.add_identity_gradient()
    total = 0.0
    for block, conv in zip(full.blocks(), net.convolutions(), strict=True):
        gradient = torch.cat([part.grad.flatten() for part in conv.kept()])  # type: ignore[union-attr]
        mask = kept(block.conv.weight.shape, variant)
        assert torch.equal(gradient, block.conv.weight.grad[mask])
        # Every output channel has one ID entry.
        total += len(block.conv.bias) * ours.coefficient
    added = sum(float(kernel.grad.sum()) for kernel in net.identity_kernels())  # type: ignore[union-attr]
    assert added == pytest.approx(total if transferred else 0)


@pytest.mark.parametrize(
    "initialisation", ["kwi", "hmwi", "t-hmwi", "id-entries_alpha=0.5", "t-inverse-kwi"]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_initial_weights_are_those_of_the_residual_network_of_the_seed(
    variant: str, initialisation: str
) -> None:
    net, full = network(variant, 14), build(NetworkSpec("residual", 14, 3), 5).double()
    assert isinstance(full, SimplifiedNet)
    initialise(net, initialisation, 3)
    initialise(full, initialisation, 3)
    for block, conv in zip(full.blocks(), net.convolutions(), strict=True):
        entries = torch.cat([part.flatten() for part in conv.kept()])
        assert torch.equal(entries, block.conv.weight[kept(block.conv.weight.shape, variant)])
        assert not conv.bias.any()
    assert torch.equal(net.conv1.weight, full.conv1.weight)
    assert torch.equal(net.fc.weight, full.fc.weight)


@pytest.mark.parametrize("variant", VARIANTS)
def test_channels_last_computes_the_same(variant: str) -> None:
    first, last = network(variant), devices.place(network(variant), torch.device("cpu"), "float64")
    torch.testing.assert_close(backward(first), backward(last), rtol=1e-12, atol=1e-12)
    for one, two in zip(first.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_parameters_are_the_kept_entries(variant: str) -> None:
    net = build(NetworkSpec(variant, 20, 16), 10)
    diagonal = 10 * (6 * 16 + 6 * 32 + 6 * 64) + 28 * 16 + 65 * 10
    more = {"dominant-path": 0, "dominant-path-lower-full": 9 * (16 * 15 + 32 * 31)}
    assert sum(p.numel() for p in net.parameters()) == diagonal + more[variant]
    multiplications = 27 * 16 * 32**2 + 9 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2) * 6 + 640
    multiplications += 9 * (16 * 15 * 16**2 + 32 * 31 * 8**2) * (more[variant] > 0)
    assert describe(net).splitlines()[-1].split()[2] == f"{multiplications:,}"


@pytest.mark.parametrize(("conv_backend", "level"), [("auto", "INFO"), ("native", "WARNING")])
@pytest.mark.parametrize("variant", VARIANTS)
def test_pytorch_computes_them_and_the_log_says_so(
    variant: str, conv_backend: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = config.load({"training": {"simplified": {"conv_backend": conv_backend}}})
    spec = run_spec(loaded, variant, 8, "hmwi", 1)
    with caplog.at_level(logging.INFO):
        assert backend.select(network(variant, width=16), spec, 32, 32).name == "torch"
    (record,) = caplog.records
    assert record.levelname == level
    assert "convolutions by PyTorch" in record.getMessage()


def test_they_train_by_the_recipe_of_the_residual_networks() -> None:
    assert recipe_spec(config.load({}), "residual") == RECIPE
    assert all(registry.architecture(variant).residual for variant in VARIANTS)
