"""Where the results of a study go: a configuration in which the command line changes something.

Keys that are given with ``--config`` must not replace the results of the configuration as it stands
in its files: those may have taken days. So they lead to a folder of their own, unless the command
line says where results go.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from resnoise.config.schema import leaves

FOLDER = "studies"

# Keys that change no result (places, devices, budgets).
_NEUTRAL = {"results", "downloads", "device", "container", "data.mirrors", "data.retries"}
_NEUTRAL_NAMES = {"memory_mb"}
# Lists of what is made in addition to everything else: longer ones replace nothing.
_ADDITIONS = {"external", "runs"}

# File systems take 255 bytes for a name; people, fewer.
_LONGEST = 100


def changes(
    given: Mapping[str, Any], config: Mapping[str, Any], base: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return dotted key -> value of what the command line changes in the results.

    Args:
        given: the keys of the command line, as they were given.
        config: the loaded configuration with them.
        base: the loaded configuration without them; None if it is none without them.
    """
    values = leaves(config)
    before = {} if base is None else leaves(base)
    return {
        key: values[key]
        for key in sorted(leaves(given))
        if key in values
        and key not in _NEUTRAL
        and key.rpartition(".")[2] not in _NEUTRAL_NAMES
        and (key not in before or before[key] != values[key])
        and not (key in _ADDITIONS and all(item in values[key] for item in before.get(key, [])))
    }


def folder(results: str, changed: Mapping[str, Any]) -> str:
    """Return the results folder of a study.

    Args:
        results: results folder of the configuration without the command line.
        changed: what ``changes`` returned, not empty.
    """
    return f"{results}/{FOLDER}/{name(changed)}"


def name(changed: Mapping[str, Any]) -> str:
    """Return a name for what is changed, such as "training.simplified.learning_rate=0.001".

    Different changes have different names: where characters or words had to be left out, a part of
    a SHA-256 stands at the end.
    """
    exact = ",".join(f"{key}={_text(value)}" for key, value in changed.items())
    readable = re.sub(r"[^\w.,=+-]+", "_", exact, flags=re.ASCII)
    if readable == exact and len(exact) <= _LONGEST:
        return exact
    digest = hashlib.sha256(exact.encode()).hexdigest()[:8]
    return f"{readable[:_LONGEST].rstrip('.,=_')}-{digest}"


def _text(value: Any) -> str:
    """Return a value as it is written in YAML, lists of numbers with hyphens."""
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        return "-".join(map(str, value))
    # In quotes where it could be taken for another key.
    if isinstance(value, str) and not {*value} & {*",="}:
        return value
    return json.dumps(value, sort_keys=True)
