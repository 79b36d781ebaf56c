"""Networks of usual repositories: names, structure, what the file does not show, Jacobians."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import public_networks
import pytest
import torch
from torch import Tensor, nn

from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.metrics import interlayer_cushion, layer_cushion
from resnoise.metrics.blocks import chain
from resnoise.metrics.jacobian_norm import ExactNorm, has_closed_form
from resnoise.specs.metrics import ExternalSpec, InterlayerCushionSpec
from resnoise.trained import conventions, external, user_network
from resnoise.trained.candidates import Fit, rank
from resnoise.trained.external import read

CPU = torch.device("cpu")


def spec(**changes: Any) -> ExternalSpec:
    values: dict[str, Any] = {"name": "mine", "rename": {}, "residual": True, "shortcut": "auto"}
    values |= {"factory": None, "between": (), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    return ExternalSpec(**{**values, **changes})


def inputs(pictures: np.ndarray) -> Tensor:
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25


def pictures_of(network: nn.Module, count: int = 48, classes: int = 10) -> Dataset:
    """Return noise with the labels that the network predicts: its own test error is 0."""
    random = np.random.default_rng(0)
    images = random.integers(256, size=(count, 16, 16, 3), dtype=np.uint8)
    with torch.no_grad():
        labels = network(inputs(images)).argmax(1).numpy()
    names = tuple(f"{number}" for number in range(classes))
    mean = np.full(3, 0.5)
    return Dataset(images, labels, images, labels, names, mean, mean / 2, "0", "1")


def saved(folder: Path, weights: object) -> Path:
    torch.save(weights, folder / "mine.pth")
    return folder / "mine.pth"


@pytest.mark.parametrize("name", public_networks.NETWORKS)
def test_a_network_of_a_usual_repository_is_read_from_its_weights_alone(
    name: str, tmp_path: Path
) -> None:
    network = public_networks.build(name)
    data = pictures_of(network)
    found = read(spec(), saved(tmp_path, network.state_dict()), data)
    x = inputs(data.test_images)
    with torch.no_grad():
        ours, own = found.network("final", CPU)(x), network(x)
    torch.testing.assert_close(ours, own, atol=1e-5, rtol=1e-5)
    external.describe(found, tmp_path / "network.json", CPU)
    assert json.loads((tmp_path / "network.json").read_text("utf-8"))["test_error"] == 0


def test_what_the_file_does_not_show_is_told_with_the_test_errors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = public_networks.build("average pooling, zeros around")
    file, data = saved(tmp_path, network.state_dict()), pictures_of(network)
    found = read(spec(), file, data)
    printed = caplog.text
    assert "mine: the file does not show the kind of shortcut and which convolution has" in printed
    assert "shortcut pooled-around, the stride in convolution 1 of a block fits best" in printed
    assert found.compared[0]["test_error"] == 0 and len(found.compared) == 10
    assert found.compared[1]["test_error"] > 0.2
    # The key settles the kind, whether it fits or not.
    given = read(spec(shortcut="stacked"), file, data)
    assert len(given.compared) == 2 and given.compared[0]["test_error"] > 0.2


def test_networks_that_are_too_close_are_compared_again_on_more_pictures() -> None:
    random = np.random.default_rng(0)
    hard = random.random(2000)
    # Shares of wrong pictures: the first two cannot be told apart, but have different losses.
    shares, asked = [0.300, 0.303, 0.6], []

    def measure(place: int, pictures: int) -> Fit:
        asked.append((place, pictures))
        wrong = hard[:pictures] < shares[place]
        return Fit(wrong, hard[:pictures] + (0.1 if place == 0 else 0.0))

    ranked = rank(3, measure)
    assert asked == [(0, 500), (1, 500), (2, 500), (1, 2000), (0, 2000)]
    assert [place for place, _ in ranked] == [1, 0, 2]
    assert [fit.pictures for _, fit in ranked] == [2000, 2000, 500]
    assert ranked[1][1].error < ranked[0][1].error < ranked[1][1].error + 0.01
    assert ranked[0][1].differs_in_loss(ranked[1][1])
    assert Fit(hard < 0.6, hard).differs(Fit(hard < 0.5, hard))
    assert not Fit(hard < 0.6, hard).differs_in_loss(Fit(hard < 0.5, 1 - hard))


def test_without_a_test_error_the_most_usual_network_is_assumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = public_networks.build("akamaster")
    found = read(spec(), saved(tmp_path, network.state_dict()), pictures_of(network, classes=11))
    assert "ASSUMED is shortcut padded-around, the stride in convolution 1" in found.notes[0]
    external.describe(found, tmp_path / "network.json", CPU)
    record = json.loads((tmp_path / "network.json").read_text("utf-8"))
    assert record["test_error"] is None
    assert "the network has 10 classes and the pictures have 11" in record["notes"][1]
    assert "the network has 10 classes" in caplog.text


def test_an_error_of_guessing_names_the_first_suspects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = public_networks.build("chenyaofo")
    data = pictures_of(network)
    found = read(spec(), saved(tmp_path, network.state_dict()), data)
    external.describe(found, tmp_path / "network.json", CPU)
    assert "suspect" not in caplog.text
    other = dataclasses.replace(data, test_labels=(data.test_labels + 1) % 10)
    wrong = dataclasses.replace(found, dataset=other)
    external.describe(wrong, tmp_path / "network.json", CPU)
    assert "error of 1.000 is that of guessing: suspect mean and std" in caplog.text
    record = json.loads((tmp_path / "network.json").read_text("utf-8"))
    assert "numbers for pixels from 0 to 255 must be divided by 255" in record["notes"][-1]


def test_a_file_of_a_plain_network_is_recognised_by_its_test_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = public_networks.build("akamaster")
    data = pictures_of(network)
    file = saved(tmp_path, network.state_dict())
    plain = read(spec(residual=False), file, data).network("final", CPU)
    with torch.no_grad():
        logits = plain(inputs(data.test_images))
        # Labels that the plain network predicts and the residual ones never do.
        labels = (logits - logits.mean(0)).argmax(1).numpy()
    weights = network.state_dict()
    weights["linear.bias"] -= logits.mean(0)
    read(spec(), saved(tmp_path, weights), dataclasses.replace(data, test_labels=labels))
    assert "without shortcuts (residual: false) the test error is 0.000" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "kuangliu",
        "stacked",
        "average pooling",
        "ResNet-D",
        "biases beside batch normalisation",
        "kuangliu, bottlenecks",
        "torchvision, groups",
    ],
)
def test_the_jacobian_of_each_kind_of_block_is_that_of_automatic_differentiation(
    name: str, tmp_path: Path
) -> None:
    network = public_networks.build(name)
    found = read(spec(), saved(tmp_path, network.state_dict()), pictures_of(network))
    module = found.network("final", CPU).double()
    # The first block of the second group has a stride and, mostly, other channels.
    block, part = chain(module).blocks[len(module.layer1)], module.layer2[0]
    side = 4 if part.conv1.in_channels < 64 else 2
    x = torch.rand(1, part.conv1.in_channels, side, side, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(part, x).reshape(-1, x.numel())
    with torch.no_grad():
        linear = block.linearise(x)
        torch.testing.assert_close(linear.output, part(x))
        v, u = torch.randn(1, *x.shape).double(), torch.randn(1, *linear.output.shape).double()
        torch.testing.assert_close(linear.forward(v).flatten(), jacobian @ v.flatten())
        torch.testing.assert_close(linear.backward(u.clone()).flatten(), jacobian.t() @ u.flatten())
        if has_closed_form(block):
            exact = ExactNorm(block, 4, 4).squared(linear)
            torch.testing.assert_close(exact[0], jacobian.square().sum())


@pytest.mark.parametrize("name", ["kuangliu", "huyvnphan", "average pooling", "xternalz"])
def test_layer_cushions_are_those_of_the_original_network(name: str, tmp_path: Path) -> None:
    network = public_networks.build(name)
    found = read(spec(), saved(tmp_path, network.state_dict()), pictures_of(network))
    x = torch.randn(2, 3, 16, 16)
    cushions = layer_cushion.Meter(found.network("final", CPU), x)(x)
    expected: dict[str, list[float]] = {}

    def measure(module: nn.Module, arguments: tuple[Tensor], output: Tensor) -> None:
        bias = getattr(module, "bias", None)
        response = output if bias is None else output - bias
        size = module.weight.norm() * arguments[0].flatten(1).norm(dim=1)  # type: ignore[operator, union-attr]
        expected[f"{len(expected)}"] = (response.flatten(1).norm(dim=1) / size).tolist()

    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.register_forward_hook(measure)
    with torch.no_grad():
        network(x)
    ours = sorted(map(tuple, cushions.t().tolist()))
    np.testing.assert_allclose(ours, sorted(map(tuple, expected.values())), rtol=1e-4)


def test_a_pre_activation_network_has_interlayer_cushions(tmp_path: Path) -> None:
    network = public_networks.build("bearpaw, pre-activation")
    found = read(spec(), saved(tmp_path, network.state_dict()), pictures_of(network))
    given = InterlayerCushionSpec(2, 0, False, 0.1, 16, 0, "float32")
    x = torch.randn(2, 3, 16, 16)
    meter = interlayer_cushion.choose(found.network("final", CPU), given, x, 100)
    value = meter(x, [0, 1]).value
    assert value.shape[1] >= 6 and bool((value[:, 0] > 0).all())


REFUSED = {
    "kernels that do not follow": (
        "kuangliu",
        lambda w: {**w, "layer2.0.conv2.weight": torch.ones(8, 5, 3, 3)},
        {},
        "layer2.0.conv2.weight takes 5 channels, but the layer before gives 8",
    ),
    "an even kernel": (
        "kuangliu",
        lambda w: {**w, "layer2.0.conv2.weight": torch.ones(8, 8, 2, 2)},
        {},
        "layer2.0.conv2.weight has kernels of 2 x 2, allowed: squares with an odd side",
    ),
    "a lost batch normalisation": (
        "weiaicunzai",
        lambda w: {k: v for k, v in w.items() if "conv3_x.0.residual_function.1" not in k},
        {},
        "conv3_x.0.residual_function.0.weight has 2 convolutions and 1 batch normalisations",
    ),
    "a lost block": (
        "akamaster",
        lambda w: {k: v for k, v in w.items() if not k.startswith("layer2.")},
        {},
        "groups have the numbers 1, 3, allowed: numbers without a gap",
    ),
    "a lost half of a projection": (
        "kuangliu",
        lambda w: {k: v for k, v in w.items() if k != "layer2.0.shortcut.1.weight"},
        {},
        "missing key 'layer2.0.shortcut.1.weight', of shape",
    ),
    "a lost statistic, in the file's names": (
        "xternalz",
        lambda w: {k: v for k, v in w.items() if k != "block1.layer.0.bn2.running_mean"},
        {},
        "missing key 'block1.layer.0.bn2.running_mean', of shape",
    ),
    "negative variances, in the file's names": (
        "weiaicunzai",
        lambda w: {**w, "conv1.1.running_var": -torch.ones(4)},
        {},
        "conv1.1.running_var has values below 0, which no variance has",
    ),
    "other blocks": (
        "kuangliu",
        lambda w: {**w, "layer1.0.gate.weight": torch.ones(1, 4, 1, 1)},
        {},
        "unexpected key 'layer1.0.gate.weight', known are names of ResNets",
    ),
    "a plain network with projections": (
        "kuangliu",
        lambda w: w,
        {"residual": False},
        "residual: false given, but layer2.0.shortcut.0.weight is a shortcut",
    ),
    "a kind that nothing needs": (
        "kuangliu",
        lambda w: w,
        {"shortcut": "stacked"},
        "shortcut: stacked given, allowed: auto, because no shortcut of this network",
    ),
    "a beginning of no name": (
        "kuangliu",
        lambda w: w,
        {"rename": {"head.": "fc."}},
        "rename: 'head.' given, allowed: the beginning of a name in .*, such as conv1.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    name, change, keys, message = REFUSED[case]
    network = public_networks.build(name)
    file = saved(tmp_path, change(network.state_dict()))
    with pytest.raises(ResnoiseError, match=message) as refused:
        read(spec(**keys), file, pictures_of(network))
    assert "\n" not in str(refused.value)


def test_unknown_names_are_renamed(tmp_path: Path) -> None:
    network = public_networks.build("chenyaofo")
    names = {"conv1.": "module.encoder.first.", "fc.": "head.", "bn1.": "module.encoder.bn1."}
    weights = {
        next((put + k.removeprefix(old) for old, put in names.items() if k.startswith(old)), k): v
        for k, v in network.state_dict().items()
    }
    weights["projector.weight"] = torch.ones(2, 2)
    given = {"encoder.": "", "encoder.first.": "conv1.", "head.": "fc.", "projector.": None}
    data = pictures_of(network)
    found = read(spec(rename=given), saved(tmp_path, weights), data)
    x = inputs(data.test_images)
    with torch.no_grad():
        torch.testing.assert_close(found.network("final", CPU)(x), network(x))


def test_a_kernel_of_zeros_is_named(tmp_path: Path) -> None:
    network = public_networks.build("kuangliu")
    weights = network.state_dict()
    weights["layer3.0.conv2.weight"].zero_()
    found = read(spec(), saved(tmp_path, weights), pictures_of(network))
    assert any("layer3.0.conv2.weight is 0 throughout" in note for note in found.notes)


def test_the_page_lists_the_names_that_are_known() -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-networks.md").read_text("utf-8")
    known = {*conventions.STEMS, *conventions.NORMS, *conventions.CLASSIFIERS}
    groups = {f"{name}.0".replace("#", "1") for name in conventions.GROUPS}
    groups = {name.replace("conv1", "conv2") for name in groups}
    assert [name for name in sorted(known | groups) if f"`{name}`" not in page] == []


# A ResNet with further parts, as a Python file would define it.
FURTHER = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, norm, squeeze):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), norm(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), norm(4)
        self.se = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)) if squeeze else None

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.se is not None:
            y = y * torch.sigmoid(self.se(y.mean((2, 3), keepdim=True)))
        return torch.relu(x + y)

class Net(nn.Module):
    def __init__(self, norm=nn.BatchNorm2d, squeeze=False, stem=None):
        super().__init__()
        self.conv1 = stem or nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1, self.layer1 = norm(4), nn.Sequential(Block(norm, squeeze))
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.layer1(torch.relu(self.bn1(self.conv1(x)))).mean((2, 3)))

def groups():
    return Net(lambda channels: nn.GroupNorm(2, channels))

def squeeze():
    return Net(squeeze=True)

def stem():
    return Net(stem=nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)))
"""


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("groups", r"bn1 has no running_mean, as batch normalisation has it and that of groups"),
        ("squeeze", r"'layer1\.0\.se\.0\.weight' is a tensor of squeeze-and-excitation"),
        ("stem", r"'conv1\.2\.weight' is a tensor of a stem of several convolutions"),
    ],
)
def test_further_parts_are_refused_by_name_and_read_with_a_python_file(
    factory: str, reason: str, tmp_path: Path
) -> None:
    module = tmp_path / f"further_{factory}.py"
    module.write_text(FURTHER, "utf-8")
    network = user_network.build(module, factory)
    path, data = saved(tmp_path, network.state_dict()), pictures_of(network.eval())
    hint = "; a Python file that defines the network makes it measurable: give module and factory"
    with pytest.raises(ResnoiseError, match=reason + ".*" + hint):
        external.read(spec(), path, data)
    found = external.read(spec(factory=factory), path, data, module)
    state = found.network("final", CPU).state_dict()
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
