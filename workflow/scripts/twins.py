"""Train a residual network and the equal plain network in step; record how they drift apart."""

import argparse
import dataclasses
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.specs import results
from resnoise.specs.run import CHECKPOINT, RUN_FILES, RunSpec, plain_twin
from resnoise.storage.digests import digest_file, stamp


def main() -> None:
    """Read the command line and train both networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="RunSpec of the residual network as JSON")
    commandline.add_data(parser)
    for name in ("residual", "plain"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="output: folder of the run")
    parser.add_argument("--drift", type=Path, required=True, help="output: CSV with the drift")
    parser.add_argument(
        "--every-step-epochs", type=int, default=2, help="first epochs with the drift of each step"
    )
    parser.add_argument(
        "--mask-pictures", type=int, default=16, help="pictures to compare ReLU masks on"
    )
    commandline.add_training(parser)
    commandline.add_store(parser)
    arguments = parser.parse_args()
    residual = RunSpec.from_json(arguments.spec)
    specs = (residual, plain_twin(residual))
    plugins = {
        name
        for spec in specs
        for name in registry.plugin_modules(
            spec.network.architecture, spec.initialisation, spec.recipe.conv_backend
        )
    }
    pictures = dataset.load(arguments.data, arguments.data_spec)
    code = commandline.code(Path(__file__).name, "torch.yaml", *plugins)
    drift = {
        "every_step_epochs": arguments.every_step_epochs,
        "mask_pictures": arguments.mask_pictures,
    }

    def compute() -> None:
        # Imported here, because twins that the store has need no PyTorch.
        from resnoise.training.loop import train
        from resnoise.training.run import RunFiles
        from resnoise.training.twins import DriftRecorder

        train(
            specs,
            pictures,
            [RunFiles.in_folder(folder) for folder in (arguments.residual, arguments.plain)],
            device=arguments.device,
            threads=arguments.threads,
            cuda_graph=arguments.cuda_graph,
            code=code,
            observers=[DriftRecorder(arguments.drift, **drift)],
        )
        run = dataclasses.asdict(residual)
        stamp(arguments.drift, {"run": run, "metric": results.DRIFT, "spec": drift})

    outputs = {
        f"{folder.name}/{name}": folder / name
        for folder in (arguments.residual, arguments.plain)
        for name in RUN_FILES
    }
    outputs |= {file.name: file for file in (arguments.drift, digest_file(arguments.drift))}
    result = results.of_twins(residual, drift, pictures.digest, code)
    checkpoint = arguments.residual / CHECKPOINT
    if commandline.computed_once(arguments.store, result, outputs, compute, checkpoint):
        commandline.evaluate_too(arguments, arguments.residual, arguments.plain)


if __name__ == "__main__":
    commandline.execute(main, load=False)
