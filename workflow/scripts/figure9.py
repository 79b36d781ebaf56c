"""Draw Figure 9: risk against epoch of plain networks from KWI and from T(HMWI)."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure9
from resnoise.summaries.runs import read_histories


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--histories", type=Path, nargs="+", required=True, help="history.csv files"
    )
    commandline.add_figure(parser, data="data of panel (a)")
    parser.add_argument(
        "--difference-csv", type=Path, required=True, help="output: data of panel (b)"
    )
    arguments = parser.parse_args()
    histories = read_histories(file.parent for file in arguments.histories)
    figure9.write(histories, arguments.pdf, arguments.png, arguments.csv, arguments.difference_csv)


if __name__ == "__main__":
    commandline.run(main)
