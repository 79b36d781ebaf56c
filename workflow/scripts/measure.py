"""Measure a finished run with a metric of the registry."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.metrics.registered import measure_run
from resnoise.trained import run as trained


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metric", required=True, help="a name in METRICS of the registry")
    commandline.add_run(parser)
    parser.add_argument("--output", type=Path, required=True, help="CSV")
    commandline.add_computing(parser)
    arguments = parser.parse_args()
    run = trained.read(
        arguments.record, arguments.weights, arguments.snapshots, dataset.load(arguments.data)
    )
    measure_run(
        run,
        arguments.metric,
        arguments.output,
        device=arguments.device,
        threads=arguments.threads,
    )


if __name__ == "__main__":
    commandline.run(main)
