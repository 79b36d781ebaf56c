"""Draw Figure 7: histograms of plain and transferred weights before and after training."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure7


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histograms", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--clip", type=int, default=800, help="end of the count axis")
    parser.add_argument("--id-threshold", type=float, required=True, help="of ID-sized weights")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    figure7.write(
        [file.parent for file in arguments.histograms],
        arguments.pdf,
        arguments.png,
        arguments.csv,
        clip=arguments.clip,
        id_threshold=arguments.id_threshold,
    )


if __name__ == "__main__":
    commandline.run(main)
