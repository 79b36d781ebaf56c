"""Write how the risk of plain networks from KWI and from T(HMWI) grows with depth (Figure 9)."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.summaries.runs import read_histories
from resnoise.tables.growth import write_growth


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--histories", type=Path, nargs="+", required=True, help="history.csv files"
    )
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    histories = read_histories(file.parent for file in arguments.histories)
    print(write_growth(histories, arguments.paper, arguments.csv, arguments.markdown))


if __name__ == "__main__":
    commandline.run(main)
