"""Layer tables: what is in them is what the network computes, whatever its class says of itself."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn

from resnoise.networks import build
from resnoise.networks.layer_table import Layer, identity_connection, layers
from resnoise.networks.simplified import Block
from resnoise.specs.run import NetworkSpec


def table(architecture: str, depth: int = 14, width: int = 4, size: int = 16) -> list[Layer]:
    return layers(build(NetworkSpec(architecture, depth, width), 7), size, size)


def kinds(rows: list[Layer], block: str) -> list[str]:
    return [layer.kind for layer in rows if layer.block == block]


@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_a_simplified_network_is_what_appendix_a_says(architecture: str) -> None:
    rows = table(architecture, depth=20, width=16, size=32)
    convolutions = [layer for layer in rows if layer.kind == "Conv2d"]
    assert len(convolutions) == 19 and {layer.kernel for layer in convolutions} == {3}
    assert [layer.out_channels for layer in convolutions] == [16] * 7 + [32] * 6 + [64] * 6
    assert [layer.stride for layer in convolutions] == [1] * 7 + [2] + [1] * 5 + [2] + [1] * 5
    assert [layer.out_height for layer in convolutions] == [32] * 7 + [16] * 6 + [8] * 6
    pooling, linear = rows[-2:]
    assert (pooling.kind, pooling.in_height, pooling.out_height) == ("AveragePooling", 8, 1)
    assert (linear.kind, linear.in_channels, linear.out_channels) == ("Linear", 64, 7)
    assert sum(layer.parameters for layer in rows) == sum(
        p.numel() for p in build(NetworkSpec(architecture, 20, 16), 7).parameters()
    )


def test_what_comes_in_is_what_went_out_before() -> None:
    for architecture in ("plain", "residual", "full-residual", "dominant-path-lower-full"):
        rows = table(architecture, size=20)
        for before, after in itertools.pairwise(rows):
            assert before.out_channels == after.in_channels
            assert (before.out_height, before.out_width) == (after.in_height, after.in_width)


BLOCKS = {
    "plain": ["Conv2d", "ReLU"],
    "residual": ["Conv2d", "Sum", "ReLU"],
    "full-plain": ["Conv2d", "BatchNorm2d", "ReLU"] * 2,
    "full-residual": ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "Sum", "ReLU"],
}


@pytest.mark.parametrize("architecture", BLOCKS)
def test_the_sum_comes_before_the_last_relu(architecture: str) -> None:
    rows = table(architecture)
    assert kinds(rows, "layer1.1") == BLOCKS[architecture]
    assert kinds(rows, "layer2.0") == BLOCKS[architecture]


DOUBLING = {
    "plain": "none",
    "residual": "stacked",
    "full-plain": "none",
    "full-residual": "zero-padded",
    "dominant-path": "stacked",
}


@pytest.mark.parametrize("architecture", DOUBLING)
def test_identities_are_those_of_the_blocks(architecture: str) -> None:
    rows = table(architecture)
    found = {layer.block: layer.identity for layer in rows}
    doubling = DOUBLING[architecture]
    same = "none" if doubling == "none" else "identity"
    assert found.pop("") == "none"
    assert found == {b: doubling if b in ("layer2.0", "layer3.0") else same for b in found}


def test_an_identity_is_found_by_what_the_block_computes() -> None:
    class Scaled(Block):
        def response(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x)
            return y + 0.5 * x

    assert identity_connection(Block(3, 3, 1, residual=True), 3, 4, 4) == "identity"
    assert identity_connection(Block(3, 6, 2, residual=True), 3, 4, 4) == "stacked"
    assert identity_connection(Block(3, 6, 2, residual=False), 3, 4, 4) == "none"
    # It claims to be plain, and is not.
    assert identity_connection(Scaled(3, 3, 1, residual=False), 3, 4, 4) == "other"


def test_a_change_of_the_network_changes_the_table() -> None:
    network = build(NetworkSpec("residual", 8, 4), 7)
    before = layers(network, 16, 16)
    block = network.get_submodule("layer1.1")
    assert isinstance(block, Block)
    block.residual = False
    block.conv = nn.Conv2d(4, 4, 5, padding=2)
    after = layers(network, 16, 16)
    assert kinds(before, "layer1.1") == ["Conv2d", "Sum", "ReLU"]
    assert kinds(after, "layer1.1") == ["Conv2d", "ReLU"]
    (changed,) = (layer for layer in after if layer.name == "layer1.1.conv")
    assert (changed.kernel, changed.identity) == (5, "none")
    untouched = [dataclasses.astuple(layer) for layer in before if layer.block != "layer1.1"]
    assert untouched == [dataclasses.astuple(layer) for layer in after if layer.block != "layer1.1"]


def test_the_network_stays_as_it_is() -> None:
    network = build(NetworkSpec("full-residual", 8, 4), 7).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    layers(network, 16, 16)
    assert network.training and all(
        torch.equal(value, before[name]) for name, value in network.state_dict().items()
    )
    for module in network.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
