"""Speed, memory and precision of the dominant gradient flow against one backward pass a feature.

    PYTHONPATH=workflow/scripts python tests/benchmarks/gradient_flow_speed.py

Both variants compute G of all layers and the shares f_l of all readings. They take turns, and the
medians are compared. To measure the precision on a trained network, give its run and
its data set: --run results/runs/residual-32/hmwi/seed1 --data results/data.safetensors.
"""

import argparse
import contextlib
import dataclasses
import platform
import resource
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from resnoise.data import dataset
from resnoise.initialisations import initialise
from resnoise.metrics import path_gradients as gradient_flow
from resnoise.metrics.flow_readings import compared, dominant, parts
from resnoise.metrics.linearised import Linearised, linearise
from resnoise.metrics.resumable import choose_samples
from resnoise.networks import build
from resnoise.specs.flow import READINGS
from resnoise.specs.run import NetworkSpec
from resnoise.trained import run as trained
from resnoise.training.batches import Normalisation

NETWORKS = {"plain": "kwi", "residual": "hmwi"}


def main() -> None:
    """Print a table of speeds and one of precisions."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[1, 2], help="none: precision only"
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--reading", choices=READINGS, default="set", help="for the precision")
    parser.add_argument("--run", type=Path, help="folder of a finished run, for the precision")
    parser.add_argument("--data", type=Path, help="the run's data set")
    arguments = parser.parse_args()
    cpu = platform.processor() or platform.machine()
    print(f"CPU: {cpu}; PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"depth {arguments.depth}, batch {arguments.batch}, float64")
    ratios = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        ratios += [measure_speed(arguments, name, threads) for name in NETWORKS]
    if ratios:
        print(f"summary: at least {min(ratios):.2f} times as fast with C code")
    torch.set_num_threads(1)
    print("\nfloat32 against float64")
    for architecture, initialisation in NETWORKS.items():
        net = build(NetworkSpec(architecture, arguments.depth, 16), 10)
        initialise(net, initialisation, 1)
        measure_precision(f"{architecture}, untrained", net, *noise(32), arguments.reading)
    if arguments.run:
        measure_run(arguments.run, arguments.data, arguments.reading)


def noise(count: int) -> tuple[Tensor, Tensor]:
    """Return inputs in float64, and labels."""
    numbers = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, 32, 32, generator=numbers, dtype=torch.float64)
    return inputs, torch.randint(10, (count,), generator=numbers)


def prepared(net: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Linearised, Tensor]:
    """Return the network at the inputs, and dR/da."""
    at = linearise(net, inputs)
    weight = net.get_parameter("fc.weight").detach()
    return at, gradient_flow.feature_gradients(at.features, at.logits, labels, weight)


def measure_speed(arguments: argparse.Namespace, architecture: str, threads: int) -> float:
    """Print seconds, ratios and memory of all variants; return the ratio of the C code."""
    net = build(NetworkSpec(architecture, arguments.depth, 16), 10).double()
    initialise(net, NETWORKS[architecture], 1)
    net.requires_grad_(False)
    inputs, labels = noise(arguments.batch)
    at, gradients = prepared(net, inputs, labels)
    seconds: dict[str, list[float]] = {"C": [], "PyTorch": [], "one by one": []}
    shares: dict[str, Tensor] = {}
    memory: dict[str, float] = {}
    for _ in range(arguments.repetitions):
        # The last one needs most memory, which counts where the peak cannot be reset.
        for name in seconds:
            reset_peak()
            before = peak_megabytes()
            start = time.perf_counter()
            if name == "one by one":
                shares[name] = one_by_one(net, inputs, gradients)
            else:
                found = gradient_flow.dominant_shares(at, gradients, name == "C")
                shares[name] = torch.stack([by_mean for by_mean, _ in found.values()])
            seconds[name].append(time.perf_counter() - start)
            memory[name] = max(memory.get(name, 0), peak_megabytes() - before)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    columns = [
        f"{name} {median:6.2f} s, +{memory[name]:.0f} MB" for name, median in medians.items()
    ]
    slowest = medians["one by one"]
    same = torch.equal(shares["C"], shares["one by one"])
    print(
        f"{architecture:8} threads {threads}: {'; '.join(columns)}; "
        f"ratio {slowest / medians['C']:.2f} (C), {slowest / medians['PyTorch']:.2f} (PyTorch); "
        f"f the same: {same}",
        flush=True,
    )
    return slowest / medians["C"]


def one_by_one(net: nn.Module, inputs: Tensor, gradients: Tensor) -> Tensor:
    """Return the shares f of each reading by one call of autograd for every feature."""
    x = torch.relu(net.conv1(inputs.clone().requires_grad_()))
    found = [x]
    for block in net.blocks():
        found.append(block(found[-1]))
    features, found = found[-1].mean((2, 3)), found[:-1]
    gradients_by_path = []
    for j in range(features.shape[1]):
        mediated = (features[:, j] * gradients[:, j]).sum()
        gradients_by_path.append(torch.autograd.grad(mediated, found, retain_graph=True))
    layers = [torch.stack(of_layer) for of_layer in zip(*gradients_by_path, strict=True)]
    shares = [
        torch.stack(
            [dominant(*compared(parts(flow), reading))[0].double().mean(1) for flow in layers], 1
        )
        for reading in READINGS
    ]
    return torch.stack(shares)


def reset_peak() -> None:
    """Start to look for the largest memory anew, where the system can do so (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_megabytes() -> float:
    """Return the largest memory that this process has used since the last reset."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_run(folder: Path, data: Path, reading: str) -> None:
    """Print the precision on a finished run, before and after training."""
    run = trained.read(folder, dataset.load(data))
    device = torch.device("cpu")
    drawn = choose_samples(len(run.dataset.train_labels), 32, 0)
    normalise = Normalisation(
        run.dataset.channel_mean, run.dataset.channel_std, device, torch.float64
    )
    inputs = normalise(torch.from_numpy(run.dataset.train_images[drawn]))
    labels = torch.from_numpy(run.dataset.train_labels[drawn])
    for label in ("iteration1", "final"):
        name = f"{run.spec.network.architecture}-{run.spec.network.depth}, {label}"
        measure_precision(name, run.network(label, device), inputs, labels, reading)


def measure_precision(
    name: str, net: nn.Module, inputs: Tensor, labels: Tensor, reading: str
) -> None:
    """Print how far float32 is from float64, with the signs of ReLUs of float64 in both."""
    at, gradients = prepared(net.double(), inputs, labels)
    results = {}
    for dtype in (torch.float64, torch.float32):
        layers = [dataclasses.replace(layer, kernel=layer.kernel.to(dtype)) for layer in at.layers]
        rounded = Linearised(layers, at.features, at.logits)
        ratios, flows = [], []
        for picture in range(len(inputs)):
            of_layers = gradient_flow.path_gradients(
                rounded,
                gradients.to(dtype),
                slice(picture, picture + 1),
                gradient_flow.Transposes(native=True),
            )
            for flow in of_layers:
                own, rest = compared(parts(flow), reading)
                ratios.append((own / rest).abs().mean((2, 3)).double().flatten())
                flows.append(torch.stack(dominant(own, rest)).flatten(1))
        results[dtype] = ratios, flows
    (exact, f_exact), (rough, f_rough) = results[torch.float64], results[torch.float32]
    a, b = torch.cat(exact), torch.cat(rough)
    errors = ((b - a).abs() / a)[a.isfinite() & b.isfinite() & (a > 0)]
    print(
        f"{name}: relative error of a mean ratio: median {float(errors.median()):.0e}, "
        f"99 % {float(errors.quantile(0.99)):.0e}, worst {float(errors.max()):.0e}"
    )
    for kind, label in enumerate(("mean", "median")):
        one = [flow[kind] for flow in f_exact]
        two = [flow[kind] for flow in f_rough]
        differ = torch.cat([x != y for x, y in zip(one, two, strict=True)])
        # One a picture and layer, then one a layer.
        changes = torch.tensor(
            [float(x.double().mean() - y.double().mean()) for x, y in zip(one, two, strict=True)]
        ).view(len(inputs), -1)
        print(
            f"  by {label}: {float(differ.double().mean()):.2%} of the tests differ, "
            f"{float((changes != 0).double().mean()):.2%} of the f_l of single pictures "
            f"(by up to {float(changes.abs().max()):.3f}); f_l over {len(inputs)} pictures "
            f"by up to {float(changes.mean(0).abs().max()):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
