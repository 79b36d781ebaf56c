"""Weights before training: their distribution, their seeds, and the numbers in the paper."""

import functools
import math
import statistics

import pytest
import torch
from torch import Tensor, nn

from resnoise import devices, registry
from resnoise.config import load as config
from resnoise.errors import ResnoiseError
from resnoise.initialisations import initialise
from resnoise.networks import build
from resnoise.networks.simplified import SimplifiedNet
from resnoise.networks.transfer import id_entries, to_plain
from resnoise.plan.specs import recipe_spec
from resnoise.seeds import generator
from resnoise.specs.run import NetworkSpec
from resnoise.training.batches import TrainingBatches
from resnoise.training.objective import Penalty

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")
SEEDS = range(8)


def network(
    initialisation: str, seed: int = 1, architecture: str = "plain", precision: str = "float64"
) -> nn.Module:
    """Return an initialised network of depth 20 with the paper's width."""
    net = build(NetworkSpec(architecture, 20, 16), 10)
    net = devices.place(net, torch.device("cpu"), precision)
    initialise(net, initialisation, seed)
    return net


def kernels(net: nn.Module) -> list[Tensor]:
    return [m.weight.detach() for m in net.modules() if isinstance(m, nn.Conv2d)]


def deviation(initialisation: str, kernel: Tensor) -> float:
    """Return the standard deviation of a kernel's entries by the formulas of appendix A."""
    outputs, inputs, height, width = kernel.shape
    if initialisation == "kwi":
        return math.sqrt(2 / (height * width * inputs))
    return 1 / (height * width * outputs)


@functools.cache
def own_weight_term(initialisation: str, seed: int) -> float:
    """Return the paper's weight term of a network of depth 20 on its own weights."""
    recipe = recipe_spec(config.load({}), "plain")
    return Penalty(network(initialisation, seed), recipe).value()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("initialisation", ["kwi", "hmwi"])
def test_entries_of_each_kernel_have_the_mean_and_deviation_of_the_formula(
    initialisation: str, architecture: str
) -> None:
    for kernel in kernels(network(initialisation, architecture=architecture)):
        standard = kernel / deviation(initialisation, kernel)
        count = standard.numel()
        # Five standard errors of the mean and of the variance of `count` normal numbers.
        assert abs(standard.mean()) < 5 / math.sqrt(count)
        assert abs(standard.square().mean() - 1) < 5 * math.sqrt(2 / count)


@pytest.mark.parametrize("initialisation", ["kwi", "hmwi"])
def test_entries_of_all_kernels_together_are_normal(initialisation: str) -> None:
    all_kernels = kernels(network(initialisation))
    standard = torch.cat([(k / deviation(initialisation, k)).flatten() for k in all_kernels])
    count = standard.numel()
    # Five standard errors; the variances are those of powers of normal numbers, and of shares.
    assert abs(standard.pow(3).mean()) < 5 * math.sqrt(15 / count)
    assert abs(standard.pow(4).mean() - 3) < 5 * math.sqrt(96 / count)
    within = math.erf(1 / math.sqrt(2))
    assert abs((standard.abs() < 1).double().mean() - within) < 5 * math.sqrt(0.25 / count)


@pytest.mark.parametrize("initialisation", ["kwi", "hmwi", "t-hmwi"])
def test_biases_of_convolutions_are_zero(initialisation: str) -> None:
    net = network(initialisation)
    biases = [m.bias for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(biases) == 19
    assert all(bias.abs().max() == 0 for bias in biases)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_linear_layer_is_uniform_up_to_one_over_the_root_of_its_inputs(
    architecture: str,
) -> None:
    layers = [network("kwi", seed, architecture).get_submodule("fc") for seed in range(5)]
    for name, count in (("weight", 5 * 640), ("bias", 5 * 10)):
        values = torch.cat([layer.get_parameter(name).detach().flatten() for layer in layers])
        scaled = values * math.sqrt(64)
        assert len(scaled) == count
        assert scaled.abs().max() <= 1
        # Five standard errors: uniform numbers have variance 1/3, their squares 4/45.
        assert abs(scaled.mean()) < 5 * math.sqrt(1 / 3 / count)
        assert abs(scaled.square().mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / count)
    weights = torch.cat([layer.get_parameter("weight").detach().flatten() for layer in layers])
    assert weights.max() > 0.99 / 8
    assert weights.min() < -0.99 / 8


def test_batch_normalisation_starts_as_the_identity_whatever_it_was() -> None:
    net = build(NetworkSpec("full-residual", 20, 16), 10)
    for tensor in net.state_dict().values():
        tensor.fill_(7)
    initialise(net, "kwi", 1)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 19
    for norm in norms:
        assert (norm.weight == 1).all()
        assert (norm.bias == 0).all()
        assert (norm.running_mean == 0).all()
        assert (norm.running_var == 1).all()
        assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("initialisation", ["kwi", "hmwi", "t-hmwi"])
def test_float32_weights_are_the_rounded_float64_weights(initialisation: str) -> None:
    double = network(initialisation, precision="float64").state_dict()
    for precision in ("float32", "bfloat16"):
        single = network(initialisation, precision=precision).state_dict()
        for name, tensor in single.items():
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, double[name].float()), name


