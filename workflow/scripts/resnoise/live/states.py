"""The state of a training job, found from its files.

========= ==========================================================================================
state     how it is recognised
========= ==========================================================================================
waiting   it has no files
running   its log or history has been written to recently
resumed   the same, for a run that continues after a stop
stalled   no recent writes, but its process exists on this computer
stopped   no recent writes, or its process on this computer has ended; when started again, it
          continues from its checkpoint, or from the beginning if it has none
failed    its log ends with an error
diverged  its record says so
done      its record says so
outdated  its record, or the checkpoint of a stopped job, has another specification or code digest
          than now: the workflow would train it again
========= ==========================================================================================

During an epoch, the log is written at least every ``log_lines.INTERVAL`` seconds, or once a step if
steps take longer. The evaluation of the test set after an epoch writes nothing: if it takes longer
than ``SILENCE``, the job looks stalled or stopped until it ends. Times of files are compared with
the clock of their file system, because the clocks of computers may differ. It is not checked
whether a checkpoint belongs to the present data set.
"""

import contextlib
import csv
import dataclasses
import enum
import json
import math
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TextIO

from resnoise.durations import duration
from resnoise.errors import ResnoiseError, quoted
from resnoise.live.checkpoints import Checkpoint
from resnoise.live.jobs import Job, Plan
from resnoise.specs.run import CHECKPOINT, TRAINED_ON, RunSpec
from resnoise.storage.files import check_regular
from resnoise.training.log_lines import INTERVAL, Finished, Log, Start

# In seconds, without a write. Network file systems can delay writes by up to a minute, and show old
# times for up to another one.
SILENCE = INTERVAL + 150.0
# What a file leads to that is not what it should be.
_DAMAGED = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, csv.Error)


class State(enum.StrEnum):
    """State of a job. Jobs are displayed in the order of these states."""

    RUNNING = "running"
    RESUMED = "resumed"
    STALLED = "stalled"
    FAILED = "failed"
    STOPPED = "stopped"
    OUTDATED = "outdated"
    WAITING = "waiting"
    DIVERGED = "diverged"
    DONE = "done"


ACTIVE = {State.RUNNING, State.RESUMED}
# Jobs that will be trained, as far as their files show.
PENDING = {State.WAITING, State.OUTDATED, State.STOPPED}
# Jobs whose state will not change unless somebody starts them again.
OVER = {State.FAILED, State.DIVERGED, State.DONE}


@dataclasses.dataclass(frozen=True)
class Status:
    """The state and progress of a job.

    Attributes:
        job: the job.
        state: its state.
        progress: epochs done, including a fraction of the present one. For a stopped or outdated
            job, only the epochs that will not have to be done again.
        epochs: total number of epochs, None if unknown.
        risk: training risk of the last finished epoch, None if there is none.
        test_error: test error after that epoch, None if there is none.
        images_per_second: training pictures per second in that epoch, None if there is none.
        left: estimated seconds until a running job ends, None if unknown.
        seconds: seconds of training, for a job that is done or diverged.
        note: further information as text.
    """

    job: Job
    state: State
    progress: float = 0.0
    epochs: int | None = None
    risk: float | None = None
    test_error: float | None = None
    images_per_second: float | None = None
    left: float | None = None
    seconds: float | None = None
    note: str = ""


class Files:
    """Reads files and remembers their contents; a file is read again only if it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], Any]] = {}

    def read(self, path: Path, parse: Callable[[TextIO], Any]) -> tuple[Any, float | None]:
        """Parse a file; return the result and the time of the file's last write.

        Args:
            path: the file.
            parse: takes the open file; raises one of ``_DAMAGED`` if it is damaged.

        Returns:
            Both are None if the file does not exist or is damaged.
        """
        try:
            check_regular(path)
            with path.open(encoding="utf-8", errors="replace") as stream:
                facts = os.fstat(stream.fileno())
                version = (facts.st_mtime_ns, facts.st_size)
                if path not in self._known or self._known[path][0] != version:
                    self._known[path] = (version, parse(stream))
        except (ResnoiseError, OSError, RecursionError, *_DAMAGED):
            return None, None
        return self._known[path][1], facts.st_mtime


def file_system_time(folder: Path) -> float:
    """Return the present time by the clock of a folder's file system.

    If no file can be written there, return this computer's time.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"\0")
            stream.flush()
            os.fsync(stream.fileno())
            return os.fstat(stream.fileno()).st_mtime
    except OSError:
        return time.time()


