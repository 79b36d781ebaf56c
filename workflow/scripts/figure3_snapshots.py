"""Draw layer cushions at every kept snapshot of the weights (Figure 3 during training)."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure3_snapshots


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, nargs="+", required=True, help="CSV files of runs")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    folders = [file.parent for file in arguments.cushions]
    figure3_snapshots.write(folders, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
