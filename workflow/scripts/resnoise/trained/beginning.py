"""The weights before training, which follow from a run's specification and need not be kept."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from resnoise.data.dataset import Dataset
from resnoise.errors import ResnoiseError
from resnoise.initialisations import initial_network
from resnoise.specs.run import RunSpec
from resnoise.training.checkpoint import Weights, copy_weights

# Label of these weights.
INITIAL = "initial"
# Key of the record of a run that was published without them: the norm of each of their arrays.
NORMS = "initial_norms"
# Numbers are drawn in float64 on a CPU. Another processor may round the last digit differently.
_TOLERANCE = 1e-6


def initial_weights(spec: RunSpec, dataset: Dataset) -> Weights:
    """Return the weights with which the training of a run begins.

    Args:
        spec: the run.
        dataset: pictures of the kind that it is trained on.
    """
    return copy_weights(initial_network(spec, dataset, torch.device("cpu")))


def norms(weights: Weights) -> dict[str, float]:
    """Return the Euclidean norm of each array, by which other weights are told apart."""
    return {name: float(np.linalg.norm(array.astype(float))) for name, array in weights.items()}


def check(weights: Weights, expected: Mapping[str, float], folder: Path) -> None:
    """Compare weights with the norms of those that they should be.

    Args:
        weights: from ``initial_weights``.
        expected: norm of each array.
        folder: folder of the run, for the message.

    Raises:
        ResnoiseError: they are others.
    """
    found = norms(weights)
    different = found.keys() ^ expected.keys()
    different |= {
        name
        for name in found.keys() & expected.keys()
        if not np.isclose(found[name], expected[name], rtol=_TOLERANCE, atol=0)
    }
    if different:
        raise ResnoiseError(
            f"{folder}: this version of the project starts this run from other weights than the "
            f"version that trained it (such as {min(different)})"
        )
