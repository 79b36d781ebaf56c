"""Dominant gradient flow of any network: by its definition, and where it is not defined."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import public_networks
import pytest
import torch
import torch.nn.functional as F
from any_networks import pictures, ready, small_densenet, small_vgg, small_vit
from flow_by_definition import shares_by_definition
from torch import Tensor, nn

from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.metrics.call_flow import CallFlow, NoFlow, measure_run
from resnoise.metrics.linearised import linearise
from resnoise.metrics.path_gradients import dominant_shares, feature_gradients
from resnoise.networks import build
from resnoise.networks.resnet import ResNet
from resnoise.specs.flow import BLOCK_OUTPUT, READINGS
from resnoise.specs.metrics import CallFlowSpec, ExternalSpec
from resnoise.specs.run import NetworkSpec
from resnoise.trained.conventions import rename
from resnoise.trained.external import ExternalNetwork
from resnoise.trained.shapes import Structure

LABELS = torch.arange(3)


def flow(net: nn.Module, inputs: Tensor, classes: int = 10) -> tuple[list[str], Tensor]:
    measured = CallFlow(net, inputs[:2], classes)
    return list(measured.table["name"]), measured(inputs, LABELS)


def by_definition(
    net: nn.Module, inputs: Tensor, activations: list[str]
) -> tuple[list[list[float]], list[list[float]]]:
    """Return f of all pictures and activations by mean and by median, of the reading single.

    Args:
        net: in evaluation mode, of float64.
        inputs: [B, C, H, W].
        activations: names of the modules that read them.
    """
    kept: dict[str, Tensor] = {}
    modules = dict(net.named_modules())
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    names = {modules[name]: name for name in activations} | {last: "a"}
    hooks = [
        module.register_forward_pre_hook(lambda own, x: kept.update({names[own]: x[0]}))
        for module in names
    ]
    logits = net(inputs.clone().requires_grad_())
    for hook in hooks:
        hook.remove()
    features = kept.pop("a")
    risks = F.cross_entropy(logits, LABELS, reduction="none")
    (gradients,) = torch.autograd.grad(risks.sum(), features, retain_graph=True)
    tensors = [kept[name] for name in activations]
    paths = []
    for j in range(features.shape[1]):
        mediated = (features[:, j] * gradients[:, j]).sum()
        paths.append(torch.autograd.grad(mediated, tensors, retain_graph=True))
    both = [
        [
            shares_by_definition(torch.stack(of_layer)[:, place : place + 1], "single")
            for of_layer in zip(*paths, strict=True)
        ]
        for place in range(len(inputs))
    ]
    means, medians = ([[f[n] for f in of_picture] for of_picture in both] for n in range(2))
    return means, medians


NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "identities": (
        lambda: public_networks.build("akamaster"),
        [f"layer{g}.{b}.conv{c}" for g in (1, 2, 3) for b in (0, 1) for c in (1, 2)],
    ),
    "projections": (
        lambda: public_networks.build("kuangliu, bottlenecks"),
        ["layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer4.1.conv3"],
    ),
    "plain": (small_vgg, ["features.4"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_flow_is_that_of_the_definition(name: str) -> None:
    make, activations = NETWORKS[name]
    net, inputs = make().double(), pictures(3, 8).double()
    classes = 3 if name == "plain" else 10
    names, shares = flow(net, inputs, classes)
    means, medians = by_definition(net, inputs, activations)
    places = [names.index(activation) for activation in activations]
    found = shares[READINGS.index("single")][:, :, places]
    expected = torch.tensor([means, medians], dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    assert expected.unique().numel() > 2, "nothing is compared"


@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_it_is_that_of_the_projects_own_networks(architecture: str) -> None:
    torch.manual_seed(0)
    net = build(NetworkSpec(architecture, 14, 4), 5).double().eval()
    inputs = pictures(3, 8).double()
    at = linearise(net, inputs)
    gradients = feature_gradients(at.features, at.logits, LABELS, net.fc.weight.detach())
    measured = CallFlow(net, inputs[:2], 5)
    shares = measured(inputs, LABELS)
    for reading, (by_mean, by_median) in dominant_shares(at, gradients).items():
        for found, expected in zip(
            shares[READINGS.index(reading)], (by_mean, by_median), strict=True
        ):
            torch.testing.assert_close(found, expected)
    assert list(measured.table["layer"]) == list(range(1, 13))
    assert set(measured.table["place"]) == {BLOCK_OUTPUT}


def test_a_state_dict_and_its_module_have_the_same_flow() -> None:
    own = public_networks.build("akamaster")
    structure = Structure(rename(dict(own.state_dict()), Path("x")), Path("x"))
    choice = structure.candidates("padded-around", residual=True)[0]
    net = ResNet(structure.shape(choice)).eval()
    net.load_state_dict(structure.named.weights)
    inputs = pictures(3, 8).double()
    (_, one), (names, two) = flow(net.double(), inputs), flow(own.double(), inputs)
    assert torch.equal(one, two)
    assert names[2] == "layer1.1.conv1"


def test_pictures_alone_have_the_same_flow() -> None:
    net, inputs = public_networks.build("akamaster").double(), pictures(3, 8).double()
    measured = CallFlow(net, inputs[:2], 10)
    alone = [measured(inputs[k : k + 1], LABELS[k : k + 1]) for k in range(3)]
    assert torch.equal(torch.cat(alone, 2), measured(inputs, LABELS))


def test_behind_a_dead_cut_all_is_dead() -> None:
    net = public_networks.build("akamaster").double()
    with torch.no_grad():
        # The last ReLU of the block gets negative numbers only.
        net.layer2[0].bn2.bias -= 1e6
    names, shares = flow(net, pictures(3, 8).double())
    dead = shares.isnan().all(0).all(0)
    # No gradient reaches what is before it, and nothing of the picture what is behind it.
    assert dead.all()
    assert len(names) == 12


class Ends(nn.Module):
    """Two convolutions and an end of some kind."""

    def __init__(self, end: Callable[[Tensor], Tensor], inputs: int, middle: int = 4) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, middle, 3), nn.Conv2d(middle, 4, 3)
        self.end, self.fc = end, nn.Linear(inputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.end(self.conv2(self.conv1(x).relu()).relu()))
        return y


class Around(Ends):
    """A shortcut runs around the activation that the second convolution reads."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        z: Tensor = self.fc((self.conv2(y.relu()) + y[:, :, 1:-1, 1:-1]).mean((2, 3)))
        return z


