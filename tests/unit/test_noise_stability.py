"""Noise stability (section 5; Arora et al. 2018) against brute force in float64, and its laws."""

import copy
import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_layer_cushion import RECIPE, random_inputs, random_network, run_of
from torch import Tensor, nn

from resnoise.devices import Computing
from resnoise.metrics import resumable as batches
from resnoise.metrics.layer_cushion import layer_cushions
from resnoise.metrics.layers import layers, responses_from, stages
from resnoise.metrics.moments import Moments
from resnoise.metrics.noise_stability import (
    NoiseStability,
    measure_run,
    sample_noise,
    scaled_to,
    weight_noise,
)
from resnoise.specs.metrics import NoiseStabilitySpec

SPEC = NoiseStabilitySpec(
    samples=6, sample_seed=0, every_snapshot=False, sizes=(0.1, 0.5), repeats=2, noise_seed=3
)
SAMPLES = np.array([4, 7, 8, 30, 31, 39])
Row = dict[str, float]
Entry = tuple[str, float, int, int]


def measured(network: nn.Module, inputs: Tensor, spec: NoiseStabilitySpec = SPEC) -> NoiseStability:
    stability = NoiseStability(network, spec)
    stability.add(inputs, SAMPLES[: len(inputs)])
    return stability


def by_entry(stability: NoiseStability) -> dict[Entry, Row]:
    """Return the rows by quantity, size, layer and at_layer."""
    return {
        (row["quantity"], row["size"], row["layer"], row["at_layer"]): row
        for row in stability.rows()
    }


def responses(network: nn.Module, inputs: Tensor) -> dict[int, Tensor]:
    """Return all responses by the number of their layer."""
    chain = stages(network)
    found = responses_from(chain, 0, chain[0].response(inputs))
    return {stage.number: z for stage, z in zip(chain, found, strict=True)}


def change(after: Tensor, before: Tensor) -> Tensor:
    return (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)


@pytest.mark.parametrize("architecture", ["plain", "residual", "full-plain", "full-residual"])
@pytest.mark.parametrize("target", ["equal_weight", "transferred_weight", "weight"])
@torch.no_grad()
def test_noise_on_weights_is_that_of_a_network_with_other_weights(
    architecture: str, target: str
) -> None:
    network = random_network(architecture)
    before = copy.deepcopy(network.state_dict())
    inputs = random_inputs(6)
    clean = responses(network, inputs)
    found = by_entry(measured(network, inputs))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for layer in layers(network):
        for size in SPEC.sizes:
            values, flips = [], []
            for repeat in range(SPEC.repeats):
                other = copy.deepcopy(network)
                weight = dict(other.named_parameters())[f"{layer.name}.weight"]
                weight.add_(size * weight_noise(layer, SPEC.noise_seed, repeat, target))
                noisy = responses(other, inputs)
                values.append({at: change(noisy[at], z) for at, z in clean.items()})
                flips.append(noisy[8].argmax(1) != clean[8].argmax(1))
            for at in clean:
                row = found.get((f"{target}_noise", size, layer.number, at))
                all_values = torch.stack([v[at] for v in values])
                if at < layer.number:
                    assert row is None
                    assert not all_values.any()
                    continue
                assert row is not None
                assert row["mean"] == pytest.approx(float(all_values.mean()), rel=1e-10)
                assert row["minimum"] == pytest.approx(float(all_values.min()), rel=1e-10)
                assert row["maximum"] == pytest.approx(float(all_values.max()), rel=1e-10)
                assert row["repeats"] == 2
            row = found[f"{target}_noise_flips", size, layer.number, 8]
            assert row["mean"] == pytest.approx(float(torch.stack(flips).double().mean()))


