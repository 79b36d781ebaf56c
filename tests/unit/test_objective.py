"""The cost: weight term and its gradients against autograd of the written-out formula."""

import dataclasses
import itertools
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise import devices, provenance
from resnoise.config import load as config
from resnoise.networks import build
from resnoise.plan.specs import recipe_spec
from resnoise.specs.run import NetworkSpec, RecipeSpec
from resnoise.training.descent import Descent, Group
from resnoise.training.objective import Penalty, sgd

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")
BATCH = 6


def recipe(**changes: Any) -> RecipeSpec:
    usual = recipe_spec(config.load({}), "plain")
    return dataclasses.replace(usual, batch_size=BATCH, penalty=0.3, **changes)


FLAGS = ("penalty_divided_by_batch", "penalty_on_biases", "penalty_on_transferred")
CASES = [
    (architecture, dict(zip(FLAGS, values, strict=True)))
    for architecture in ARCHITECTURES
    for values in itertools.product((False, True), repeat=3)
]


def network(architecture: str, precision: str = "float64") -> nn.Module:
    """Return a network whose parameters are all random and far from 0."""
    net = build(NetworkSpec(architecture, 8, 2), 3)
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=numbers) / 2)
    return devices.place(net, torch.device("cpu"), precision)


def written_out_term(net: nn.Module, architecture: str, chosen: RecipeSpec) -> Tensor:
    """Return the weight term as the formula says, entry by entry where ID entries are concerned."""
    total = torch.zeros((), dtype=torch.float64)
    for name, parameter in net.named_parameters():
        is_weight = name.endswith("weight") and "bn" not in name
        if not (is_weight or chosen.penalty_on_biases):
            continue
        squares = parameter.square().sum()
        transferred = chosen.penalty_on_transferred and architecture == "residual"
        if transferred and name.startswith("layer") and is_weight:
            for output in range(parameter.shape[0]):
                entry = parameter[output, output % parameter.shape[1], 1, 1]
                squares = squares - entry.square() + (entry + 1).square()
        total = total + squares
    divisor = chosen.batch_size if chosen.penalty_divided_by_batch else 1
    return chosen.penalty / (2 * divisor) * total


def batch(step: int = 0) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(step)
    inputs = torch.randn(BATCH, 3, 8, 8, generator=numbers, dtype=torch.float64)
    return inputs.contiguous(memory_format=torch.channels_last), torch.arange(BATCH) % 3


def gradients_of_cost(
    net: nn.Module, architecture: str, chosen: RecipeSpec, step: int
) -> list[Tensor]:
    inputs, labels = batch(step)
    cost = F.cross_entropy(net(inputs), labels) + written_out_term(net, architecture, chosen)
    return list(torch.autograd.grad(cost, list(net.parameters())))


def trained_gradients(net: nn.Module, penalty: Penalty) -> None:
    """Set the gradients as the training loop does before a step of the optimiser."""
    net.zero_grad()
    inputs, labels = batch()
    F.cross_entropy(net(inputs), labels).backward()
    penalty.add_identity_gradient()


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_the_weight_term_is_that_of_the_formula(architecture: str, flags: dict[str, bool]) -> None:
    net, chosen = network(architecture), recipe(**flags)
    expected = written_out_term(net, architecture, chosen).item()
    assert Penalty(net, chosen).value() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("architecture", "flags"), CASES)
def test_gradients_with_weight_decay_are_those_of_the_cost(
    architecture: str, flags: dict[str, bool]
) -> None:
    net, chosen = network(architecture), recipe(**flags)
    penalty = Penalty(net, chosen)
    trained_gradients(net, penalty)
    decay = {
        p: group.weight_decay for group in sgd(penalty, chosen).groups for p in group.parameters
    }
    expected = gradients_of_cost(net, architecture, chosen, 0)
    for (name, parameter), gradient in zip(net.named_parameters(), expected, strict=True):
        assert parameter.grad is not None
        found = parameter.grad + decay[parameter] * parameter.detach()
        torch.testing.assert_close(found, gradient, rtol=1e-11, atol=1e-12, msg=name)


