"""Write a table of the layers of one or more networks, read from the built networks."""

import argparse
from pathlib import Path

import pandas as pd

from resnoise import commandline
from resnoise.data import dataset
from resnoise.networks import build
from resnoise.networks.layer_table import layers
from resnoise.registry import ARCHITECTURES, has_shortcuts
from resnoise.specs.run import NetworkSpec
from resnoise.storage import csvfile


def main() -> None:
    """Read the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", nargs="+", required=True, choices=ARCHITECTURES)
    parser.add_argument("--depth", type=int, required=True, help="number of layers with weights")
    parser.add_argument("--width", type=int, required=True, help="channels of the first group")
    parser.add_argument(
        "--shortcut", help="kind of shortcut of fully-fledged residual networks; none: their own"
    )
    commandline.add_data(parser)
    parser.add_argument(
        "--output", type=Path, required=True, help="output: CSV with a row per layer"
    )
    arguments = parser.parse_args()
    pictures = dataset.load(arguments.data, arguments.data_spec)
    frames = []
    for architecture in arguments.architectures:
        shortcut = arguments.shortcut if has_shortcuts(architecture) else None
        spec = NetworkSpec(architecture, arguments.depth, arguments.width, shortcut)
        height, width, channels = pictures.train_images.shape[1:]
        network = build(spec, len(pictures.class_names), channels)
        frame = pd.DataFrame(layers(network, height, width, channels))
        frame.insert(0, "architecture", architecture)
        frame.insert(1, "depth", arguments.depth)
        frames.append(frame)
    csvfile.write(arguments.output, pd.concat(frames))


if __name__ == "__main__":
    commandline.execute(main)
