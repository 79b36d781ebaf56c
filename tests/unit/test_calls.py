"""Layers of any network, found by hooks, and their cushions against their definition."""

import logging
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from any_networks import FAMILIES, pictures
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.metrics.calls import Calls
from resnoise.metrics.layer_cushion import Meter, layer_cushions
from resnoise.networks import build
from resnoise.specs.run import NetworkSpec

BY_PICTURE = "measured picture by picture, because "


class Net(nn.Module):
    """Whatever a test needs: a few modules and what to do with them."""

    def __init__(self, run: Callable[["Net", Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def measured(net: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    meter = Meter(net.eval(), inputs[:2])
    return dict(zip(meter.names, meter(inputs).T, strict=True))


def cushion(response: Tensor, weight: Tensor, x: Tensor) -> float:
    with torch.no_grad():
        return float(response.double().norm() / (weight.double().norm() * x.double().norm()))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_has_the_same_cushions_alone_and_in_a_batch(family: str) -> None:
    net, inputs = FAMILIES[family](), pictures(3)
    meter = Meter(net, inputs[:2])
    assert meter.largest is None
    found = meter(inputs)
    weights = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules())
    # An attention has its input projection besides the modules.
    assert found.shape == (3, weights + (2 if family == "vit" else 0))
    assert bool(((found > 0) & (found <= 1)).all())
    for place in range(3):
        assert torch.allclose(meter(inputs[place : place + 1]), found[place], rtol=1e-5)


def test_grouped_and_dilated_convolutions_have_the_cushion_of_the_definition() -> None:
    conv = nn.Conv2d(6, 9, (3, 1), dilation=2, groups=3, padding_mode="circular", padding=1)
    net = Net(lambda own, x: own.conv(x.repeat(1, 2, 1, 1)).relu_().mean((2, 3)), conv=conv)
    x = pictures(2)
    found = measured(net, x)["conv"]
    bare = nn.Conv2d(
        6, 9, (3, 1), dilation=2, groups=3, padding_mode="circular", padding=1, bias=False
    )
    bare.weight = conv.weight
    for picture, value in zip(x, found, strict=True):
        inputs = picture.repeat(2, 1, 1)[None]
        assert value == pytest.approx(cushion(bare(inputs), conv.weight, inputs), rel=1e-5)


def test_of_a_linear_layer_on_tokens_the_input_is_the_whole_matrix() -> None:
    net = Net(
        lambda own, x: own.head(F.gelu(own.mix(x.flatten(2).transpose(1, 2))).mean(1)),
        mix=nn.Linear(3, 5),
        head=nn.Linear(5, 2),
    )
    x = pictures(2)
    found = measured(net, x)["mix"]
    for picture, value in zip(x, found, strict=True):
        tokens = picture.flatten(1).T
        expected = cushion(tokens @ net.mix.weight.T, net.mix.weight, tokens)
        assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_first", [True, False])
def test_projections_of_attention_are_layers(batch_first: bool) -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    nn.init.normal_(attention.in_proj_bias)
    nn.init.normal_(attention.out_proj.bias)

    def run(own: Net, x: Tensor) -> Tensor:
        tokens = x.flatten(1)[:, :80].view(-1, 10, 8)
        if batch_first:
            return own.attention(tokens, tokens, tokens)[0].mean(1)
        tokens = tokens.transpose(0, 1)
        return own.attention(tokens, tokens, tokens, need_weights=False)[0].mean(0)

    x = pictures(3)
    found = measured(Net(run, attention=attention), x)
    assert list(found) == ["attention.in_proj", "attention.out_proj"]
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    for place, picture in enumerate(x):
        tokens = picture.flatten()[:80].view(10, 8)
        expected = cushion(tokens @ weight.T, weight, tokens)
        assert found["attention.in_proj"][place] == pytest.approx(expected, rel=1e-5)
        q, k, v = (
            part.view(10, 2, 4).transpose(0, 1) for part in (tokens @ weight.T + bias).chunk(3, 1)
        )
        heads = torch.softmax(q @ k.transpose(1, 2) / 2, -1) @ v
        inside = heads.transpose(0, 1).reshape(10, 8)
        last = attention.out_proj.weight
        expected = cushion(inside @ last.T, last, inside)
        assert found["attention.out_proj"][place] == pytest.approx(expected, rel=1e-5)


def test_a_module_is_a_layer_at_each_call_and_none_if_it_is_never_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    net = Net(
        lambda own, x: own.fc(own.fc(x.mean((2, 3))).relu()),
        fc=nn.Linear(3, 3),
        spare=nn.Linear(3, 3),
    )
    calls = Calls(net, pictures(2))
    assert [(call.number, call.name) for call in calls.calls] == [(1, "fc"), (2, "fc#2")]
    assert calls.unused == ["spare"]
    assert "not called, so not measured: spare" in caplog.text


def test_hooks_and_switches_are_as_before_also_after_an_error() -> None:
    net = FAMILIES["vit"]()
    linear = F.linear
    calls = Calls(net, pictures(2))
    with pytest.raises(AssertionError):
        calls.run(pictures(2, size=8))
    assert F.linear is linear
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_pictures_that_affect_each_other_are_measured_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    net = Net(lambda own, x: own.fc(x.mean((2, 3)) - x.mean((0, 2, 3))), fc=nn.Linear(3, 2))
    assert Meter(net, pictures(2)).largest == 1
    assert caplog.messages == [f"{BY_PICTURE}pictures of a batch affect each other"]
    # A number of pictures that is written into the network.
    net = Net(lambda own, x: own.fc(x.mean((2, 3)).reshape(1, 3)), fc=nn.Linear(3, 2))
    assert Meter(net, pictures(2)).largest == 1
    assert caplog.messages[1].startswith(f"{BY_PICTURE}two at once fail: shape '[1, 3]' is invalid")
    # Tokens before pictures.
    net = Net(lambda own, x: own.fc(x.flatten(2).permute(2, 0, 1)).mean(0), fc=nn.Linear(3, 2))
    meter = Meter(net, pictures(2))
    assert meter.largest == 1
    tokens = pictures(1)[0].flatten(1).T
    expected = cushion(tokens @ net.fc.weight.T, net.fc.weight, tokens)
    assert float(meter(pictures(1))) == pytest.approx(expected, rel=1e-5)


def test_layers_that_depend_on_the_picture_are_refused() -> None:
    net = Net(
        lambda own, x: (own.a if x.mean() > 0 else own.b)(x.mean((2, 3))),
        a=nn.Linear(3, 2),
        b=nn.Linear(3, 2),
    )
    meter = Meter(net, torch.ones(2, 3, 4, 4))
    with pytest.raises(ResnoiseError, match="layer b: called where a was called for the first"):
        meter(-torch.ones(1, 3, 4, 4))


def test_networks_without_layers_or_logits_are_refused() -> None:
    with pytest.raises(ResnoiseError, match="calls no convolution and no linear layer"):
        Calls(Net(lambda _own, x: x.mean((2, 3))), pictures(2))
    with pytest.raises(ResnoiseError, match=r"returns \(1, 4, 14, 14\) for inputs of"):
        Calls(nn.Conv2d(3, 4, 3), pictures(2))


def test_dead_and_exploded_layers_have_no_number() -> None:
    net = Net(
        lambda own, x: own.b(own.a(x.mean((2, 3))).relu()), a=nn.Linear(3, 3), b=nn.Linear(3, 2)
    )
    with torch.no_grad():
        net.a.weight.copy_(torch.eye(3))
        net.a.bias.zero_()
    x = torch.stack([torch.ones(3, 4, 4), -torch.ones(3, 4, 4), torch.full((3, 4, 4), torch.inf)])
    found = measured(net, x)["b"]
    assert math.isfinite(found[0]) and math.isnan(found[1]) and math.isinf(found[2])


def test_the_projects_own_networks_are_measured_with_their_identity_connections() -> None:
    net = build(NetworkSpec("residual", 8, 4), 3).eval()
    inputs = pictures(2)
    assert torch.equal(Meter(net, inputs)(inputs), layer_cushions(net, inputs))
