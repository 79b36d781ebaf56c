"""The only place that reads the configuration; what the rules need of it."""

import functools
import math
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from resnoise import estimates, grid, registry
from resnoise import config as configuration
from resnoise.data.checksum import tree_digest
from resnoise.errors import ResnoiseError
from resnoise.provenance import code_digest, text_digest
from resnoise.specs import RunSpec

try:
    CONFIG = configuration.load(config)
except ResnoiseError as error:
    raise WorkflowError(f"the configuration has mistakes:\n{error}") from None

RUN = grid.FOLDER
CIFAR10 = f"{CONFIG['downloads']}/cifar-10-python.tar.gz"
# Relative, because Snakemake remembers inputs by name: moving the folder must make nothing stale.
PAPER = os.path.relpath(ROOT / "config" / "paper.yaml")
GPUS = 0 if CONFIG["device"] == "cpu" else 1


wildcard_constraints:
    architecture="|".join(registry.ARCHITECTURES),
    initialisation="|".join(registry.INITIALISATIONS),
    depth=r"\d+",
    seed=r"\d+",


def script(name):
    """Return a parameter that is the path of a script.

    Snakemake does not track parameters that depend on `output`, as this one says it does: what
    counts is the code in the script (see `code`), not the place of the checkout.
    """
    return lambda wildcards, output: str(SCRIPTS / name)


def code(script, environment, *plugins):
    """Return one string that changes when an edit of script or environment can change a result."""
    return f"{code_digest(script, *plugins)}-{text_digest(ROOT / 'envs' / environment)}"


def run_code(wildcards):
    """Return the digest of the code that trains a run: its own architecture and no other's."""
    plugins = registry.plugin_modules(wildcards.architecture, wildcards.initialisation)
    return code("train.py", "torch.yaml", *plugins)


def run_spec(wildcards):
    """Return the specification of a run as JSON."""
    return configuration.run_spec(
        CONFIG,
        wildcards.architecture,
        int(wildcards.depth),
        wildcards.initialisation,
        int(wildcards.seed),
    ).to_json()


def evaluate_code(wildcards):
    """Return the digest of the code that evaluates a run."""
    return code("evaluate.py", "torch.yaml", registry.architecture(wildcards.architecture).module)


def rising(amount):
    """Return a resource that grows with each attempt: a job killed for want of it gets more."""
    return lambda wildcards, attempt: attempt * amount


def train_minutes(wildcards, attempt):
    """Return a generous estimate of a run's wall time in minutes; a second attempt gets twice it."""
    spec = RunSpec.from_json(run_spec(wildcards))
    seconds = estimates.train_seconds(
        spec, estimates.training_pictures(CONFIG["data"]), CONFIG["device"]
    )
    return attempt * math.ceil(seconds / 60)


def data_path():
    """Return the file or folder that the data set is made from, or None for a built-in one."""
    if CONFIG["data"]["source"] == "cifar10":
        return CIFAR10
    return CONFIG["data"]["path"]


def source_option(wildcards, input):
    """Return the option that names the source; taking `input` keeps its place out of staleness."""
    return ["--source", data_path()] if data_path() else []


def download_options(wildcards, output):
    """Return where to download from; taking `output` keeps a new mirror from downloading again."""
    data = CONFIG["data"]
    sha256 = ["--sha256", data["sha256"]] if data["sha256"] else []
    return ["--mirrors", *data["mirrors"], "--retries", data["retries"], *sha256]


def data_archive():
    """Return the archive that the data set is made from, as a list of input files."""
    path = data_path()
    return [path] if path and not Path(path).is_dir() else []


@functools.cache
def folder_digest(path):
    """Return the digest of a folder; Snakemake itself sees changes of files only."""
    try:
        return tree_digest(Path(path))
    except ResnoiseError as error:
        raise WorkflowError(f"data.path: {error}") from None


def data_folder_digest(wildcards):
    """Return the digest of the folder of pictures, if the data set is made from one."""
    path = data_path()
    return folder_digest(path) if path and Path(path).is_dir() else ""


def run_files(runs, name):
    """Return the file called name of every run."""
    return [f"{CONFIG['results']}/{run.folder}/{name}" for run in runs]
