"""Read the record (``run.json``) and the weights of a finished run, without PyTorch."""

import dataclasses
from pathlib import Path

import numpy as np

from resnoise.errors import ResnoiseError
from resnoise.specs.run import RunSpec
from resnoise.storage import tensorfile
from resnoise.storage.digests import read_json

# Names of a run's files of weights, without suffix.
WEIGHT_FILES = ("weights", "snapshots")


@dataclasses.dataclass(frozen=True)
class Record:
    """The parts of a run's record that measurements need.

    Attributes:
        spec: specification of the run.
        status: "done" or "diverged".
        identity: metadata that the run's files of weights must have: its specification, data digest
            and code digest.
        digests: "weights" and "snapshots" -> digest that these files must have, and "data" -> the
            digest of the data set.
    """

    spec: RunSpec
    status: str
    identity: dict[str, str]
    digests: dict[str, str]


def read_record(file: Path, data: str, expected: RunSpec | None = None) -> Record:
    """Read the record of a run.

    Args:
        file: the record (JSON).
        data: digest of the data set that the run should have been trained on.
        expected: the run that should be there; None for any.

    Raises:
        ResnoiseError: the record is damaged, belongs to another run than ``expected``, or the run
            was trained on other data.
    """
    facts = read_json(file)
    try:
        spec = RunSpec.from_dict(facts["spec"])
        identity = {
            "spec": spec.to_json(),
            "data": facts["data_digest"],
            "code": facts["code_digest"],
        }
        digests = {name: facts["files"][name] for name in WEIGHT_FILES}
        status = facts["status"]
    except (KeyError, TypeError, ResnoiseError) as error:
        raise ResnoiseError(
            f"{file}: not the record of a run, delete it and rerun ({error})"
        ) from error
    if expected is not None and spec != expected:
        raise ResnoiseError(
            f"{file}: another run than the one asked for, with {differences(spec, expected)}; "
            f"move or delete the folder {file.parent} and rerun"
        )
    if identity["data"] != data:
        raise ResnoiseError(f"{file}: the run was trained on other data, train it again")
    return Record(spec, status, identity, {**digests, "data": data})


def read_weights(file: Path, record: Record, kind: str) -> dict[str, np.ndarray]:
    """Read a file of weights of the run with the given record.

    Args:
        file: the file.
        record: the record.
        kind: "weights" or "snapshots".

    Raises:
        ResnoiseError: the file is damaged, or belongs to another run.
    """
    weights, identity, digest = tensorfile.load(file)
    different = [key for key, value in record.identity.items() if identity.get(key) != value]
    if not different and digest != record.digests[kind]:
        different = ["digest"]
    if different:
        raise ResnoiseError(
            f"{file}: these weights belong to another run than run.json beside them "
            f"(different {' and '.join(different)}), delete both and train again"
        )
    return weights


def read_all_weights(folder: Path, record: Record) -> dict[str, dict[str, np.ndarray]]:
    """Read both files of weights in the folder of a run; see ``read_weights``.

    Returns:
        "weights" and "snapshots" -> the arrays of that file.
    """
    return {
        kind: read_weights(folder / f"{kind}.safetensors", record, kind) for kind in WEIGHT_FILES
    }


def differences(found: RunSpec, expected: RunSpec) -> str:
    """Return in words in which fields two runs differ, such as "seed 1 instead of 2"."""
    pairs = []
    for one, two in ((found, expected), (found.network, expected.network)):
        pairs += _fields(one, two)
    pairs += _fields(found.recipe, expected.recipe)
    return ", ".join(f"{name} {one} instead of {two}" for name, one, two in pairs)


def _fields(one: object, two: object) -> list[tuple[str, object, object]]:
    """Return (name, value, other value) of the fields in which two specifications differ."""
    values = ((field, getattr(one, field), getattr(two, field)) for field in vars(one))
    return [pair for pair in values if pair[1] != pair[2] and not dataclasses.is_dataclass(pair[1])]
