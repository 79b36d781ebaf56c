"""The history of a run: a CSV file with a row for each epoch."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from resnoise.storage.digests import write_rows


@dataclasses.dataclass(frozen=True)
class Row:
    """One epoch. If it diverged, all measurements except ``seconds`` are NaN.

    Attributes:
        epoch: from 1.
        lr: learning rate.
        risk: mean cross-entropy over the epoch's augmented mini-batches, each measured before its
            step; over the training set after the epoch if the recipe's ``epoch_risk`` says so.
        cost: risk plus the weight term at the end of the epoch.
        train_error: fraction of wrong predictions among the same pictures.
        test_loss: mean cross-entropy over the test set after the epoch.
        test_error: fraction of wrong predictions in the test set after the epoch.
        seconds: wall time of the epoch, evaluation included; for twins, with the steps of both
            networks.
        images_per_second: training pictures per second, evaluation excluded; for twins, with the
            steps of both networks.
        status: "ok", or "diverged" if the loss became NaN or infinite in this epoch.
    """

    epoch: int
    lr: float
    risk: float = math.nan
    cost: float = math.nan
    train_error: float = math.nan
    test_loss: float = math.nan
    test_error: float = math.nan
    seconds: float = math.nan
    images_per_second: float = math.nan
    status: str = "ok"


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows`` to ``path`` atomically; floats keep all their digits."""
    write_rows(path, Row, rows)
