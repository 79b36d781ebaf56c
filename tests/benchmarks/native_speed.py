"""Speed and accuracy of the native code against PyTorch: whole training steps, both alternating.

    PYTHONPATH=workflow/scripts python tests/benchmarks/native_speed.py

A step gathers a batch of uint8 pictures and standardises them, computes loss and gradients, and
updates the weights, so that operations of PyTorch and of the native code take turns as in training.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from resnoise.native import build
from resnoise.native.network import NativeSimplifiedNet
from resnoise.networks.simplified import SimplifiedNet

DTYPES = (torch.float64, torch.float32)


def main() -> None:
    """Print a table of speeds and one of errors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--plain", action="store_true", help="without identity connections")
    arguments = parser.parse_args()
    residual = not arguments.plain

    print(f"CPU: {cpu_name()}; PyTorch uses {torch.backends.cpu.get_cpu_capability()}")
    print(f"compiler: {build.compiler_version()}; PyTorch {torch.__version__}")
    print(
        f"{'residual' if residual else 'plain'}, depth {arguments.depth}, batch {arguments.batch}"
    )
    print("\nwhole training step, images/s: median of alternating repetitions (slowest to fastest)")
    for dtype in DTYPES:
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            measure_speed(arguments, make_network(arguments.depth, residual, dtype), threads)
    print(
        "\nworst error of a gradient relative to float64 autograd, batches of 128 pictures: of any,"
    )
    print("and of those without an activation so near 0 that rounding decides its ReLU's mask,")
    print("which passes a gradient in one precision and not in the other")
    for dtype in DTYPES:
        measure_errors(make_network(arguments.depth, residual, dtype))


def measure_speed(arguments: argparse.Namespace, network: SimplifiedNet, threads: int) -> None:
    """Print the speed of both variants and their ratio."""
    dtype = network.fc.weight.dtype
    generator = torch.Generator().manual_seed(0)
    size = (1024, 32, 32, 3)
    pictures = torch.randint(256, size, generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (len(pictures),), generator=generator)
    native = NativeSimplifiedNet(network, threads)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True)

    def with_torch(images: Tensor, target: Tensor) -> None:
        network.zero_grad()
        F.cross_entropy(network(images), target).backward()

    def with_native(images: Tensor, target: Tensor) -> None:
        native.loss_and_gradients(images, target)

    variants: dict[str, Callable[[Tensor, Tensor], None]]
    variants = {"torch": with_torch, "native": with_native}
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    for repetition in range(arguments.repetitions + 1):
        for name, compute in variants.items():
            start = time.perf_counter()
            for _ in range(2):
                chosen = torch.randint(len(pictures), (arguments.batch,), generator=generator)
                images = pictures[chosen].to(dtype).div_(64).sub_(2).permute(0, 3, 1, 2)
                compute(images, labels[chosen])
                optimizer.step()
            if repetition > 0:  # the first one warms up
                speeds[name].append(2 * arguments.batch / (time.perf_counter() - start))
    columns = [
        f"{name} {statistics.median(values):5.0f} ({min(values):.0f} to {max(values):.0f})"
        for name, values in speeds.items()
    ]
    ratio = statistics.median(speeds["native"]) / statistics.median(speeds["torch"])
    print(f"{dtype!s:14} threads {threads}: {', '.join(columns)}, ratio {ratio:.2f}", flush=True)


def measure_errors(network: SimplifiedNet) -> None:
    """Print the errors of both variants: the worst of all parameters, over batches."""
    dtype = network.fc.weight.dtype
    generator = torch.Generator().manual_seed(1)
    reference = make_network(network.depth, network.residual, torch.float64)
    reference.load_state_dict(network.state_dict())
    native = NativeSimplifiedNet(network, 1)
    images = torch.randn(1024, 3, 32, 32, generator=generator, dtype=dtype)
    labels = torch.randint(10, (len(images),), generator=generator)
    clear = torch.cat([margins(reference, part.double()) for part in images.split(64)]) > 1e-6
    for name, chosen in (("any", torch.ones_like(clear)), ("clear", clear)):
        errors: dict[str, list[float]] = {"torch": [], "native": []}
        places = chosen.nonzero().flatten()
        for batch in places[: len(places) // 128 * 128].split(128):
            loss = F.cross_entropy(reference(images[batch].double()), labels[batch])
            expected = torch.autograd.grad(loss, list(reference.parameters()))
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            errors["torch"].append(worst_error(gradients, expected))
            native.loss_and_gradients(images[batch], labels[batch])
            gradients = tuple(p.grad for p in network.parameters() if p.grad is not None)
            errors["native"].append(worst_error(gradients, expected))
        columns = [
            f"{variant} median {statistics.median(values):.1e}, largest {max(values):.1e}"
            for variant, values in errors.items()
        ]
        print(f"{dtype!s:14} {len(places):4} {name:5}: {'; '.join(columns)}", flush=True)


@torch.no_grad()
def margins(network: SimplifiedNet, images: Tensor) -> Tensor:
    """Return the smallest magnitude of what a ReLU gets, relative to its layer, for each picture.

    Args:
        network: a float64 network.
        images: float64 [B, 3, H, W].
    """
    found = torch.full((len(images),), torch.inf, dtype=torch.float64)

    def relu(response: Tensor) -> Tensor:
        relative = response.abs() / response.square().mean().sqrt()
        torch.minimum(found, relative.flatten(1).amin(1), out=found)
        return response.relu()

    x = relu(network.conv1(images))
    for block in network.blocks():
        x = relu(block.response(x))
    return found


def worst_error(gradients: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float:
    """Return the largest relative error of a parameter's gradient, in the Euclidean norm."""
    return max(
        float((ours.double() - theirs).norm() / theirs.norm())
        for ours, theirs in zip(gradients, expected, strict=True)
    )


def make_network(depth: int, residual: bool, dtype: torch.dtype) -> SimplifiedNet:
    """Return a network with activations of ordinary size, in PyTorch's fastest memory format."""
    torch.manual_seed(0)
    network = SimplifiedNet(depth, 16, 10, 3, residual)
    with torch.no_grad():
        for kernel in (network.conv1.weight, *(block.conv.weight for block in network.blocks())):
            torch.nn.init.kaiming_normal_(kernel).mul_(0.3 if residual else 1.0)
    return network.to(dtype).to(memory_format=torch.channels_last)


def cpu_name() -> str:
    """Return what the system calls the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
