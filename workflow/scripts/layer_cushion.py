"""Measure the layer cushions of a finished run."""

import argparse
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.metrics.layer_cushion import measure_run
from resnoise.provenance import code_digest
from resnoise.specs.metrics import LayerCushionSpec
from resnoise.trained import run as trained


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="what to measure: LayerCushionSpec as JSON")
    commandline.add_run(parser)
    parser.add_argument("--output", type=Path, required=True, help="CSV")
    commandline.add_computing(parser)
    parser.add_argument(
        "--memory-mb", type=int, default=500, help="budget for activations (default 500)"
    )
    arguments = parser.parse_args()
    run = trained.read(
        arguments.record, arguments.weights, arguments.snapshots, dataset.load(arguments.data)
    )
    module = registry.architecture(run.spec.network.architecture).module
    measure_run(
        run,
        LayerCushionSpec.from_json(arguments.spec),
        arguments.output,
        device=arguments.device,
        threads=arguments.threads,
        memory_mb=arguments.memory_mb,
        code=code_digest(Path(__file__).name, module),
    )


if __name__ == "__main__":
    commandline.run(main)