@pytest.mark.parametrize("on_biases", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_is_in_one_group_of_the_optimiser(
    architecture: str, on_biases: bool
) -> None:
    net = network(architecture)
    optimizer = sgd(Penalty(net, recipe(penalty_on_biases=on_biases)), recipe())
    grouped = [p for group in optimizer.groups for p in group.parameters]
    assert len(grouped) == len({id(p) for p in grouped})
    assert {id(p) for p in grouped} == {id(p) for p in net.parameters()}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("on_biases", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_are_those_of_hand_written_momentum_descent_on_the_cost(
    architecture: str, on_biases: bool, momentum: float
) -> None:
    chosen = recipe(momentum=momentum, penalty_on_biases=on_biases, learning_rate=0.05)
    net, by_hand = network(architecture), network(architecture)
    penalty = Penalty(net, chosen)
    optimizer = sgd(penalty, chosen)
    velocity = [torch.zeros_like(p) for p in by_hand.parameters()]
    for rate in (0.05, 0.05, 0.005):
        optimizer.rate = rate
        trained_gradients(net, penalty)
        optimizer.step()
        gradients = gradients_of_cost(by_hand, architecture, chosen, 0)
        with torch.no_grad():
            for p, v, gradient in zip(by_hand.parameters(), velocity, gradients, strict=True):
                v.mul_(momentum).add_(gradient)
                p.sub_(rate * v)
    start = network(architecture).state_dict()
    for (name, found), expected in zip(net.named_parameters(), by_hand.parameters(), strict=True):
        assert (found - start[name]).abs().max() > 1e-4, f"{name} did not move"
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11, msg=name)


def test_the_paper_s_coefficient_is_lambda_over_the_batch_size() -> None:
    chosen = recipe_spec(config.load({}), "plain")
    assert Penalty(network("plain"), chosen).coefficient == pytest.approx(1e-4 / 128)
    usual = recipe_spec(config.load({}), "full-plain")
    assert Penalty(network("full-plain"), usual).coefficient == pytest.approx(1e-4)


def test_without_penalty_the_gradients_are_those_of_the_risk() -> None:
    net, chosen = network("residual"), dataclasses.replace(recipe(), penalty=0.0)
    penalty = Penalty(net, chosen)
    assert penalty.value() == 0
    trained_gradients(net, penalty)
    inputs, labels = batch()
    risk = F.cross_entropy(net(inputs), labels)
    for parameter, gradient in zip(
        net.parameters(), torch.autograd.grad(risk, list(net.parameters())), strict=True
    ):
        assert torch.equal(parameter.grad, gradient)


def test_the_weight_term_of_float32_weights_is_summed_in_float64() -> None:
    chosen = recipe(penalty_on_transferred=True)
    net = network("residual", "float32")
    exact = written_out_term(network("residual", "float32").double(), "residual", chosen).item()
    assert Penalty(net, chosen).value() == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_have_the_bits_of_the_fused_optimiser(momentum: float, precision: str) -> None:
    ours, theirs = network("residual", precision), network("residual", precision)
    groups: list[list[nn.Parameter]] = [[p for p in ours.parameters() if p.dim() > 1], []]
    groups.append([p for p in ours.parameters() if p.dim() <= 1])
    descent = Descent([Group(group, 0.1 * i) for i, group in enumerate(groups)], 0.05, momentum)
    reference = torch.optim.SGD(
        [
            {"params": [p for p in theirs.parameters() if (p.dim() > 1) == kernels]}
            | {"weight_decay": decay}
            for kernels, decay in ((True, 0.0), (False, 0.2))
        ],
        lr=0.05,
        momentum=momentum,
        fused=True,
    )
    for rate in (0.05, 0.05, 0.005):
        descent.rate = rate
        for group in reference.param_groups:
            group["lr"] = rate
        for net, optimizer in ((ours, descent), (theirs, reference)):
            net.zero_grad()
            inputs, labels = batch()
            F.cross_entropy(net(inputs.to(next(net.parameters()).dtype)), labels).backward()
            optimizer.step()
    for found, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(found, expected)


def test_training_does_not_import_the_compiler_of_pytorch() -> None:
    code = """
import sys, torch
from resnoise.training.descent import Descent, Group
weight = torch.nn.Parameter(torch.ones(3))
weight.grad = torch.ones(3)
Descent([Group([weight], 0.0)], 0.1, 0.9).step()
assert torch.allclose(weight.detach(), torch.tensor(0.9))
assert "torch._dynamo" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(provenance.SCRIPTS)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
