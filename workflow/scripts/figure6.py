"""Draw Figure 6: how rounding errors make twins drift apart."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure6


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drifts", type=Path, nargs="+", required=True, help="drift.csv files")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    figure6.write(arguments.drifts, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
