"""State dicts of networks trained elsewhere: wrappers, names, shapes, refusals, results."""

import argparse
import json
import os
import re
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18, resnet50

from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.figures import external_layer_cushion
from resnoise.figures import interlayer_cushion as interlayer_figure
from resnoise.metrics import interlayer_cushion, layer_cushion
from resnoise.metrics.blocks import chain
from resnoise.networks import build
from resnoise.specs.metrics import ExternalSpec, InterlayerCushionSpec, LayerCushionSpec
from resnoise.specs.run import NetworkSpec
from resnoise.tables import interlayer_cushion as interlayer_table
from resnoise.trained import external
from resnoise.trained.external import read
from resnoise.trained.state_dict import read_state_dict

CPU = torch.device("cpu")
ENDS = ("pdf", "png", "csv")
INTERLAYER = InterlayerCushionSpec(
    samples=4,
    sample_seed=0,
    every_snapshot=False,
    relative_error=0.2,
    max_probes=16,
    probe_seed=0,
    precision="float32",
)


def network(architecture: str = "full-residual", depth: int = 14, width: int = 4) -> nn.Module:
    torch.manual_seed(depth)
    net = build(NetworkSpec(architecture, depth, width), 3).eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if "running" in name:
                tensor.copy_(0.5 + torch.rand(tensor.shape))
    return net


@pytest.fixture
def data() -> Dataset:
    random = np.random.default_rng(0)
    images = [random.integers(256, size=(6, 16, 16, 3), dtype=np.uint8) for _ in range(2)]
    labels = np.arange(6) % 3
    return Dataset(
        images[0],
        labels,
        images[1],
        labels,
        ("a", "b", "c"),
        channel_mean=np.array([0.5, 0.5, 0.5]),
        channel_std=np.array([0.25, 0.25, 0.25]),
        source_digest="0",
        digest="1",
    )


def spec(**changes: Any) -> ExternalSpec:
    values = {"name": "mine", "factory": None, "between": (), "rename": {}, "residual": True}
    values |= {"shortcut": "auto", "mean": None, "std": None}
    return ExternalSpec(**{**values, **changes})


def saved(folder: Path, content: object) -> Path:
    file = folder / "network.pt"
    torch.save(content, file)
    return file


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in weights.items()}


