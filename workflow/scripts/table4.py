"""Write Table 4: training risk and weight term before and after training."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.tables.table4 import write_table4


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statistics", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    folders = [file.parent for file in arguments.statistics]
    print(write_table4(folders, arguments.paper, arguments.csv, arguments.markdown))


if __name__ == "__main__":
    commandline.run(main)
