"""Draw Figure 3: distribution of layer cushions, plain against residual networks."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure3
from resnoise.summaries.layer_cushion import read_final


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, nargs="+", required=True, help="CSV files of runs")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    comparisons = read_final(file.parent for file in arguments.cushions)
    figure3.write(comparisons, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
