"""Layer cushions (section 5) against brute force, their laws, and measurements that are killed."""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics import resumable as batches
from resnoise.metrics.layer_cushion import layer_cushions, measure_run
from resnoise.metrics.layers import layers, responses_from, stages
from resnoise.metrics.resumable import Measurement, activation_bytes, choose_samples, in_batches
from resnoise.networks import build
from resnoise.networks.transfer import kernel_to_plain
from resnoise.specs.metrics import LayerCushionSpec
from resnoise.specs.run import NetworkSpec, RecipeSpec, RunSpec
from resnoise.storage import tensorfile
from resnoise.trained.run import TrainedRun
from resnoise.training.checkpoint import copy_weights

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")
RECIPE = RecipeSpec(
    epochs=1,
    batch_size=8,
    learning_rate=0.1,
    milestones=(),
    decay_factor=0.1,
    momentum=0.9,
    penalty=0.0,
    penalty_divided_by_batch=False,
    penalty_on_biases=False,
    penalty_on_transferred=False,
    crop_padding=0,
    horizontal_flip=False,
    precision="float64",
    allow_tf32=False,
    compile=False,
    conv_backend="torch",
    epoch_risk="mini-batches",
    snapshot_epochs=(),
)


def random_network(architecture: str, depth: int = 8, width: int = 3, seed: int = 0) -> nn.Module:
    """Return a float64 network in evaluation mode, statistics of batch normalisation random too."""
    network = build(NetworkSpec(architecture, depth, width), 4).double().eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(drawn.abs() + 0.5 if "running_var" in name else 0.3 * drawn)
    return network


def random_inputs(count: int, side: int = 8, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)


