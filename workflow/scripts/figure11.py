"""Draw f of the trivial case against its parameters."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.figures import figure11
from resnoise.storage import csvfile


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulation", type=Path, required=True, help="trivial_case.csv")
    commandline.add_figure(parser)
    arguments = parser.parse_args()
    table = csvfile.read(arguments.simulation, "the trivial case")
    figure11.write(table, arguments.pdf, arguments.png, arguments.csv)


if __name__ == "__main__":
    commandline.run(main)
