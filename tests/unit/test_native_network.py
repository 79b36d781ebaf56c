"""The native code computes what autograd computes in float64, in the same bits every time."""

import copy
import math
import os
import platform
import shlex

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.native import build
from resnoise.native import network as native
from resnoise.native.network import NativeSimplifiedNet, supported
from resnoise.networks.simplified import SimplifiedNet

DTYPES = (torch.float64, torch.float32)
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Compile into a folder of the test, and skip where nothing can be compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        try:
            build.compiler_version()
        except build.NativeUnavailable as error:
            pytest.skip(str(error))
        yield


def make_network(
    residual=True, depth=8, dtype=torch.float64, in_channels=3, classes=10, width=16, seed=0
) -> SimplifiedNet:
    """Return a network whose activations neither vanish nor explode, with biases that matter."""
    torch.manual_seed(seed)
    network = SimplifiedNet(depth, width, classes, in_channels, residual)
    scale = 0.3 if residual else 1.0
    with torch.no_grad():
        for convolution in (network.conv1, *(block.conv for block in network.blocks())):
            nn.init.kaiming_normal_(convolution.weight).mul_(scale)
            nn.init.normal_(convolution.bias, std=0.1)
    return network.to(dtype)


def make_batch(count, dtype=torch.float64, in_channels=3, classes=10, size=(32, 32), seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, in_channels, *size, generator=generator, dtype=dtype)
    return images, torch.randint(classes, (count,), generator=generator)


def by_autograd(network: SimplifiedNet, images: Tensor, labels: Tensor):
    """Return loss and gradients in float64."""
    network = copy.deepcopy(network).double()
    loss = F.cross_entropy(network(images.double()), labels)
    return loss.detach(), torch.autograd.grad(loss, list(network.parameters()))


def relative_error(value: Tensor, reference: Tensor) -> float:
    return float((value.double() - reference).norm() / reference.norm())


def check_against_autograd(network: SimplifiedNet, images: Tensor, labels: Tensor, threads=2):
    tolerance = TOLERANCE[images.dtype]
    loss, wrong = NativeSimplifiedNet(network, threads).loss_and_gradients(images, labels)
    expected_loss, expected = by_autograd(network, images, labels)
    assert loss.dtype == images.dtype
    assert relative_error(loss, expected_loss) < tolerance
    for (name, parameter), gradient in zip(network.named_parameters(), expected, strict=True):
        assert parameter.grad.dtype == parameter.dtype
        assert relative_error(parameter.grad, gradient) < tolerance, name
    with torch.no_grad():
        assert wrong.item() == (network(images).argmax(1) != labels).sum().item()
    assert wrong.dtype == torch.int64
    assert loss.shape == wrong.shape == ()


