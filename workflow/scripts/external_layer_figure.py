"""Draw the layer cushions of a network that was trained elsewhere."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import external_layer_cushion


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, required=True, help="cushions of the network")
    parser.add_argument("--record", type=Path, required=True, help="facts of the network")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    external_layer_cushion.write(
        arguments.cushions, arguments.record, arguments.pdf, arguments.png, arguments.csv
    )


if __name__ == "__main__":
    commandline.run(main)
