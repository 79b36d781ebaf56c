"""Draw Figure 5: blocks of simplified and of fully-fledged networks."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure5


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=Path, required=True, help="layers of the networks (CSV)")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    figure5.write(arguments.layers, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
