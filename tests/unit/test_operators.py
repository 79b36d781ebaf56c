"""Norms of layers as linear maps, against the matrix written out."""

import pytest
import torch
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.metrics.operators import Operator, operator

LAYERS = {
    "stride 1": (nn.Conv2d(3, 5, 3, padding=1), (3, 6, 6)),
    "stride 2": (nn.Conv2d(4, 8, 3, 2, padding=1), (4, 6, 6)),
    "odd size": (nn.Conv2d(2, 3, 3, 2, padding=1), (2, 5, 7)),
    "no padding": (nn.Conv2d(2, 4, 5), (2, 7, 7)),
    "one channel": (nn.Conv2d(1, 1, 3, padding=1), (1, 4, 4)),
    "linear": (nn.Linear(7, 4), (7,)),
}


def made(name: str) -> tuple[Operator, Tensor]:
    """Return a layer with random weights as an operator, and its matrix [outputs, inputs]."""
    module, shape = LAYERS[name]
    numbers = torch.Generator().manual_seed(3)
    weight = torch.randn(module.weight.shape, generator=numbers, dtype=torch.float64)
    found = operator(module, weight, shape)
    unit = torch.eye(int(torch.tensor(shape).prod()), dtype=torch.float64)
    with torch.no_grad():
        module.double().weight.copy_(weight)
        nn.init.zeros_(module.bias)
        columns = module(unit.reshape(-1, *shape)).flatten(1)
    return found, columns.T


@pytest.mark.parametrize("name", LAYERS)
def test_norms_are_those_of_the_matrix(name: str) -> None:
    found, matrix = made(name)
    assert found.spectral_norm() == pytest.approx(float(torch.linalg.svdvals(matrix)[0]), rel=1e-6)
    assert found.frobenius_norm() == pytest.approx(float(matrix.norm()), rel=1e-12)
    torch.testing.assert_close(found.row_norms(), matrix.norm(dim=1))


@pytest.mark.parametrize("name", LAYERS)
def test_the_transposed_map_is_that_of_the_matrix(name: str) -> None:
    found, matrix = made(name)
    outputs = found.apply(torch.ones((2, *found.shape), dtype=torch.float64))
    expected = outputs.flatten(1) @ matrix
    torch.testing.assert_close(found.transposed(outputs).flatten(1), expected)


def test_singular_values_that_are_all_equal_need_no_steps() -> None:
    same = Operator(torch.eye(30, dtype=torch.float64) * 3, (30,))
    assert same.spectral_norm() == pytest.approx(3)


def test_weights_of_zero_have_norm_zero() -> None:
    assert (
        Operator(torch.zeros((4, 2, 3, 3)).double(), (2, 5, 5), (1, 1), (1, 1)).spectral_norm() == 0
    )


def test_weights_that_are_not_finite_have_no_norm() -> None:
    with pytest.raises(ResnoiseError, match="not finite"):
        Operator(torch.full((2, 2), torch.nan).double(), (2,)).spectral_norm()
