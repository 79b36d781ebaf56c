"""Speed of cushions of any network, for a ResNet-18 of 11 million parameters.

    PYTHONPATH=workflow/scripts python tests/benchmarks/any_network_speed.py

Interlayer cushions between its blocks, by random vectors to a standard error of 1 %, with the most
memory that the process takes beyond what it took before; and layer cushions of 1,000 pictures of
32 x 32 pixels against the bare forward passes in the same batches, which alternate. The weights are
random unless a state dict of such a network and pictures, as for the key data.path, are given:

    ... any_network_speed.py --weights resnet18.pt --folder cifar10.tar
"""

import argparse
import platform
import resource
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torchvision.models import resnet18

from resnoise.data.pictures import read
from resnoise.metrics.interlayer_cushion import choose
from resnoise.metrics.layer_cushion import Meter
from resnoise.metrics.resumable import LARGEST_BATCH
from resnoise.specs.metrics import InterlayerCushionSpec
from resnoise.trained.state_dict import read_state_dict

MEAN, STD = (
    torch.tensor(values)[:, None, None]
    for values in ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
)
# The outputs of the stem and of the blocks.
BLOCKS = ["maxpool", *(f"layer{group}.{block}" for group in range(1, 5) for block in range(2))]


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--memory-mb", type=int, default=500, help="for activations")
    parser.add_argument("--weights", type=Path, help="state dict with torchvision's names")
    parser.add_argument("--folder", type=Path, help="folder or tar file of pictures")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net = resnet18(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    with torch.no_grad():  # running statistics
        net.train()(torch.randn(64, 3, 32, 32))
    inputs = torch.randn(arguments.pictures, 3, 32, 32)
    if arguments.weights:
        net.load_state_dict(read_state_dict(arguments.weights, {}))
        images = torch.from_numpy(read(arguments.folder).train_images)
        # Pictures are ordered by class.
        chosen = images[torch.randperm(len(images))[: arguments.pictures]]
        inputs = (chosen.permute(0, 3, 1, 2) / 255 - MEAN) / STD
    net = net.eval().to(memory_format=torch.channels_last)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    millions = sum(weight.numel() for weight in net.parameters()) / 1e6
    print(f"{platform.processor() or platform.machine()}, PyTorch {torch.__version__}")
    print(f"{millions:.1f} million parameters, {arguments.threads} threads")
    interlayer_cushions(net, inputs[:2], arguments.memory_mb)
    layer_cushions(net, inputs, arguments.repetitions)


@torch.no_grad()
def layer_cushions(net: nn.Module, inputs: torch.Tensor, repetitions: int) -> None:
    """Print CPU seconds of forward passes and of layer cushions, and their quotient."""
    meter = Meter(net, inputs[:2])
    times: dict[str, list[float]] = {"forward": [], "cushions": []}
    for _ in range(repetitions):
        for name, run in (("forward", net), ("cushions", meter)):
            start = time.process_time()
            for part in torch.split(inputs, LARGEST_BATCH):
                run(part)
            times[name].append(time.process_time() - start)
    forward, cushions = (statistics.median(seconds) for seconds in times.values())
    print(
        f"layer cushions of {len(inputs)} pictures: {cushions:.1f} s, forward passes alone "
        f"{forward:.1f} s, quotient {cushions / forward:.2f}"
    )


def interlayer_cushions(net: nn.Module, inputs: torch.Tensor, memory_mb: int) -> None:
    """Print CPU seconds and memory of interlayer cushions between all blocks."""
    spec = InterlayerCushionSpec(None, 0, False, 0.01, 1000, 0, "float32")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    meter = choose(net, spec, inputs, memory_mb, BLOCKS)
    found = meter(inputs, range(len(inputs)))
    seconds = (time.process_time() - start) / len(inputs)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    error = (found.standard_error / found.value)[found.probes > 0].max()
    print(
        f"interlayer cushions of all spans: {seconds:.0f} s a picture, largest standard error "
        f"{error:.2%}, {int(found.probes.max())} vectors at most, {more:.0f} MB more than before, "
        f"{memory_mb} MB allowed"
    )


if __name__ == "__main__":
    main()
