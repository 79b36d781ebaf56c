"""Measure the cushions of a network that was trained elsewhere."""

import argparse
from pathlib import Path

from resnoise import commandline
from resnoise.data import dataset
from resnoise.metrics import interlayer_cushion, layer_cushion
from resnoise.provenance import code_digest
from resnoise.specs.metrics import ExternalSpec, InterlayerCushionSpec, LayerCushionSpec
from resnoise.trained import external


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metric", choices=("layer", "interlayer"), help="which cushions")
    parser.add_argument("--network", required=True, help="the network: ExternalSpec as JSON")
    parser.add_argument("--spec", required=True, help="what to measure, as JSON")
    parser.add_argument("--state-dict", type=Path, required=True, help="the network's file")
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--output", type=Path, required=True, help="CSV")
    commandline.add_computing(parser)
    parser.add_argument(
        "--memory-mb", type=int, default=500, help="budget for activations (default 500)"
    )
    arguments = parser.parse_args()
    network = external.read(
        ExternalSpec.from_json(arguments.network),
        arguments.state_dict,
        dataset.load(arguments.data),
    )
    common = {
        "device": arguments.device,
        "threads": arguments.threads,
        "memory_mb": arguments.memory_mb,
        "code": code_digest(Path(__file__).name),
    }
    if arguments.metric == "layer":
        layer_spec = LayerCushionSpec.from_json(arguments.spec)
        layer_cushion.measure_run(network, layer_spec, arguments.output, **common)
    else:
        spec = InterlayerCushionSpec.from_json(arguments.spec)
        interlayer_cushion.measure_run(network, spec, arguments.output, **common)


if __name__ == "__main__":
    commandline.run(main)