@pytest.mark.parametrize("architecture", ["residual", "full-residual"])
@torch.no_grad()
def test_noise_on_inputs_reaches_all_that_uses_them(architecture: str) -> None:
    network = random_network(architecture)
    inputs = random_inputs(6)
    clean = responses(network, inputs)
    found = by_entry(measured(network, inputs))
    modules = dict(network.named_modules())
    size = SPEC.sizes[1]
    for layer in layers(network):
        values = []
        # What takes the noise: a whole block if its first layer is meant, else the layer itself.
        block = layer.name.rpartition(".")[0]
        taker = modules[block] if block and not layer.name.endswith("conv2") else layer.module
        for repeat in range(SPEC.repeats):

            def add(
                _module: nn.Module,
                arguments: tuple[Tensor],
                number: int = layer.number,
                repeat: int = repeat,
            ) -> tuple[Tensor]:
                (x,) = arguments
                purpose = f"input noise/{number}"
                noise = sample_noise(x, SPEC.noise_seed, purpose, repeat, SAMPLES)
                return (x + size * scaled_to(noise, x),)

            with taker.register_forward_pre_hook(add):
                values.append(change(network(inputs), clean[8]))
        row = found["input_noise", size, layer.number, 8]
        assert row["mean"] == pytest.approx(float(torch.stack(values).mean()), rel=1e-10)


@pytest.mark.parametrize("architecture", ["plain", "residual", "full-residual"])
def test_smoothness_and_contraction_against_the_jacobian(architecture: str) -> None:
    network = random_network(architecture, width=2)
    inputs = random_inputs(6, side=4)
    chain = stages(network)
    clean = responses(network, inputs)
    found = by_entry(measured(network, inputs))
    for index, stage in enumerate(chain[:-1]):
        z = clean[stage.number].detach()
        contraction = z.flatten(1).norm(dim=1) / torch.relu(z).flatten(1).norm(dim=1)
        keys = [k for k in found if k[0] == "activation_contraction" and k[2] == stage.number]
        (row,) = (found[key] for key in keys)
        assert row["mean"] == pytest.approx(float(contraction.mean()), rel=1e-12)
        assert row["maximum"] == pytest.approx(float(contraction.max()), rel=1e-12)
        for position in range(index + 1, len(chain)):

            def later(start: Tensor, first: int = index, at: int = position) -> Tensor:
                return responses_from(chain, first, start[None])[at - first][0]

            for size in SPEC.sizes:
                values = []
                for repeat in range(SPEC.repeats):
                    purpose = f"response noise/{stage.number}"
                    drawn = sample_noise(z, SPEC.noise_seed, purpose, repeat, SAMPLES)
                    eta = size * scaled_to(drawn, z)
                    for one, noise in zip(z, eta, strict=True):
                        jacobian = torch.autograd.functional.jacobian(later, one)
                        before, after = later(one).detach(), later(one + noise).detach()
                        linear = torch.tensordot(jacobian, noise, dims=noise.dim())
                        error = (after - before - linear).detach().norm()
                        values.append(float(error * one.norm() / (noise.norm() * before.norm())))
                row = found["inverse_smoothness", size, stage.number, chain[position].number]
                assert row["mean"] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)
                assert row["maximum"] == pytest.approx(np.max(values), rel=1e-9, abs=1e-12)


@torch.no_grad()
def test_where_no_unit_changes_sign_the_network_is_linear() -> None:
    network = random_network("plain")
    state = network.state_dict()
    for name, tensor in state.items():
        tensor.abs_()
        if name.endswith("bias"):
            tensor.add_(1.0)
    spec = dataclasses.replace(SPEC, sizes=(1e-3,))
    found = by_entry(measured(network, random_inputs(6).abs(), spec))
    for (quantity, *_), row in found.items():
        if quantity == "inverse_smoothness":
            assert row["maximum"] < 1e-10
        if quantity == "activation_contraction":
            assert row["mean"] == row["maximum"] == 1


@torch.no_grad()
def test_noise_on_the_linear_layer_goes_with_one_over_its_cushion() -> None:
    network = random_network("plain", width=4)
    network.get_submodule("fc").get_parameter("bias").zero_()
    inputs = random_inputs(1)
    spec = dataclasses.replace(SPEC, repeats=3000, sizes=(0.1,))
    stability = NoiseStability(network, spec)
    layer = stability.noisy[-1]
    clean = responses(network, inputs)
    alive = torch.zeros(1, 8, dtype=torch.bool)
    stability._add_noise(layer, 7, torch.relu(clean[7]), list(clean.values()), alive, SAMPLES[:1])
    moments = stability.moments["weight_noise"]
    mean_square = float(moments.arrays["squares"][0, 7, 7]) / spec.repeats
    mu = float(layer_cushions(network, inputs)[0, 7])
    # Every entry of the noise has variance (s |W|)^2 / (outputs * inputs).
    expected = 0.1**2 / (layer.module.weight.shape[1] * mu**2)
    assert mean_square == pytest.approx(expected, rel=0.08)


