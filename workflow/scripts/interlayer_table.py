"""Write the table of interlayer cushions of single blocks, residual beside plain networks."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.summaries import interlayer_cushion as interlayer_statistics
from resnoise.summaries.published import read_paper
from resnoise.tables.interlayer_cushion import write


def main() -> None:
    """Read the command line, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cushions", type=Path, nargs="+", required=True, help="CSV files of runs")
    parser.add_argument("--external", type=Path, help="facts of the network, if it is no run's")
    parser.add_argument("--paper", type=Path, help="the paper's numbers (YAML)")
    parser.add_argument("--csv", type=Path, required=True, help="output: table as CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="output: table to read")
    arguments = parser.parse_args()
    if arguments.external:
        (cushions,) = arguments.cushions
        rows = interlayer_statistics.read_external(cushions, arguments.external)
    else:
        rows = interlayer_statistics.read(file.parent for file in arguments.cushions)
    text = write(
        rows,
        read_paper(arguments.paper)["interlayer_cushion"] if arguments.paper else None,
        arguments.csv,
        arguments.markdown,
        "Interlayer cushions of blocks",
    )
    print(text)


if __name__ == "__main__":
    commandline.run(main)
