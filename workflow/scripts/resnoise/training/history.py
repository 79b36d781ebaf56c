"""The history of a run: one row an epoch, as CSV."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from resnoise.storage.digests import write_rows


@dataclasses.dataclass(frozen=True)
class Row:
    """One epoch.

    Attributes:
        epoch: from 1.
        lr: learning rate.
        risk: mean cross-entropy over the epoch's augmented mini-batches, as trained on.
        cost: risk plus the weight term at the end of the epoch.
        train_error: share of wrong predictions in the same mini-batches.
        test_loss: mean cross-entropy over the test set after the epoch.
        test_error: share of wrong predictions in the test set after the epoch.
        seconds: wall time of the epoch with evaluation; of twins, with both networks' steps.
        images_per_second: training pictures a second, without evaluation; of twins, with both
            networks' steps.
        status: "ok", or "diverged" if the loss became NaN or infinite in this epoch.
    """

    epoch: int
    lr: float
    risk: float
    cost: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float
    images_per_second: float
    status: str = "ok"


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows`` to ``path`` atomically; floats keep all their digits."""
    write_rows(path, Row, rows)
