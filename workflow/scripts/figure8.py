"""Draw Figure 8: risk against epoch and test error against risk, plain and residual networks."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure8
from resnoise.summaries.runs import read_histories


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--histories", type=Path, nargs="+", required=True, help="history.csv files"
    )
    commandline.add_figure(parser, data="data of panel (a)")
    parser.add_argument("--equal-csv", type=Path, required=True, help="output: data of panel (b)")
    arguments = parser.parse_args()
    histories = read_histories(file.parent for file in arguments.histories)
    figure8.write(histories, arguments.pdf, arguments.png, arguments.csv, arguments.equal_csv)


if __name__ == "__main__":
    commandline.run(main)