@given(size=st.floats(1e-3, 10), seed=st.integers(0, 1000))
def test_noise_has_exactly_the_size_that_is_asked_for(size: float, seed: int) -> None:
    network = random_network("residual")
    for layer in layers(network)[:3]:
        noise = weight_noise(layer, seed, 1)
        assert float(noise.norm()) == pytest.approx(layer.weight_norm(), rel=1e-12)
        equal = weight_noise(layer, seed, 1, "equal_weight")
        assert float(equal.norm()) == pytest.approx((2 * len(equal)) ** 0.5, rel=1e-12)
        kernel = layer.module.weight.detach().clone()
        if layer.identity:
            for output in range(len(kernel)):
                kernel[output, output % kernel.shape[1], 1, 1] += 1
        transferred = weight_noise(layer, seed, 1, "transferred_weight")
        assert float(transferred.norm()) == pytest.approx(float(kernel.norm()), rel=1e-12)
    x = random_inputs(3, seed=seed)
    noise = size * scaled_to(sample_noise(x, seed, "p", 0, SAMPLES[:3]), x)
    ratios = noise.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    np.testing.assert_allclose(ratios, size, rtol=1e-12)


def test_noise_depends_on_seed_repeat_layer_and_picture_and_on_nothing_else() -> None:
    x = random_inputs(3)
    reference = sample_noise(x, 1, "p", 0, np.array([5, 6, 7]))
    assert torch.equal(sample_noise(x[:1], 1, "p", 0, np.array([6]))[0], reference[1])
    others = [
        sample_noise(x, 2, "p", 0, np.array([5, 6, 7])),
        sample_noise(x, 1, "q", 0, np.array([5, 6, 7])),
        sample_noise(x, 1, "p", 1, np.array([5, 6, 7])),
    ]
    assert all(not torch.equal(other, reference) for other in others)
    assert len({float(noise.sum()) for noise in reference}) == 3
    plain, residual = (layers(random_network(kind, seed=1))[2] for kind in ("plain", "residual"))
    directions = [weight_noise(layer, 1, 0) / layer.weight_norm() for layer in (plain, residual)]
    torch.testing.assert_close(*directions, rtol=1e-12, atol=0)
    assert not torch.equal(weight_noise(plain, 1, 1), weight_noise(plain, 1, 0))


@given(cut=st.integers(1, 5), architecture=st.sampled_from(["residual", "full-plain"]))
def test_batches_do_not_count(cut: int, architecture: str) -> None:
    network = random_network(architecture, width=2)
    inputs = random_inputs(6, side=4)
    stability = NoiseStability(network, SPEC)
    stability.add(inputs[:cut], SAMPLES[:cut])
    stability.add(inputs[cut:], SAMPLES[cut:])
    divided, whole = by_entry(stability), by_entry(measured(network, inputs))
    columns = ("mean", "standard_error", "standard_deviation", "minimum", "maximum")
    for column in columns:
        values = [[row[column] for row in rows.values()] for rows in (divided, whole)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-7, atol=1e-9)
    assert str(list(divided)) == str(list(whole))


