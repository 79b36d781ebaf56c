"""Specifications of the data set and of training runs, passed from rules to scripts as JSON.

The rules build them from the configuration, and the scripts read them. A specification holds all
settings that affect a number in a result, and none of those that do not (device, threads,
progress). Defaults, ranges and explanations of the keys are in the configuration's schema.
"""

import dataclasses

from resnoise.errors import ResnoiseError
from resnoise.specs.base import Spec

# What an unfinished run continues from, in its folder.
CHECKPOINT = "resume.safetensors"
# The files of a finished run there.
RUN_FILES = (
    "weights.safetensors",
    "snapshots.safetensors",
    "history.csv",
    "history.csv.sha256",
    "run.json",
)
# Key of the record of a run from elsewhere: digest of the pictures that it was trained on.
TRAINED_ON = "trained_on"


@dataclasses.dataclass(frozen=True)
class DataSpec(Spec):
    """The pictures of the data set (config section ``data``), without the path of their file.

    ``scaling`` is what makes inputs of pixel values: one of ``resnoise.data.dataset.SCALINGS``.
    """

    source: str
    sha256: str | None
    train_per_class: int | None
    test_per_class: int | None
    subset_seed: int
    scaling: str = "standardised"


@dataclasses.dataclass(frozen=True)
class NetworkSpec(Spec):
    """An architecture (a name in ``resnoise.registry.ARCHITECTURES``) with its depth and width.

    ``shortcut`` is the kind of shortcut where channels double, for fully-fledged residual networks;
    None for all others, and for the kind that the architecture has by itself.
    """

    architecture: str
    depth: int
    width: int
    shortcut: str | None = None


@dataclasses.dataclass(frozen=True)
class RecipeSpec(Spec):
    """How a network is trained (config section ``training``; the schema explains each key)."""

    epochs: int
    batch_size: int
    learning_rate: float
    milestones: tuple[float, ...]
    decay_factor: float
    momentum: float
    penalty: float
    penalty_divided_by_batch: bool
    penalty_on_biases: bool
    penalty_on_transferred: bool
    crop_padding: int
    horizontal_flip: bool
    precision: str
    allow_tf32: bool
    compile: bool
    conv_backend: str
    epoch_risk: str
    snapshot_epochs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class RunSpec(Spec):
    """One training run: everything that determines its weights, except the data."""

    network: NetworkSpec
    initialisation: str
    seed: int
    recipe: RecipeSpec


def plain_twin(residual: RunSpec) -> RunSpec:
    """Return the run of the plain network that equals a residual one.

    Raises:
        ResnoiseError: ``residual`` is no residual network from Hardt-Ma initialisation.
    """
    if (residual.network.architecture, residual.initialisation) != ("residual", "hmwi"):
        raise ResnoiseError(
            f"{residual.to_json()} given to be trained with its plain twin, allowed: the "
            "architecture residual with the initialisation hmwi"
        )
    network = dataclasses.replace(residual.network, architecture="plain")
    return dataclasses.replace(residual, network=network, initialisation="t-hmwi")
