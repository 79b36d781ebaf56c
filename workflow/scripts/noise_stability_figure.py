"""Draw what noise in one layer does to the output, plain against residual networks."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import noise_stability
from resnoise.summaries.runs import read_metrics


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stability", type=Path, nargs="+", required=True, help="CSVs of runs")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    folders = [file.parent for file in arguments.stability]
    stability = read_metrics(folders, "noise_stability.csv")
    noise_stability.write(stability, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
