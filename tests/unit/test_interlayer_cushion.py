"""Interlayer cushions against the full Jacobian and graph colouring, for all kinds of blocks."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics import probes, spans
from resnoise.metrics import resumable as batches
from resnoise.metrics.blocks import Block, Convolution, LinearBlock, chain
from resnoise.metrics.interlayer_cushion import Meter, measure_run
from resnoise.metrics.jacobian_norm import ExactNorm, has_closed_form
from resnoise.metrics.spans import SpanNorms
from resnoise.networks import build
from resnoise.specs.metrics import InterlayerCushionSpec
from resnoise.specs.run import NetworkSpec
from resnoise.training.batches import Normalisation

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")
EXACT = 1e-12


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(architecture: str, depth: int = 8, width: int = 3, seed: int = 0) -> nn.Module:
    """Return a float64 network in evaluation mode with random weights and running statistics."""
    net = build(NetworkSpec(architecture, depth, width), 5).double().eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if not tensor.is_floating_point():
                continue
            drawn = torch.randn(tensor.shape, generator=random, dtype=tensor.dtype)
            if tensor.dim() == 4:
                tensor.copy_(drawn * (2 / tensor[0].numel()) ** 0.5)
            else:
                positive = name.endswith(("running_var", "bn1.weight", "bn2.weight"))
                tensor.copy_(0.5 + drawn.abs() if positive else 0.3 * drawn)
    return net


def modules(net: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network as modules."""
    groups = (net.layer1, net.layer2, net.layer3)
    return [block for group in groups for block in group.children()]  # type: ignore[union-attr]


