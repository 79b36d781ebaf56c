"""Write Table 5: dominant-path networks beside residual ones."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.tables.table5 import write_table5


def main() -> None:
    """Read the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    text = write_table5(arguments.evaluations, arguments.paper, arguments.csv, arguments.markdown)
    print(text)


if __name__ == "__main__":
    commandline.run(main)
