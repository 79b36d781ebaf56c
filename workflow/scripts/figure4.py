"""Draw Figure 4: the simplified plain and residual network, layer by layer."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure4


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=Path, required=True, help="layers of the networks (CSV)")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    figure4.write(arguments.layers, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
