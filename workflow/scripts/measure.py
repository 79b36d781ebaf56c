"""Measure a finished run with a metric of the registry (METRICS in resnoise/registry.py)."""

import argparse
import dataclasses
import importlib
import json
from collections.abc import Sequence
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.specs import metrics as specs
from resnoise.specs import results
from resnoise.specs.run import RunSpec
from resnoise.storage.digests import stamp
from resnoise.trained.record import read_all_weights, read_record


def main(words: Sequence[str] | None = None) -> None:
    """Measure the run and write the files; ``words`` are the command line, None for that typed."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_measuring(parser)
    commandline.add_store(parser)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--expected", help="the run that should be there: a RunSpec as JSON")
    arguments = parser.parse_args(words)
    metric = registry.metric(arguments.name)
    pictures = dataset.load(arguments.data, arguments.data_spec)
    expected = RunSpec.from_json(arguments.expected) if arguments.expected else None
    record = read_record(arguments.run / "run.json", pictures.digest, expected)
    # What the store has is of these weights, so it is not used if they are damaged or others.
    weights = read_all_weights(arguments.run, record)
    script, spec = Path(__file__).name, record.spec
    modules = registry.network_modules(
        script, spec.network.architecture, spec.recipe.conv_backend, metric.module
    )
    code = commandline.code(script, "torch.yaml", *modules)
    outputs = commandline.by_suffix(arguments.output, ".csv")
    facts = {
        "run": dataclasses.asdict(record.spec),
        **record.digests,
        **{"metric": arguments.name, "spec": json.loads(arguments.spec), "code": code},
    }

    def compute() -> None:
        # Imported here, because a measurement that the store has needs no PyTorch.
        from resnoise.devices import Computing
        from resnoise.metrics import registered
        from resnoise.trained import run as trained

        run = trained.assembled(record, weights, pictures)
        computing = Computing(arguments.device, arguments.threads, arguments.memory_mb, code)
        if metric.spec is None:
            registered.measure_run(run, arguments.name, facts["spec"], outputs, computing)
        else:
            spec = getattr(specs, metric.spec).from_json(arguments.spec)
            importlib.import_module(metric.module).measure_run(run, spec, outputs, computing)
        for output in outputs:
            stamp(output, facts)

    commandline.computed_once(
        arguments.store,
        results.of_measurement(facts),
        {file.name: file for file in arguments.output},
        compute,
        outputs[0].with_name(f"{outputs[0].stem}_resume.safetensors"),
    )


if __name__ == "__main__":
    commandline.execute(main, load=False)
