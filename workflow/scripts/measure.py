"""Measure a finished run with a metric of the registry (METRICS in resnoise/registry.py)."""

import argparse
import importlib
import json
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.devices import Computing
from resnoise.metrics import registered
from resnoise.provenance import code_digest
from resnoise.specs import metrics as specs
from resnoise.trained import run as trained


def main() -> None:
    """Read the command line, measure the run and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_measuring(parser)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    arguments = parser.parse_args()
    metric = registry.metric(arguments.name)
    run = trained.read(arguments.run, dataset.load(arguments.data))
    architecture = registry.architecture(run.spec.network.architecture)
    code = code_digest(Path(__file__).name, metric.module, architecture.module)
    computing = Computing(arguments.device, arguments.threads, arguments.memory_mb, code)
    outputs = commandline.by_suffix(arguments.output, ".csv")
    if metric.spec is None:
        keys = json.loads(arguments.spec)
        registered.measure_run(run, arguments.name, keys, outputs, computing)
    else:
        spec = getattr(specs, metric.spec).from_json(arguments.spec)
        importlib.import_module(metric.module).measure_run(run, spec, outputs, computing)


if __name__ == "__main__":
    commandline.run(main)
