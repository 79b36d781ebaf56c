"""Train a residual network and the equal plain network in step; record how they drift apart."""

import argparse
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.provenance import code_digest
from resnoise.specs.run import RunSpec
from resnoise.training.loop import train
from resnoise.training.run import RunFiles
from resnoise.training.twins import DriftRecorder, plain_twin


def main() -> None:
    """Read the command line and train both networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="RunSpec of the residual network as JSON")
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
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
    arguments = parser.parse_args()
    residual = RunSpec.from_json(arguments.spec)
    specs = (residual, plain_twin(residual))
    plugins = {
        name
        for spec in specs
        for name in registry.plugin_modules(spec.network.architecture, spec.initialisation)
    }
    drift = DriftRecorder(
        arguments.drift,
        every_step_epochs=arguments.every_step_epochs,
        mask_pictures=arguments.mask_pictures,
    )
    train(
        specs,
        dataset.load(arguments.data),
        [RunFiles.in_folder(folder) for folder in (arguments.residual, arguments.plain)],
        device=arguments.device,
        threads=arguments.threads,
        cuda_graph=arguments.cuda_graph,
        code=code_digest(Path(__file__).name, *plugins),
        observers=[drift],
    )


if __name__ == "__main__":
    commandline.run(main)
