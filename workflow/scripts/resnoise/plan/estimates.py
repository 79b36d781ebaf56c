"""How long a run takes, roughly: what a cluster needs to know before it starts one.

Standard library only, because the rules import this module too. No result depends on it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from resnoise import registry
from resnoise.specs.run import RunSpec

# Seconds for one training picture in one layer of width 16 in float32, with the backward pass.
# CPU: one core of a server, measured with batch normalisation (350 pictures/s at depth 20).
# GPU: what a card of 2017 needs; such small networks are bound by the launch of kernels.
_SECONDS = {"cpu": 1.4e-4, "cuda": 1e-5}
# float64 runs at half the speed of a CPU or a large card; small cards need --set-resources.
_PRECISION = {"float32": 1.0, "bfloat16": 1.0, "float64": 2.0}
_START = 300.0
_MARGIN = 2.0


def training_pictures(data: Mapping[str, Any]) -> int:
    """Return how many training pictures the section ``data`` of a configuration leads to.

    For sources of any size at least as many as CIFAR-10 has, for any number of classes.
    """
    per_class: int | None = data["train_per_class"]
    known = registry.source(data["source"]).pictures
    if known is None:
        return max(10 * (per_class or 0), 50_000)
    return known if per_class is None else 10 * per_class


def evaluate_seconds(spec: RunSpec, pictures: int, device: str) -> float:
    """Return a generous estimate of how long the evaluation of a run takes, as train_seconds does.

    Forward passes only, of the weights before and after training, over training and test set.
    """
    one_epoch = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, epochs=1))
    return train_seconds(one_epoch, pictures, device)


def train_seconds(spec: RunSpec, pictures: int, device: str) -> float:
    """Return a generous estimate of a run's wall time in seconds.

    Args:
        spec: the run.
        pictures: size of the training set.
        device: "cpu", "cuda" or "auto", which counts as a GPU, since that is what it asks for.
    """
    each = _SECONDS["cpu" if device == "cpu" else "cuda"]
    return _START + _MARGIN * pictures * each * train_work(spec)


def train_work(spec: RunSpec) -> float:
    """Return how much there is to compute in a run for one training picture, in all epochs.

    In layers of width 16 in float32: two runs on one computer take times of about this ratio.
    """
    width = spec.network.width / 16
    # Half of the cost is there at any width: small networks are bound by calls, not arithmetic.
    layers = spec.network.depth * max(1.0, (1 + width * width) / 2)
    return spec.recipe.epochs * layers * _PRECISION[spec.recipe.precision]
