"""What bounds need of each layer, against numbers worked out by hand and against autograd."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from resnoise.data import digits
from resnoise.metrics import bounds
from resnoise.networks import dominant_path, fully_fledged, simplified
from resnoise.networks.transfer import to_plain
from resnoise.training.batches import Normalisation


class TwoLayers(nn.Module):
    """A 1 x 1 convolution of one channel into two, and a linear layer behind average pooling."""

    def __init__(self, kernel: tuple[float, float], matrix: list[list[float]]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 1, bias=False)
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv1.weight.copy_(torch.tensor(kernel).reshape(2, 1, 1, 1))
            self.fc.weight.copy_(torch.tensor(matrix))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.relu(self.conv1(x)).mean((2, 3)))
        return logits


START = TwoLayers((1, 0), [[1, 0], [0, 1]]).double()
NETWORK = TwoLayers((3, 4), [[1, 2], [0, 2]]).double()
# One picture of 1 x 2 pixels. Layer 1 gives (3, 4) at the first pixel and (6, 8) at the second,
# pooled (4.5, 6), so that the logits are (16.5, 12).
PICTURE = torch.tensor([[[[1.0, 2.0]]]], dtype=torch.float64)


def test_norms_of_weights_by_hand() -> None:
    table = bounds.weight_norms(NETWORK, START, PICTURE)
    first, last = table.loc[1], table.loc[2]
    assert [first["weights"], first["kernel"], first["stride"], first["outputs"]] == [2, 1, 1, 2]
    assert [last["weights"], last["kernel"], last["stride"], last["outputs"]] == [4, 1, 1, 2]
    # The kernel (3, 4) as a matrix: a column for each pixel, with 3 and 4 in rows of its own.
    assert first["weight_norm"] == first["transferred_norm"] == 5
    assert first["spectral_norm"] == pytest.approx(5)
    assert first["frobenius_norm"] == pytest.approx(math.sqrt(50))
    assert first["distance"] == pytest.approx(math.sqrt(2**2 + 4**2))
    assert first["row_distance"] == pytest.approx(2 + 2 + 4 + 4)
    # Paths to layer 1: 9 and 16 at each pixel.
    assert first["path_norm"] == pytest.approx(math.sqrt(50))
    # [[1, 2], [0, 2]] has the singular values sqrt((9 +- sqrt(65)) / 2).
    assert last["spectral_norm"] == pytest.approx(math.sqrt((9 + math.sqrt(65)) / 2))
    assert last["frobenius_norm"] == last["weight_norm"] == 3
    assert last["distance"] == pytest.approx(math.sqrt(2**2 + 1))
    assert last["row_distance"] == pytest.approx(2 + 1)
    # Pooling has the weights 1/2, squared 1/4: channels get 2 * 9 / 4 and 2 * 16 / 4.
    assert last["path_norm"] == pytest.approx(math.sqrt(1 * 4.5 + 4 * 8 + 0 * 4.5 + 4 * 8))


def test_sensitivity_by_hand() -> None:
    table = bounds.sensitivity(NETWORK, torch.cat([PICTURE, torch.zeros_like(PICTURE)]))
    first, last = table.loc[1], table.loc[2]
    # The Jacobian has half of the matrix at each of two pixels: ||J||_F = sqrt(2) * 3 / 2. x is
    # (3, 4) and (6, 8), of norm 5 sqrt(5). J x are the logits. The other picture, which is 0,
    # bounds nothing.
    logits = math.hypot(16.5, 12)
    expected = math.sqrt(2) * logits / (math.sqrt(2) * 1.5 * 5 * math.sqrt(5))
    assert first["logit_cushion"] == pytest.approx(expected)
    assert first["jacobian_spread"] == pytest.approx(1)
    assert first["largest_output"] == pytest.approx(5 * math.sqrt(5))
    assert last["largest_output"] == pytest.approx(logits)
    assert math.isnan(last["logit_cushion"]) and math.isnan(last["jacobian_spread"])


def test_a_layer_that_reaches_no_logit_has_no_cushion() -> None:
    dead = TwoLayers((3, 4), [[0, 0], [0, 0]]).double()
    assert math.isnan(bounds.sensitivity(dead, PICTURE).loc[1, "logit_cushion"])


def test_cushions_and_spreads_of_a_deep_network_are_those_of_the_whole_jacobian() -> None:
    torch.manual_seed(0)
    network = simplified.build(8, 4, 3, 1, residual=True).double().eval()
    picture = torch.rand((1, 1, 8, 8), dtype=torch.float64)
    found = bounds.sensitivity(network, picture)
    blocks = [*network.blocks()]
    x = torch.relu(network.conv1(picture)).detach()
    for number, block in enumerate(blocks, start=1):

        def rest(point: Tensor, later: list[nn.Module] = blocks[number - 1 :]) -> Tensor:
            for one in later:
                point = one(point)
            logits: Tensor = network.fc(point.mean((2, 3)))
            return logits

        jacobian = torch.autograd.functional.jacobian(rest, x)[0, :, 0]
        image = (jacobian.flatten(1) @ x.flatten()).norm()
        assert image > 0
        area = x.shape[2] * x.shape[3]
        cushion = math.sqrt(area) * image / (jacobian.norm() * x.norm())
        by_position = jacobian.square().sum((0, 1)).sqrt()
        spread = math.sqrt(area) * by_position.max() / jacobian.norm()
        assert found.loc[number, "logit_cushion"] == pytest.approx(float(cushion))
        assert found.loc[number, "jacobian_spread"] == pytest.approx(float(spread))
        x = block(x).detach()


def test_a_residual_network_and_its_plain_twin_have_the_same_numbers() -> None:
    torch.manual_seed(1)
    residual, start = (simplified.build(8, 2, 3, 1, residual=True).double() for _ in range(2))
    plain, plain_start = (simplified.build(8, 2, 3, 1, residual=False).double() for _ in range(2))
    plain.load_state_dict(to_plain(residual.state_dict()))
    plain_start.load_state_dict(to_plain(start.state_dict()))
    pictures = torch.rand((3, 1, 8, 8), dtype=torch.float64)
    one = bounds.weight_norms(residual, start, pictures[:1])
    two = bounds.weight_norms(plain, plain_start, pictures[:1])
    own = ["weight_norm"]
    pd.testing.assert_frame_equal(one.drop(columns=own), two.drop(columns=own))
    # Without the ones of the ID entries only the first and the last layer are the same.
    assert [*one.index[one["weight_norm"] == two["weight_norm"]]] == [1, 8]
    assert (two["weight_norm"] == two["transferred_norm"]).all()
    pd.testing.assert_frame_equal(
        bounds.sensitivity(residual, pictures), bounds.sensitivity(plain, pictures)
    )


class Run:
    """A run with random networks."""

    def __init__(self, build: Any, status: str = "done") -> None:
        samples = digits.read()
        self.dataset = SimpleNamespace(train_images=samples.train_images[:40])
        self._build, self._status = build, status

    def usable(self, every_snapshot: bool) -> list[str]:
        return ["final"] if self._status == "done" else []

    def network(self, label: str, device: torch.device) -> nn.Module:
        torch.manual_seed(len(label))
        network: nn.Module = self._build().eval()
        return network

    def normalisation(self, device: torch.device) -> Normalisation:
        return Normalisation(np.array([0.5]), np.array([0.5]), device, torch.float32)


def measure(run: Run) -> pd.DataFrame:
    return bounds.measure(run, torch.device("cpu"), samples=30, sample_seed=0)  # type: ignore[arg-type]


def test_a_run_has_a_row_for_every_layer() -> None:
    table = measure(Run(lambda: simplified.build(8, 2, 10, 1, residual=False)))
    assert tuple(table.columns) == bounds.COLUMNS
    assert [*table["layer"]] == [*range(1, 9)]
    empty = table.isna().sum()
    assert empty[empty > 0].to_dict() == {"logit_cushion": 1, "jacobian_spread": 1}


def test_a_run_that_diverged_has_no_rows() -> None:
    table = measure(Run(lambda: simplified.build(8, 2, 10, 1, residual=False), "diverged"))
    assert len(table) == 0 and tuple(table.columns) == bounds.COLUMNS


def test_layers_of_other_kinds_have_no_rows() -> None:
    table = measure(Run(lambda: dominant_path.build(8, 2, 10, 1, residual=True)))
    assert [*table["name"]] == ["conv1", "fc"] and table["path_norm"].isna().all()


def test_layers_inside_of_blocks_have_no_sensitivity() -> None:
    table = measure(Run(lambda: fully_fledged.build(8, 2, 10, 1, residual=True)))
    assert [*table.loc[table["largest_output"].notna(), "layer"]] == [1, 3, 5, 7, 8]
    assert table["path_norm"].isna().all() and table["spectral_norm"].notna().all()