def test_plain_and_residual_networks_with_one_seed_start_from_the_same_weights() -> None:
    plain, residual = network("hmwi"), network("hmwi", architecture="residual")
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, residual.state_dict()[name]), name


def test_every_parameter_depends_on_the_seed_only() -> None:
    once = network("kwi", seed=3).state_dict()
    torch.manual_seed(12345)
    torch.rand(7)
    again, other = network("kwi", seed=3).state_dict(), network("kwi", seed=4).state_dict()
    for name, tensor in once.items():
        assert torch.equal(tensor, again[name]), name
        if "conv" not in name or "weight" in name:
            assert not torch.equal(tensor, other[name]), name


def test_weights_and_mini_batches_do_not_draw_from_one_another() -> None:
    def batches() -> TrainingBatches:
        return TrainingBatches(
            torch.arange(6 * 4 * 4 * 3, dtype=torch.uint8).view(6, 4, 4, 3),
            torch.arange(6),
            lambda pictures: pictures,
            batch_size=4,
            crop_padding=2,
            horizontal_flip=True,
            seed=1,
        )

    before = network("kwi").state_dict()
    epoch = batches().epoch(1)
    first = next(epoch)[0]
    between = network("kwi").state_dict()
    rest = [pictures for pictures, _ in epoch]
    alone = [pictures for pictures, _ in batches().epoch(1)]
    assert all(torch.equal(before[name], tensor) for name, tensor in between.items())
    assert all(torch.equal(a, b) for a, b in zip(alone, [first, *rest], strict=True))


def test_pytorch_s_own_generator_is_neither_used_nor_moved() -> None:
    net = build(NetworkSpec("plain", 8, 4), 10)
    state = torch.get_rng_state()
    initialise(net, "kwi", 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_generators_of_different_seeds_purposes_and_epochs_differ() -> None:
    keys = [
        (seed, purpose, epoch)
        for seed in (0, 1, 11)
        for purpose in ("weights", "order", "augmentation")
        for epoch in (0, 1, 11)
    ]
    numbers = {tuple(torch.rand(4, generator=generator(*key)).tolist()) for key in keys}
    assert len(numbers) == len(keys)
    for key in keys:
        one, two = (torch.rand(4, generator=generator(*key)) for _ in range(2))
        assert torch.equal(one, two)


def test_an_unknown_initialisation_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ResnoiseError, match="'xavier' is unknown, allowed: one of kwi, hmwi"):
        initialise(build(NetworkSpec("plain", 8, 4), 10), "xavier", 1)


@functools.cache
def expected_squares(initialisation: str) -> tuple[float, float]:
    """Return mean and standard deviation of the sum of all squared weights at depth 20."""
    shapes = [kernel.shape for kernel in kernels(network(initialisation))]
    # The linear layer: 640 numbers uniform in +-1/8.
    mean, variance = 640 / 64 / 3, 640 * 4 / 45 / 64**2
    for outputs, inputs, _, _ in shapes:
        square = 2 / (9 * inputs) if initialisation == "kwi" else 1 / (9 * outputs) ** 2
        mean += 9 * outputs * inputs * square
        variance += 9 * outputs * inputs * 2 * square**2
    return mean, math.sqrt(variance)


@pytest.mark.parametrize("initialisation", ["kwi", "hmwi"])
def test_the_weight_term_before_training_is_that_of_the_formula(initialisation: str) -> None:
    mean, spread = expected_squares(initialisation)
    factor = 1e-4 / (2 * 128)
    measured = statistics.mean(own_weight_term(initialisation, seed) for seed in SEEDS)
    # Five standard errors of a mean over the seeds.
    assert measured == pytest.approx(
        factor * mean, abs=5 * factor * spread / math.sqrt(len(SEEDS)), rel=0
    )


def test_the_plain_weight_term_before_training_is_the_paper_s() -> None:
    mean, spread = expected_squares("kwi")
    measured = statistics.mean(own_weight_term("kwi", seed) for seed in SEEDS)
    # The paper prints one draw: three of its standard deviations, 1 %, plus ours.
    tolerance = 3 * spread / mean * math.sqrt(1 + 1 / len(SEEDS))
    assert tolerance < 0.011
    assert measured == pytest.approx(5.393e-4, rel=tolerance)


