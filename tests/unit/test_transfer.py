"""ID entries: where they are, and that a 1 at each of them is an identity connection."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from resnoise.errors import ResnoiseError
from resnoise.initialisations import initialise
from resnoise.networks import build
from resnoise.networks.simplified import Block, SimplifiedNet
from resnoise.networks.transfer import id_entries
from resnoise.specs.run import NetworkSpec

ODD = st.sampled_from([1, 3, 5, 7])


def entries_by_definition(shape: tuple[int, int, int, int]) -> set[tuple[int, int, int, int]]:
    outputs, inputs, height, width = shape
    return {
        (o, i, y, x)
        for o in range(outputs)
        for i in range(inputs)
        for y in range(height)
        for x in range(width)
        if o % inputs == i and y == (height - 1) / 2 and x == (width - 1) / 2
    }


@given(inputs=st.integers(1, 5), copies=st.integers(1, 4), height=ODD, width=ODD)
def test_id_entries_are_those_of_the_definition(
    inputs: int, copies: int, height: int, width: int
) -> None:
    shape = (copies * inputs, inputs, height, width)
    mask = id_entries(shape)
    assert mask.shape == shape
    assert mask.dtype == torch.bool
    assert set(map(tuple, mask.nonzero().tolist())) == entries_by_definition(shape)


@pytest.mark.parametrize("shape", [(16, 16, 3, 3), (32, 16, 3, 3), (6, 2, 1, 1), (4, 4, 5, 5)])
def test_there_is_one_id_entry_for_each_output_channel(shape: tuple[int, int, int, int]) -> None:
    mask = id_entries(shape)
    assert mask.sum((1, 2, 3)).tolist() == [1] * shape[0]
    assert mask.sum((0, 2, 3)).tolist() == [shape[0] // shape[1]] * shape[1]


def test_id_entries_of_small_kernels_written_out() -> None:
    assert id_entries((2, 2, 1, 1)).view(2, 2).tolist() == [[True, False], [False, True]]
    assert id_entries((4, 2, 1, 1)).view(4, 2).int().tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert id_entries((1, 1, 3, 3)).view(9).int().tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "shape", [(4, 4, 2, 2), (4, 4, 3, 2), (4, 4, 4, 3), (3, 2, 3, 3), (2, 4, 3, 3), (5, 4, 1, 1)]
)
def test_kernels_without_id_entries_are_refused(shape: tuple[int, int, int, int]) -> None:
    with pytest.raises(ResnoiseError, match=r"has no ID entries, allowed: odd height and width"):
        id_entries(shape)


@pytest.mark.parametrize("channels", [(3, 3, 1), (3, 6, 2), (2, 6, 2), (3, 6, 1)])
def test_a_one_at_each_id_entry_turns_a_residual_block_into_the_plain_block(
    channels: tuple[int, int, int],
) -> None:
    inputs, outputs, stride = channels
    residual = Block(inputs, outputs, stride, residual=True).double()
    plain = Block(inputs, outputs, stride, residual=False).double()
    with torch.no_grad():
        plain.conv.bias.copy_(residual.conv.bias)
        plain.conv.weight.copy_(residual.conv.weight + id_entries(residual.conv.weight.shape))
    numbers = torch.Generator().manual_seed(1)
    x = torch.randn(3, inputs, 8, 8, generator=numbers, dtype=torch.float64)
    torch.testing.assert_close(plain(x), residual(x), rtol=1e-13, atol=1e-13)
    assert residual(x).abs().max() > 1


@pytest.mark.parametrize("shape", [(4, 4, 1, 1), (6, 3, 5, 5), (4, 2, 3, 3), (3, 3, 1, 5)])
def test_a_convolution_with_id_entries_only_copies_the_channels(
    shape: tuple[int, int, int, int],
) -> None:
    outputs, inputs, height, width = shape
    x = torch.randn(2, inputs, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    y = F.conv2d(x, id_entries(shape).double(), padding=(height // 2, width // 2))
    assert torch.equal(y, torch.cat([x] * (outputs // inputs), dim=1))


def test_the_mass_of_id_entries_before_training_is_the_paper_s() -> None:
    # A normal number's absolute value has mean sigma sqrt(2 / pi), variance sigma^2 (1 - 2 / pi).
    mean = variance = 0.0
    masses = []
    for seed in range(4):
        plain = build(NetworkSpec("plain", 32, 16), 10)
        initialise(plain, "kwi", seed)
        assert isinstance(plain, SimplifiedNet)
        kernels = [block.conv.weight.detach() for block in plain.blocks()]
        masses.append(sum(float(k[id_entries(k.shape)].abs().sum()) for k in kernels))
    for kernel in kernels:
        square = 2 / (9 * kernel.shape[1])
        mean += kernel.shape[0] * math.sqrt(square * 2 / math.pi)
        variance += kernel.shape[0] * square * (1 - 2 / math.pi)
    ours = sum(masses) / len(masses)
    assert ours == pytest.approx(mean, abs=5 * math.sqrt(variance / len(masses)), rel=0)
    # Appendix C prints 67, of one network and rounded.
    assert ours == pytest.approx(67, abs=3 * math.sqrt(variance) + 0.5, rel=0)
