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
        losses: float64 [N], their cross-entropies; infinite if its outputs overflow.
    """

    wrong: NDArray[np.bool_]
    losses: NDArray[np.float64]

    @property
    def pictures(self) -> int:
        """Return the number of test pictures."""
        return len(self.wrong)

    @property
    def error(self) -> float:
        """Return the share of wrong predictions."""
        return float(self.wrong.mean())

    @property
    def loss(self) -> float:
        """Return the mean cross-entropy."""
        return float(self.losses.mean())

    def differs(self, other: "Fit") -> bool:
        """Return whether its error on the same pictures differs by more than chance can explain.

        By McNemar's test: of the pictures that only one of both reads rightly, each would be as
        likely to be the one's as the other's.
        """
        one, two = int((self.wrong & ~other.wrong).sum()), int((other.wrong & ~self.wrong).sum())
        return abs(one - two) > _CLEARLY * math.sqrt(one + two)

    def differs_in_loss(self, other: "Fit") -> bool:
        """Return whether its loss on the same pictures differs by more than chance can explain."""
        if not math.isfinite(self.loss + other.loss):
            return self.loss != other.loss
        difference = self.losses - other.losses
        spread = float(difference.std()) / math.sqrt(len(difference))
        return bool(abs(difference.mean()) > _CLEARLY * spread)


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
    losses = F.cross_entropy(outputs, labels, reduction="none").cpu().numpy()
    if not np.isfinite(losses).all():
        # A network whose outputs overflow has no predictions that mean anything.
        return Fit(np.ones(len(chosen), dtype=bool), np.full(len(chosen), np.inf))
    return Fit((outputs.argmax(1) != labels).cpu().numpy(), losses)


def rank(count: int, measure: Callable[[int, int], Fit]) -> list[tuple[int, Fit]]:
    """Return places of networks and how well these fit, the best one first.

    The best one has the smallest error. Networks whose errors are too close to it are compared
    again on more pictures, and those that remain too close by their losses: of networks that were
    trained briefly, these tell more than errors. (Losses alone would not do: those of a network
    that knows its training pictures by heart can be larger than those of one that guesses.)

    Args:
        count: number of networks.
        measure: returns how well a network fits, given its place and a number of pictures.
    """
    found = _sorted([(place, measure(place, PICTURES)) for place in range(count)])
    close = _close(found)
    if len(close) > 1 and close[0][1].pictures == PICTURES:
        again = _sorted([(place, measure(place, MORE_PICTURES)) for place, _ in close])
        places = {place for place, _ in close}
        found = [*again, *(pair for pair in found if pair[0] not in places)]
    return found


def _close(found: Sequence[tuple[int, Fit]]) -> list[tuple[int, Fit]]:
    """Return the networks whose error does not differ from the smallest, by increasing loss."""
    least = min((fit for _, fit in found), key=lambda fit: fit.error)
    close = [pair for pair in found if not pair[1].differs(least)]
    return sorted(close, key=lambda pair: (pair[1].loss, pair[0]))


def _sorted(found: Sequence[tuple[int, Fit]]) -> list[tuple[int, Fit]]:
    """Return first the close ones, then the others by increasing error."""
    close = _close(found)
    places = {place for place, _ in close}
    rest = [pair for pair in found if pair[0] not in places]
    return [*close, *sorted(rest, key=lambda pair: (pair[1].error, pair[0]))]


def guesses(error: float, pictures: int, classes: int) -> bool:
    """Return whether a test error is no better than guessing, as far as the pictures can tell."""
    chance = 1 - 1 / classes
    return error > chance - _CLEARLY * math.sqrt(chance / classes / pictures)
