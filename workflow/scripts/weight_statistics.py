"""Measure the distribution of a finished run's weights."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.metrics.weight_statistics import measure_run
from resnoise.specs.metrics import WeightStatisticsSpec
from resnoise.trained import run as trained


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="how: WeightStatisticsSpec as JSON")
    commandline.add_run(parser)
    parser.add_argument("--output", type=Path, required=True, help="CSV of statistics")
    parser.add_argument("--histogram", type=Path, required=True, help="CSV of histograms")
    arguments = parser.parse_args()
    run = trained.read(
        arguments.record, arguments.weights, arguments.snapshots, dataset.load(arguments.data)
    )
    measure_run(
        run, WeightStatisticsSpec.from_json(arguments.spec), arguments.output, arguments.histogram
    )


if __name__ == "__main__":
    commandline.run(main)
