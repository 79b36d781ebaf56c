"""How fast a graphics card trains: launched step by step, from a CUDA graph, and several at a time.

    python tests/benchmarks/card_speed.py
    python tests/benchmarks/card_speed.py --device cpu --batches 2 --rounds 1      # a rehearsal

Prints for networks of Table 1 and mini-batches of 128

(a) milliseconds of a step, eager and replayed from a graph, as medians of alternating rounds, and
    the arithmetic that a replayed step does in a second;
(b) what comes to an epoch beside its steps: evaluation, checkpoint, history;
(c) images per second of 1, 2, 4 and 8 processes that train at the same time on one card.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from training_speed import BATCH, alternate, pictures, recipe

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.specs.run import NetworkSpec, RunSpec
from resnoise.training import checkpoint, history
from resnoise.training.run import Epoch, Run
from resnoise.training.update import cuda_graph

TEST_PICTURES, TRAINING_STEPS = 10_000, 391


def network_run(
    architecture: str,
    depth: int,
    data: Dataset,
    device: torch.device,
    replayed: bool,
    conv_backend: str = "torch",
) -> Run:
    """Return a run of one of the paper's networks."""
    initialisation = "kwi" if architecture == "plain" else "hmwi"
    spec = RunSpec(NetworkSpec(architecture, depth, 16), initialisation, 0, recipe(conv_backend))
    record = cuda_graph if replayed and device.type == "cuda" else None
    return Run(spec, data, device, None, record=record)


def steps(run: Run) -> Callable[[], None]:
    """Return what trains all mini-batches of an epoch and waits until it is done."""

    def train() -> None:
        # Not the first one, in which weights are kept after the first step.
        epoch = Epoch(run, 2)
        for _ in range(len(run.batches)):
            epoch.step()

    return train


def multiply_adds(run: Run) -> int:
    """Return the multiplications of one picture's way through the convolutions of a network."""
    found = []

    def count(module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        assert isinstance(module, torch.nn.Conv2d)
        found.append(output[0].numel() * module.weight[0].numel())

    hooks = [
        module.register_forward_hook(count)
        for module in run.network.modules()
        if isinstance(module, torch.nn.Conv2d)
    ]
    with torch.no_grad():
        run.network(run.normalise(run.test_images[:1]))
    for hook in hooks:
        hook.remove()
    return sum(found)


def compare_steps(
    architecture: str,
    depth: int,
    device: torch.device,
    batches: int,
    rounds: int,
    conv_backend: str,
) -> None:
    """Print (a) for one network."""
    data = pictures(batches)
    runs = {
        name: network_run(architecture, depth, data, device, name == "graph", conv_backend)
        for name in ("eager", "graph")
    }
    seconds = alternate({name: steps(run) for name, run in runs.items()}, rounds)
    eager, graph = (1000 * seconds[name] / batches for name in ("eager", "graph"))
    # Forward pass, gradients of inputs and of weights: each with as many multiply-adds.
    work = 3 * 2 * BATCH * multiply_adds(runs["eager"])
    print(
        f"{architecture}-{depth}: eager {eager:.3f} ms, graph {graph:.3f} ms, "
        f"{eager / graph:.1f}x, {work / graph / 1e9:.1f} TFLOP/s",
        flush=True,
    )


def rest_of_an_epoch(depth: int, device: torch.device, rounds: int, conv_backend: str) -> None:
    """Print (b)."""
    run = network_run("residual", depth, pictures(1), device, False, conv_backend)
    images = run.test_images.repeat(TEST_PICTURES // len(run.test_images), 1, 1, 1)
    run.test_images = images
    run.test_labels = run.test_labels.repeat(len(images) // len(run.test_labels))
    row = history.Row(1, 0.1, seconds=0.0)
    run.state.sessions.append({"seconds": 0.0})
    steps(run)()
    with tempfile.TemporaryDirectory() as folder:
        parts = alternate(
            {
                "evaluation": lambda: run.evaluate(run.test_images, run.test_labels),
                "weight term": run.penalty.value,
                "copies": lambda: run.finish_epoch(row),
                "checkpoint": lambda: checkpoint.save(
                    Path(folder) / "resume.safetensors", [run.state], [{}], []
                ),
            },
            rounds,
        )
    text = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in parts.items())
    print(f"residual-{depth}, beside the {TRAINING_STEPS} steps of an epoch: {text}", flush=True)


def side_by_side(depth: int, count: int, arguments: argparse.Namespace) -> None:
    """Print (c) for one number of processes."""
    words = [sys.executable, __file__, "--child", "--depths", str(depth)]
    words += ["--device", arguments.device, "--seconds", str(arguments.seconds)]
    words += ["--batches", str(arguments.batches), "--conv-backend", arguments.conv_backend]
    processes = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("start\n")
        process.stdin.flush()
    rates = [float(process.communicate()[0]) for process in processes]
    print(
        f"residual-{depth}, {count} at a time: {sum(rates):.0f} images/s, "
        f"{1000 * BATCH * count / sum(rates):.3f} ms a step of each",
        flush=True,
    )


def child(arguments: argparse.Namespace) -> None:
    """Warm up, wait for a line, train for some seconds, and print the images per second."""
    device = devices.set_up(arguments.device, 1)
    data, conv_backend = pictures(arguments.batches), arguments.conv_backend
    run = network_run("residual", arguments.depths[0], data, device, True, conv_backend)
    train = steps(run)
    for _ in range(3):
        train()
    print("ready", flush=True)
    sys.stdin.readline()
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < arguments.seconds:
        train()
        images += run.batches.count
    print(images / (time.perf_counter() - start))


def main() -> None:
    """Read the command line and print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--depths", type=int, nargs="*", default=[20, 32, 44])
    parser.add_argument("--batches", type=int, default=100, help="batches in an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each number of processes")
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--conv-backend", default="torch", choices=("torch", "triton"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    device = devices.set_up(arguments.device, 1)
    print(f"PyTorch {torch.__version__}, {devices.name(device)}")
    rounds, conv_backend = arguments.rounds, arguments.conv_backend
    for depth in arguments.depths:
        for architecture in ("plain", "residual"):
            compare_steps(architecture, depth, device, arguments.batches, rounds, conv_backend)
        rest_of_an_epoch(depth, device, rounds, conv_backend)
    for count in arguments.at_once:
        side_by_side(arguments.depths[0], count, arguments)


if __name__ == "__main__":
    main()