def test_the_ratio_of_plain_to_residual_weight_term_is_the_paper_s_268() -> None:
    relative = [spread / mean for mean, spread in map(expected_squares, ("kwi", "hmwi"))]
    # Three standard deviations, 7 %, of the quotient of the paper's two draws, plus ours. With
    # C_in instead of C_out in HMWI the ratio would be 17 % smaller.
    tolerance = 3 * math.hypot(*relative) * math.sqrt(1 + 1 / len(SEEDS))
    assert tolerance < 0.075
    plain, residual = (
        statistics.mean(own_weight_term(name, seed) for seed in SEEDS) for name in ("kwi", "hmwi")
    )
    assert plain / residual == pytest.approx(268, rel=tolerance)


def drawn(
    initialisation: str, shape: tuple[int, ...] = (16, 8, 3, 3), block: bool = True
) -> Tensor:
    """Return a kernel of seed 1."""
    draw_kernel = registry.load_initialisation(initialisation).draw_kernel
    kernel: Tensor = draw_kernel(shape, block, generator(1, "weights"))
    return kernel


@pytest.mark.parametrize("architecture", ["plain", "full-plain"])
@pytest.mark.parametrize(
    ("dose", "end"), [("id-entries_alpha=0", "kwi"), ("id-entries_alpha=1", "t-hmwi")]
)
def test_the_smallest_and_the_largest_dose_are_those_of_the_paper(
    dose: str, end: str, architecture: str
) -> None:
    ours, theirs = (network(name, architecture=architecture) for name in (dose, end))
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
def test_a_dose_is_alpha_at_the_id_entries_and_noise_of_its_share(alpha: float) -> None:
    shape = (32, 16, 3, 3)
    kernel = drawn(f"id-entries_alpha={alpha}", shape)
    noise = kernel - alpha * id_entries(shape).double()
    share = (1 - alpha) * (1 + alpha / 3)
    variances = [deviation(name, kernel) ** 2 for name in ("kwi", "hmwi")]
    variance = share * variances[0] + alpha * variances[1]
    # All noise is the same draws, up to a factor.
    assert torch.allclose(noise / math.sqrt(variance), drawn("kwi", shape) / variances[0] ** 0.5)
    outside = drawn(f"id-entries_alpha={alpha}", shape, block=False)
    assert torch.allclose(outside, noise)
    louder = drawn(f"id-entries_alpha={alpha}_noise=3", shape)
    assert torch.allclose(louder - kernel, 2 * noise)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.75])
def test_a_dose_keeps_the_mean_square_of_activations(alpha: float) -> None:
    numbers = generator(1, "weights")
    draw_kernel = registry.load_initialisation(f"id-entries_alpha={alpha}").draw_kernel
    # Many channels and no borders, where the noise would have fewer terms.
    x = torch.randn(384, 32, generator=numbers).double().relu()
    squares = []
    for _ in range(40):
        x = (draw_kernel((384, 384, 1, 1), True, numbers)[:, :, 0, 0] @ x).relu()
        squares.append(float(x.square().mean()))
    # The first layers are not yet distributed as all others.
    growth = (squares[-1] / squares[9]) ** (1 / 30)
    # Where the share of the noise is 1 - alpha^2 instead, it is 1.13 to 1.21.
    assert growth == pytest.approx(1, abs=0.05)


def test_dirac_is_the_identity_and_nothing_else() -> None:
    net = network("dirac")
    assert isinstance(net, SimplifiedNet)
    for block in net.blocks():
        inputs = block.conv.in_channels
        x = torch.randn(2, inputs, 8, 8, generator=generator(1, "x")).double().abs()
        stacked = torch.cat([x] * (block.conv.out_channels // inputs), 1)
        assert torch.equal(block(x), stacked[:, :, :: block.stride, :: block.stride])


def test_orthogonal_kernels_have_orthogonal_rows_of_the_norm_of_kwi() -> None:
    rows = drawn("orthogonal").flatten(1)
    assert torch.allclose(rows @ rows.T, 2 * torch.eye(16).double())
    assert torch.equal(drawn("orthogonal"), drawn("orthogonal"))


def test_a_residual_network_from_t_inverse_is_the_plain_one_from_kwi() -> None:
    residual, plain = network("t-inverse-kwi", architecture="residual"), network("kwi")
    moved = to_plain(residual.state_dict())
    assert all(torch.allclose(moved[name], own) for name, own in plain.state_dict().items())
    pictures = torch.randn(4, 3, 32, 32, generator=generator(1, "x")).double()
    assert torch.allclose(residual(pictures), plain(pictures), rtol=1e-9)
    assert float(residual(pictures).detach().std()) > 0