def full_jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the Jacobian [outputs, inputs] at one input [C, H, W]."""
    jacobian = torch.func.jacrev(lambda t: function(t[None])[0])(x)
    return jacobian.reshape(-1, x.numel()).detach()


def coloured_norm(function: Callable[[Tensor], Tensor], x: Tensor, reach: int) -> float:
    """Return ||J||_F^2 at [C, H, W] from products with probes whose rows of J do not overlap.

    Args:
        function: maps [B, C, H, W]; an output pixel depends on ``reach`` input pixels in a row.
        x: one input.
        reach: also how far apart, in input pixels, the ones of a probe are.
    """
    x = x[None].clone().requires_grad_()
    y = function(x)
    pitch = -(-reach * y.shape[2] // x.shape[2])
    total = 0.0
    for row, column in itertools.product(range(min(pitch, y.shape[2])), repeat=2):
        for channel in range(y.shape[1]):
            probe = torch.zeros_like(y)
            probe[:, channel, row::pitch, column::pitch] = 1
            (gradient,) = torch.autograd.grad(y, x, probe, retain_graph=True)
            total += float(gradient.square().sum())
    return total


def points(net: nn.Module, inputs: Tensor) -> list[tuple[Tensor, LinearBlock]]:
    """Return input and Jacobian of every block."""
    found = chain(net)
    x = found.stem(inputs)
    result = []
    with torch.no_grad():
        for block in found.blocks:
            linear = block.linearise(x)
            result.append((x, linear))
            x = linear.output
    return result


@pytest.mark.parametrize("size", [8, 12])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_block_s_norm_is_that_of_the_full_jacobian_and_of_colouring(
    architecture: str, size: int
) -> None:
    # Groups 2 and 3 start with stride 2, and in a picture of 8 pixels every pixel of group 3 is at
    # a border.
    net = network(architecture)
    inputs = numbers(1, 2, 3, size, size)
    for module, (x, linear) in zip(modules(net), points(net, inputs), strict=True):
        norm = ExactNorm(linear.block, *x.shape[2:])
        found = norm.squared(linear)
        reach = 3 if "full" not in architecture else 5 + 2 * (linear.block.stride - 1)
        for sample in range(2):
            jacobian = full_jacobian(module, x[sample])
            expected = float(jacobian.square().sum())
            assert expected > 0
            assert float(found[sample]) == pytest.approx(expected, rel=EXACT)
            coloured = coloured_norm(module, x[sample], reach)
            assert float(found[sample]) == pytest.approx(coloured, rel=EXACT)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_block_s_value_and_products_are_those_of_the_module(architecture: str) -> None:
    net = network(architecture)
    for module, (x, linear) in zip(modules(net), points(net, numbers(2, 2, 3, 8, 8)), strict=True):
        assert torch.allclose(linear.output, module(x), rtol=0, atol=1e-12)
        v, u = numbers(3, 4, *x.shape), numbers(4, 4, *linear.output.shape)
        before = v.clone()
        forward, backward = linear.forward(v), linear.backward(u.clone())
        assert torch.equal(v, before)
        for sample in range(2):
            jacobian = full_jacobian(module, x[sample])
            ahead = v[:, sample].flatten(1) @ jacobian.t()
            assert torch.allclose(forward[:, sample].flatten(1), ahead, rtol=0, atol=1e-11)
            back = u[:, sample].flatten(1) @ jacobian
            assert torch.allclose(backward[:, sample].flatten(1), back, rtol=0, atol=1e-11)


@settings(max_examples=25)
@given(
    kernels=st.lists(st.sampled_from([1, 3]), min_size=1, max_size=2),
    strides=st.lists(st.sampled_from([1, 2, 3]), min_size=2, max_size=2),
    shortcut=st.booleans(),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_the_closed_form_holds_for_any_kernels_strides_and_projections(
    kernels: list[int], strides: list[int], shortcut: bool, height: int, width: int, seed: int
) -> None:
    channels = [2, 3, 4]
    layers = tuple(
        Convolution(
            numbers(seed + place, channels[place + 1], channels[place], side, side),
            numbers(seed + 10 + place, channels[place + 1]),
            strides[place],
        )
        for place, side in enumerate(kernels)
    )
    outputs = channels[len(kernels)]
    projection = numbers(seed + 20, outputs, 2) if shortcut else None
    block = Block(layers, projection, numbers(seed + 21, outputs) if shortcut else None)
    x = numbers(seed + 22, 1, 2, height, width)
    linear = block.linearise(x)
    units = torch.eye(x.numel(), dtype=x.dtype).view(-1, 1, *x.shape[1:])
    jacobian = linear.forward(units).flatten(1)
    found = ExactNorm(block, height, width).squared(linear)
    assert float(found) == pytest.approx(float(jacobian.square().sum()), rel=EXACT, abs=1e-12)


def spec(**changes: object) -> InterlayerCushionSpec:
    values: dict[str, object] = {
        "samples": None,
        "sample_seed": 0,
        "every_snapshot": False,
        "relative_error": 0.02,
        "max_probes": 2000,
        "probe_seed": 0,
        "precision": "float64",
    }
    return InterlayerCushionSpec(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cushions_of_all_spans_are_those_of_the_definition(architecture: str) -> None:
    net = network(architecture)
    inputs = numbers(5, 3, 3, 8, 8)
    found = Meter(net, spec())(inputs, [4, 7, 9])
    starts = [x for x, _ in points(net, inputs)]
    parts = modules(net)
    scores = []
    for i, j in itertools.combinations_with_replacement(range(len(parts)), 2):
        span = nn.Sequential(*parts[i : j + 1])
        for sample in range(3):
            x = starts[i][sample]
            jacobian = full_jacobian(span, x)
            factor = math.sqrt(x.shape[1] * x.shape[2])
            top = factor * float((jacobian @ x.flatten()).norm())
            expected = top / float(jacobian.norm() * x.norm())
            value = found.value[sample, i, j]
            if i == j:
                assert value == pytest.approx(expected, rel=EXACT)
                assert found.standard_error[sample, i, j] == 0
            else:
                error = found.standard_error[sample, i, j]
                assert 0 < error <= 0.02 * value
                # Where the sketch holds all that there is, the error is that of rounding.
                rounding = 1e-10 * value
                scores.append((value - expected) / max(error, rounding))
                assert value == pytest.approx(expected, rel=0.08)
    # Few scores, of which some share vectors, so that the bounds are wide; the test of intervals
    # below is the exact one.
    assert np.abs(scores).max() < 6
    assert np.sqrt(np.mean(np.square(scores))) < 2.5
    assert np.isnan(found.value[:, 1, 0]).all()


def test_what_is_drawn_for_a_picture_does_not_depend_on_the_others() -> None:
    net = network("full-plain")
    inputs = numbers(6, 4, 3, 8, 8)
    meter = Meter(net, spec())
    together = meter(inputs, [3, 5, 8, 9])
    alone = meter(inputs[2:3], [8])
    np.testing.assert_allclose(together.value[2:3], alone.value, rtol=1e-10)
    np.testing.assert_array_equal(together.probes[2:3], alone.probes)
    another = Meter(net, spec(probe_seed=1))(inputs, [3, 5, 8, 9])
    assert (another.value[:, 0, 1] != together.value[:, 0, 1]).all()


def dominated(values: int, seed: int = 0) -> list[LinearBlock]:
    """Return blocks of 1 x 1 kernels at 2 inputs whose product has few large singular values."""
    left = torch.linalg.qr(numbers(seed, 200, 200))[0]
    spectrum = torch.full((200,), 0.03, dtype=torch.float64)
    spectrum[:values] = torch.linspace(1, 0.5, values, dtype=torch.float64)
    matrix = left @ torch.diag(spectrum) @ torch.linalg.qr(numbers(seed + 1, 200, 200))[0]
    x = numbers(seed + 2, 2, 200, 1, 1)
    blocks = []
    for kernel in (torch.eye(200, dtype=torch.float64), matrix):
        # A large bias keeps every ReLU active.
        bias = torch.full((200,), 100.0, dtype=torch.float64)
        block = Block((Convolution(kernel[:, :, None, None], bias, 1),), None)
        blocks.append(block.linearise(x))
        x = blocks[-1].output
    return blocks


def norms(linear: list[LinearBlock], error: float, most: int = 10_000, seed: int = 0) -> SpanNorms:
    return SpanNorms(
        [item.block for item in linear], relative_error=error, max_probes=most, seed=seed
    )


@pytest.mark.parametrize("values", [4, 30])
def test_a_sketch_takes_over_where_few_singular_values_dominate(values: int) -> None:
    linear = dominated(values)
    expected = float(linear[1].block.convolutions[0].kernel.square().sum())
    found = norms(linear, 0.005).estimate(linear, [1, 2])
    assert (found.method[:, 0, 1] == probes.SKETCHED).all()
    # Signs alone have relative variance 2 / (number of values) and more.
    assert (found.probes[:, 0, 1] < 1 / (2 * values * 0.005**2) / 2).all()
    scores = (found.squared[:, 0, 1] - expected) / found.deviation[:, 0, 1]
    assert np.abs(scores).max() < 4
    assert (found.deviation[:, 0, 1] <= 2 * 0.005 * found.squared[:, 0, 1]).all()


def test_intervals_hold_what_they_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    linear = dominated(10)
    expected = float(linear[1].block.convolutions[0].kernel.square().sum())
    for threshold, method in ((10**9, probes.SIGNS), (0, probes.SKETCHED)):
        monkeypatch.setattr(spans, "WORTH_A_SKETCH", threshold)
        scores, ratios = [], []
        for seed in range(100):
            found = norms(linear, 0.03, seed=seed).estimate(linear, [1, 2])
            assert (found.method[:, 0, 1] == method).all()
            scores += list((found.squared[:, 0, 1] - expected) / found.deviation[:, 0, 1])
            ratios += list(np.sqrt(found.squared[:, 0, 1] / expected))
        # 95 % promised; stopping when the spread looks small costs a little.
        assert 0.9 < np.mean(np.abs(scores) < 1.96) <= 0.99
        assert abs(np.mean(ratios) - 1) < 0.01
        assert np.std(ratios) < 0.04


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(3, 3.1824), (7, 2.3646), (11, 2.2010), (27, 2.0518), (999, 1.9623)]
)
def test_errors_from_few_vectors_are_wider(freedom: int, quantile: float) -> None:
    assert probes.student(freedom) == pytest.approx(quantile / 1.959964, rel=0.01)


def test_the_largest_number_of_probes_is_kept_and_the_error_says_so() -> None:
    linear = dominated(1)
    found = norms(linear, 1e-4, most=24).estimate(linear, [1, 2])
    assert (found.probes[:, 0, 1] <= 24 + probes.ROUND + 2 * probes.SKETCH).all()
    assert (found.deviation[:, 0, 1] > 2e-4 * found.squared[:, 0, 1]).all()


def test_dead_blocks_have_no_cushion() -> None:
    net = network("plain")
    with torch.no_grad():
        net.layer2[0].conv.bias.fill_(-100)  # type: ignore[index, union-attr]
    found = Meter(net, spec())(numbers(7, 2, 3, 8, 8), [0, 1])
    alive = ~np.isnan(found.value[0])
    # layer2.0 is the third of 6 blocks. What ends in it or passes it has J = 0, what starts behind
    # it has x = 0; later blocks get what the biases make, which is the same for every picture.
    expected = np.zeros((6, 6), dtype=bool)
    expected[:2, :2] = np.triu(np.ones((2, 2), dtype=bool))
    assert (alive == expected).all()
    assert not np.isinf(found.value).any()


def test_exploded_blocks_have_no_cushion() -> None:
    net = network("plain")
    with torch.no_grad():
        net.get_parameter("layer2.0.conv.weight").abs_().mul_(1e200)
        net.get_parameter("layer2.1.conv.weight").abs_().mul_(1e200)
    found = Meter(net, spec())(numbers(7, 2, 3, 8, 8), [0, 1])
    assert np.isfinite(found.value[:, :2, :2][:, *np.triu_indices(2)]).all()
    # From the fourth of 6 blocks on, activations overflow.
    assert np.isinf(found.value[:, *np.triu_indices(6)][:, -3:]).all()
    assert np.isnan(found.value[:, *np.tril_indices(6, -1)]).all()


def test_estimates_of_single_blocks_agree_with_the_closed_form() -> None:
    linear = [block for _, block in points(network("full-residual"), numbers(6, 2, 3, 8, 8))]
    parts = [block.block for block in linear]
    options = {"relative_error": 0.02, "max_probes": 5000, "seed": 0}
    exact = SpanNorms(parts, **options).estimate(linear, [0, 1])  # type: ignore[arg-type]
    found = SpanNorms(parts, **options, closed_form=False).estimate(linear, [0, 1])  # type: ignore[arg-type]
    for j in range(len(parts)):
        assert (exact.method[:, j, j] == probes.CLOSED_FORM).all()
        assert (found.method[:, j, j] != probes.CLOSED_FORM).all()
        # Where the sketch holds all that there is, the error is that of rounding.
        error = np.maximum(found.deviation[:, j, j], 1e-10 * exact.squared[:, j, j])
        assert (np.abs(found.squared[:, j, j] - exact.squared[:, j, j]) < 4.5 * error).all()


def test_blocks_of_three_convolutions_are_estimated() -> None:
    layers = tuple(Convolution(numbers(n, 3, 3, 3, 3), numbers(9, 3), 1) for n in range(3))
    block = Block(layers, torch.eye(3, dtype=torch.float64))
    assert not has_closed_form(block)
    x = numbers(8, 1, 3, 6, 6)
    linear = block.linearise(x)
    units = torch.eye(x.numel(), dtype=x.dtype).view(-1, 1, *x.shape[1:])
    expected = float(linear.forward(units).square().sum())
    found = norms([linear], 0.01).estimate([linear], [0])
    assert found.squared[0, 0, 0] == pytest.approx(expected, rel=0.05)


def test_a_network_of_another_structure_is_refused() -> None:
    with pytest.raises(ResnoiseError, match="Sequential given, allowed: conv1 and blocks"):
        chain(nn.Sequential(nn.Linear(2, 2)))


NORMALISE = Normalisation(
    np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.2, 0.3]), torch.device("cpu"), torch.float32
)


class TwoNetworks:
    """Stands for a run with two sets of weights."""

    def __init__(self) -> None:
        images = np.random.default_rng(0).integers(256, size=(9, 8, 8, 3), dtype=np.uint8)
        self.dataset = SimpleNamespace(train_images=images)
        self.digests = {"weights": "x"}

    def usable(self, every_snapshot: bool) -> list[str]:
        assert every_snapshot
        return ["initial", "final"]

    def network(self, label: str, device: torch.device) -> nn.Module:
        return network("residual", seed={"initial": 1, "final": 2}[label])

    def normalisation(self, device: torch.device) -> Normalisation:
        return NORMALISE


def write(folder: Path, name: str, memory_mb: int = 500, **settings: object) -> Path:
    """Measure two networks, as a run with snapshots has them."""
    output = folder / f"{name}.csv"
    measure_run(
        TwoNetworks(),  # type: ignore[arg-type]
        spec(samples=7, every_snapshot=True, **settings),
        [output],
        Computing("cpu", memory_mb=memory_mb),
    )
    return output


def test_the_file_has_a_row_for_each_snapshot_span_and_picture(tmp_path: Path) -> None:
    rows = pd.read_csv(write(tmp_path, "cushions"))
    assert len(rows) == 2 * 21 * 7
    assert list(rows["snapshot"].unique()) == ["initial", "final"]
    assert (rows["first"] <= rows["last"]).all()
    single = rows["first"] == rows["last"]
    assert (rows[single]["method"] == "closed form").all()
    assert (rows[single]["standard_error"] == 0).all()
    assert rows[~single]["method"].isin(["signs", "sketch"]).all()
    assert rows["sample"].nunique() == 7
    assert (rows["cushion"] > 0).all()
    assert not list(tmp_path.glob("*resume*"))


def test_the_memory_budget_changes_the_batches_and_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = batches.in_batches

    def watch(state: object, count: int, size: int, *rest: object) -> object:
        sizes.append(size)
        return original(state, count, size, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(batches, "in_batches", watch)
    large = pd.read_csv(write(tmp_path, "large"))
    small = pd.read_csv(write(tmp_path, "small", memory_mb=1))
    assert sizes[0] > sizes[1] >= 1
    pd.testing.assert_frame_equal(large, small, rtol=1e-6)


def test_a_killed_measurement_continues_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write(tmp_path, "whole", memory_mb=1).read_bytes()
    monkeypatch.setattr(batches, "SECONDS_BETWEEN_SAVES", 0.0)
    original = Meter.__call__
    measured: list[int] = []

    def dies(self: Meter, inputs: Tensor, samples: list[int]) -> object:
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.extend(samples)
        return original(self, inputs, samples)

    monkeypatch.setattr(Meter, "__call__", dies)
    monkeypatch.setattr("resnoise.metrics.interlayer_cushion.LARGEST_BATCH", 1)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, "again")
    assert (tmp_path / "again_resume.safetensors").exists()

    def goes_on(self: Meter, inputs: Tensor, samples: list[int]) -> object:
        measured.extend(samples)
        return original(self, inputs, samples)

    monkeypatch.setattr(Meter, "__call__", goes_on)
    again = write(tmp_path, "again")
    # Two networks and 7 pictures: the third picture was measured with the first network only.
    assert len(measured) == 15
    assert again.read_bytes() == whole
    assert not (tmp_path / "again_resume.safetensors").exists()


def test_the_specification_goes_to_json_and_back() -> None:
    assert InterlayerCushionSpec.from_json(spec().to_json()) == spec()
    assert "relative_error" in json.loads(spec().to_json())