def run_of(network: nn.Module, architecture: str, pictures: int = 40) -> TrainedRun:
    """Return a finished run with ``network`` at its end and another one at its beginning."""
    generator = np.random.default_rng(3)
    images = generator.integers(0, 256, (pictures, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(pictures) % 4
    dataset = Dataset(
        images, labels, images, labels, ("a", "b", "c", "d"), np.full(3, 0.5), np.ones(3), "x", "y"
    )
    spec = RunSpec(NetworkSpec(architecture, 8, 3), "kwi", 1, RECIPE)
    first = copy_weights(random_network(architecture, seed=9))
    weights = {"initial": first, "final": copy_weights(network)}
    return TrainedRun(spec, "done", weights, dataset, {"weights": "w"})


def cushion(response: Tensor, weight: Tensor, x: Tensor) -> list[float]:
    """Return the definition, one picture after the other."""
    return [
        math.sqrt(float((r**2).sum()))
        / (math.sqrt(float((weight**2).sum())) * math.sqrt(float((v**2).sum())))
        for r, v in zip(response, x, strict=True)
    ]


@pytest.mark.parametrize("kind", ["plain", "residual"])
@torch.no_grad()
def test_simplified_networks_against_brute_force(kind: str) -> None:
    network = random_network(kind, depth=14)
    inputs = random_inputs(5, side=12)
    state = network.state_dict()
    expected = []
    x = inputs
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    for name in names[:-1]:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        stride = 2 if name in ("layer2.0.conv", "layer3.0.conv") else 1
        identity = kind == "residual" and name != "conv1"
        # The transfer is another way to compute the identity.
        whole = kernel_to_plain(weight) if identity else weight
        response = F.conv2d(x, whole, None, stride, padding=1)
        expected.append(cushion(response, weight, x))
        x = torch.relu(response + bias[:, None, None])
    pooled = x.mean((2, 3))
    expected.append(cushion(pooled @ state["fc.weight"].T, state["fc.weight"], pooled))
    found = layer_cushions(network, inputs)
    np.testing.assert_allclose(found.T.numpy(), expected, rtol=1e-12)
    assert [layer.name for layer in layers(network)] == names


@pytest.mark.parametrize("kind", ["full-plain", "full-residual"])
@torch.no_grad()
def test_fully_fledged_networks_against_brute_force(kind: str) -> None:
    network = random_network(kind)
    inputs = random_inputs(3)
    state = network.state_dict()
    expected = []

    def convolve(x: Tensor, conv: str, norm: str, stride: int) -> Tensor:
        weight = state[f"{conv}.weight"]
        response = F.conv2d(x, weight, None, stride, padding=1)
        expected.append(cushion(response, weight, x))
        parts = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var")]
        affine = [state[f"{norm}.{part}"] for part in ("weight", "bias")]
        return F.batch_norm(response, *parts, *affine)

    x = torch.relu(convolve(inputs, "conv1", "bn1", 1))
    for group in (1, 2, 3):
        prefix, stride = f"layer{group}.0", 1 if group == 1 else 2
        y = torch.relu(convolve(x, f"{prefix}.conv1", f"{prefix}.bn1", stride))
        y = convolve(y, f"{prefix}.conv2", f"{prefix}.bn2", 1)
        if kind == "full-residual":
            missing = y.shape[1] - x.shape[1]
            shortcut = x[:, :, ::stride, ::stride]
            y = y + F.pad(shortcut, (0, 0, 0, 0, missing // 2, missing - missing // 2))
        x = torch.relu(y)
    pooled = x.mean((2, 3))
    expected.append(cushion(pooled @ state["fc.weight"].T, state["fc.weight"], pooled))
    np.testing.assert_allclose(layer_cushions(network, inputs).T.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_stages_with_relu_between_are_the_network(architecture: str) -> None:
    network = random_network(architecture, depth=14)
    inputs = random_inputs(3)
    chain = stages(network)
    responses = responses_from(chain, 0, chain[0].response(inputs))
    assert torch.equal(responses[-1], network(inputs))
    assert [stage.number for stage in chain][-1] == len(layers(network)) == 14


@given(scale=st.floats(1e-3, 1e3), architecture=st.sampled_from(["plain", "residual"]))
@torch.no_grad()
def test_without_biases_the_scale_of_the_input_does_not_count(
    scale: float, architecture: str
) -> None:
    network = random_network(architecture)
    for name, tensor in network.state_dict().items():
        if name.endswith("bias"):
            tensor.zero_()
    inputs = random_inputs(2)
    found = layer_cushions(network, scale * inputs)
    torch.testing.assert_close(found, layer_cushions(network, inputs), rtol=1e-9, atol=0)


@given(scale=st.floats(1e-3, 1e3), index=st.integers(0, 7))
@torch.no_grad()
def test_the_scale_of_a_plain_layer_does_not_count_in_its_own_cushion(
    scale: float, index: int
) -> None:
    network = random_network("plain")
    inputs = random_inputs(2)
    before = layer_cushions(network, inputs)[:, index]
    layers(network)[index].module.weight.mul_(scale)
    after = layer_cushions(network, inputs)[:, index]
    torch.testing.assert_close(after, before, rtol=1e-9, atol=0)


@given(scale=st.floats(1e-4, 1))
@torch.no_grad()
def test_small_weights_across_an_identity_have_a_cushion_of_one_over_their_norm(
    scale: float,
) -> None:
    network = random_network("residual")
    layer = layers(network)[1]
    layer.module.weight.mul_(scale / layer.weight_norm())
    found = layer_cushions(network, random_inputs(2))[:, 1]
    # |W * x| <= 3 |W|_F |x| for 3x3 kernels, so |W x + x| is |x| within that.
    assert ((found * scale - 1).abs() <= 3 * scale + 1e-12).all()


@given(seed=st.integers(0, 2**31))
def test_plain_cushions_are_at_most_the_square_root_of_the_taps(seed: int) -> None:
    found = layer_cushions(random_network("plain", seed=seed), random_inputs(3, seed=seed))
    assert (found[:, :-1] <= 3).all()
    assert (found[:, -1] <= 1 + 1e-12).all()
    assert (found > 0).all()


@torch.no_grad()
def test_an_input_of_zeros_has_no_cushion() -> None:
    network = random_network("plain")
    first = layers(network)[0].module
    assert first.bias is not None
    first.bias.fill_(-1e6)
    found = layer_cushions(network, random_inputs(2))
    assert torch.isfinite(found[:, 0]).all()
    # The layers behind get what the biases make, which is the same for every picture.
    assert torch.isnan(found[:, 1:]).all()


@torch.no_grad()
def test_a_shortcut_carries_the_signal_past_a_dead_layer() -> None:
    network = random_network("full-residual")
    network.get_parameter("layer2.0.bn1.bias").fill_(-1e6)
    found = layer_cushions(network, random_inputs(2))
    names = [layer.name for layer in layers(network)]
    assert torch.isnan(found[:, names.index("layer2.0.conv2")]).all()
    assert int(torch.isnan(found).sum()) == 2


@torch.no_grad()
def test_weights_of_zeros_and_numbers_that_overflow_have_no_cushion() -> None:
    network = random_network("residual")
    network.get_parameter("layer2.0.conv.weight").zero_()
    network.get_parameter("layer3.0.conv.weight").mul_(1e120)
    network.get_parameter("layer3.1.conv.weight").mul_(1e120)
    found = layer_cushions(network, random_inputs(2))
    names = [layer.name for layer in layers(network)]
    states = [names.index(name) for name in ("layer2.0.conv", "layer3.1.conv", "fc")]
    assert torch.isnan(found[:, states[0]]).all()
    assert torch.isinf(found[:, states[1:]]).all()
    assert torch.isfinite(found[:, [i for i in range(8) if i not in states]]).all()


def test_other_networks_are_refused() -> None:
    with pytest.raises(ResnoiseError, match="type Sequential given, allowed: conv1, blocks with"):
        layers(nn.Sequential(nn.Linear(2, 2)))


@given(first=st.integers(1, 50), second=st.integers(1, 50), seed=st.integers(0, 99))
def test_more_samples_keep_those_of_fewer(first: int, second: int, seed: int) -> None:
    small, large = (choose_samples(50, n, seed) for n in sorted((first, second)))
    assert set(small) <= set(large) <= set(range(50))
    assert list(large) == sorted(set(large))


def test_all_samples_and_too_many() -> None:
    assert list(choose_samples(5, None, 0)) == [0, 1, 2, 3, 4]
    with pytest.raises(ResnoiseError, match="samples: 6 given, allowed: at most the 5 training"):
        choose_samples(5, 6, 0)


def test_activations_are_the_outputs_of_layers_with_weights() -> None:
    network = random_network("plain")
    one = random_inputs(1)
    # conv1 and two blocks of 3x8x8, two of 6x4x4, two of 12x2x2, ten... the last has 4 numbers.
    numbers = 3 * (3 * 64) + 2 * (6 * 16) + 2 * (12 * 4) + 4
    assert activation_bytes(network, one) == numbers * 8


@pytest.mark.parametrize(
    ("need", "largest", "size"),
    [(50_000, None, 20), (60_000, None, 16), (50_000, 7, 7), (1, None, 64), (1e9, None, 1)],
)
def test_a_batch_is_as_large_as_the_memory_allows(
    tmp_path: Path, need: float, largest: int | None, size: int
) -> None:
    run = run_of(random_network("plain"), "plain", pictures=70)
    spec = LayerCushionSpec(samples=None, sample_seed=0, every_snapshot=True)
    output = tmp_path / "out.csv"
    measured = Measurement(run, spec, output, Computing("cpu", memory_mb=1))
    # The network that needs most decides.
    needs = {"initial": need, "final": need / 2}
    shapes = []

    def picture_bytes(label: str, one: Tensor) -> float:
        shapes.append(one.shape)
        return needs[label]

    found = [*measured.batches({}, picture_bytes, largest)]
    assert {*shapes} == {(1, 3, 8, 8)}
    assert found[0][0] == slice(0, size)
    assert found[-1][0].stop == 70
    for part, inputs in found:
        images = torch.from_numpy(run.dataset.train_images[part])
        assert torch.equal(inputs, run.normalisation(torch.device("cpu"))(images))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def measure(run: TrainedRun, output: Path, code: str = "c", memory_mb: int = 500) -> None:
    measure_run(
        run,
        LayerCushionSpec(samples=30, sample_seed=4, every_snapshot=True),
        [output],
        Computing("cpu", memory_mb=memory_mb, code=code),
    )


def test_the_file_holds_every_snapshot_layer_and_picture(tmp_path: Path) -> None:
    network = random_network("residual")
    run = run_of(network, "residual")
    measure(run, tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    assert len(rows) == 2 * 8 * 30
    chosen = choose_samples(40, 30, 4)
    inputs = run.normalisation(torch.device("cpu"))(
        torch.from_numpy(run.dataset.train_images[chosen])
    )
    for label in ("initial", "final"):
        found = layer_cushions(run.network(label, torch.device("cpu")), inputs).numpy()
        for layer in range(8):
            own = [r for r in rows if r["snapshot"] == label and r["layer"] == str(layer + 1)]
            assert [int(row["sample"]) for row in own] == list(chosen)
            values = [float(row["cushion"]) for row in own]
            np.testing.assert_allclose(values, found[:, layer], rtol=1e-6)
    assert {row["name"] for row in rows if row["layer"] == "8"} == {"fc"}
    assert {file.name for file in tmp_path.iterdir()} == {"out.csv", "out.csv.sha256"}


def test_the_file_names_dead_layers(tmp_path: Path) -> None:
    network = random_network("plain")
    with torch.no_grad():
        network.get_parameter("layer3.1.conv.bias").fill_(-1e6)
    measure(run_of(network, "plain"), tmp_path / "out.csv")
    rows = [row for row in read(tmp_path / "out.csv") if row["snapshot"] == "final"]
    assert {row["state"] for row in rows if row["layer"] == "8"} == {"dead"}
    assert {row["cushion"] for row in rows if row["layer"] == "8"} == {""}
    assert {row["state"] for row in rows if row["layer"] != "8"} == {""}


def test_a_diverged_run_has_no_final_rows(tmp_path: Path) -> None:
    run = dataclasses.replace(run_of(random_network("plain"), "plain"), status="diverged")
    measure(run, tmp_path / "out.csv")
    assert {row["snapshot"] for row in read(tmp_path / "out.csv")} == {"initial"}


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize(
    ("code", "continues"), [("c", True), ("other", False)], ids=["same code", "other code"]
)
def test_a_killed_measurement_continues_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, continues: bool
) -> None:
    monkeypatch.setattr(batches, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(batches, "LARGEST_BATCH", 7)
    run = run_of(random_network("residual"), "residual")
    measure(run, tmp_path / "whole.csv")
    measured: list[int] = []

    def counted(network: nn.Module, inputs: Tensor) -> Tensor:
        measured.append(len(inputs))
        if limit and sum(measured) > limit:
            raise KilledError
        return layer_cushions(network, inputs)

    monkeypatch.setattr("resnoise.metrics.layer_cushion.layer_cushions", counted)
    limit = 2 * 20
    with pytest.raises(KilledError):
        measure(run, tmp_path / "killed.csv")
    assert not (tmp_path / "killed.csv").exists()
    limit = 0
    measured.clear()
    measure(run, tmp_path / "killed.csv", code=code)
    assert sum(measured) == 2 * (30 - 14 if continues else 30)
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4  # with their digests


def test_a_torn_checkpoint_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = tmp_path / "resume.safetensors"
    state = {"a": np.zeros(3)}
    tensorfile.save(checkpoint, {"a": np.ones(3)}, {"identity": {"x": "1"}, "done": 2})
    assert list(in_batches(state, 3, 2, checkpoint, {"x": "1"})) == [slice(2, 3)]
    assert list(state["a"]) == [1, 1, 1]
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5])
    assert list(in_batches(state, 3, 2, checkpoint, {"x": "1"})) == [slice(0, 2), slice(2, 3)]
    assert "checkpoint refused, starting over" in caplog.text
