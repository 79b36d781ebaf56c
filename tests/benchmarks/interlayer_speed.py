"""Speed of interlayer cushions: closed form and estimate against automatic differentiation.

    PYTHONPATH=workflow/scripts python tests/benchmarks/interlayer_speed.py

For the middle block of the first group and all of the last group of a fully-fledged network:
||J||_F^2 of a sample by ``torch.func.jacrev``, by batched VJPs of ``torch.autograd``, in closed
form, and by random vectors until the standard error is 1 %. The variants alternate. Give the folder
of a finished run of full-residual or full-plain (--run) and its prepared data set (--data)
to measure trained weights; without them, the weights are random, and estimates take
fewer vectors.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from resnoise.data import dataset
from resnoise.metrics.blocks import chain
from resnoise.metrics.jacobian_norm import ExactNorm
from resnoise.metrics.spans import SpanNorms
from resnoise.networks import build
from resnoise.specs.run import NetworkSpec
from resnoise.trained import run as trained

CHUNK = 256


def main() -> None:
    """Print a table for each block."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, help="folder of a finished fully-fledged run")
    parser.add_argument("--data", type=Path, help="its prepared data set")
    parser.add_argument("--samples", type=int, default=16, help="in a batch of the fast variants")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--float64", action="store_true", help="instead of float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = torch.float64 if arguments.float64 else torch.float32
    network, pictures = subject(arguments, dtype)
    print(f"{platform.processor() or platform.machine()}, PyTorch {torch.__version__}, {dtype}")
    print(f"weights: {arguments.run or 'random'}; {arguments.threads} threads")
    modules = [block for group in (network.layer1, network.layer3) for block in group]
    per_group = len(modules) // 2
    chosen = [per_group // 2, *range(per_group, 2 * per_group)]
    parts = chain(network)
    with torch.no_grad():
        x = parts.stem(pictures)
        points = []
        for block in parts.blocks:
            points.append(x)
            x = block.linearise(x).output
    offset = len(parts.blocks) - 2 * per_group
    for place in chosen:
        number = place if place < per_group else place + offset
        measure(number, modules[place], parts.blocks[number], points[number], arguments.repetitions)


def subject(arguments: argparse.Namespace, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    """Return a network and standardised pictures."""
    if arguments.run is None:
        torch.manual_seed(0)
        network = build(NetworkSpec("full-residual", 20, 16), 10)
        pictures = torch.randn(arguments.samples, 3, 32, 32)
        with torch.no_grad():  # running statistics
            network.train()(torch.randn(128, 3, 32, 32))
        return network.eval().to(dtype), pictures.to(dtype)
    run = trained.read(arguments.run, dataset.load(arguments.data))
    cpu = torch.device("cpu")
    images = torch.from_numpy(run.dataset.train_images[: arguments.samples])
    return run.network("final", cpu).to(dtype), run.normalisation(cpu)(images).to(dtype)


def measure(number: int, module: nn.Module, block: object, x: Tensor, repetitions: int) -> None:
    """Print times, ratios and differences for one block."""
    with torch.no_grad():
        start = time.perf_counter()
        exact = ExactNorm(block, *x.shape[2:])  # type: ignore[arg-type]
        prepared = time.perf_counter() - start
    norms = SpanNorms(
        [block],  # type: ignore[list-item]
        relative_error=0.01,
        max_probes=10_000,
        seed=0,
        closed_form=False,
    )
    probes: list[float] = []

    def closed() -> float:
        with torch.no_grad():
            return float(exact.squared(block.linearise(x))[0])  # type: ignore[attr-defined]

    def estimate() -> float:
        with torch.no_grad():
            found = norms.estimate([block.linearise(x)], range(len(x)))  # type: ignore[attr-defined]
        probes.append(float(found.probes.mean()))
        return float(found.squared[0, 0, 0])

    variants: dict[str, tuple[Callable[[], float], int]] = {
        "jacrev": (lambda: by_jacrev(module, x[0]), 1),
        "batched VJPs": (lambda: by_vjps(module, x[0]), 1),
        "closed form": (closed, len(x)),
        "estimate": (estimate, len(x)),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    values: dict[str, float] = {}
    for _ in range(repetitions):
        for name, (compute, samples) in variants.items():
            start = time.perf_counter()
            values[name] = compute()
            times[name].append((time.perf_counter() - start) / samples)
    medians = {name: statistics.median(found) for name, found in times.items()}
    best = min(medians["jacrev"], medians["batched VJPs"])
    print(
        f"\nblock {number + 1}, input {' x '.join(map(str, x.shape[1:]))}, "
        f"closed form prepared once in {1e3 * prepared:.0f} ms, "
        f"estimate with {probes[0]:.1f} vectors"
    )
    for name, seconds in medians.items():
        difference = abs(values[name] / values["jacrev"] - 1)
        spread = f"{1e3 * min(times[name]):.3f} to {1e3 * max(times[name]):.3f}"
        print(
            f"  {name:13} {1e3 * seconds:10.3f} ms a sample ({spread}), "
            f"{best / seconds:8.1f}x, ||J||^2 differs by {difference:.1e}",
            flush=True,
        )


def by_jacrev(module: nn.Module, x: Tensor) -> float:
    """Return ||J||_F^2 from the whole Jacobian."""
    jacobian = torch.func.jacrev(lambda t: module(t[None])[0], chunk_size=CHUNK)(x)
    return float(jacobian.detach().double().square().sum())


def by_vjps(module: nn.Module, x: Tensor) -> float:
    """Return ||J||_F^2 from its rows, some at a time, without keeping them."""
    x = x.clone().requires_grad_()
    y = module(x[None])[0]
    total = 0.0
    for start in range(0, y.numel(), CHUNK):
        count = min(CHUNK, y.numel() - start)
        rows = torch.zeros(count, y.numel(), dtype=x.dtype)
        rows[torch.arange(count), torch.arange(start, start + count)] = 1
        (products,) = torch.autograd.grad(
            y, x, rows.view(count, *y.shape), retain_graph=True, is_grads_batched=True
        )
        total += float(products.double().square().sum())
    return total


if __name__ == "__main__":
    main()
