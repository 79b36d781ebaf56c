"""Which run, and which measurement of it, the configuration expects in a file of the results.

Standard library only, because the rules import this module.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from resnoise import registry
from resnoise.plan import grid, specs
from resnoise.specs import metrics as metric_specs
from resnoise.specs import results
from resnoise.specs.base import Spec
from resnoise.specs.run import RecipeSpec, RunSpec, plain_twin
from resnoise.storage import identity

# Files of a measurement that are not called like the metric.
_FURTHER_FILES = {"weight_histogram": "weight_statistics", "feature_gradients": "gradient_flow"}
_OF_RUN = ("run.json", "history.csv")


# Files below the folder of a run, and of a pair of twins.
_RUN, _TWIN = (
    re.compile(f"{grid.pattern(folder).pattern}/(.+)") for folder in (grid.FOLDER, grid.TWIN_FOLDER)
)


def run_of(config: Mapping[str, Any], file: str) -> RunSpec | None:
    """Return the run that a file belongs to, None for a file of no run.

    Args:
        config: a loaded configuration.
        file: path below the results folder. Files of a pair of twins themselves belong to the
            residual network.
    """
    if found := _RUN.fullmatch(file):
        architecture, depth, initialisation, seed, _ = found.groups()
        if architecture in registry.ARCHITECTURES:
            return specs.run_spec(config, architecture, int(depth), initialisation, int(seed))
    elif found := _TWIN.fullmatch(file):
        depth, seed, name = found.groups()
        residual = specs.twin_spec(config, int(depth), int(seed))
        return plain_twin(residual) if name.startswith("plain/") else residual
    return None


def digest(config: Mapping[str, Any], file: str) -> str:
    """Return the digest that ``storage.identity.check`` compares with what a file says it is of.

    Args:
        config: a loaded configuration.
        file: path below the results folder.
    """
    run = run_of(config, file)
    path = PurePosixPath(file)
    if run is None or path.suffix not in (".csv", ".json"):
        return identity.NO_RUN
    fields = dataclasses.asdict(run)
    if path.name in _OF_RUN:
        return identity.digest(fields)
    if path.name == "drift.csv":
        keys = ("every_step_epochs", "mask_pictures")
        return identity.digest(fields, results.DRIFT, {key: config["twins"][key] for key in keys})
    metric = _FURTHER_FILES.get(path.stem, path.stem)
    if metric not in registry.METRICS:
        return identity.NO_RUN
    spec = json.loads(metric_spec(config, metric, run.recipe))
    return identity.digest(fields, metric, spec)


def metric_spec(config: Mapping[str, Any], metric: str, recipe: RecipeSpec | None = None) -> str:
    """Return the specification of a metric of the registry as JSON.

    That of the gradient flow depends on the recipe of the run that is measured; others do not.

    For a metric without a class of specification, these are all keys of the configuration section
    with its name, if there is one.
    """
    if metric == "gradient_flow":
        assert recipe is not None
        return specs.gradient_flow_spec(config, recipe).to_json()
    section = config.get(metric, {})
    if kind := registry.METRICS[metric].spec:
        spec: Spec = specs.section_spec(section, getattr(metric_specs, kind))
        return spec.to_json()
    return json.dumps(section, sort_keys=True)
