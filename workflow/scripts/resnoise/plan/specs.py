"""Build the specifications of data, runs, twins and measurements from the configuration."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from resnoise import registry
from resnoise.plan import grid
from resnoise.specs.base import Spec
from resnoise.specs.metrics import GradientFlowSpec
from resnoise.specs.run import DataSpec, NetworkSpec, RecipeSpec, RunSpec

AnySpec = TypeVar("AnySpec", bound=Spec)


def data_spec(config: Mapping[str, Any]) -> DataSpec:
    """Return the specification of the data set under a loaded configuration."""
    return section_spec(config["data"], DataSpec)


def section_spec(section: Mapping[str, Any], kind: type[AnySpec]) -> AnySpec:
    """Return the specification of class ``kind`` whose fields are keys of a section."""
    fields = [field.name for field in dataclasses.fields(kind)]
    return kind.from_dict({name: section[name] for name in fields})


def recipe_spec(config: Mapping[str, Any], architecture: str) -> RecipeSpec:
    """Return the training recipe of an architecture under a loaded configuration.

    Raises:
        ResnoiseError: there is no such architecture.
    """
    return RecipeSpec.from_dict(config["training"][registry.architecture(architecture).family])


def run_plugins(
    config: Mapping[str, Any], architecture: str, initialisation: str
) -> tuple[str, ...]:
    """Return the modules that training under a loaded configuration loads by name.

    Raises:
        ResnoiseError: there is no such architecture or initialisation.
    """
    recipe = recipe_spec(config, architecture)
    return registry.plugin_modules(architecture, initialisation, recipe.conv_backend)


def network_spec(config: Mapping[str, Any], architecture: str, depth: int) -> NetworkSpec:
    """Return the specification of a network under a loaded configuration.

    Raises:
        ResnoiseError: there is no such architecture.
    """
    registry.architecture(architecture)
    section = config["networks"]
    shortcut = section["shortcut"] if registry.has_shortcuts(architecture) else None
    return NetworkSpec(architecture, depth, section["width"], shortcut)


def run_spec(
    config: Mapping[str, Any], architecture: str, depth: int, initialisation: str, seed: int
) -> RunSpec:
    """Return the specification of a training run under a loaded configuration.

    Raises:
        ResnoiseError: there is no such architecture.
    """
    recipe = recipe_spec(config, architecture)
    if grid.Run(architecture, depth, initialisation, seed) in grid.gradient_flow_runs(config):
        measured = (epoch for epoch in config["gradient_flow"]["epochs"] if epoch < recipe.epochs)
        epochs = sorted({*recipe.snapshot_epochs, *measured})
        recipe = dataclasses.replace(recipe, snapshot_epochs=tuple(epochs))
    return RunSpec(
        network=network_spec(config, architecture, depth),
        initialisation=initialisation,
        seed=seed,
        recipe=recipe,
    )


def twin_spec(config: Mapping[str, Any], depth: int, seed: int) -> RunSpec:
    """Return the specification of the residual network in a pair of twins."""
    spec = run_spec(config, "residual", depth, "hmwi", seed)
    recipe = dataclasses.replace(
        spec.recipe,
        precision=config["twins"]["precision"],
        # Without the epochs that are added for measuring the gradient flow of single runs.
        snapshot_epochs=recipe_spec(config, "residual").snapshot_epochs,
    )
    return dataclasses.replace(spec, recipe=recipe)


def gradient_flow_spec(config: Mapping[str, Any], recipe: RecipeSpec) -> GradientFlowSpec:
    """Return the specification of a run's gradient flow under a loaded configuration.

    Its epochs are those of the configuration after which the run keeps its weights: all that are
    before the end of training for runs of the section ``gradient_flow``, perhaps none for others.
    """
    section = config["gradient_flow"]
    kept = {*recipe.snapshot_epochs} - {recipe.epochs}
    return GradientFlowSpec(
        samples=section["samples"],
        sample_seed=section["sample_seed"],
        precision=section["precision"],
        epochs=tuple(sorted(kept & {*section["epochs"]})),
    )
