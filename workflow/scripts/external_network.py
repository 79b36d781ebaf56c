"""Read and check a network that was trained elsewhere, and write facts of it."""

import argparse
from pathlib import Path

from resnoise import commandline, devices
from resnoise.data import dataset
from resnoise.specs.metrics import ExternalSpec
from resnoise.trained import external


def main() -> None:
    """Read the command line, the network and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True, help="the network: ExternalSpec as JSON")
    parser.add_argument("--state-dict", type=Path, required=True, help="the network's file")
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--output", type=Path, required=True, help="facts of the network as JSON")
    commandline.add_computing(parser)
    arguments = parser.parse_args()
    network = external.read(
        ExternalSpec.from_json(arguments.network),
        arguments.state_dict,
        dataset.load(arguments.data),
    )
    device = devices.set_up(arguments.device, arguments.threads)
    external.describe(network, arguments.output, device)


if __name__ == "__main__":
    commandline.run(main)
