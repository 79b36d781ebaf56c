"""What determines a result: immutable specifications, passed between rules and scripts as JSON.

The rules build them from the configuration, the scripts read them back. Whatever changes a number
stands in a specification; what does not (device, threads, progress) never does. The configuration
schema holds defaults, ranges and explanations; here are only names and types. This module uses the
standard library only, because the rules import it too.
"""

import dataclasses
import json
from typing import Any, Self

from resnoise.errors import ResnoiseError


@dataclasses.dataclass(frozen=True)
class Spec:
    """Base of all specifications: a dataclass that goes to JSON and back without loss."""

    def to_json(self) -> str:
        """Return one line of JSON with sorted keys: equal specifications give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the specification that ``to_json`` wrote.

        Raises:
            ResnoiseError: the text is not JSON, or a key is missing or unknown.
        """
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ResnoiseError(f"--spec is not JSON: {error}") from error
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Return the specification with the fields of ``value``, nested ones included."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(value, dict) or value.keys() != fields.keys():
            found = sorted(value) if isinstance(value, dict) else repr(value)
            raise ResnoiseError(
                f"a {cls.__name__} needs exactly the keys {sorted(fields)}, not {found}"
            )
        arguments = {}
        for name, item in value.items():
            kind = fields[name]
            if isinstance(kind, type) and issubclass(kind, Spec):
                item = kind.from_dict(item)
            elif isinstance(item, list):
                item = tuple(item)
            arguments[name] = item
        return cls(**arguments)


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
