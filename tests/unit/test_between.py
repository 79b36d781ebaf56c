"""Interlayer cushions of any network against brute-force Jacobians, and between which points."""

import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from any_networks import FAMILIES, pictures, ready
from torch import Tensor, nn
from torchvision.models.densenet import _DenseLayer
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vision_transformer import EncoderBlock

from resnoise.errors import ResnoiseError
from resnoise.metrics import between, probes
from resnoise.metrics.between import PointMeter
from resnoise.metrics.calls import Calls
from resnoise.metrics.interlayer_cushion import Meter, choose
from resnoise.metrics.points import cuts
from resnoise.networks import build
from resnoise.specs.metrics import InterlayerCushionSpec
from resnoise.specs.run import NetworkSpec


def spec(**changes: Any) -> InterlayerCushionSpec:
    values = {"relative_error": 0.02, "max_probes": 20000, "probe_seed": 0, "precision": "float64"}
    return InterlayerCushionSpec(None, 0, False, **{**values, **changes})  # type: ignore[arg-type]


class PreActivation(nn.Module):
    """A pre-activation block, with a ReLU in place."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        return x + self.conv2(F.relu(self.bn2(y), inplace=True))


class Concatenating(nn.Module):
    """A layer of a DenseNet with what it is concatenated with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = _DenseLayer(4, 2, 2, 0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layer(x)], 1)


class Tokens(nn.Module):
    """An attention block on the pixels of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.block = EncoderBlock(2, 4, 8, 0.0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x.flatten(2).transpose(1, 2))


def projection() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6))


BLOCKS = {
    "plain": lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True)),
    "basic": lambda: BasicBlock(4, 4),
    "projection": lambda: BasicBlock(4, 6, 2, projection()),
    "bottleneck": lambda: Bottleneck(4, 1),
    "pre-activation": PreActivation,
    "depthwise": lambda: InvertedResidual(4, 4, 1, 2),
    "dense": Concatenating,
    "attention": Tokens,
}


class Net(nn.Module):
    """A stem, a block and a head."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
        self.block = block
        self.head = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.stem(x)).flatten(1))


def network(kind: str) -> nn.Module:
    net = Net(BLOCKS[kind]()).eval()
    net(pictures(1, 8))
    return ready(net).double()


def brute_force(net: Net, picture: Tensor) -> float:
    """Return the cushion of a network's block by definition, from all entries of the Jacobian."""
    x = net.stem(picture).detach()
    jacobian = torch.autograd.functional.jacobian(net.block, x).reshape(-1, x.numel())
    response = (jacobian @ x.flatten()).norm()
    return float(math.sqrt(x.shape[2] * x.shape[3]) * response / (jacobian.norm() * x.norm()))


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_block_has_the_cushion_of_its_jacobian(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, inputs = network(kind), pictures(2, 8).double()
    expected = [brute_force(net, inputs[place : place + 1]) for place in range(2)]
    # All rows of the Jacobian.
    exact = PointMeter(net, spec(), inputs, 500, ["stem", "block"])(inputs, [0, 1])
    assert exact.value[:, 0, 0] == pytest.approx(expected, rel=1e-9)
    assert (exact.standard_error == 0).all()
    assert (exact.method == probes.ROWS).all()
    # Random vectors, and with a sketch.
    monkeypatch.setattr(between, "_FEW_ROWS", 0)
    for worth, method in ((10**9, probes.SIGNS), (-1, probes.SKETCHED)):
        monkeypatch.setattr(between, "WORTH_A_SKETCH", worth)
        meter = PointMeter(net, spec(relative_error=0.04), inputs, 500, ["stem", "block"])
        found = meter(inputs[:1], [0])
        assert found.method[0, 0, 0] in (method, probes.SIGNS)
        value, error = found.value[0, 0, 0], found.standard_error[0, 0, 0]
        assert error <= 0.0401 * value
        assert abs(value - expected[0]) <= 4 * error + 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_cuts_and_spans_that_agree_with_the_jacobian(family: str) -> None:
    net, inputs = FAMILIES[family]().double(), pictures(2).double()
    meter = PointMeter(net, spec(), inputs, 500)
    assert (
        meter.names
        == {
            "vgg": ["features.3", "avgpool", "output"],
            "densenet": [
                *(
                    "features.relu0",
                    "features.transition1.relu",
                    "features.transition1",
                    "features",
                ),
                "output",
            ],
            "mobilenet": [
                *("features.0", "features.1", "features.2.conv.0", "features.2.conv.1"),
                *("features.2.conv", "features.3", "features", "output"),
            ],
            "vit": ["encoder.dropout", "encoder.layers.encoder_layer_0", "encoder", "output"],
        }[family]
    )
    kept: list[Tensor] = []
    meter.points.run(inputs[:1], lambda _n, x: kept.append(x.detach().clone()))

    def rest(x: Tensor) -> Tensor:
        return meter.points.run(inputs[:1], lambda n, _x: x.clone() if n == 0 else None)

    jacobian = torch.autograd.functional.jacobian(rest, kept[0]).reshape(3, -1)
    x = kept[0].flatten()
    positions = meter.points.points[0].positions(kept[0].shape)
    assert positions == (5 if family == "vit" else {"vgg": 64}.get(family, 256))
    expected = math.sqrt(positions) * (jacobian @ x).norm() / (jacobian.norm() * x.norm())
    found = meter(inputs[:1], [0])
    assert found.value[0, 0, -1] == pytest.approx(float(expected), rel=1e-9)


def test_points_are_where_no_shortcut_is_crossed() -> None:
    net, inputs = network("basic"), pictures(2, 8).double()
    names = [point.name for point in cuts(Calls(net, inputs), inputs[:1]).points]
    assert names == ["stem", "block", "output"]


def test_probes_agree_with_the_closed_forms_of_the_projects_own_networks() -> None:
    net = build(NetworkSpec("full-residual", 8, 4), 3).eval().double()
    inputs = pictures(2, 8).double()
    chained = choose(net, spec(), inputs, 500)
    assert isinstance(chained, Meter)
    expected = chained(inputs, [0, 1])
    names = ["bn1", "layer1.0", "layer2.0", "layer3.0"]
    meter = choose(net, spec(relative_error=0.03), inputs, 500, names)
    found = meter(inputs, [0, 1])
    above = np.triu_indices(3)
    # The first point is before the ReLU, so that only later blocks are the same.
    same = (found.value - expected.value)[:, 1:, 1:][:, [0, 0, 1], [0, 1, 1]]
    errors = np.hypot(found.standard_error, expected.standard_error)
    assert (np.abs(same) <= 4 * errors[:, 1:, 1:][:, [0, 0, 1], [0, 1, 1]] + 1e-9).all()
    assert np.isfinite(found.value[:, above[0], above[1]]).all()


def test_a_network_with_the_names_of_a_resnet_and_other_blocks_is_not_taken_for_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    class Named(nn.Module):
        """Pre-activation, with names that fit."""

        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.layer1 = nn.Sequential(PreActivation())
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.layer1(torch.relu(self.bn1(self.conv1(x)))).mean((2, 3)))

    net, inputs = ready(Named()), pictures(2, 8)
    assert isinstance(choose(net, spec(), inputs, 500), PointMeter)
    assert caplog.messages[0].startswith("no chain of blocks: ")


