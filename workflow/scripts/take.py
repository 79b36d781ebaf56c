"""Take a finished run from another results folder instead of training it."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.specs.run import RunSpec
from resnoise.trained.taken import take


def main() -> None:
    """Read the command line and copy the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spec", required=True, help="the run that is asked for: a RunSpec as JSON"
    )
    parser.add_argument("--finished", type=Path, required=True, help="record of the finished run")
    parser.add_argument(
        "--record", type=Path, required=True, help="output: record; the run's other files beside it"
    )
    commandline.add_data(parser)
    arguments = parser.parse_args()
    pictures = dataset.load(arguments.data, arguments.data_spec)
    spec = RunSpec.from_json(arguments.spec)
    take(arguments.finished.parent, arguments.record.parent, spec, pictures)


if __name__ == "__main__":
    commandline.execute(main)
