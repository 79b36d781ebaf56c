"""The lines that training writes to its log, and how they are read back.

People and ``resnoise.live`` follow a training by its log: it survives the process, lies on the file
system that all nodes share, and costs one line now and then. Standard library only.
"""

import dataclasses
import datetime
import math
import re
from typing import TYPE_CHECKING, Self

# This module is part of no code digest, so it must not load one that is.
if TYPE_CHECKING:
    from resnoise.training.history import Row

# Seconds between two lines of a running training, by which others see that it is alive.
INTERVAL = 30.0

_START = re.compile(
    r"training on (?P<host>\S+), process (?P<process>\d+): "
    r"epochs (?P<first>\d+) to (?P<epochs>\d+), (?P<steps>\d+) steps each"
)
_ETA = r"ETA (?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)"
_STEP = re.compile(rf"epoch (?P<epoch>\d+)/\d+  step (?P<step>\d+)/(?P<steps>\d+)  {_ETA}")
_EPOCH = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+)  lr \S+  risk (?P<risk>\S+)  train error \S+  "
    rf"test error (?P<test_error>\S+)  (?P<speed>\d+) images/s  {_ETA}"
)
# Log lines begin with date and time; the final error message, of the program or Python, does not.
_ERROR = re.compile(r"^(?:error: .+|\w+(?:\.\w+)*(?:Error|Exception|Interrupt|Exit)\b.*)$", re.M)


@dataclasses.dataclass(frozen=True)
class Start:
    """The first line of a process: where it runs, and which epochs it is going to train.

    Attributes:
        host: name of the computer.
        process: its process ID on that computer.
        first: first epoch, above 1 if a stopped run is continued.
        epochs: last epoch.
        steps: mini-batches of an epoch.
    """

    host: str
    process: int
    first: int
    epochs: int
    steps: int

    def __str__(self) -> str:
        return (
            f"training on {self.host}, process {self.process}: "
            f"epochs {self.first} to {self.epochs}, {self.steps} steps each"
        )


@dataclasses.dataclass(frozen=True)
class Finished:
    """The last epoch that a log reports.

    Attributes:
        epoch: from 1.
        risk: as ``resnoise.training.history.Row`` has it, rounded to four digits.
        test_error: the same.
        images_per_second: rounded to an integer.
    """

    epoch: int
    risk: float
    test_error: float
    images_per_second: float


@dataclasses.dataclass(frozen=True)
class Log:
    """What a log says.

    Attributes:
        start: its first line; None if that has not been written yet.
        epochs: epochs of the whole training; None if the log does not say.
        finished: the last epoch that is done; None before the first one.
        progress: epochs done, with the finished part of the current one and the epochs of earlier
            processes; 0 if the log does not say.
        left: estimated seconds to the end of the training when the last line was written.
        error: the error that ended the process, in one line; empty if none did.
    """

    start: Start | None
    epochs: int | None
    finished: Finished | None
    progress: float
    left: float | None
    error: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what the text of a log says.

        Raises:
            ValueError, ArithmeticError: its numbers are none that a training writes.
        """
        start, finished, left = None, None, None
        if found := _START.search(text):
            numbers = {name: int(found[name]) for name in ("process", "first", "epochs", "steps")}
            start = Start(host=found["host"], **numbers)
        epochs = start.epochs if start else None
        progress = float(start.first - 1) if start else 0.0
        *_, epoch_line = [None, *_EPOCH.finditer(text)]
        *_, step_line = [None, *_STEP.finditer(text)]
        if epoch_line:
            values = (float(epoch_line[name]) for name in ("risk", "test_error", "speed"))
            finished = Finished(int(epoch_line["epoch"]), *values)
            progress, left = float(finished.epoch), _seconds(epoch_line)
            epochs = int(epoch_line["epochs"])
        if step_line and int(step_line["epoch"]) > progress:
            part = int(step_line["step"]) / int(step_line["steps"])
            progress, left = int(step_line["epoch"]) - 1 + part, _seconds(step_line)
        errors = _ERROR.findall(text)
        return cls(start, epochs, finished, progress, left, errors[-1] if errors else "")


def step(epoch: int, epochs: int, number: int, steps: int, left: float) -> str:
    """Return the line that reports progress within an epoch.

    Args:
        epoch: from 1.
        epochs: of the whole training.
        number: mini-batches done in this epoch.
        steps: mini-batches of an epoch.
        left: estimated seconds to the end of the training.
    """
    return f"epoch {epoch}/{epochs}  step {number}/{steps}  {_eta(left)}"


def epoch(row: "Row", epochs: int, left: float) -> str:
    """Return the line that reports a finished epoch."""
    return (
        f"epoch {row.epoch}/{epochs}  lr {row.lr:g}  risk {row.risk:.4f}  "
        f"train error {row.train_error:.4f}  test error {row.test_error:.4f}  "
        f"{row.images_per_second:.0f} images/s  {_eta(left)}"
    )


def _eta(left: float) -> str:
    eta = datetime.timedelta(seconds=round(left))
    return f"ETA {eta}"


def _seconds(found: re.Match[str]) -> float:
    """Return the seconds that ``_eta`` wrote."""
    days, hours, minutes, seconds = (
        int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds")
    )
    left = 86400.0 * days + 3600 * hours + 60 * minutes + seconds
    if not math.isfinite(left):
        raise ValueError("a time left that is no number")
    return left
