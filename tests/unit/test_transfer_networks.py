"""Section 3 and 4.1: a residual network and its transferred plain network are the same function."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from resnoise.errors import ResnoiseError
from resnoise.initialisations import initialise
from resnoise.networks import build, transfer
from resnoise.networks.simplified import SimplifiedNet
from resnoise.specs.run import NetworkSpec, RecipeSpec
from resnoise.training.objective import Penalty

RECIPE = RecipeSpec(
    epochs=1,
    batch_size=8,
    learning_rate=0.1,
    milestones=(),
    decay_factor=0.1,
    momentum=0.9,
    penalty=0.3,
    penalty_divided_by_batch=True,
    penalty_on_biases=False,
    penalty_on_transferred=True,
    crop_padding=0,
    horizontal_flip=False,
    precision="float64",
    allow_tf32=False,
    compile=False,
    conv_backend="torch",
    epoch_risk="mini-batches",
    snapshot_epochs=(),
)


def twins(depth: int, width: int, seed: int) -> tuple[SimplifiedNet, SimplifiedNet]:
    """Return a residual network with random weights and its plain twin, in float64."""
    residual = build(NetworkSpec("residual", depth, width), 10).double()
    plain = build(NetworkSpec("plain", depth, width), 10).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in residual.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.1 * drawn)
    plain.load_state_dict(transfer.to_plain(residual.state_dict()))
    assert isinstance(residual, SimplifiedNet)
    assert isinstance(plain, SimplifiedNet)
    return residual, plain


@pytest.mark.parametrize(("depth", "width"), [(8, 4), (14, 3), (20, 2)])
def test_the_functions_are_equal(depth: int, width: int) -> None:
    residual, plain = twins(depth, width, seed=depth)
    x = torch.randn(5, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(plain(x), residual(x), rtol=1e-12, atol=1e-13)


@given(seed=st.integers(0, 2**31), depth=st.sampled_from([8, 14]))
def test_cost_and_gradients_are_equal_with_the_penalty_on_transferred_weights(
    seed: int, depth: int
) -> None:
    gradients = []
    costs = []
    for network in twins(depth, 2, seed):
        x = torch.randn(
            8, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        penalty = Penalty(network, RECIPE)
        risk = F.cross_entropy(network(x), torch.arange(8) % 10)
        costs.append(risk.item() + penalty.value())
        risk.backward()
        penalty.add_identity_gradient()
        decayed = {id(p): penalty.coefficient for p in penalty.penalised}
        gradients.append(
            {
                n: p.grad + decayed.get(id(p), 0.0) * p.detach()
                for n, p in network.named_parameters()
            }
        )
    assert costs[0] == pytest.approx(costs[1], rel=1e-12)
    for name, gradient in gradients[0].items():
        scale = gradient.abs().max()
        assert (gradients[1][name] - gradient).abs().max() <= 1e-12 * max(scale, 1e-3), name


@given(
    weights=st.lists(st.integers(-(2**22), 2**22), min_size=4 * 2 * 9, max_size=4 * 2 * 9),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_inverse_is_exact_where_the_sum_is(weights: list[int], dtype: torch.dtype) -> None:
    # Multiples of 2^-22 below 1: adding 1 needs no more than the 24 bits of float32.
    kernel = (torch.tensor(weights, dtype=torch.float64) / 2**22).to(dtype).view(4, 2, 3, 3)
    plain = transfer.kernel_to_plain(kernel)
    assert torch.equal(transfer.kernel_to_residual(plain), kernel)
    assert (plain != kernel).sum() == 4


@given(seed=st.integers(0, 2**31))
def test_the_inverse_loses_at_most_the_rounding_of_the_sum(seed: int) -> None:
    kernel = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
    back = transfer.kernel_to_residual(transfer.kernel_to_plain(kernel))
    bound = torch.finfo(torch.float32).eps * (1 + kernel.abs())
    assert ((back - kernel).abs() <= bound).all()


@pytest.mark.parametrize("shape", [(4, 4, 1, 1), (8, 4, 5, 3), (6, 2, 3, 3), (3, 3, 7, 7)])
def test_a_block_of_any_kernel_size_transfers(shape: tuple[int, int, int, int]) -> None:
    outputs, inputs, height, width = shape
    kernel = torch.randn(shape, dtype=torch.float64)
    x = torch.randn(2, inputs, 9, 9, dtype=torch.float64)
    padding = (height // 2, width // 2)
    identity = x.repeat(1, outputs // inputs, 1, 1)
    expected = F.conv2d(x, kernel, padding=padding) + identity
    found = F.conv2d(x, transfer.kernel_to_plain(kernel), padding=padding)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_transferred_initialisation_is_the_twin_of_hmwi() -> None:
    residual = build(NetworkSpec("residual", 8, 4), 10).double()
    plain = build(NetworkSpec("plain", 8, 4), 10).double()
    initialise(residual, "hmwi", 3)
    initialise(plain, "t-hmwi", 3)
    for name, weight in transfer.to_plain(residual.state_dict()).items():
        assert torch.equal(plain.state_dict()[name], weight), name


def test_weights_of_another_kind_of_network_are_refused() -> None:
    full = build(NetworkSpec("full-residual", 8, 4), 10)
    with pytest.raises(ResnoiseError, match="simplified network"):
        transfer.to_plain(full.state_dict())
