"""How fast training is, against a plain loop in the usual style and against the bare network.

    python tests/benchmarks/training_speed.py

Prints images per second as medians of alternating rounds in one process, and the ratios:

(a) against a plain loop as tutorials write it: torchvision's PIL transforms, DataLoader, NCHW,
    evaluation after the epoch;
(b) against forward, backward and step of the same network on one batch that never changes;
(c) two processes with one thread each side by side against one process with two threads.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.networks import build
from resnoise.specs.run import NetworkSpec, RecipeSpec, RunSpec
from resnoise.training.loop import train_epoch
from resnoise.training.progress import Progress
from resnoise.training.run import Run

BATCH = 128


def recipe(conv_backend: str) -> RecipeSpec:
    """Return the recipe of the simplified networks, for one epoch."""
    return RecipeSpec(
        epochs=1,
        batch_size=BATCH,
        learning_rate=0.005,
        milestones=(),
        decay_factor=0.1,
        momentum=0.9,
        penalty=1e-4,
        penalty_divided_by_batch=True,
        penalty_on_biases=False,
        penalty_on_transferred=True,
        crop_padding=4,
        horizontal_flip=True,
        precision="float32",
        allow_tf32=False,
        compile=False,
        conv_backend=conv_backend,
        epoch_risk="mini-batches",
        snapshot_epochs=(),
    )


def pictures(batches: int) -> Dataset:
    """Return random pictures: ``batches`` batches for training, a fifth of that for testing."""
    numbers = np.random.default_rng(0)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        images = numbers.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return images, numbers.integers(0, 10, count)

    train_images, train_labels = part(batches * BATCH)
    test_images, test_labels = part(batches * BATCH // 5)
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        class_names=tuple("0123456789"),
        channel_mean=np.full(3, 0.5),
        channel_std=np.full(3, 0.3),
        source_digest="",
        digest="",
    )


def project_epoch(spec: RunSpec, data: Dataset, device: torch.device) -> Callable[[], None]:
    """Return one epoch of the project's training, with augmentation and evaluation."""
    run = Run(spec, data, device, None)

    def epoch() -> None:
        with Progress(1, len(run.batches), 0) as progress:
            train_epoch([run], 1, [progress])

    return epoch


def bare_steps(spec: RunSpec, data: Dataset, device: torch.device) -> Callable[[], None]:
    """Return as many bare training steps as an epoch has, always on the same batch."""
    run = Run(spec, data, device, None)
    inputs = torch.randn(BATCH, 3, 32, 32, device=device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH, device=device) % 10

    def steps() -> None:
        for _ in range(len(run.batches)):
            run.backend.loss_and_gradients(inputs, labels)
            run.optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return steps


class PlainBlock(nn.Module):
    """The block of the simplified networks as usually written."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            block.conv.in_channels, block.conv.out_channels, 3, block.stride, padding=1
        )
        self.residual = block.residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return relu(conv(x) + shortcut(x))."""
        y = self.conv(x)
        if self.residual:
            if y.shape != x.shape:
                x = x[:, :, ::2, ::2]
                x = torch.cat([x, x], dim=1)
            y = y + x
        return F.relu(y)


