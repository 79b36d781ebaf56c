"""The results folders of studies. A study is a configuration with keys changed by ``--config``.

Such keys must not replace the results of the unchanged configuration, which may have taken days. So
a study has a results folder of its own, unless the command line itself sets the results folder.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from resnoise.config.schema import leaves

FOLDER = "studies"

# Keys that change no number in a result (paths, devices, memory).
_NEUTRAL = {
    *("results", "store", "downloads", "device", "cuda_graph", "container"),
    *("data.mirrors", "data.retries"),
}
_NEUTRAL_NAMES = {"memory_mb"}
# Lists of additional networks: a list that only gets longer replaces no result.
_ADDITIONS = {"external", "runs"}

# In characters. File systems allow 255 bytes, but people want shorter names.
_LONGEST = 100


def changes(
    given: Mapping[str, Any], config: Mapping[str, Any], base: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return dotted key -> value of the keys of the command line that change results.

    Args:
        given: the keys of the command line, as they were given.
        config: the loaded configuration with these keys.
        base: the loaded configuration without these keys; None if it is not valid without them.
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
        results: results folder of the configuration without the keys of the command line.
        changed: the changed keys, as returned by ``changes``; at least one.
    """
    return f"{results}/{FOLDER}/{name(changed)}"


def name(changed: Mapping[str, Any]) -> str:
    """Return a folder name for changed keys, such as "training.simplified.learning_rate=0.001".

    Different changes have different names: a name that had to be shortened, or to lose characters,
    ends with a part of a SHA-256.
    """
    exact = ",".join(f"{key}={_text(value)}" for key, value in changed.items())
    readable = re.sub(r"[^\w.,=+-]+", "_", exact, flags=re.ASCII)
    if readable == exact and len(exact) <= _LONGEST:
        return exact
    digest = hashlib.sha256(exact.encode()).hexdigest()[:8]
    return f"{readable[:_LONGEST].rstrip('.,=_')}-{digest}"


def _text(value: Any) -> str:
    """Return a value as text: as in YAML, but lists of numbers are joined with hyphens."""
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        return "-".join(map(str, value))
    # Text with a comma or equals sign is put in quotes: it could look like another key.
    if isinstance(value, str) and not {*value} & {*",="}:
        return value
    return json.dumps(value, sort_keys=True)