def status(job: Job, files: Files, now: float) -> Status:
    """Return the status of a job.

    Args:
        job: the job.
        files: reads the job's files; pass the same object every time.
        now: the present time, see ``file_system_time``.
    """
    # Look for the process before reading the record: if the process has ended by then, a record
    # that is still missing will never be written.
    evidence = _Evidence.of(job, files, now)
    record, _ = files.read(job.folder / "run.json", json.load)
    if record is not None:
        # What is not a record of this project says nothing.
        with contextlib.suppress(ResnoiseError, *_DAMAGED):
            return _finished(job, record, evidence.last)
    state, note = evidence.verdict()
    planned = job.plan.spec.recipe.epochs if job.plan else None
    if state is State.WAITING:
        return Status(job, state, epochs=planned)
    last, kept = evidence.last, evidence.checkpoint
    progress = max(evidence.log.progress, last.epoch if last else 0)
    if state is State.STOPPED:
        if kept and job.plan and not job.plan.identity.items() <= kept.identity.items():
            return _outdated(job, job.plan)
        if not kept:
            # Without a checkpoint it has to start over: no epoch counts as done.
            return Status(job, state, epochs=planned or evidence.log.epochs, note=note)
        progress = kept.epoch
    return Status(
        job,
        state,
        progress=progress,
        epochs=evidence.log.epochs or planned,
        risk=last.risk if last else None,
        test_error=last.test_error if last else None,
        images_per_second=last.images_per_second if last else None,
        left=evidence.left() if state in ACTIVE else None,
        note=note,
    )


@dataclasses.dataclass(frozen=True)
class _Evidence:
    """The files of an unfinished job.

    Attributes:
        log: content of its log.
        log_age: seconds since the last write to the log, None if there is no log.
        history_age: the same for the history. The workflow deletes the history if the job fails.
        last: the last finished epoch, None before the end of the first one.
        epoch_seconds: duration of that epoch, 0 if unknown.
        checkpoint: the checkpoint to continue from, None if there is none.
        here: True if the job was started on this computer.
        gone: True if it was started on this computer and its process has ended.
    """

    log: Log
    log_age: float | None
    history_age: float | None
    last: Finished | None
    epoch_seconds: float
    checkpoint: Checkpoint | None
    here: bool
    gone: bool

    @classmethod
    def of(cls, job: Job, files: Files, now: float) -> Self:
        """Read the files of a job."""
        log, log_time = files.read(job.log, _log)
        log = log or Log.parse("")
        start: Start | None = log.start
        here = start is not None and start.host == socket.gethostname()
        row, history_time = files.read(job.folder / "history.csv", _last_row)
        checkpoint, _ = files.read(job.folder / CHECKPOINT, Checkpoint.read)
        return cls(
            log=log,
            log_age=None if log_time is None else max(0.0, now - log_time),
            history_age=None if history_time is None else max(0.0, now - history_time),
            last=row[0] if row else log.finished,
            epoch_seconds=row[1] if row else 0.0,
            checkpoint=checkpoint,
            here=here,
            gone=here and start is not None and not _exists(start.process),
        )

    @property
    def start(self) -> Start | None:
        """The log's line about the start of the training, None if there is none."""
        return self.log.start

    @property
    def silence(self) -> float:
        """Seconds since the last write to log or history, infinite if there are neither."""
        ages = [age for age in (self.log_age, self.history_age) if age is not None]
        return min(ages, default=math.inf)

    def left(self) -> float | None:
        """Return the estimated seconds until the end of the training, None if unknown."""
        if self.log.left is None or self.log_age is None:
            return None
        return max(0.0, self.log.left - self.log_age)

    def verdict(self) -> tuple[State, str]:
        """Return the state of the job, and a note on it."""
        if self.log.error:
            return State.FAILED, quoted(self.log.error)
        start = self.start
        # When a job fails, the workflow deletes its outputs but not its log. A missing history
        # shows this, except before the end of the first epoch, when there may be none yet.
        deleted = self.log.finished is not None and self.history_age is None
        # If the training came to its end, it did not fail: somebody deleted its results.
        complete = deleted and start is not None and self.log.progress >= start.epochs
        if (self.silence == math.inf or complete) and not self.checkpoint:
            return State.WAITING, ""
        # If the log does not show progress, only the history does, once an epoch.
        limit = SILENCE if start else max(SILENCE, 3 * self.epoch_seconds)
        if not (deleted or self.gone or self.silence > limit):
            return self._active()
        silent = f"silent for {duration(self.silence)}" if self.silence < math.inf else ""
        if start and self.here and not self.gone and not deleted:
            return State.STALLED, f"process {start.process} {silent}"
        again = "continues" if self.checkpoint else "starts over"
        return State.STOPPED, ", ".join(filter(None, (silent, f"{again} when started again")))

    def _active(self) -> tuple[State, str]:
        if self.start is None:
            return State.RUNNING, "" if self.last else "starting"
        where = "" if self.here else f"on {self.start.host}"
        if self.start.first == 1:
            return State.RUNNING, where
        since = f"since epoch {self.start.first}"
        return State.RESUMED, f"{since}, {where}" if where else since


