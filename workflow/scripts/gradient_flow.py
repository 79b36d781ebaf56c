"""Measure the dominant gradient flow of a run at each stage of its training."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.metrics.gradient_flow import measure_run
from resnoise.specs.metrics import GradientFlowSpec
from resnoise.trained import run as trained


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="what to measure: a GradientFlowSpec as JSON")
    commandline.add_run(parser)
    parser.add_argument("--output", type=Path, required=True, help="output: CSV with f_l")
    parser.add_argument("--features", type=Path, required=True, help="output: CSV with dR/da")
    commandline.add_computing(parser)
    arguments = parser.parse_args()
    run = trained.read(
        arguments.record, arguments.weights, arguments.snapshots, dataset.load(arguments.data)
    )
    measure_run(
        run,
        GradientFlowSpec.from_json(arguments.spec),
        arguments.output,
        arguments.features,
        device=arguments.device,
        threads=arguments.threads,
    )


if __name__ == "__main__":
    commandline.run(main)
