"""Evaluate a run's weights before and after training on the whole training and test set."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.metrics.evaluation import evaluate_run


def main() -> None:
    """Read the command line and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_run(parser)
    parser.add_argument("--output", type=Path, required=True, help="CSV")
    commandline.add_computing(parser)
    arguments = parser.parse_args()
    evaluate_run(
        arguments.record,
        arguments.weights,
        arguments.snapshots,
        dataset.load(arguments.data),
        arguments.output,
        device=arguments.device,
        threads=arguments.threads,
    )


if __name__ == "__main__":
    commandline.run(main)
