"""Noise stability of any network: against passes with changed weights and inputs, one by one."""

import copy
import math

import numpy as np
import pytest
import torch
from any_networks import FAMILIES, pictures, ready, small_vgg
from torch import Tensor, nn

from resnoise.metrics.call_noise import CallNoise
from resnoise.metrics.noise import gaussian_weights, sample_noise, scaled_to
from resnoise.metrics.noise_stability import NoiseStability, choose
from resnoise.networks import build
from resnoise.specs.metrics import NoiseStabilitySpec
from resnoise.specs.run import NetworkSpec

SPEC = NoiseStabilitySpec(None, 0, False, (0.1, 0.5), 2, 3)
SAMPLES = np.array([4, 7])


def rows(net: nn.Module, inputs: Tensor) -> dict[tuple[str, float, str, int], dict]:
    stability = CallNoise(net, SPEC, inputs)
    stability.add(inputs, SAMPLES)
    return {
        (row["quantity"], row["size"], row["name"], row["at_layer"]): row
        for row in stability.rows()
        if row["quantity"] != "activation_contraction"
    }


def relative(noisy: Tensor, clean: Tensor) -> Tensor:
    return (noisy - clean).flatten(1).norm(dim=1) / clean.flatten(1).norm(dim=1)


@torch.no_grad()
def test_noise_on_weights_is_what_changed_weights_do() -> None:
    net, inputs = small_vgg().double(), pictures(2).double()
    found = rows(net, inputs)
    names = {"features.0": 1, "features.4": 2, "classifier": 3}
    for name, number in names.items():
        weight = net.get_submodule(name).weight
        for quantity, norm in (
            ("weight_noise", float(weight.norm())),
            ("transferred_weight_noise", float(weight.norm())),
            ("equal_weight_noise", math.sqrt(2 * len(weight))),
        ):
            changes, flips = [], []
            for repeat in range(2):
                noisy = copy.deepcopy(net)
                noise = gaussian_weights(weight, norm, 3, number, repeat)
                noisy.get_submodule(name).weight.add_(0.5 * noise)
                changes.append(relative(noisy(inputs), net(inputs)))
                flips.append(noisy(inputs).argmax(1) != net(inputs).argmax(1))
            row = found[quantity, 0.5, name, 3]
            assert row["mean"] == pytest.approx(float(torch.stack(changes).mean()), rel=1e-6)
            assert row["layer"] == number
            flipped = found[f"{quantity}_flips", 0.5, name, 3]["mean"]
            assert flipped == pytest.approx(float(torch.stack(flips).double().mean()))


@torch.no_grad()
def test_noise_on_an_input_is_followed_to_later_layers() -> None:
    net, inputs = small_vgg().double(), pictures(2).double()
    row = rows(net, inputs)["input_noise", 0.1, "features.4", 2]
    x = net.features[:4](inputs)
    changes = []
    for repeat in range(2):
        noise = scaled_to(sample_noise(x, 3, "input noise/2", repeat, SAMPLES), x)
        changes.append(relative(net.features[4](x + 0.1 * noise), net.features[4](x)))
    assert row["mean"] == pytest.approx(float(torch.stack(changes).mean()), rel=1e-6)


@torch.no_grad()
def test_smoothness_is_how_far_the_rest_is_from_its_jacobian() -> None:
    net, inputs = small_vgg().double(), pictures(2).double()
    row = rows(net, inputs)["inverse_smoothness", 0.5, "features.0", 2]
    z = net.features[0](inputs)
    values = []
    for repeat in range(2):
        eta = scaled_to(sample_noise(z, 3, "response noise/1", repeat, SAMPLES), z)
        rest = net.features[1:5]
        tangent = torch.func.jvp(rest, (z.clone(),), (eta,))[1]
        error = rest(z + 0.5 * eta) - rest(z.clone()) - 0.5 * tangent
        values.append(error.flatten(1).norm(dim=1) / (0.5 * rest(z.clone()).flatten(1).norm(dim=1)))
    assert row["mean"] == pytest.approx(float(torch.stack(values).mean()), rel=1e-6)
    assert row["maximum"] == pytest.approx(float(torch.stack(values).max()), rel=1e-6)


@pytest.mark.parametrize("inplace", [True, False])
def test_contraction_is_that_of_the_first_activation_after_a_layer(inplace: bool) -> None:
    class Net(nn.Module):
        """Activations as module and as function, and a layer with none."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)
            self.relu = nn.ReLU(inplace)

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.a(x))
            return self.c(torch.nn.functional.gelu(self.b(x)).tanh().mean((2, 3)))

    net, inputs = ready(Net()), pictures(2)
    stability = CallNoise(net, SPEC, inputs)
    stability.add(inputs, SAMPLES)
    found = {r["name"]: r for r in stability.rows() if r["quantity"] == "activation_contraction"}
    assert [*found] == ["a", "b"]
    with torch.no_grad():
        first = net.a(inputs)
        second = net.b(first.relu())
    for name, x, y in (
        ("a", first, first.relu()),
        ("b", second, torch.nn.functional.gelu(second)),
    ):
        ratios = x.flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)
        assert found[name]["mean"] == pytest.approx(float(ratios.mean()), rel=1e-5)
        assert found[name]["samples"] == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_measured_whatever_the_batches(family: str) -> None:
    net, inputs = FAMILIES[family](), pictures(2)
    together, alone = (CallNoise(net, SPEC, inputs) for _ in range(2))
    together.add(inputs, SAMPLES)
    for place in range(2):
        alone.add(inputs[place : place + 1], SAMPLES[place : place + 1])
    count = len(together.noisy)
    for a, b in zip(together.rows(), alone.rows(), strict=True):
        assert (a["quantity"], a["layer"], a["at_layer"]) == (
            b["quantity"],
            b["layer"],
            b["at_layer"],
        )
        # Smoothness is a difference of numbers that are nearly the same.
        rough = 0.05 if a["quantity"] == "inverse_smoothness" else 1e-3
        assert a["mean"] == pytest.approx(b["mean"], rel=rough, abs=1e-4)
        assert a["state"] == "" and a["mean"] >= 0
    assert {r["at_layer"] for r in together.rows()} == {*range(1, count + 1)}


def test_the_projects_own_networks_are_measured_as_before() -> None:
    net = build(NetworkSpec("residual", 8, 4), 3).eval()
    assert isinstance(choose(net, SPEC, pictures(2)), NoiseStability)
