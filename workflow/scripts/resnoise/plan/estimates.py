"""Rough estimates of the time that a run takes, which a cluster must know before it starts one.

Standard library only, because the rules import this module too. No result depends on it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from resnoise import registry
from resnoise.specs.run import RunSpec

# Seconds per training picture and layer of width 16, in float32, forward and backward pass.
# CPU: one core of a server, measured with batch normalisation (350 pictures/s at depth 20).
# GPU: a card of 2017; for such small networks the time to launch kernels dominates.
_SECONDS = {"cpu": 1.4e-4, "cuda": 1e-5}
# Time relative to float32. float64 takes twice as long on CPUs and on GPUs for servers. On other
# GPUs it takes longer: set the runtime of the rule with --set-resources.
_PRECISION = {"float32": 1.0, "bfloat16": 1.0, "float64": 2.0}
# Seconds to start a job.
_START = 300.0
# Factor that makes the estimate generous.
_MARGIN = 2.0


def training_pictures(data: Mapping[str, Any]) -> int:
    """Return the number of training pictures under a configuration's section ``data``.

    If the size of the source is not known in advance, this is a guess: the number for ten classes,
    and at least that of CIFAR-10.
    """
    per_class: int | None = data["train_per_class"]
    source = registry.source(data["source"])
    if source.pictures is None or source.classes is None:
        return max(10 * (per_class or 0), 50_000)
    return source.pictures if per_class is None else source.classes * per_class


def evaluate_seconds(spec: RunSpec, pictures: int, device: str) -> float:
    """Return a generous estimate of the wall time for evaluating a run, in seconds.

    This is the estimate of training for one epoch. An evaluation needs less: forward passes only,
    of the weights before and after training, over training and test set.
    """
    one_epoch = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, epochs=1))
    return train_seconds(one_epoch, pictures, device)


def train_seconds(spec: RunSpec, pictures: int, device: str) -> float:
    """Return a generous estimate of the wall time for training a run, in seconds.

    Args:
        spec: the run.
        pictures: size of the training set.
        device: "cpu", "cuda" or "auto". "auto" counts as a GPU, because such jobs request one.
    """
    each = _SECONDS["cpu" if device == "cpu" else "cuda"]
    return _START + _MARGIN * pictures * each * train_work(spec)


def train_work(spec: RunSpec) -> float:
    """Return the work of a run for one training picture in all epochs.

    The unit is one layer of width 16 in float32. The times of two runs on the same computer have
    about the ratio of their work.
    """
    width = spec.network.width / 16
    # Half of the cost of width 16 does not depend on the width: the cost of calls, not arithmetic.
    layers = spec.network.depth * max(1.0, (1 + width * width) / 2)
    return spec.recipe.epochs * layers * _PRECISION[spec.recipe.precision]
