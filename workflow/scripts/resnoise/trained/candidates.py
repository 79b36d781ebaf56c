"""Networks with the same weights and different structures, compared by their test errors."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from resnoise.data.dataset import Dataset
from resnoise.training.batches import Normalisation
from resnoise.training.evaluation import evaluate

# Enough to tell a structure that fits from one that does not: their errors are far apart.
PICTURES = 500
# Standard errors below the error of guessing from which on a network is thought to know something.
_CLEARLY = 3


class Fit(NamedTuple):
    """How well a network fits; the smaller, the better.

    Attributes:
        error: share of wrong predictions.
        loss: mean cross-entropy; infinite if outputs overflow.
        pictures: number of pictures.
    """

    error: float
    loss: float
    pictures: int


def compare(
    networks: Iterable[nn.Module],
    dataset: Dataset,
    normalise: Normalisation,
    device: torch.device,
) -> list[Fit]:
    """Return how well each network fits test pictures, which are spread over the whole test set.

    Args:
        networks: in evaluation mode, on the device; taken one after the other.
        dataset: the pictures.
        normalise: what makes inputs of them.
        device: where to compute.
    """
    count = len(dataset.test_labels)
    chosen = np.linspace(0, count - 1, min(count, PICTURES)).astype(int)
    images, labels = (
        torch.from_numpy(array[chosen]).to(device)
        for array in (dataset.test_images, dataset.test_labels)
    )
    found = []
    for network in networks:
        loss, error = evaluate(network, images, labels, normalise)
        # A network whose outputs overflow has no error that means anything.
        finite = math.isfinite(loss)
        found.append(Fit(error if finite else 1.0, loss if finite else math.inf, len(chosen)))
    return found


def differ(one: Fit, other: Fit) -> bool:
    """Return whether two test errors differ by more than chance can explain."""
    mean = (one.error + other.error) / 2
    spread = math.sqrt(2 * mean * (1 - mean) / one.pictures)
    return abs(one.error - other.error) > _CLEARLY * spread


def guesses(error: float, pictures: int, classes: int) -> bool:
    """Return whether a test error is no better than guessing, as far as the pictures can tell."""
    chance = 1 - 1 / classes
    return error > chance - _CLEARLY * math.sqrt(chance / classes / pictures)
