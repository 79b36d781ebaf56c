"""Describe a network that was trained elsewhere, or measure it with a metric of the registry."""

import argparse
import importlib
import json
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.devices import Computing
from resnoise.specs import metrics as specs
from resnoise.storage import csvfile
from resnoise.storage.digests import stamp
from resnoise.trained import external

# Given in place of a metric's name: describe the network (facts about it and its test error).
NETWORK = "network"


def main() -> None:
    """Read the command line, the network and the pictures; write the description or the metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    commandline.add_measuring(parser)
    parser.add_argument("--network", required=True, help="the network: ExternalSpec as JSON")
    parser.add_argument("--state-dict", type=Path, help="file with the network's weights")
    parser.add_argument(
        "--module", type=Path, help="Python file that defines the network; its code is executed"
    )
    parser.add_argument(
        "--must-be-defined", action="store_true", help="of call_flow: else it is an error"
    )
    arguments = parser.parse_args()
    metric = None if arguments.name == NETWORK else registry.metric(arguments.name)
    plugins = [metric.module] if metric else []
    code = commandline.code(Path(__file__).name, "external.yaml", *plugins)
    computing = Computing(arguments.device, arguments.threads, arguments.memory_mb, code)
    device = computing.set_up()
    network = external.read(
        specs.ExternalSpec.from_json(arguments.network),
        arguments.state_dict,
        dataset.load(arguments.data, arguments.data_spec),
        arguments.module,
        device,
    )
    if metric is None:
        external.describe(network, arguments.output[0], device)
        return
    module = importlib.import_module(metric.module)
    outputs = commandline.by_suffix(arguments.output, ".csv")
    if metric.spec is None:
        csvfile.write(outputs[0], module.measure(network, device))
    else:
        spec = getattr(specs, metric.spec).from_json(arguments.spec)
        # Only spans begin and end somewhere, and only the flow may not be defined.
        keys = {
            "interlayer_cushion": {"between": network.spec.between},
            "call_flow": {"required": arguments.must_be_defined},
        }
        more = keys.get(arguments.name, {})
        module.measure_run(network, spec, outputs, computing, **more)
    measured = {"metric": arguments.name, "spec": json.loads(arguments.spec), "code": code}
    for output in outputs:
        stamp(output, {**network.digests, **measured})


if __name__ == "__main__":
    commandline.execute(main)
