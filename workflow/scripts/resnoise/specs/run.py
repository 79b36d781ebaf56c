"""What determines a result: immutable specifications, passed between rules and scripts as JSON.

The rules build them from the configuration, the scripts read them back. Whatever changes a number
stands in a specification; what does not (device, threads, progress) never does. The configuration
schema holds defaults, ranges and explanations; here are only names and types.
"""

import dataclasses

from resnoise.specs.base import Spec


@dataclasses.dataclass(frozen=True)
class DataSpec(Spec):
    """Which pictures form the data set (config section ``data``); their place does not count."""

    source: str
    sha256: str | None
    train_per_class: int | None
    test_per_class: int | None
    subset_seed: int


@dataclasses.dataclass(frozen=True)
class NetworkSpec(Spec):
    """An architecture of the registry in ``resnoise.networks`` and its size."""

    architecture: str
    depth: int
    width: int


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
    snapshot_epochs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class RunSpec(Spec):
    """One training run: everything that its weights depend on besides the data."""

    network: NetworkSpec
    initialisation: str
    seed: int
    recipe: RecipeSpec
