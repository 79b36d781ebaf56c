"""The measurements as functions: the same numbers as the workflow's, and the network as before."""

import sys
from pathlib import Path
from typing import Any

import documents
import numpy as np
import pandas as pd
import pytest
import torch
from any_networks import FAMILIES, pictures, small_mobilenet, small_vgg
from safetensors.numpy import save_file
from torch import nn

import resnoise
from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics import call_flow, interlayer_cushion, layer_cushion
from resnoise.specs.metrics import (
    CallFlowSpec,
    ExternalSpec,
    InterlayerCushionSpec,
    LayerCushionSpec,
)
from resnoise.trained import external

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def images(count: int = 3) -> "np.ndarray":
    return np.random.default_rng(0).integers(256, size=(count, 16, 16, 3), dtype=np.uint8)


def test_the_numbers_are_those_of_the_workflow(tmp_path: Path) -> None:
    file = tmp_path / "net_of_mine.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from any_networks import small_mobilenet\n"
    )
    labels, half = np.arange(3), np.full(3, 0.5)
    dataset = Dataset(images(), labels, images(), labels, ("a", "b", "c"), half, half, "0", "1")
    spec = ExternalSpec("mine", "small_mobilenet", (), {}, True, "auto", MEAN, STD)
    network = external.read(spec, None, dataset, file)
    sys.path.remove(str(Path(__file__).parent))
    computing, csv = Computing("cpu"), tmp_path / "a.csv"
    layer_cushion.measure_run(network, LayerCushionSpec(None, 0, False), [csv], computing)
    expected = pd.read_csv(csv, keep_default_na=False).drop(columns="snapshot")
    found = resnoise.layer_cushions(small_mobilenet(), images(), mean=MEAN, std=STD)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    settings = InterlayerCushionSpec(None, 0, False, 0.05, 200, 0, "float32")
    interlayer_cushion.measure_run(network, settings, [csv], computing)
    expected = pd.read_csv(csv, keep_default_na=False).drop(columns="snapshot")
    found = resnoise.interlayer_cushions(
        small_mobilenet(), images(), relative_error=0.05, max_probes=200, mean=MEAN, std=STD
    )
    pd.testing.assert_frame_equal(found, expected, rtol=1e-3, atol=1e-6)
    call_flow.measure_run(network, CallFlowSpec(3, 0, False, "float32"), [csv], computing)
    expected = pd.read_csv(csv, keep_default_na=False)
    found = resnoise.gradient_flow(small_mobilenet(), images(), labels, mean=MEAN, std=STD)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_measured_and_left_as_it_was(family: str) -> None:
    net = FAMILIES[family]().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    layers = resnoise.layer_cushions(net, pictures(2))
    assert layers["cushion"].between(0, 1, inclusive="right").all()
    noise = resnoise.noise_stability(net, pictures(2), sizes=[0.1], repeats=1)
    assert noise["at_layer"].max() == layers["layer"].max()
    assert (noise["state"] == "").all()
    spans = resnoise.interlayer_cushions(net, pictures(2), relative_error=0.1, max_probes=40)
    assert (spans["cushion"] > 0).all()
    assert spans["to"].iloc[-1] == "output"
    assert all(module.training for module in net.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def examples() -> list[str]:
    blocks = documents.blocks(documents.ROOT / "docs" / "any-network.md")
    return [text for kind, text in blocks if kind == "python" and "resnoise" in text]


def test_the_example_of_the_documentation_works() -> None:
    made: dict[str, Any] = {}
    exec(examples()[0], made)
    assert (len(made["layers"]), len(made["right"])) == (3 * 20, 20)
    assert made["spans"]["standard_error"].max() <= 0.0201 * made["spans"]["cushion"].max()
    assert set(made["noise"]["size"].dropna()) == {0.1}


def test_the_example_with_a_network_of_this_project_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reference").symlink_to(documents.ROOT / "reference")
    data = {"train_images": images(2), "channel_mean": np.array(MEAN), "channel_std": np.array(STD)}
    (tmp_path / "results/reference").mkdir(parents=True)
    save_file(data, tmp_path / "results/reference/data.safetensors")
    monkeypatch.chdir(tmp_path)
    exec(examples()[1], {})
    printed = capsys.readouterr().out
    assert "\n20 " in printed and "\n21 " not in printed


def test_margins_are_those_of_the_logits() -> None:
    net, inputs = small_vgg(), pictures(4)
    labels = [0, 2, 1, 1]
    with torch.no_grad():
        logits = net(inputs)
    found = resnoise.margins(net, inputs, labels)
    for place, label in enumerate(labels):
        others = [float(logits[place, k]) for k in range(3) if k != label]
        margin = float(logits[place, label]) - max(others)
        assert found["margin"][place] == pytest.approx(margin, abs=1e-6)
        assert found["relative"][place] == pytest.approx(
            margin / float(logits[place].norm()), abs=1e-6
        )


def test_labels_may_be_a_list_an_array_a_tensor_or_a_series(
    recwarn: pytest.WarningsRecorder,
) -> None:
    net, inputs, labels = small_vgg(), pictures(3), [0, 2, 1]
    expected = resnoise.margins(net, inputs, labels)
    flow = resnoise.gradient_flow(net, inputs, labels)
    # The series is part of a table, so that its index does not begin with 0.
    series = pd.DataFrame({"label": [1, *labels]})["label"][1:]
    for given in (np.array(labels, np.uint8), torch.tensor(labels), series):
        pd.testing.assert_frame_equal(resnoise.margins(net, inputs, given), expected)
        pd.testing.assert_frame_equal(resnoise.gradient_flow(net, inputs, given), flow)
    assert not [warning for warning in recwarn if "not writable" in str(warning.message)]


BAD = {
    "integers": (images(), {}, "images: torch.uint8 given, allowed: inputs of the network"),
    "shape": (images()[0], {}, "images: shape (16, 16, 3) given, allowed: one or more pictures"),
    "standardised": (pictures(2), {"mean": MEAN, "std": STD}, "mean, std: given with floating"),
    "channels": (images(), {"mean": [0.5], "std": [0.5]}, "mean: [0.5] given, allowed: 3 numbers"),
    "one number": (images(), {"mean": 0.5, "std": 0.5}, "mean: 0.5 given, allowed: 3 numbers"),
    "0 to 255": (
        *(images(), {"mean": [125, 123, 114], "std": [63, 62, 67]}),
        "mean: [125, 123, 114] given, allowed: 3 numbers <= 1, one for each channel, for pixels "
        "from 0 to 1 (divide those for 0 to 255 by 255)",
    ),
    "no spread": (
        *(images(), {"mean": MEAN, "std": [0.2, 0, 0.2]}),
        "std: [0.2, 0.0, 0.2] given, allowed: 3 numbers > 0 and <= 1",
    ),
    "channels first": (
        *(images().transpose(0, 3, 1, 2), {"mean": MEAN, "std": STD}),
        "images: uint8 of shape (3, 3, 16, 16) given, allowed: [N, H, W, C]",
    ),
    "channels first, numbers as tensors": (
        *(images().transpose(0, 3, 1, 2), {"mean": torch.tensor(MEAN), "std": torch.tensor(STD)}),
        "images: uint8 of shape (3, 3, 16, 16) given, allowed: [N, H, W, C]",
    ),
    "ragged": (images(), {"mean": [[0.1], [0.2, 0.3]], "std": STD}, "mean: [[0.1], [0.2, 0.3]]"),
    "objects": (images().astype(object), {}, "images: ndarray given, allowed: a tensor"),
    "too large": (np.full((1, 3, 16, 16), 1e39), {}, "given (in torch.float32, that of the net"),
    "NaN": (
        *(torch.tensor([1.0, torch.nan]).reshape(2, 1, 1, 1).expand(2, 3, 16, 16), {}),
        "images: 1 of 2 pictures with NaN or infinite numbers given",
    ),
    "loader": (
        *(torch.utils.data.DataLoader(pictures(2)), {}),  # type: ignore[arg-type]
        "images: DataLoader given, allowed: a tensor or a NumPy array of pictures",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_pictures_that_cannot_be_measured_are_refused(case: str) -> None:
    given, more, message = BAD[case]
    with pytest.raises(ResnoiseError) as caught:
        resnoise.layer_cushions(small_vgg(), given, **more)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_what_is_no_network_or_returns_no_logits_is_refused() -> None:
    with pytest.raises(ResnoiseError, match="network: OrderedDict given, allowed: a"):
        resnoise.layer_cushions(small_vgg().state_dict(), pictures(2))  # type: ignore[arg-type]

    class Named(torch.nn.Sequential):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": super().forward(x)}

    with pytest.raises(ResnoiseError, match="which returns dict for inputs of shape"):
        resnoise.margins(Named(small_vgg()), pictures(2), [0, 1])


def test_a_compiled_network_is_measured_as_the_one_it_was_compiled_from() -> None:
    net = small_vgg()
    found = resnoise.layer_cushions(torch.compile(net), pictures(2))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(found, resnoise.layer_cushions(net, pictures(2)))


def test_pictures_may_be_a_view_in_another_order() -> None:
    """As those of OpenCV, whose channels are blue, green, red."""
    expected = resnoise.layer_cushions(small_vgg(), images()[..., ::-1].copy(), mean=MEAN, std=STD)
    found = resnoise.layer_cushions(small_vgg(), images()[..., ::-1], mean=MEAN, std=STD)
    pd.testing.assert_frame_equal(found, expected)


def test_one_size_of_noise_may_be_a_number() -> None:
    found = resnoise.noise_stability(small_vgg(), pictures(1), sizes=0.1, repeats=1)
    assert set(found["size"].dropna()) == {0.1}


def test_float32_is_not_rounded_to_tf32_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    class Watched(torch.nn.Flatten):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
            return super().forward(x)

    net = torch.nn.Sequential(Watched(), torch.nn.Linear(12, 3))
    resnoise.margins(net, torch.rand(2, 3, 2, 2), torch.tensor([0, 2]))
    assert {*seen} == {(False, False)} and torch.backends.cudnn.allow_tf32


class LeNet(nn.Module):
    """Flattens by ``view``, as many older networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU())
        self.linear = nn.Linear(4 * 12 * 12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.features(x).view(-1, 4 * 12 * 12))


@pytest.mark.parametrize("of_bytes", [False, True])
def test_networks_may_flatten_by_view(of_bytes: bool) -> None:
    net, labels = LeNet(), [0, 1, 2]
    options: dict[str, Any] = {"mean": MEAN, "std": STD} if of_bytes else {}
    given = images() if of_bytes else pictures(3)
    resnoise.layer_cushions(net, given, **options)
    resnoise.noise_stability(net, given, sizes=0.1, repeats=1, **options)
    resnoise.interlayer_cushions(net, given, relative_error=0.5, max_probes=20, **options)
    resnoise.margins(net, given, labels, **options)
    with pytest.raises(ResnoiseError, match="no dominant gradient flow is defined"):
        resnoise.gradient_flow(net, given, labels, **options)


def test_inference_mode_is_left_for_the_measurement() -> None:
    net, labels = small_vgg(), [0, 1]
    with torch.inference_mode():
        inputs = pictures(2)
        found = resnoise.gradient_flow(net, inputs, labels)
        resnoise.layer_cushions(net, inputs)
        resnoise.interlayer_cushions(net, inputs, relative_error=0.5, max_probes=20)
        assert torch.is_inference_mode_enabled()
    pd.testing.assert_frame_equal(found, resnoise.gradient_flow(net, pictures(2), labels))


def test_networks_that_are_random_in_evaluation_mode_are_refused() -> None:
    class Random(LeNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(nn.functional.dropout(x))

    with pytest.raises(ResnoiseError, match="a Random given whose logits for one picture change"):
        resnoise.layer_cushions(Random(), pictures(2))


def test_labels_that_are_no_classes_are_refused() -> None:
    for labels, given in (([1, 3], "integers from 1 to 3"), ([0, 1, 2], r"shape \(3,\)")):
        message = f"labels: {given} given, allowed: 2 integers from 0 to 2"
        with pytest.raises(ResnoiseError, match=message):
            resnoise.margins(small_vgg(), pictures(2), labels)
    one = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    with pytest.raises(ResnoiseError, match="a network of 1 logit given"):
        resnoise.margins(one, torch.rand(2, 3, 2, 2), [0, 0])
    # A float would lose its fraction, and logits or one-hot rows would be taken for classes.
    with pytest.raises(ResnoiseError, match="float64 given, allowed: integers"):
        resnoise.margins(small_vgg(), pictures(2), [0.0, 1.9])  # type: ignore[list-item]
    with pytest.raises(ResnoiseError, match="U3 given, allowed: integers"):
        resnoise.margins(small_vgg(), pictures(2), ["cat", "dog"])  # type: ignore[list-item]


def test_other_names_are_no_part_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'layer_cushionss'"):
        _ = resnoise.layer_cushionss
    assert all(callable(getattr(resnoise, name)) for name in resnoise.__all__)
    assert set(resnoise.__all__) <= set(dir(resnoise))
