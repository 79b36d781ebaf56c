"""Simulate the dominant gradient flow of the trivial case (appendix D.4.1)."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.specs.theory import TrivialCaseSpec
from resnoise.storage import csvfile
from resnoise.theory.trivial_case import sweep


def main() -> None:
    """Read the command line, run the simulation and write its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="what to simulate: a TrivialCaseSpec as JSON")
    parser.add_argument("--output", type=Path, required=True, help="output: CSV")
    arguments = parser.parse_args()
    table = sweep(TrivialCaseSpec.from_json(arguments.spec))
    csvfile.write(arguments.output, table)


if __name__ == "__main__":
    commandline.execute(main)