def _finished(job: Job, record: dict[str, Any], last: Finished | None) -> Status:
    """Return the status of a job with a record; ``last`` is the last row of its history."""
    taken = TRAINED_ON in record
    if job.plan:
        right = job.plan.taken if taken else record["code_digest"] == job.plan.code
        if not right or RunSpec.from_dict(record["spec"]) != job.plan.spec:
            return _outdated(job, job.plan)
    state = State.DIVERGED if record["status"] == "diverged" else State.DONE
    note = ""
    if state is State.DIVERGED:
        note = "epoch {epoch}, step {step}".format(**record["diverged_at"])
    elif taken:
        note = "trained elsewhere"
    elif len(record["sessions"]) > 1:
        note = f"in {len(record['sessions'])} parts"
    return Status(
        job,
        state,
        progress=int(record["epochs_done"]),
        epochs=int(record["spec"]["recipe"]["epochs"]),
        risk=last.risk if last else None,
        test_error=last.test_error if last else None,
        images_per_second=last.images_per_second if last else None,
        seconds=float(record["seconds"]),
        note=note,
    )


def _outdated(job: Job, plan: Plan) -> Status:
    """Return the status of a job whose record or checkpoint does not match its plan."""
    note = "made with other settings or code: will be trained again"
    return Status(job, State.OUTDATED, epochs=plan.spec.recipe.epochs, note=note)


def _log(stream: TextIO) -> Log:
    return Log.parse(stream.read())


def _last_row(stream: TextIO) -> tuple[Finished, float] | None:
    """Return the last epoch of a history and its duration in seconds, None if it has no rows."""
    *_, row = [None, *csv.DictReader(stream)]
    if row is None:
        return None
    finished = Finished(
        epoch=int(row["epoch"]),
        risk=float(row["risk"]),
        test_error=float(row["test_error"]),
        images_per_second=float(row["images_per_second"]),
    )
    return finished, float(row["seconds"])


def _exists(process: int) -> bool:
    """Whether a process with this number runs on this computer."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:
        # A process that has ended keeps its number until its parent asks for its exit status.
        facts = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return True
    return facts.rpartition(") ")[2][:1] not in ("Z", "X")
