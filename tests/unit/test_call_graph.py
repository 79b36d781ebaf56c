"""Which layers of a network all of a picture passes, and that those behind a dead one are dead."""

from collections.abc import Callable

import pandas as pd
import public_networks
import pytest
import torch
from any_networks import pictures, small_densenet, small_vgg, small_vit
from torch import Tensor, nn

from resnoise.metrics.call_graph import cut_layers
from resnoise.metrics.call_noise import CallNoise
from resnoise.metrics.calls import Calls
from resnoise.metrics.layer_cushion import Meter
from resnoise.specs.metrics import NoiseStabilitySpec

# Network -> layers whose input is a cut.
CUTS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "plain": (small_vgg, ["features.0", "features.4", "classifier"]),
    "residual": (
        lambda: public_networks.build("akamaster"),
        ["conv1", *(f"layer{g}.{b}.conv1" for g in (1, 2, 3) for b in (0, 1)), "linear"],
    ),
    "projections": (
        lambda: public_networks.build("akamaster, option B"),
        [
            *("conv1", "layer1.0.conv1", "layer1.1.conv1"),
            *("layer2.0.conv1", "layer2.0.shortcut.0", "layer2.1.conv1"),
            *("layer3.0.conv1", "layer3.0.shortcut.0", "layer3.1.conv1", "linear"),
        ],
    ),
    "concatenation": (
        small_densenet,
        [
            *("features.conv0", "features.transition1.conv"),
            "classifier",
        ],
    ),
    "tokens": (small_vit, ["conv_proj", "heads.head"]),
}


@pytest.mark.parametrize("name", CUTS)
def test_cuts_are_the_inputs_that_no_shortcut_runs_around(name: str) -> None:
    make, expected = CUTS[name]
    calls = Calls(make(), pictures(2))
    cuts = cut_layers(calls, pictures(1))
    found = [call.name for call, cut in zip(calls.calls, cuts, strict=True) if cut]
    assert found == expected
    assert not any(weight.grad is not None for weight in calls.network.parameters())


class Broken(nn.Module):
    """PyTorch refuses to keep the graph of this network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for part in (x := x.repeat(1, 2, 1, 1)[:, :4] * 1).unbind(1):
            part.relu_()
        y: Tensor = self.fc(self.conv(x).mean((2, 3)))
        return y


def test_a_network_without_derivatives_has_no_known_cuts() -> None:
    net = Broken().eval()
    assert cut_layers(Calls(net, pictures(2)), pictures(1)) == [False, False]
    assert Meter(net, pictures(2))(pictures(2)).isfinite().all()


def test_layers_behind_a_dead_cut_are_dead() -> None:
    net = public_networks.build("akamaster, option B")
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    first = names.index("layer2.1.conv1")
    with torch.no_grad():
        net.layer2[0].bn2.bias -= 1e6
        meter = Meter(net, pictures(2))
        cushions = meter(pictures(2))
    assert cushions[:, :first].isfinite().all()
    assert cushions[:, first:].isnan().all()
    noise = CallNoise(net, NoiseStabilitySpec(None, 0, False, (0.1,), 1, 0), pictures(2))
    with torch.no_grad():
        noise.add(pictures(2), torch.arange(2).numpy())
    rows = pd.DataFrame(noise.rows())
    lost = rows["at_layer"] > first
    assert (rows.loc[lost, "state"] == "dead").all()
    # The activation that is 0 contracts without bound.
    alive = rows[~lost & (rows["quantity"] != "activation_contraction")]
    assert (alive["state"] == "").all() and len(alive)
    quantities = {"weight_noise", "input_noise", "activation_contraction", "inverse_smoothness"}
    assert quantities <= set(rows.loc[lost, "quantity"])
