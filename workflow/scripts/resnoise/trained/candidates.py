"""Networks with the same weights and different structures, compared by their test errors."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from resnoise.data.dataset import Dataset
from resnoise.training.batches import Normalisation
from resnoise.training.evaluation import BATCH

# Enough to tell a structure that fits from one that does not, if the network is a good one: their
# errors are far apart. Those that are too close are compared again, on more pictures.
PICTURES = 500
MORE_PICTURES = 2000
# Standard errors from which on a difference is no accident.
_CLEARLY = 3


@dataclasses.dataclass(frozen=True)
class Fit:
    """How well a network fits.

    Attributes:
        wrong: bool [N], which test pictures it reads wrongly; all if its outputs overflow.
        loss: mean cross-entropy; infinite if outputs overflow.
    """

    wrong: NDArray[np.bool_]
    loss: float

    @property
    def pictures(self) -> int:
        """Return the number of test pictures."""
        return len(self.wrong)

    @property
    def error(self) -> float:
        """Return the share of wrong predictions."""
        return float(self.wrong.mean())

    def differs(self, other: "Fit") -> bool:
        """Return whether its error on the same pictures differs by more than chance can explain.

        By McNemar's test: of the pictures that only one of both reads rightly, each would be as
        likely to be the one's as the other's.
        """
        one, two = int((self.wrong & ~other.wrong).sum()), int((other.wrong & ~self.wrong).sum())
        return abs(one - two) > _CLEARLY * math.sqrt(one + two)


@torch.no_grad()
def fit_of(
    network: nn.Module,
    dataset: Dataset,
    normalise: Normalisation,
    device: torch.device,
    pictures: int = PICTURES,
) -> Fit:
    """Return how well a network fits test pictures, which are spread over the whole test set.

    Args:
        network: in evaluation mode, on the device.
        dataset: the pictures.
        normalise: what makes inputs of them.
        device: where to compute.
        pictures: their number; all if there are fewer.
    """
    count = len(dataset.test_labels)
    chosen = np.linspace(0, count - 1, min(count, pictures)).astype(int)
    images, labels = (
        torch.from_numpy(array[chosen]).to(device)
        for array in (dataset.test_images, dataset.test_labels)
    )
    outputs = torch.cat([network(normalise(part)).double() for part in torch.split(images, BATCH)])
    loss = float(F.cross_entropy(outputs, labels))
    if not math.isfinite(loss):
        # A network whose outputs overflow has no predictions that mean anything.
        return Fit(np.ones(len(chosen), dtype=bool), math.inf)
    return Fit((outputs.argmax(1) != labels).cpu().numpy(), loss)


def rank(count: int, measure: Callable[[int, int], Fit]) -> list[tuple[int, Fit]]:
    """Return places of networks and how well these fit, the best one first.

    Networks that are too close to the best one are compared again on more pictures.

    Args:
        count: number of networks.
        measure: returns how well a network fits, given its place and a number of pictures.
    """
    found = _sorted([(place, measure(place, PICTURES)) for place in range(count)])
    best = found[0][1]
    close = [(place, fit) for place, fit in found if not fit.differs(best)]
    if len(close) > 1 and best.pictures == PICTURES:
        again = _sorted([(place, measure(place, MORE_PICTURES)) for place, _ in close])
        found = [*again, *(pair for pair in found if pair not in close)]
    return found


def _sorted(found: Sequence[tuple[int, Fit]]) -> list[tuple[int, Fit]]:
    return sorted(found, key=lambda pair: (pair[1].error, pair[1].loss, pair[0]))


def guesses(error: float, pictures: int, classes: int) -> bool:
    """Return whether a test error is no better than guessing, as far as the pictures can tell."""
    chance = 1 - 1 / classes
    return error > chance - _CLEARLY * math.sqrt(chance / classes / pictures)
