"""Draw heat maps of the interlayer cushions of all spans of blocks."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import interlayer_cushion
from resnoise.summaries import interlayer_cushion as interlayer_statistics


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, nargs="+", required=True, help="CSV files of runs")
    parser.add_argument("--external", type=Path, help="facts of the network, if it is no run's")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    if arguments.external:
        (cushions,) = arguments.cushions
        rows = interlayer_statistics.read_external(cushions, arguments.external)
    else:
        rows = interlayer_statistics.read(file.parent for file in arguments.cushions)
    interlayer_cushion.write(rows, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
