"""Draw training risk and test error against epoch."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import training_curves
from resnoise.summaries.runs import read_histories


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--histories", type=Path, nargs="+", required=True, help="history.csv files"
    )
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    histories = read_histories(file.parent for file in arguments.histories)
    training_curves.write(histories, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
