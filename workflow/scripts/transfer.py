"""Transfer a residual run's weights to the equal plain network and compare the two functions."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.metrics.transfer_check import transfer_run
from resnoise.specs.run import RunSpec


def main() -> None:
    """Read the command line, transfer the weights and compare the networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expected", help="the run that should be there: a RunSpec as JSON")
    parser.add_argument("--record", type=Path, required=True, help="record of the residual run")
    parser.add_argument("--weights", type=Path, required=True, help="its weights after training")
    commandline.add_data(parser)
    parser.add_argument("--output", type=Path, required=True, help="plain weights to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON with the differences")
    commandline.add_computing(parser)
    arguments = parser.parse_args()
    transfer_run(
        arguments.record,
        arguments.weights,
        dataset.load(arguments.data, arguments.data_spec),
        arguments.output,
        arguments.report,
        device=arguments.device,
        threads=arguments.threads,
        expected=RunSpec.from_json(arguments.expected) if arguments.expected else None,
    )


if __name__ == "__main__":
    commandline.execute(main)