class Detached(Ends):
    """Its code asks for no derivatives."""

    def __init__(self) -> None:
        super().__init__(lambda x: x.mean((2, 3)), 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


REFUSED: dict[str, tuple[Callable[[], nn.Module], int, str]] = {
    "tokens": (small_vit, 3, "not one entry for each channel of the last convolution"),
    "concatenation": (small_densenet, 3, "not one entry for each channel"),
    "pixels": (lambda: Ends(lambda x: x.flatten(1), 4 * 16), 3, "not one entry for each channel"),
    "mixed": (
        lambda: Ends(lambda x: F.layer_norm(x.mean((2, 3)), (4,)), 4),
        3,
        "alone: other channels change it",
    ),
    "channels": (
        lambda: Ends(lambda x: x.mean((2, 3)), 4, 3),
        3,
        "divides the 4 of the pooled outputs",
    ),
    "classes": (lambda: Ends(lambda x: x.mean((2, 3)), 4), 10, "has 3 classes and the pictures"),
    "shortcut": (lambda: Around(lambda x: x, 4), 3, "shortcuts run around all activations"),
    "no derivative": (Detached, 3, "no derivative leads from the logits to the picture"),
    "probabilities": (
        lambda: nn.Sequential(Ends(lambda x: x.mean((2, 3)), 4), nn.LogSoftmax(1)),
        3,
        "not what a linear layer makes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_networks_without_a_flow_are_refused_with_the_reason(name: str) -> None:
    make, classes, reason = REFUSED[name]
    net = ready(make())
    size = 8 if name == "pixels" else 16
    with pytest.raises(NoFlow, match=f"^no dominant gradient flow is defined: .*{reason}"):
        CallFlow(net, pictures(2, size), classes)


def test_a_file_without_a_flow_says_why_unless_it_must_have_one(tmp_path: Path) -> None:
    net = ready(Around(lambda x: x, 4))
    images = np.random.default_rng(0).integers(256, size=(4, 8, 8, 3), dtype=np.uint8)
    labels, half = np.arange(4) % 3, np.full(3, 0.5)
    dataset = Dataset(images, labels, images, labels, ("a", "b", "c"), half, half, "0", "1")
    spec = ExternalSpec("mine", "make", (), {}, True, "auto", None, None)
    run = ExternalNetwork(spec, lambda: net, dict(net.state_dict()), 3, dataset, {})
    file, wanted = tmp_path / "a.csv", CallFlowSpec(2, 0, False, "float64")
    measure_run(run, wanted, [file], Computing("cpu"))
    (row,) = pd.read_csv(file).to_dict("records")
    assert row["state"].startswith("shortcuts run around all activations")
    assert math.isnan(row["f_mean"])
    file.unlink()
    with pytest.raises(NoFlow):
        measure_run(run, wanted, [file], Computing("cpu"), required=True)
    assert not file.exists()