def of_type(weights: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{k.replace('fc.', 'linear.')}": v for k, v in weights.items()}


WRAPPERS = {
    "bare": lambda w: w,
    "state_dict": lambda w: {"state_dict": w, "epoch": 3, "best_prec1": 91.8},
    "net": lambda w: {"net": w, "acc": 90.0},
    "parallel, linear": renamed,
    "both": lambda w: {"state_dict": OrderedDict(renamed(w))},
    "compiled": lambda w: {f"_orig_mod.{k}": v for k, v in w.items()},
    "without counters": lambda w: {k: v for k, v in w.items() if "num_batches" not in k},
    "half precision": lambda w: of_type(w, torch.float16),
    "bfloat16": lambda w: of_type(w, torch.bfloat16),
    "float64": lambda w: of_type(w, torch.float64),
    "nested": lambda w: {"model": {"state_dict": prefixed(w, "module.model._orig_mod.net.")}},
    "an average beside it": lambda w: {"net": w, "ema": {k: v + 1 for k, v in w.items()}},
    "an average": lambda w: {"ema": prefixed(w, "module."), "step": np.int64(3)},
    "a number in it": lambda w: {**w, "epoch": 3, "accuracy": np.float32(91.5)},
    "what training leaves": lambda w: {
        "state_dict": w,
        "args": argparse.Namespace(lr=0.1, path=Path("data")),
        "best": np.float64(91.8),
        "top": np.array([1.5, 2.5]),
        "optimizer": torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1).state_dict(),
    },
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("architecture", ["full-residual", "plain"])
def test_a_state_dict_gives_the_network_it_came_from(
    architecture: str, wrapper: str, tmp_path: Path, data: Dataset
) -> None:
    net = network(architecture)
    file = saved(tmp_path, WRAPPERS[wrapper](net.state_dict()))
    found = read(spec(residual="residual" in architecture), file, data)
    assert found.depth == 14
    x = torch.randn(2, 3, 16, 16)
    tolerance = {"half precision": 0.02, "bfloat16": 0.1}.get(wrapper, 1e-6)
    with torch.no_grad():
        assert torch.allclose(
            found.network("final", CPU)(x), net(x), atol=tolerance, rtol=tolerance
        )


def test_a_mean_of_other_channels_is_refused(tmp_path: Path, data: Dataset) -> None:
    file = saved(tmp_path, network().state_dict())
    with pytest.raises(ResnoiseError, match=r"mean: \[0.5\] given, allowed: 3 numbers"):
        read(spec(mean=(0.5,), std=(0.5,)), file, data)


def test_inputs_are_standardised_as_asked_for(tmp_path: Path, data: Dataset) -> None:
    file = saved(tmp_path, network().state_dict())
    picture = torch.full((1, 16, 16, 3), 255, dtype=torch.uint8)
    assert torch.allclose(read(spec(), file, data).normalisation(CPU)(picture), torch.tensor(2.0))
    own = read(spec(mean=(0.5, 0.4, 0.0), std=(0.5, 0.2, 1.0)), file, data)
    assert torch.allclose(
        own.normalisation(CPU)(picture)[0, :, 0, 0], torch.tensor([1.0, 3.0, 1.0])
    )


def test_its_cushions_are_those_of_the_network(tmp_path: Path, data: Dataset) -> None:
    net = network()
    found = read(spec(), saved(tmp_path, net.state_dict()), data)
    settings = InterlayerCushionSpec(None, 0, False, 0.05, 100, 0, "float32")
    computing = Computing("cpu", memory_mb=100)
    interlayer_cushion.measure_run(found, settings, [tmp_path / "inter.csv"], computing)
    layer_spec = LayerCushionSpec(None, 0, False)
    layer_cushion.measure_run(found, layer_spec, [tmp_path / "layer.csv"], computing)
    inputs = found.normalisation(CPU)(torch.from_numpy(data.train_images))
    rows = pd.read_csv(tmp_path / "inter.csv")
    expected = interlayer_cushion.Meter(net, settings)(inputs, range(6)).value[:, 2, 2]
    single = rows[(rows["first"] == 3) & (rows["last"] == 3)]
    np.testing.assert_allclose(single["cushion"], expected, rtol=1e-5)
    layers = pd.read_csv(tmp_path / "layer.csv")
    assert layers["layer"].max() == 14
    with torch.no_grad():
        cushions = layer_cushion.layer_cushions(net, inputs)
    last = layers[layers["layer"] == 14]["cushion"]
    np.testing.assert_allclose(last, cushions[:, -1], rtol=1e-5)


def test_the_record_shows_what_was_read(tmp_path: Path, data: Dataset) -> None:
    found = read(
        spec(std=(0.5, 0.2, 1.0), mean=(0, 0, 0)), saved(tmp_path, network().state_dict()), data
    )
    external.describe(found, tmp_path / "network.json", CPU)
    record = json.loads((tmp_path / "network.json").read_text("utf-8"))
    assert record["depth"] == 14
    assert record["std"] == pytest.approx([0.5, 0.2, 1.0])
    assert 0 <= record["test_error"] <= 1
    assert record["sha256"] == found.digests["file"]


@pytest.mark.parametrize("builder", [resnet18, resnet50])
def test_networks_of_torchvision_are_read_and_measured(
    builder: Any, tmp_path: Path, data: Dataset
) -> None:
    torch.manual_seed(0)
    net = builder(num_classes=3).eval()
    found = read(spec(), saved(tmp_path, net.state_dict()), data)
    assert found.depth == int(builder.__name__.removeprefix("resnet"))
    parts = chain(net)
    # A second group's first block: stride and projection.
    module = net.layer2[0]
    x = torch.rand(1, module.conv1.in_channels, 4, 4)
    block = parts.blocks[len(net.layer1)]
    with torch.no_grad():
        linear = block.linearise(x)
        assert torch.allclose(linear.output, module(x), atol=1e-5)
        v = torch.randn(1, *x.shape)
        expected = torch.func.jvp(module, (x,), (v[0],))[1]
        assert torch.allclose(linear.forward(v)[0], expected, atol=1e-4)
        pictures = torch.rand(1, 3, 32, 32)
        stem = net.maxpool(torch.relu(net.bn1(net.conv1(pictures))))
        assert torch.allclose(parts.stem(pictures), stem, atol=1e-5)


def without(key: str) -> Any:
    return lambda w: {k: v for k, v in w.items() if k != key}


MISFITS = {
    "missing": (without("layer2.1.bn1.weight"), "missing key 'layer2.1.bn1.weight'"),
    "the first missing": (
        lambda w: without("layer3.0.conv1.weight")(without("layer2.0.bn2.bias")(w)),
        "the block of layer3.0.conv2.weight has 1 convolutions and 2 batch normalisations, allow",
    ),
    "unexpected": (lambda w: {**w, "extra": torch.ones(1)}, "unexpected key 'extra'"),
    "projection": (
        lambda w: {**w, "layer2.0.shortcut.0.weight": torch.ones(1)},
        r"layer2.0.shortcut.0.weight has shape \(1,\), needed: 4 dimensions",
    ),
    "shape": (
        lambda w: {**w, "layer1.0.bn2.weight": torch.ones(5)},
        r"layer1.0.bn2.weight has shape \(5,\), needed: \(4,\)",
    ),
    "no first layer": (without("conv1.weight"), "no first convolution, known names: conv1, conv,"),
    "no dimensions": (
        lambda w: {**w, "conv1.weight": torch.ones(3)},
        r"conv1.weight has shape \(3,\), needed: 4 dimensions",
    ),
    "integers": (
        lambda w: {**w, "fc.bias": torch.ones(3, dtype=torch.int64)},
        "fc.bias has values that are not finite real numbers",
    ),
    "infinite": (
        lambda w: {**w, "fc.bias": torch.full((3,), torch.inf)},
        "fc.bias has values that are not finite",
    ),
    "too large for float32": (
        lambda w: {**w, "fc.bias": torch.full((3,), 1e39, dtype=torch.float64)},
        "fc.bias has values that are not finite real numbers in torch.float32",
    ),
    "a variance below 0": (
        lambda w: {**w, "bn1.running_var": torch.tensor([1.0, 1.0, -1.0, 1.0])},
        "bn1.running_var has values below 0, which no variance has",
    ),
    "the same weights twice": (
        lambda w: {**w, "module.fc.weight": torch.ones(3, 16)},
        r"holds both 'fc.weight' and 'module.fc.weight', which are the same weights \(fc.weight\)",
    ),
    "two names of the same weights": (
        lambda w: {**w, "linear.weight": torch.ones(3, 16)},
        "fc and linear can both be the last layer",
    ),
    "sparse": (
        lambda w: {**w, "fc.weight": w["fc.weight"].to_sparse()},
        "fc.weight is sparse, quantised or without data",
    ),
    "without data": (
        lambda w: {**w, "fc.weight": w["fc.weight"].to("meta")},
        "fc.weight is sparse, quantised or without data",
    ),
    "no tensors": (lambda w: {"epoch": 3}, "holds no tensors, needed: a state dict, by itself"),
    "objects": (lambda w: {"model": [w]}, "'model' is a list, needed: a state dict of tensors"),
    "a list": (lambda w: [1, 2], "holds a list, needed: a state dict"),
    "empty": (lambda w: {}, "holds a dict, needed: a state dict"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_file_that_does_not_fit_names_the_key(misfit: str, tmp_path: Path, data: Dataset) -> None:
    change, message = MISFITS[misfit]
    file = saved(tmp_path, change(network().state_dict()))
    with pytest.raises(ResnoiseError, match=f"network.pt: .*{message}"):
        read(spec(), file, data)


def test_pictures_with_other_channels_are_refused(tmp_path: Path, data: Dataset) -> None:
    net = build(NetworkSpec("full-residual", 8, 4), 3, in_channels=1)
    with pytest.raises(ResnoiseError, match=re.escape("takes 1 channels, but the pictures have 3")):
        read(spec(), saved(tmp_path, net.state_dict()), data)


class _Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("trapped",)


def test_code_in_a_file_is_never_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = saved(tmp_path, {"conv1.weight": torch.ones(1), "trap": _Trap()})
    with pytest.raises(ResnoiseError) as refused:
        read_state_dict(file)
    assert not Path("trapped").exists()
    # In our words, with the type, and without PyTorch's advice to execute it.
    assert str(refused.value).startswith(f"{file}: holds an object of type posix.mkdir, allowed:")
    assert "weights_only" not in str(refused.value) and "\x1b" not in str(refused.value)


def test_weights_of_eight_bits_are_read(tmp_path: Path, data: Dataset) -> None:
    weights = network().state_dict()
    weights["fc.weight"] = weights["fc.weight"].to(torch.float8_e4m3fn)
    found = read(spec(), saved(tmp_path, weights), data)
    assert torch.equal(found.weights["fc.weight"], weights["fc.weight"].float())


def test_a_flipped_byte_is_found_wherever_it_is(tmp_path: Path) -> None:
    file = saved(tmp_path, network().state_dict())
    whole = file.read_bytes()
    # In the middle are the values of a tensor, which PyTorch would accept.
    for place in (len(whole) // 2, len(whole) // 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        torch.load(file, weights_only=True)
        with pytest.raises(ResnoiseError, match=r"damaged, the checksum of its part .* is wrong"):
            read_state_dict(file)


FOUND_INSTEAD = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "a pointer of Git LFS",
    b"\n<!DOCTYPE html><html>": "a web page; download the file itself",
    **{bytes([first]) + b"ome text\n": "damaged, or not written" for first in range(33, 127)},
    **{bytes([first]): "damaged, or not written" for first in (0, 10, 40, 80, 128, 255)},
}
FOUND_INSTEAD[b"<ome text\n"] = "a web page"


@pytest.mark.parametrize("content", FOUND_INSTEAD)
def test_other_files_in_its_place_are_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "network.pt"
    file.write_bytes(content)
    with pytest.raises(ResnoiseError, match=re.escape(f"{file}: {FOUND_INSTEAD[content]}")) as one:
        read_state_dict(file)
    assert "\n" not in str(one.value) and "weights_only" not in str(one.value)


def test_a_pipe_or_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, found in (("pipe", "a pipe, device or socket"), (".", "a folder")):
        with pytest.raises(ResnoiseError, match=f"{found}, needed: a file"):
            read_state_dict(tmp_path / name)


@pytest.mark.parametrize("kind", ["zeros", "explodes", "dead"])
def test_a_network_without_a_signal_is_measured_and_its_layers_are_named(
    kind: str, tmp_path: Path, data: Dataset
) -> None:
    weights = network().state_dict()
    for tensor in weights.values():
        if kind == "zeros":
            tensor.zero_()
        elif kind == "explodes" and tensor.dim() == 4:
            tensor.mul_(1e12)
    if kind == "dead":
        weights["bn1.bias"].fill_(-1e6)
    found = read(spec(), saved(tmp_path, weights), data)
    external.describe(found, tmp_path / "network.json", CPU)
    facts = json.loads((tmp_path / "network.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert (facts["test_error"] is None) == (kind == "explodes")
    layers, spans = tmp_path / "layer_cushion.csv", tmp_path / "interlayer_cushion.csv"
    layer_spec = LayerCushionSpec(samples=4, sample_seed=0, every_snapshot=False)
    layer_cushion.measure_run(found, layer_spec, [layers], Computing("cpu"))
    interlayer_cushion.measure_run(found, INTERLAYER, [spans], Computing("cpu"))
    states = set(pd.read_csv(layers).query("layer > 8")["state"])
    assert states == set(pd.read_csv(spans).query("first > 3")["state"])
    assert states == {"exploded" if kind == "explodes" else "dead"}
    external_layer_cushion.make([layers]).save(*(tmp_path / f"l.{end}" for end in ENDS))
    interlayer_figure.make([spans]).save(*(tmp_path / f"i.{end}" for end in ENDS))
    made = interlayer_table.make([spans], None).text
    assert f"| {states.pop()} " in made
    assert not {"nan", "inf"} & {*made.split()}


def test_safetensors_are_read_whatever_their_name(tmp_path: Path, data: Dataset) -> None:
    net = network()
    for name in ("mine.safetensors", "mine.bin"):
        save_file(prefixed(net.state_dict(), "module."), tmp_path / name)
        found = read(spec(), tmp_path / name, data)
        assert torch.equal(found.weights["fc.weight"], net.fc.weight)
    whole = (tmp_path / "mine.safetensors").read_bytes()
    (tmp_path / "mine.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ResnoiseError, match=r"mine.safetensors: a safetensors file that is damag"):
        read_state_dict(tmp_path / "mine.safetensors")


def test_a_whole_network_and_torchscript_are_refused_with_what_to_save(tmp_path: Path) -> None:
    whole = saved(tmp_path, {"net": network()})
    with pytest.raises(
        ResnoiseError, match=r"of type resnoise\.networks\.\S+, allowed: tensors"
    ) as one:
        read_state_dict(whole)
    assert "save the weights alone with torch.save(network.state_dict(), ...)" in str(one.value)
    beside = saved(tmp_path, {"net": network().state_dict(), "log": defaultdict(list, a=[1])})
    with pytest.raises(ResnoiseError, match=r"of type collections\.defaultdict, allowed"):
        read_state_dict(beside)
    script = tmp_path / "script.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.ones(1, 1)), script)
    with pytest.raises(ResnoiseError, match="a TorchScript archive, which is code"):
        read_state_dict(script)
    torn = tmp_path / "torn.pt"
    torn.write_bytes(beside.read_bytes()[:-200])
    with pytest.raises(ResnoiseError, match=r"damaged, or not written by torch\.save; copy"):
        read_state_dict(torn)


def test_of_several_networks_in_a_file_the_measured_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = network().state_dict()
    read_state_dict(saved(tmp_path, {"ema": weights, "state_dict": weights}))
    assert "holds state_dict and ema; state_dict is measured" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no network", b"PK\x03\x04 torn"])
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "network.pt"
    file.write_bytes(content)
    with pytest.raises(ResnoiseError, match=r"network\.pt: damaged"):
        read_state_dict(file)
    with pytest.raises(ResnoiseError, match="no such file"):
        read_state_dict(tmp_path / "missing.pt")
