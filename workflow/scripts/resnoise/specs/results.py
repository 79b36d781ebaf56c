"""What determines each result that is kept: the identities of the store (``storage.store``).

Standard library only, like the specifications.
"""

from collections.abc import Mapping
from typing import Any

from resnoise.specs.run import DataSpec, RunSpec

# Name, in place of a metric's, of the drift of twins.
DRIFT = "drift"


# What the entry of a prepared data set says that it is.
DATA = "data"


def of_data(spec: DataSpec, code: str) -> dict[str, Any]:
    """Return the identity of a prepared data set; ``spec`` has the digest of its source."""
    return {"result": DATA, "spec": spec.to_json(), "code": code}


def of_run(spec: RunSpec, data: str, code: str) -> dict[str, Any]:
    """Return the identity of a training run in the store (``resnoise.storage.store``).

    Args:
        spec: the run.
        data: digest of the data set.
        code: digest of the code.
    """
    return {"result": "run", "spec": spec.to_json(), "data": data, "code": code}


def of_twins(residual: RunSpec, drift: Mapping[str, Any], data: str, code: str) -> dict[str, Any]:
    """Return the identity of a pair of twins in the store; ``drift`` says how it is recorded."""
    return {**of_run(residual, data, code), "result": "twins", "drift": dict(drift)}


def of_measurement(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a measurement in the store.

    Args:
        facts: digests of "weights", "snapshots", "data" and "code", name of the "metric", its
            "spec"; "run" does not count, because the digest of the weights covers it.
    """
    return {"result": "measurement", **{key: facts[key] for key in sorted(facts) if key != "run"}}
