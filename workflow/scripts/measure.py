"""Measure a finished run with a metric of the registry."""

import argparse
from pathlib import Path

from resnoise import commandline, trained
from resnoise.data import dataset
from resnoise.metrics.registered import measure_run


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metric", required=True, help="a name in METRICS of the registry")
    parser.add_argument("--record", type=Path, required=True, help="record of the run")
    parser.add_argument("--weights", type=Path, required=True, help="weights after training")
    parser.add_argument("--snapshots", type=Path, required=True, help="weights before and during")
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--output", type=Path, required=True, help="CSV")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
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