def bits(network: SimplifiedNet, threads: int, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Return everything that a call computes."""
    results = NativeSimplifiedNet(network, threads).loss_and_gradients(images, labels)
    return [*results, *(parameter.grad for parameter in network.parameters())]


def all_equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("residual", "depth", "count", "in_channels", "classes"),
    [
        (True, 8, 5, 3, 10),
        (False, 8, 7, 1, 7),
        (True, 14, 3, 1, 10),
        (False, 14, 5, 3, 7),
        (True, 8, 1, 3, 7),
    ],
)
def test_loss_and_gradients_are_those_of_autograd(
    residual, depth, count, in_channels, classes, dtype
):
    network = make_network(residual, depth, dtype, in_channels, classes)
    check_against_autograd(network, *make_batch(count, dtype, in_channels, classes))


@pytest.mark.parametrize("count", [64, 67, 80, 128])
def test_batches_of_several_chunks_a_slot(count):
    check_against_autograd(make_network(), *make_batch(count, size=(16, 16)))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (8, 24), (40, 16)])
def test_pictures_of_other_sizes(size, residual):
    check_against_autograd(make_network(residual), *make_batch(6, size=size))


def test_wider_network_and_as_many_input_channels_as_outputs():
    network = make_network(width=32, in_channels=32)
    check_against_autograd(network, *make_batch(3, in_channels=32, size=(16, 16)))


# A chunk has 16 pictures of these sizes, so that the numbers stand for a part, a whole and several.
@pytest.mark.parametrize("count", [3, 16, 35])
@pytest.mark.parametrize("size", [(8, 8), (16, 16)])
@pytest.mark.parametrize("width", [8, 24])
@pytest.mark.parametrize("residual", [True, False])
def test_narrow_networks_on_small_pictures(residual, width, size, count):
    network = make_network(residual, width=width, in_channels=1)
    check_against_autograd(network, *make_batch(count, in_channels=1, size=size))


def test_a_narrow_network_in_float32():
    network = make_network(dtype=torch.float32, width=8)
    check_against_autograd(network, *make_batch(20, torch.float32, size=(8, 8)))


@settings(max_examples=12, deadline=None)
@given(
    residual=st.booleans(),
    count=st.integers(1, 9),
    in_channels=st.integers(1, 5),
    classes=st.integers(2, 12),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    threads=st.integers(1, 20),
)
def test_any_shape(residual, count, in_channels, classes, rows, columns, threads):
    network = make_network(residual, in_channels=in_channels, classes=classes)
    size = (8 * rows, 8 * columns)
    images, labels = make_batch(count, torch.float64, in_channels, classes, size)
    check_against_autograd(network, images, labels, threads)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86-64")
@pytest.mark.parametrize(
    ("option", "dtype"), [("-mno-avx512f", torch.float64), ("-mno-avx", torch.float32)]
)
def test_cpus_with_shorter_vectors(option, dtype, monkeypatch):
    compiler = shlex.join(build._compiler(os.environ.get("CC")))
    monkeypatch.setenv("CC", f"{compiler} {option}")
    native._library.cache_clear()
    try:
        check_against_autograd(make_network(dtype=dtype), *make_batch(5, dtype))
    finally:
        native._library.cache_clear()


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads_and_from_call_to_call(dtype):
    network = make_network(dtype=dtype)
    images, labels = make_batch(75, dtype, size=(16, 16))
    expected = bits(network, 1, images, labels)
    for threads in (2, 3, 16, 100):
        assert all_equal(bits(network, threads, images, labels), expected)
    backend = NativeSimplifiedNet(network, 2)
    logits = backend.logits(images)
    for _ in range(40):
        results = backend.loss_and_gradients(images, labels)
        gradients = [parameter.grad for parameter in network.parameters()]
        assert all_equal([*results, *gradients], expected)
        assert torch.equal(backend.logits(images), logits)


def test_threads_do_not_matter_where_pictures_are_small():
    network, (images, labels) = make_network(width=8), make_batch(300, size=(8, 8))
    expected = bits(network, 1, images, labels)
    for threads in (2, 3, 16):
        assert all_equal(bits(network, threads, images, labels), expected)


def test_torch_threads_do_not_matter():
    network, (images, labels) = make_network(), make_batch(9)
    expected = bits(network, 2, images, labels)
    try:
        torch.set_num_threads(2)
        assert all_equal(bits(network, 2, images, labels), expected)
    finally:
        torch.set_num_threads(1)


def test_memory_formats_of_pictures_do_not_matter():
    network, (images, labels) = make_network(), make_batch(6)
    expected = bits(network, 2, images, labels)
    padded = torch.full((6, 5, 40, 36), torch.nan, dtype=images.dtype)
    padded[:, 1:4, 4:36, 2:34] = images
    mirrored = images.flip(3).contiguous().flip(3)
    transposed = images.transpose(2, 3).contiguous().transpose(2, 3)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    for same in (channels_last, padded[:, 1:4, 4:36, 2:34], mirrored, transposed):
        assert all_equal(bits(network, 2, same, labels), expected)
    one = images[:1].expand(6, -1, -1, -1)
    assert all_equal(bits(network, 2, one, labels), bits(network, 2, one.contiguous(), labels))


def test_memory_format_of_the_network_does_not_matter_and_gradients_follow_it():
    network, (images, labels) = make_network(), make_batch(6)
    expected = bits(network, 2, images, labels)
    network = network.to(memory_format=torch.channels_last)
    assert all_equal(bits(network, 2, images, labels), expected)
    for parameter in network.parameters():
        assert parameter.grad.stride() == parameter.stride()


def test_labels_need_not_be_contiguous():
    network, (images, labels) = make_network(), make_batch(6)
    spread = torch.stack([labels, labels + 100], 1)[:, 0]
    assert all_equal(bits(network, 2, images, spread), bits(network, 2, images, labels))


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_are_those_of_the_network(dtype):
    network = make_network(depth=14, dtype=dtype)
    images, _ = make_batch(70, dtype, size=(16, 16))
    logits = NativeSimplifiedNet(network, 2).logits(images)
    expected = copy.deepcopy(network).double()(images.double()).detach()
    assert logits.dtype == dtype
    assert not logits.requires_grad
    assert relative_error(logits, expected) < TOLERANCE[dtype]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_logits_of_a_picture_do_not_depend_on_the_others():
    backend, (images, _) = NativeSimplifiedNet(make_network(), 2), make_batch(11)
    logits = backend.logits(images)
    for index in range(len(images)):
        assert torch.equal(backend.logits(images[index : index + 1])[0], logits[index])


def test_parameters_are_read_at_each_call():
    network, (images, labels) = make_network(), make_batch(4)
    backend = NativeSimplifiedNet(network, 2)
    backend.loss_and_gradients(images, labels)
    other = make_network(seed=5)
    network.load_state_dict(other.state_dict())
    results = [*backend.loss_and_gradients(images, labels)]
    results += [parameter.grad for parameter in network.parameters()]
    assert all_equal(results, bits(other, 2, images, labels))
    # Even if a parameter's memory was replaced.
    network.conv1.weight = nn.Parameter(network.conv1.weight.detach() * 2)
    other.conv1.weight.data.mul_(2)
    assert torch.equal(backend.logits(images), NativeSimplifiedNet(other, 1).logits(images))


def test_gradients_of_an_object_stay_where_they_are():
    network, (images, labels) = make_network(), make_batch(4)
    backend = NativeSimplifiedNet(network, 2)
    backend.loss_and_gradients(images, labels)
    first = [parameter.grad for parameter in network.parameters()]
    network.load_state_dict(make_network(seed=5).state_dict())
    backend.loss_and_gradients(images, labels)
    now = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is before for gradient, before in zip(now, first, strict=True))
    assert all_equal(now, bits(make_network(seed=5), 2, images, labels)[2:])
    # Whoever clears or replaces one gets others.
    network.fc.bias.grad = None
    backend.loss_and_gradients(images, labels)
    assert network.fc.bias.grad is not first[-1]
    assert torch.equal(network.fc.bias.grad, first[-1])


def test_a_network_that_is_altered_between_calls_is_refused():
    network, (images, labels) = make_network(), make_batch(4)
    backend = NativeSimplifiedNet(network, 2)
    backend.loss_and_gradients(images, labels)
    network.layer1[1].conv = nn.Conv2d(16, 16, 5, padding=2, dtype=torch.float64)
    with pytest.raises(ResnoiseError, match="altered"):
        backend.loss_and_gradients(images, labels)
    network.layer1[1].conv = nn.Conv2d(16, 16, 3, padding=1, bias=False, dtype=torch.float64)
    with pytest.raises(ResnoiseError, match="altered"):
        backend.logits(images)


def test_gradients_are_overwritten_and_older_ones_left_alone():
    network, (images, labels) = make_network(), make_batch(4)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    older = [parameter.grad for parameter in network.parameters()]
    expected = bits(make_network(), 2, images, labels)
    assert all_equal(bits(network, 2, images, labels), expected)
    assert all(bool(gradient.isnan().all()) for gradient in older)


def test_sizes_can_change_between_calls():
    network = make_network()
    backend = NativeSimplifiedNet(network, 2)
    for count, size in ((9, (32, 32)), (2, (8, 8)), (70, (16, 8)), (1, (32, 32))):
        images, labels = make_batch(count, size=size)
        results = [*backend.loss_and_gradients(images, labels)]
        results += [parameter.grad for parameter in network.parameters()]
        assert all_equal(results, bits(make_network(), 1, images, labels))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fused_optimiser_takes_the_gradients(dtype):
    network = make_network(dtype=dtype).to(memory_format=torch.channels_last)
    images, labels = make_batch(6, dtype)
    twin = copy.deepcopy(network)
    F.cross_entropy(twin(images), labels).backward()
    NativeSimplifiedNet(network, 2).loss_and_gradients(images, labels)
    for each in (network, twin):
        torch.optim.SGD(each.parameters(), lr=0.5, momentum=0.9, fused=True).step()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_dead_activations_pass_no_gradient():
    network, (images, labels) = make_network(), make_batch(3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    images.zero_()
    NativeSimplifiedNet(network, 2).loss_and_gradients(images, labels)
    loss = F.cross_entropy(network(images), labels)
    expected = torch.autograd.grad(loss, list(network.parameters()))
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_pixel_that_is_not_finite_shows_in_the_loss(value, residual, dtype):
    network, (images, labels) = make_network(residual, dtype=dtype), make_batch(6, dtype)
    images[4, 1, 17, 30] = value
    backend = NativeSimplifiedNet(network, 2)
    loss, _ = backend.loss_and_gradients(images, labels)
    assert not bool(loss.isfinite())
    assert bool(loss.isnan()) or not math.isnan(value)
    gradients = torch.cat([p.grad.flatten() for p in network.parameters()])
    assert not bool(gradients.isfinite().all())
    finite = backend.logits(images).isfinite().all(1)
    assert finite.tolist() == [True, True, True, True, False, True]
    # Nothing of it stays in the memory that calls share.
    clean = make_batch(6, dtype)
    results = [*backend.loss_and_gradients(*clean)]
    results += [parameter.grad for parameter in network.parameters()]
    assert all_equal(results, bits(copy.deepcopy(network), 2, *clean))


@pytest.mark.parametrize("name", ["conv1.bias", "layer2.0.conv.weight", "fc.bias"])
def test_parameters_that_are_not_finite_show_in_the_loss(name):
    network, (images, labels) = make_network(), make_batch(2)
    network.get_parameter(name).data.view(-1)[3] = torch.nan
    loss, wrong = NativeSimplifiedNet(network, 2).loss_and_gradients(images, labels)
    with torch.no_grad():
        expected = network(images)
    assert bool(loss.isnan())
    assert wrong == (expected.argmax(1) != labels).sum()


def test_a_diverged_network_has_a_loss_that_is_not_finite():
    network, (images, labels) = make_network(dtype=torch.float32), make_batch(2, torch.float32)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1e6)
    loss, _ = NativeSimplifiedNet(network, 2).loss_and_gradients(images, labels)
    assert not bool(loss.isfinite())


def test_what_is_supported():
    network = make_network()
    assert supported(network, 32, 32) is None
    assert supported(network.float().to(memory_format=torch.channels_last), 8, 40) is None
    assert "SimplifiedNet only, not for Linear" in supported(nn.Linear(2, 2), 32, 32)
    assert "multiples of 8, not 28x32" in supported(network, 28, 32)
    assert "multiples of 8, not 0x8" in supported(network, 0, 8)
    assert "multiple of 8, not 12" in supported(make_network(width=12), 32, 32)
    assert "float32 or float64, not in torch.bfloat16" in supported(network.bfloat16(), 32, 32)
    assert "on meta" in supported(make_network().to("meta"), 32, 32)


def test_altered_networks_are_not_supported():
    network = make_network()
    network.layer1[1].conv = nn.Conv2d(16, 16, 5, padding=2, dtype=torch.float64)
    assert "altered" in supported(network, 32, 32)
    network = make_network()
    network.layer1[1].conv.weight = network.layer1[0].conv.weight
    assert "altered" in supported(network, 32, 32)
    network = make_network()
    network.fc.float()
    assert "needs torch.float32 on cpu" in supported(network, 32, 32)
    network = make_network()
    network.fc.weight.data = network.fc.weight.data.t().contiguous().t()
    assert "contiguous" in supported(network, 32, 32)

    class Child(SimplifiedNet):
        pass

    assert "not for Child" in supported(Child(8, 16, 10, 3, True), 32, 32)


def test_arguments_that_do_not_fit_are_refused():
    network, (images, labels) = make_network(), make_batch(4)
    backend = NativeSimplifiedNet(network, 2)
    for wrong in (
        images.float(),
        images[:, :2],
        images[0],
        images[:0],
        images.to("meta"),
        images[:, :, :28],
        images[:, :, :0],
    ):
        with pytest.raises(ResnoiseError):
            backend.loss_and_gradients(wrong, labels)
        with pytest.raises(ResnoiseError):
            backend.logits(wrong)
    for wrong in (labels.int(), labels[:3], labels[:, None], labels - 10, labels + 10):
        with pytest.raises(ResnoiseError, match="labels"):
            backend.loss_and_gradients(images, wrong)
    assert all(parameter.grad is None for parameter in network.parameters())
    with pytest.raises(ResnoiseError, match="threads"):
        NativeSimplifiedNet(network, 0)
    with pytest.raises(ResnoiseError, match="multiple of 8"):
        NativeSimplifiedNet(make_network(width=12), 1)
    network.float()
    with pytest.raises(ResnoiseError, match="no longer"):
        backend.logits(images)