def brute_force(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of values [pictures, repeats, ...]."""
    pictures, repeats = values.shape[:2]
    flat = values.reshape(pictures * repeats, *values.shape[2:])
    error = values.mean(0).var(0, ddof=1) / repeats + values.mean(1).var(0, ddof=1) / pictures
    return {
        "mean": flat.mean(0),
        "standard_error": np.sqrt(error),
        "standard_deviation": flat.std(0, ddof=1),
        "minimum": flat.min(0),
        "maximum": flat.max(0),
    }


@given(
    seed=st.integers(0, 2**31),
    pictures=st.integers(2, 9),
    repeats=st.integers(2, 5),
    cut=st.integers(0, 9),
)
def test_moments_against_brute_force(seed: int, pictures: int, repeats: int, cut: int) -> None:
    values = np.random.default_rng(seed).normal(2, 1, (pictures, repeats, 3))
    moments = Moments((4, 3), repeats)
    for part in (values[:cut], values[cut:]):
        if len(part):
            moments.add((1, slice(0, 2)), part[..., :2])
            moments.add((1, 2), part[..., 2])
    summary = moments.summary()._asdict()
    for name, expected in brute_force(values).items():
        np.testing.assert_allclose(summary[name][1], expected, rtol=1e-9)
    assert (summary["samples"][0] == 0).all() and (summary["state"] == "").all()


def test_the_standard_error_covers_pictures_and_noise() -> None:
    """Means of many experiments scatter by about what one experiment says, not less."""
    generator = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(2000):
        pictures, noises = generator.normal(size=(8, 1)), generator.normal(size=(1, 4))
        values = pictures + noises + generator.normal(size=(8, 4))
        moments = Moments((), 4)
        moments.add((), values)
        summary = moments.summary()
        means.append(float(summary.mean))
        errors.append(float(summary.standard_error) ** 2)
    ratio = np.mean(errors) / np.var(means)
    assert 1 <= ratio < 1.15


def test_one_picture_or_one_repeat_has_no_standard_error() -> None:
    one_repeat, one_picture, fixed = Moments((), 1), Moments((), 3), Moments((), 1, random=False)
    one_repeat.add((), np.array([[1.0], [2.0]]))
    one_picture.add((), np.array([[1.0, 2.0, 4.0]]))
    fixed.add((), np.array([[1.0], [3.0]]))
    assert np.isnan(one_repeat.summary().standard_error)
    assert np.isnan(one_picture.summary().standard_error)
    assert fixed.summary().standard_error == pytest.approx(1.0)


@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_a_network_without_a_signal_is_dead_and_not_insensitive_to_noise(architecture: str) -> None:
    network = random_network(architecture)
    inputs = random_inputs(6)
    # Whatever comes, the fifth of eight layers answers 0.
    with torch.no_grad():
        network.get_parameter("layer2.1.conv.bias").fill_(-1e6)
    found = by_entry(measured(network, inputs))
    for (quantity, _size, _layer, at), row in found.items():
        first = 5 if quantity == "activation_contraction" else 6
        assert row["state"] == ("dead" if at >= first else ""), (quantity, at)
        assert (row["samples"] == 0) == (row["state"] != "") == math.isnan(row["mean"])


def test_pictures_on_which_a_layer_is_dead_count_in_no_number() -> None:
    values = np.random.default_rng(1).normal(2, 1, (5, 3, 2))
    moments, alive = Moments((2,), 3), Moments((), 3)
    values[1, :, 0], values[4, 2, 0], values[:, 1, 1] = np.nan, np.nan, np.inf
    moments.add((), values[:3])
    moments.add((), values[3:])
    alive.add((), values[[0, 2, 3], :, 0])
    for name, found in moments.summary()._asdict().items():
        assert found[0] == alive.summary()._asdict()[name]
    summary = moments.summary()
    assert list(summary.samples) == [3, 0]
    assert list(summary.state) == ["", "exploded"]
    assert np.isnan([summary.mean[1], summary.minimum[1], summary.maximum[1]]).all()


class KilledError(Exception):
    """Stands for the end of a process."""


def test_a_killed_measurement_continues_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(batches, "LARGEST_BATCH", 2)
    run = run_of(random_network("residual"), "residual")
    assert run.spec.recipe == RECIPE

    def measure(output: Path) -> None:
        measure_run(run, SPEC, [output], Computing("cpu", code="c"))

    measure(tmp_path / "whole.csv")
    original, calls = NoiseStability.add, 0

    def killed(self: NoiseStability, inputs: Tensor, samples: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KilledError
        original(self, inputs, samples)

    monkeypatch.setattr(NoiseStability, "add", killed)
    with pytest.raises(KilledError):
        measure(tmp_path / "killed.csv")
    measure(tmp_path / "killed.csv")
    # The first batch of three, the one that died, and the last two.
    assert calls == 4
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4  # with their digests
    with (tmp_path / "whole.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["snapshot"] for row in rows} == {"final"}
    noise = [row for row in rows if row["quantity"] == "weight_noise"]
    # Two sizes, and a layer's own and all later ones.
    assert len(noise) == 2 * (8 * 9 // 2)
