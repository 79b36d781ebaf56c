"""Write the table of interlayer cushions of single blocks, residual beside plain networks."""

import argparse
from pathlib import Path

from resnoise import commandline, interlayer_statistics
from resnoise.tables import read_paper


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, nargs="+", required=True, help="CSV files of runs")
    parser.add_argument("--paper", type=Path, required=True, help="the paper's numbers (YAML)")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    text = interlayer_statistics.write(
        interlayer_statistics.read(file.parent for file in arguments.cushions),
        read_paper(arguments.paper)["interlayer_cushion"],
        arguments.csv,
        arguments.markdown,
        "Interlayer cushions of blocks",
    )
    print(text)


if __name__ == "__main__":
    commandline.run(main)
