"""Which run a file belongs to: what it says itself, compared with what a job asked for.

A file with a valid digest can still be another run's, put there by hand. So every file of a run
says what it is of: ``run.json`` and the files of weights inside, a CSV file in the file with its
digest. Standard library only, because the rules import this module.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnoise.errors import ResnoiseError
from resnoise.storage.digests import read_json, read_stamp, text_digest

# In place of the digest of a file that belongs to no run.
NO_RUN = "-"
_RECORD = "run.json"
_NETWORK = "network.json"
# 32 bits tell files apart that were mixed up; the command lines of large tables stay short.
_DIGITS = 8


def digest(run: Mapping[str, Any], metric: str | None = None, spec: Any = None) -> str:
    """Return a short digest of a run and, for a measurement of it, of the metric and its keys.

    Args:
        run: the fields of its ``RunSpec``.
        metric: name of the metric; None for the files of the run itself.
        spec: the metric's specification or keys, JSON-like.
    """
    facts: dict[str, Any] = {"run": run}
    if metric is not None:
        facts |= {"metric": metric, "spec": spec}
    return text_digest(json.dumps(facts, sort_keys=True))[:_DIGITS]


def check(files: Sequence[Path], expected: Sequence[str] | None) -> None:
    """Check that files are of the runs and measurements that were asked for.

    Args:
        files: records, histories and measurements.
        expected: for each file, its ``digest``, or ``NO_RUN`` for no check of this one; None for no
            check at all.

    Raises:
        ResnoiseError: a file is of another run or measurement, says nothing of it, or does not
            belong to the record beside it.
    """
    if expected is None:
        return
    for file, wanted in zip(files, expected, strict=True):
        if wanted == NO_RUN:
            continue
        facts = of_file(file)
        if digest(facts["run"], facts.get("metric"), facts.get("spec")) != wanted:
            raise ResnoiseError(
                f"{file}: not of the run and the settings that this table or figure is made for, "
                f"but of {_words(facts)}; move or delete {_what(file)} and rerun"
            )
        check_beside(file)


def check_beside(file: Path) -> None:
    """Check that a CSV file belongs to the run or network whose record lies beside it.

    The record of a run may also lie one folder above. A file that does not say what it is of
    passes, and so does one without a record.

    Raises:
        ResnoiseError: it belongs to another run or network, or a file is damaged.
    """
    if file.with_name(_NETWORK).exists():
        _check_network(file)
        return
    records = [folder / _RECORD for folder in (file.parent, file.parent.parent)]
    record = next((place for place in records if place.exists()), None)
    if record is None or file.suffix != ".csv":
        return
    facts = read_stamp(file)
    if not facts or ("metric" in facts and "weights" not in facts):
        # The drift of twins is of two runs at once.
        return
    run = read_json(record)
    pairs = {
        "specification": (facts.get("run"), run.get("spec")),
        "data": (facts.get("data"), run.get("data_digest")),
        "weights": (facts.get("weights"), (run.get("files") or {}).get("weights")),
    }
    different = [name for name, (own, other) in pairs.items() if own is not None and own != other]
    if different:
        raise ResnoiseError(
            f"{file}: of another run than {record} (different {' and '.join(different)}); delete "
            f"{file.name} and rerun"
        )


def _check_network(file: Path) -> None:
    """Check that a measurement is of the network trained elsewhere whose record is beside it."""
    facts = read_stamp(file)
    if "network" not in facts:
        return
    network = read_json(file.with_name(_NETWORK))
    pairs = {"weights": ("file", "sha256"), "data": ("data", "data_digest")}
    different = [
        name for name, (own, other) in pairs.items() if facts.get(own) != network.get(other)
    ]
    if different:
        raise ResnoiseError(
            f"{file}: of another network than {_NETWORK} beside it (different "
            f"{' and '.join(different)}); delete {file.name} and rerun"
        )


def of_file(file: Path) -> dict[str, Any]:
    """Return what a file says it is of: "run" and, for a measurement, "metric" and "spec".

    Raises:
        ResnoiseError: the file is missing or damaged, or does not say it.
    """
    facts = {"run": read_json(file).get("spec")} if file.name == _RECORD else read_stamp(file)
    if not isinstance(facts.get("run"), dict):
        raise ResnoiseError(f"{file}: does not say which run it is of; delete it and rerun")
    return facts


def _words(facts: Mapping[str, Any]) -> str:
    """Return in words what a file is of."""
    run = facts["run"]
    try:
        network, recipe = run["network"], run["recipe"]
        text = (
            f"{network['architecture']}-{network['depth']} (width {network['width']}, "
            f"{run['initialisation']}, seed {run['seed']}, {recipe['epochs']} epochs, learning "
            f"rate {recipe['learning_rate']})"
        )
    except (KeyError, TypeError):
        text = "a run of another version of this project"
    if (metric := facts.get("metric")) is None:
        return text
    return f"{text}, {metric} with {json.dumps(facts.get('spec'), sort_keys=True)}"


def _what(file: Path) -> str:
    return f"the folder {file.parent}" if file.name in (_RECORD, "history.csv") else file.name