def usual_epoch(spec: RunSpec, data: Dataset, device: torch.device) -> Callable[[], None]:
    """Return one epoch of a plain loop in the usual public style, with evaluation."""
    from torch.utils.data import DataLoader, TensorDataset
    from torch.utils.data import Dataset as TorchDataset
    from torchvision import transforms
    from torchvision.transforms.functional import to_pil_image

    normalise = transforms.Normalize((0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    augment = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            normalise,
        ]
    )

    class Pictures(TorchDataset[tuple[torch.Tensor, int]]):
        def __init__(self) -> None:
            self.images = [to_pil_image(image) for image in data.train_images]

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return augment(self.images[index]), int(data.train_labels[index])

    tests = torch.from_numpy(data.test_images).permute(0, 3, 1, 2) / 255
    train_loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=True)
    test_loader = DataLoader(
        TensorDataset(normalise(tests), torch.from_numpy(data.test_labels)), batch_size=BATCH
    )
    template = build(spec.network, 10)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, spec.network.width, 3, padding=1), nn.ReLU()),
        *(PlainBlock(block) for block in template.blocks()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * spec.network.width, 10),
    ).to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.005, momentum=0.9, weight_decay=1e-4)

    def epoch() -> None:
        network.train()
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(inputs.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            loss.item()
        network.eval()
        with torch.no_grad():
            for inputs, labels in test_loader:
                (network(inputs.to(device)).argmax(1) == labels.to(device)).sum().item()

    return epoch


def alternate(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each variant's median seconds over ``rounds`` rounds, after one that only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def compare_in_process(
    architecture: str,
    conv_backend: str,
    threads: int,
    device_name: str,
    batches: int,
    rounds: int,
) -> None:
    """Print (a) and (b) for one network."""
    device = devices.set_up(device_name, threads)
    initialisation = "kwi" if architecture == "plain" else "hmwi"
    spec = RunSpec(NetworkSpec(architecture, 20, 16), initialisation, 0, recipe(conv_backend))
    data = pictures(batches)
    seconds = alternate(
        {
            "this project": project_epoch(spec, data, device),
            "usual loop": usual_epoch(spec, data, device),
            "bare steps": bare_steps(spec, data, device),
        },
        rounds,
    )
    # Evaluation is work that bare steps do not do: it is taken out of the comparison with them.
    run = Run(spec, data, device, None)
    test = run.test_images, run.test_labels
    evaluation = alternate({"evaluation": lambda: run.evaluate(*test)}, rounds)
    count = len(data.train_labels)
    print(
        f"{architecture}-20, convolutions by {run.backend.name}, {device.type}, {threads} threads, "
        f"{count} pictures, {rounds} rounds"
    )
    for name, value in seconds.items():
        print(f"  {name:<14}{count / value:8.0f} images/s")
    training = seconds["this project"] - evaluation["evaluation"]
    print(
        f"  (a) over the usual loop:        {seconds['usual loop'] / seconds['this project']:.2f}x"
    )
    print(f"  (b) of the bare steps:          {seconds['bare steps'] / training:.1%}", flush=True)


def one_epoch_process(threads: int, device: str, batches: int) -> list[str]:
    """Return the command of a process that trains and prints the seconds of one epoch."""
    return [
        sys.executable,
        __file__,
        *("--child", "--threads", str(threads), "--device", device, "--batches", str(batches)),
    ]


def compare_processes(device: str, batches: int, rounds: int) -> None:
    """Print (c): training throughput of two processes with a thread each, one with two."""
    ratios, singles, pairs = [], [], []
    for _ in range(rounds):
        (single,) = _run([one_epoch_process(2, device, batches)])
        pair = _run([one_epoch_process(1, device, batches)] * 2)
        count = batches * BATCH
        singles.append(count / single)
        pairs.append(sum(count / seconds for seconds in pair))
        ratios.append(pairs[-1] / singles[-1])
    print("residual-20, two processes with one thread each against one with two threads")
    print(f"  one process, two threads   {statistics.median(singles):8.0f} images/s")
    print(f"  two processes, one each    {statistics.median(pairs):8.0f} images/s")
    print(f"  (c) ratio                  {statistics.median(ratios):8.2f}x", flush=True)


def _run(commands: list[list[str]]) -> list[float]:
    """Run commands side by side and return the seconds that each printed."""
    processes = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
    return [float(process.communicate()[0]) for process in processes]


def child(threads: int, device_name: str, batches: int) -> None:
    """Train an epoch to warm up and another, and print the seconds of the second."""
    device = devices.set_up(device_name, threads)
    spec = RunSpec(NetworkSpec("residual", 20, 16), "hmwi", 0, recipe("auto"))
    epoch = project_epoch(spec, pictures(batches), device)
    print(alternate({"epoch": epoch}, 1)["epoch"])


def main() -> None:
    """Read the command line and print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batches", type=int, default=10, help="batches in an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.threads, arguments.device, arguments.batches)
        return
    print(f"PyTorch {torch.__version__}, {devices.name(torch.device(arguments.device))}")
    for architecture in ("plain", "residual"):
        for conv_backend in ("torch", "auto"):
            compare_in_process(
                architecture,
                conv_backend,
                arguments.threads,
                arguments.device,
                arguments.batches,
                arguments.rounds,
            )
    compare_processes(arguments.device, arguments.batches, arguments.rounds)


if __name__ == "__main__":
    main()
