"""Read the configuration, choose the results folder, and define what all rules refer to.

No other file of the rules reads the configuration.
"""

import os
import re
import shlex
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

from resnoise import registry
from resnoise.config import load as configuration
from resnoise.errors import ResnoiseError
from resnoise.plan import grid, studies

try:
    # Snakemake has read these files by itself, without looking for what is easily mistaken. Those
    # of a workflow that uses this one as a module are its own matter.
    if IS_MAIN:
        configuration.read(workflow.config_settings.configfiles)
    CONFIG = configuration.load(config)
except ResnoiseError as error:
    raise WorkflowError(f"the configuration has mistakes:\n{error}") from None


def end(message):
    """End with one line.

    For what a parameter or an input function finds, where Snakemake shows a WorkflowError with a
    traceback.
    """
    sys.exit(message)


def study_changes(given):
    """Return dotted key -> value of the keys given with --config that change results."""
    try:
        base = configuration.load(configuration.read(workflow.config_settings.configfiles))
    except ResnoiseError:
        # Not valid without the keys of the command line, so it can have no results to protect.
        base = None
    return studies.changes(given, CONFIG, base)


def check_container():
    """Raise WorkflowError if jobs are to run in an image that is not there: each would find out."""
    methods = workflow.deployment_settings.deployment_method
    image = CONFIG["container"]
    if DeploymentMethod.APPTAINER in methods and "://" not in image and not os.path.exists(image):
        raise WorkflowError(
            f"container: {image!r} given, but there is no such file; "
            f"`cd {shlex.quote(str(ROOT))} && apptainer build {shlex.quote(os.path.abspath(image))} "
            "envs/apptainer.def` builds it"
        )


if IS_MAIN and workflow.is_main_process:
    check_container()
    for warning in arguments.dropped(sys.argv[1:]):
        logger.warning(warning)

# Keys of --config that change results lead to another results folder, so that they replace none.
if IS_MAIN and (given := workflow.config_settings.config) and "results" not in given:
    if changed := study_changes(given):
        usual = CONFIG["results"]
        CONFIG["results"] = studies.folder(usual, changed)
        if workflow.is_main_process:
            logger.info(
                f"Because of --config, results go to {CONFIG['results']}; those in {usual} are not "
                "changed. Targets are names, such as table1, or files in the new folder. "
                "--config results=FOLDER chooses another folder."
            )

# Snakemake's own report reads `config` for captions, so complete it with the defaults.
config.update(CONFIG)

RUN = grid.FOLDER
TWINS = grid.TWIN_FOLDER
# Relative, because Snakemake remembers inputs by name: moving the checkout must make nothing stale.
PAPER = os.path.relpath(ROOT / "config" / "paper.yaml")
CONJECTURE = os.path.relpath(ROOT / "config" / "conjecture.yaml")
EXTERNAL = {network["name"]: network for network in CONFIG["external"]}


def save_configuration():
    """Write the configuration to its results folder; exit with one line if that is impossible."""
    try:
        configuration.save(CONFIG)
    except ResnoiseError as error:
        end(f"results: {CONFIG['results']!r} given, but it cannot be written to: {error}")
