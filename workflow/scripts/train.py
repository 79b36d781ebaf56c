"""Train one network, or with --describe print a summary of a network and stop."""

import argparse
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.specs import results
from resnoise.specs.run import CHECKPOINT, NetworkSpec, RunSpec
from resnoise.storage.digests import digest_file


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", help="what to train: a RunSpec as JSON")
    commandline.add_data(parser, required=False)
    parser.add_argument("--weights", type=Path, help="output: weights after training")
    parser.add_argument("--snapshots", type=Path, help="output: weights before and during training")
    parser.add_argument("--history", type=Path, help="output: CSV with a row per epoch")
    parser.add_argument("--record", type=Path, help="output: JSON record of the run")
    commandline.add_training(parser)
    commandline.add_store(parser)
    parser.add_argument(
        "--describe",
        metavar="NETWORK",
        help="print layers and parameter counts of a network such as residual-20, and stop",
    )
    parser.add_argument("--width", type=int, default=16, help="for --describe: channels of group 1")
    parser.add_argument("--classes", type=int, default=10, help="for --describe: classes")
    arguments = parser.parse_args()
    if arguments.describe:
        # Imported here because only --describe needs it; training does not depend on this module.
        from resnoise.networks import build, summary

        architecture, _, depth = arguments.describe.rpartition("-")
        if not depth.isdigit():
            parser.error(f"--describe {arguments.describe}: allowed is, for example, residual-20")
        network = build(NetworkSpec(architecture, int(depth), arguments.width), arguments.classes)
        print(summary.describe(network))
        return
    for name in ("spec", "data", "weights", "snapshots", "history", "record"):
        if getattr(arguments, name) is None:
            parser.error(f"--{name} is needed")
    spec = RunSpec.from_json(arguments.spec)
    pictures = dataset.load(arguments.data, arguments.data_spec)
    plugins = registry.plugin_modules(
        spec.network.architecture, spec.initialisation, spec.recipe.conv_backend
    )
    code = commandline.code(Path(__file__).name, "torch.yaml", *plugins)
    files = (arguments.weights, arguments.snapshots, arguments.history, arguments.record)

    def compute() -> None:
        # Imported here, because a run that the store has needs no PyTorch.
        from resnoise.training.loop import train
        from resnoise.training.run import RunFiles

        train(
            [spec],
            pictures,
            [RunFiles(*files)],
            device=arguments.device,
            threads=arguments.threads,
            cuda_graph=arguments.cuda_graph,
            code=code,
        )

    outputs = {file.name: file for file in (*files, digest_file(arguments.history))}
    result = results.of_run(spec, pictures.digest, code)
    checkpoint = arguments.weights.with_name(CHECKPOINT)
    if commandline.computed_once(arguments.store, result, outputs, compute, checkpoint):
        commandline.evaluate_too(arguments, arguments.record.parent)


if __name__ == "__main__":
    commandline.execute(main, load=False)