def test_too_little_memory_does_not_choose_another_method(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    net = build(NetworkSpec("full-residual", 8, 4), 3).eval().double()
    monkeypatch.setattr(net, "forward", fails)
    with pytest.raises(torch.OutOfMemoryError):
        choose(net, spec(), pictures(2, 8).double(), 500)


def test_less_memory_means_fewer_copies_and_the_same_cushions() -> None:
    net, inputs = network("basic"), pictures(2, 8).double()
    many, few = (PointMeter(net, spec(), inputs, memory) for memory in (500, 0))
    assert (many.copies, few.copies, few.sketches) == (16, 1, False)
    a, b = many(inputs, [0, 1]), few(inputs, [0, 1])
    assert np.allclose(a.value, b.value, rtol=1e-9, equal_nan=True)


def test_weights_and_their_gradients_are_as_before() -> None:
    net, inputs = network("basic"), pictures(2, 8).double()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    PointMeter(net, spec(), inputs, 500)(inputs, [0, 1])
    assert all(torch.equal(before[name], weight) for name, weight in net.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in net.parameters())


def test_dead_and_exploded_spans_have_no_number() -> None:
    net, inputs = network("plain"), pictures(3, 8).double()
    inputs[1] = torch.inf
    with torch.no_grad():
        net.stem[0].bias.fill_(-100.0)
    found = PointMeter(net, spec(), inputs[[0, 0]], 500, ["stem", "block"])(inputs, [0, 1, 2])
    assert np.isnan(found.value[[0, 2], 0, 0]).all()
    assert not np.isfinite(found.value[1, 0, 0])


NAMES = {
    "unknown": (["stem", "blok"], "between: 'blok' given, allowed: modules that are called for a"),
    "one": (["stem"], "between: stem given, allowed: two or more names in the order"),
    "order": (["block", "stem"], "between: block, stem given, allowed: two or more names"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_that_cannot_be_used_are_refused(case: str) -> None:
    names, message = NAMES[case]
    inputs = pictures(2, 8).double()
    with pytest.raises(ResnoiseError, match=message):
        PointMeter(network("basic"), spec(), inputs, 500, names)


def test_a_network_that_ignores_its_input_is_refused() -> None:
    net, inputs = network("plain"), pictures(2, 8).double()
    with torch.no_grad():
        net.head.weight.zero_()
    with pytest.raises(ResnoiseError, match="whose output does not depend on its input"):
        PointMeter(net, spec(), inputs, 500)
