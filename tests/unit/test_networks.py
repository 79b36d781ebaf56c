"""The networks: parameter counts, names, and forward and backward pass against plain formulas."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnoise import devices, registry
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.networks import build
from resnoise.networks.fully_fledged import SHORTCUTS, BasicBlock
from resnoise.networks.simplified import SimplifiedNet, add_identity
from resnoise.networks.summary import describe
from resnoise.plan.specs import network_spec
from resnoise.specs.run import NetworkSpec

SIMPLIFIED = ("plain", "residual")
FULLY_FLEDGED = ("full-plain", "full-residual")
ARCHITECTURES = (*SIMPLIFIED, *FULLY_FLEDGED)
DEPTHS = (8, 20, 32, 44)


def network(architecture: str, depth: int = 8, width: int = 3, classes: int = 5) -> nn.Module:
    """Return a float64 network with random parameters and buffers, none of them special."""
    net = build(NetworkSpec(architecture, depth, width), classes).double()
    numbers = torch.Generator().manual_seed(depth)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                # Positive, because running variances are among them; kernels get signs below.
                tensor.copy_(0.2 + torch.rand(tensor.shape, generator=numbers, dtype=tensor.dtype))
        for parameter in net.parameters():
            scale = 1 / parameter[0].numel() ** 0.5
            parameter.sub_(0.7).mul_(4 * scale)
    return net


def pictures(batch: int = 3, size: int = 8) -> Tensor:
    numbers = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, size, size, generator=numbers, dtype=torch.float64)


def strides(blocks: int) -> list[list[int]]:
    """Return the strides of the blocks of the three groups."""
    return [[1] * blocks, [2] + [1] * (blocks - 1), [2] + [1] * (blocks - 1)]


def simplified_formula(w: dict[str, Tensor], x: Tensor, depth: int, residual: bool) -> Tensor:
    """Return the logits of a simplified network, written out with functions only."""
    x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
    for group, group_strides in enumerate(strides((depth - 2) // 3), start=1):
        for i, stride in enumerate(group_strides):
            kernel, bias = (w[f"layer{group}.{i}.conv.{kind}"] for kind in ("weight", "bias"))
            y = F.conv2d(x, kernel, bias, stride=stride, padding=1)
            if residual:
                identity = x[:, :, ::2, ::2] if stride == 2 else x
                copies = 2 if stride == 2 else 1
                y = y + torch.cat([identity] * copies, dim=1)
            x = F.relu(y)
    return F.linear(F.avg_pool2d(x, x.shape[2]).flatten(1), w["fc.weight"], w["fc.bias"])


def fully_fledged_formula(
    w: dict[str, Tensor], x: Tensor, depth: int, residual: bool, training: bool
) -> Tensor:
    """Return the logits of a fully-fledged network, written out with functions only."""

    def norm(name: str, y: Tensor) -> Tensor:
        mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        if training:
            mean = y.mean((0, 2, 3))
            variance = y.var((0, 2, 3), correction=0)
        mean, variance, scale, shift = (
            v[None, :, None, None] for v in (mean, variance, w[f"{name}.weight"], w[f"{name}.bias"])
        )
        return (y - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    x = F.relu(norm("bn1", F.conv2d(x, w["conv1.weight"], padding=1)))
    for group, group_strides in enumerate(strides((depth - 2) // 6), start=1):
        for i, stride in enumerate(group_strides):
            block = f"layer{group}.{i}"
            y = F.conv2d(x, w[f"{block}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(F.relu(norm(f"{block}.bn1", y)), w[f"{block}.conv2.weight"], padding=1)
            y = norm(f"{block}.bn2", y)
            if residual:
                identity = x[:, :, ::stride, ::stride]
                new = y.shape[1] - x.shape[1]
                before = torch.zeros_like(y[:, : new // 2])
                after = torch.zeros_like(y[:, : new - new // 2])
                y = y + torch.cat([before, identity, after], dim=1)
            x = F.relu(y)
    return F.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])


def formula(
    net: nn.Module, architecture: str, x: Tensor, depth: int
) -> tuple[Tensor, list[Tensor]]:
    """Return the logits by formula and the gradients of all parameters for a test loss."""
    w = {name: t.detach().clone() for name, t in net.state_dict().items()}
    leaves = {name: w[name].requires_grad_() for name, _ in net.named_parameters()}
    residual = architecture.endswith("residual")
    if architecture in SIMPLIFIED:
        logits = simplified_formula(w, x, depth, residual)
    else:
        logits = fully_fledged_formula(w, x, depth, residual, net.training)
    return logits, list(torch.autograd.grad(loss(logits), list(leaves.values())))


def loss(logits: Tensor) -> Tensor:
    labels = torch.arange(len(logits)) % logits.shape[1]
    return F.cross_entropy(logits, labels)


def conv(inputs: int, outputs: int, bias: bool) -> int:
    return 9 * inputs * outputs + (outputs if bias else 0)


def simplified_count(depth: int, width: int, classes: int) -> int:
    n = (depth - 2) // 6
    count = conv(3, width, True)
    for inputs, outputs in ((width, width), (width, 2 * width), (2 * width, 4 * width)):
        count += conv(inputs, outputs, True) + (2 * n - 1) * conv(outputs, outputs, True)
    return count + 4 * width * classes + classes


def fully_fledged_count(depth: int, width: int, classes: int) -> int:
    n = (depth - 2) // 6
    count = conv(3, width, False) + 2 * width
    for inputs, outputs in ((width, width), (width, 2 * width), (2 * width, 4 * width)):
        count += conv(inputs, outputs, False) + (2 * n - 1) * conv(outputs, outputs, False)
        count += 2 * n * 2 * outputs
    return count + 4 * width * classes + classes


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("width", "classes"), [(16, 10), (4, 10), (5, 3)])
def test_parameter_counts_follow_from_depth_width_and_classes(
    depth: int, width: int, classes: int
) -> None:
    for architecture in ARCHITECTURES:
        net = build(NetworkSpec(architecture, depth, width), classes)
        count = simplified_count if architecture in SIMPLIFIED else fully_fledged_count
        assert parameters(net) == count(depth, width, classes), architecture


def test_known_parameter_counts_at_depth_20() -> None:
    for architecture in SIMPLIFIED:
        assert parameters(build(NetworkSpec(architecture, 20, 16), 10)) == 269_034
    for architecture in FULLY_FLEDGED:
        assert parameters(build(NetworkSpec(architecture, 20, 16), 10)) == 269_722


@pytest.mark.parametrize("depth", DEPTHS)
def test_layers_with_weights_are_as_many_as_the_depth_says(depth: int) -> None:
    for architecture in ARCHITECTURES:
        net = build(NetworkSpec(architecture, depth, 2), 10)
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth == net.depth


@pytest.mark.parametrize("depth", DEPTHS)
def test_each_group_doubles_channels_and_halves_pictures_in_its_first_convolution(
    depth: int,
) -> None:
    for architecture in ARCHITECTURES:
        net = build(NetworkSpec(architecture, depth, 2), 10)
        convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
        each = (depth - 2) // 3
        expected = [(3, 2, 1), *[(2, 2, 1)] * each]
        expected += [(2, 4, 2), *[(4, 4, 1)] * (each - 1), (4, 8, 2), *[(8, 8, 1)] * (each - 1)]
        found = [(c.in_channels, c.out_channels, c.stride[0]) for c in convolutions]
        assert found == expected
        assert {(c.kernel_size, c.padding) for c in convolutions} == {((3, 3), (1, 1))}


def test_state_dict_names_of_simplified_networks() -> None:
    layers = ["conv1", *(f"layer{g}.{i}.conv" for g in (1, 2, 3) for i in (0, 1)), "fc"]
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    for architecture in SIMPLIFIED:
        assert list(network(architecture).state_dict()) == expected


def test_state_dict_names_of_fully_fledged_networks_are_the_usual_ones() -> None:
    def bn(name: str) -> list[str]:
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{name}.{kind}" for kind in kinds]

    expected = ["conv1.weight", *bn("bn1")]
    for block in (f"layer{group}.0" for group in (1, 2, 3)):
        expected += [f"{block}.conv1.weight", *bn(f"{block}.bn1")]
        expected += [f"{block}.conv2.weight", *bn(f"{block}.bn2")]
    expected += ["fc.weight", "fc.bias"]
    for architecture in FULLY_FLEDGED:
        assert list(network(architecture).state_dict()) == expected


@pytest.mark.parametrize("depth", [-4, 0, 2, 7, 9, 12, 21])
def test_a_depth_that_is_not_6n_plus_2_is_an_error(depth: int) -> None:
    for architecture in ARCHITECTURES:
        with pytest.raises(ResnoiseError, match=rf"depth {depth} given, allowed: 6n \+ 2"):
            build(NetworkSpec(architecture, depth, 4), 10)


def test_an_unknown_architecture_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ResnoiseError, match=f"'resnet' is unknown.*{', '.join(ARCHITECTURES)}"):
        build(NetworkSpec("resnet", 8, 4), 10)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("depth", [8, 14])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_gradients_equal_the_written_out_formula(
    architecture: str, depth: int, training: bool
) -> None:
    net = network(architecture, depth).train(training)
    expected, gradients = formula(net, architecture, pictures(), depth)
    logits = net(pictures())
    loss(logits).backward()
    torch.testing.assert_close(logits, expected, rtol=1e-11, atol=1e-11)
    for (name, parameter), gradient in zip(net.named_parameters(), gradients, strict=True):
        assert gradient.abs().max() > 0, f"{name}: nothing is compared"
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_input_gradients_are_the_derivatives_of_the_logits(architecture: str) -> None:
    net = network(architecture, width=2).eval()
    x = pictures(batch=2, size=4).requires_grad_()
    assert torch.autograd.gradcheck(net, (x,))


def test_batch_normalisation_keeps_the_usual_running_statistics() -> None:
    net = network("full-residual").train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    net(pictures())
    y = F.conv2d(pictures(), before["conv1.weight"], padding=1)
    mean = 0.9 * before["bn1.running_mean"] + 0.1 * y.mean((0, 2, 3))
    variance = 0.9 * before["bn1.running_var"] + 0.1 * y.var((0, 2, 3))
    after = net.state_dict()
    torch.testing.assert_close(after["bn1.running_mean"], mean)
    torch.testing.assert_close(after["bn1.running_var"], variance)


@pytest.mark.parametrize(("batch", "width"), [(1, 1), (1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_channels_last_computes_the_same_as_channels_first(
    architecture: str, batch: int, width: int
) -> None:
    first = network(architecture, width=width).train()
    last = devices.place(network(architecture, width=width).train(), torch.device("cpu"), "float64")
    assert (
        last.layer3[0]
        .get_parameter("conv.weight" if architecture in SIMPLIFIED else "conv1.weight")
        .is_contiguous(memory_format=torch.channels_last)
    )
    x = pictures(batch)
    outputs = first(x), last(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(*outputs, rtol=1e-11, atol=1e-11)
    for output in outputs:
        loss(output).backward()
    for one, two in zip(first.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_pictures_stay_as_they_are(architecture: str) -> None:
    net = network(architecture).eval()
    for x in (pictures(), pictures().contiguous(memory_format=torch.channels_last)):
        with torch.no_grad():
            once = net(x)
            twice = net(x)
        assert torch.equal(x, pictures())
        assert torch.equal(once, twice)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("copies", "stride"), [(1, 1), (1, 2), (2, 2), (3, 1), (2, 3)])
def test_identity_reaches_output_channels_c_modulo_the_inputs(
    copies: int, stride: int, memory_format: torch.memory_format
) -> None:
    x = pictures(2, 7)
    height = len(range(0, 7, stride))
    y = torch.ones(2, 3 * copies, height, height, dtype=x.dtype).to(memory_format=memory_format)
    result = add_identity(y, x.to(memory_format=memory_format), stride)
    assert result is y
    for output in range(3 * copies):
        expected = 1 + x[:, output % 3, ::stride, ::stride]
        assert torch.equal(y[:, output], expected)


def test_only_residual_networks_have_identity_kernels_one_for_each_block() -> None:
    plain, residual = network("plain", 20), network("residual", 20)
    assert isinstance(plain, SimplifiedNet)
    assert isinstance(residual, SimplifiedNet)
    assert plain.identity_kernels() == []
    names = {id(p): name for name, p in residual.named_parameters()}
    found = [names[id(kernel)] for kernel in residual.identity_kernels()]
    assert found == [f"layer{g}.{i}.conv.weight" for g in (1, 2, 3) for i in range(6)]


def test_shortcut_subsamples_and_puts_zeros_before_and_after_the_channels() -> None:
    block = BasicBlock(3, 6, 2, residual=True)
    x = pictures(2, 8)
    y = block.shortcut(x)
    assert y.shape == (2, 6, 4, 4)
    assert torch.equal(y[:, 1:4], x[:, :, ::2, ::2])
    assert y[:, [0, 4, 5]].abs().max() == 0


def test_other_kinds_of_shortcut_put_zeros_after_the_channels_or_stack_them() -> None:
    x = pictures(2, 8)
    found = {}
    for kind in SHORTCUTS:
        net = build(NetworkSpec("full-residual", 8, 3, kind), 10)
        block = net.get_submodule("layer2.0")
        assert isinstance(block, BasicBlock)
        found[kind] = block.shortcut(x)
    kept = x[:, :, ::2, ::2]
    assert torch.equal(found["padded-after"], torch.cat([kept, torch.zeros_like(kept)], 1))
    assert torch.equal(found["stacked"], torch.cat([kept, kept], 1))
    assert torch.equal(found["padded-around"][:, 1:4], kept)


def test_only_fully_fledged_residual_networks_have_a_kind_of_shortcut() -> None:
    loaded = configuration.load({"networks": {"shortcut": "stacked"}})
    kinds = {name: network_spec(loaded, name, 8).shortcut for name in registry.ARCHITECTURES}
    assert {name for name, kind in kinds.items() if kind} == {"full-residual"}
    assert kinds["full-residual"] == "stacked"


def test_shortcut_of_a_block_that_keeps_the_shape_is_the_identity() -> None:
    x = pictures(2, 8)
    assert BasicBlock(3, 3, 1, residual=True).shortcut(x) is x


def test_description_totals_are_parameters_and_multiplications() -> None:
    lines = describe(build(NetworkSpec("residual", 20, 16), 10)).splitlines()
    # 3 -> 16 on 32 x 32; six layers in each group, the first of which reads half the channels.
    multiplications = 27 * 16 * 32**2 + 6 * 9 * 16**2 * 32**2
    multiplications += (9 * 16 * 32 + 5 * 9 * 32**2) * 16**2
    multiplications += (9 * 32 * 64 + 5 * 9 * 64**2) * 8**2 + 640
    assert lines[-1].split() == ["total", "269,034", f"{multiplications:,}"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_description_has_a_line_for_each_layer_that_add_up_to_the_total(architecture: str) -> None:
    net = build(NetworkSpec(architecture, 14, 4), 7)
    header, *lines, total = describe(net, 16, 16).splitlines()
    assert header.split() == ["layer", "kind", "output", "parameters", "multiply-adds"]
    names = [m for m, module in net.named_modules() if list(module.parameters(recurse=False))]
    assert [line.split()[0] for line in lines] == names
    cells = [re.split(r" {2,}", line) for line in lines]
    assert sum(int(cell[3].replace(",", "")) for cell in cells) == parameters(net)
    products = [int(cell[4].replace(",", "")) for cell in cells if len(cell) > 4]
    assert total.split()[1:] == [f"{parameters(net):,}", f"{sum(products):,}"]
    shapes = {cell[0]: cell[2] for cell in cells}
    assert shapes["conv1"] == "4 x 16 x 16"
    assert shapes["fc"] == "7"
    assert cells[-2][2] == "16 x 4 x 4"


@pytest.mark.parametrize("training", [True, False])
def test_description_leaves_the_network_alone(training: bool) -> None:
    net = network("full-residual").train(training)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    describe(net, 8, 8)
    assert net.training == training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
