"""Progress of a training run: a bar on a terminal, lines with ETA in a log."""

import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tqdm import tqdm

from resnoise.training import log_lines
from resnoise.training.history import Row
from resnoise.training.observer import Observer
from resnoise.training.run import Run, Step

_log = logging.getLogger(__name__)


class Progress(Observer):
    """Shows the progress of a training, with the numbers of the last of its runs."""

    def __init__(self, epochs: int, steps: int, done: int) -> None:
        """Start at ``done`` of ``epochs`` epochs with ``steps`` mini-batches each."""
        self.epochs = epochs
        self.steps = steps
        self.done = done
        self.steps_done = 0
        self.seconds: list[float] = []
        self.bar = tqdm(
            total=epochs * steps,
            initial=done * steps,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self.started = self.spoken = time.monotonic()

    def __enter__(self) -> Self:
        """Log where this process runs and which epochs it is going to train."""
        if self.bar.disable and self.done < self.epochs:
            host, process = socket.gethostname(), os.getpid()
            start = log_lines.Start(host, process, self.done + 1, self.epochs, self.steps)
            _log.info("%s", start)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the bar."""
        self.bar.close()

    def on_step_end(self, runs: Sequence[Run], steps: Sequence[Step]) -> None:
        """Count one step."""
        self.bar.update()
        self.steps_done += 1
        now = time.monotonic()
        if self.bar.disable and now - self.spoken >= log_lines.INTERVAL:
            self.spoken = now
            # Steps of epochs before this one, in this process.
            before = len(self.seconds) * self.steps
            steps_left = (self.epochs - self.done) * self.steps - self.steps_done
            left = steps_left * (now - self.started) / self.steps_done
            epoch = self.done + len(self.seconds) + 1
            number = self.steps_done - before
            _log.info(log_lines.step(epoch, self.epochs, number, self.steps, left))

    def on_epoch_end(self, runs: Sequence[Run], rows: Sequence[Row]) -> None:
        """Report a finished epoch."""
        # The last run's time has the evaluation of all runs in it.
        row = rows[-1]
        self.seconds.append(row.seconds)
        left = (self.epochs - row.epoch) * sum(self.seconds) / len(self.seconds)
        if self.bar.disable:
            self.spoken = time.monotonic()
            _log.info(log_lines.epoch(row, self.epochs, left))
        else:
            self.bar.set_postfix_str(f"risk {row.risk:.4f}, test error {row.test_error:.4f}")
