"""Progress of a training run: a bar on a terminal, one line an epoch with ETA in a log."""

import datetime
import logging
import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from resnoise.training.history import Row

_log = logging.getLogger(__name__)


class Progress:
    """Shows the epochs of one run."""

    def __init__(self, epochs: int, steps: int, done: int) -> None:
        """Start at ``done`` of ``epochs`` epochs with ``steps`` mini-batches each."""
        self.epochs = epochs
        self.seconds: list[float] = []
        self.bar = tqdm(
            total=epochs * steps,
            initial=done * steps,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the bar."""
        self.bar.close()

    def step(self) -> None:
        """Count one mini-batch."""
        self.bar.update()

    def epoch(self, row: Row) -> None:
        """Report a finished epoch."""
        self.seconds.append(row.seconds)
        left = (self.epochs - row.epoch) * sum(self.seconds) / len(self.seconds)
        eta = datetime.timedelta(seconds=round(left))
        text = (
            f"epoch {row.epoch}/{self.epochs}  lr {row.lr:g}  risk {row.risk:.4f}  "
            f"train error {row.train_error:.4f}  test error {row.test_error:.4f}  "
            f"{row.images_per_second:.0f} images/s  ETA {eta}"
        )
        if self.bar.disable:
            _log.info(text)
        else:
            self.bar.set_postfix_str(f"risk {row.risk:.4f}, test error {row.test_error:.4f}")
