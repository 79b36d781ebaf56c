"""The state of a training job, told from its files.

========= ==========================================================================================
state     what tells it
========= ==========================================================================================
waiting   nothing is there
running   the log, or the history, shows a sign of life
resumed   the same of a run that continues after a stop
stalled   no sign of life for long, but its process exists on this computer
stopped   no sign of life for long, or its process is gone; started again, it continues from its
          checkpoint, or begins anew if it has none
failed    its log ends with an error
diverged  its record says so
done      its record says so
outdated  its record, or the checkpoint of a stopped one, is of another specification or program:
          the workflow would train it anew
========= ==========================================================================================

During the steps of an epoch, a sign of life is at most ``log_lines.INTERVAL`` seconds, or one step,
away from the next one. The evaluation of the test set after an epoch gives none: if it takes longer
than ``SILENCE``, the job looks stalled or stopped until it ends. Times are those of the files,
compared with the clock of their file system: clocks of computers may differ. Whether a checkpoint
is of the present data set is not looked at.
"""

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
from resnoise.live.checkpoints import Checkpoint
from resnoise.live.jobs import Job, Plan
from resnoise.specs.run import RunSpec
from resnoise.training.log_lines import INTERVAL, Finished, Log, Start

# Network file systems hold writes back, and show old times, for up to a minute each.
SILENCE = INTERVAL + 150.0


class State(enum.StrEnum):
    """What a job does; in the order in which jobs are shown."""

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
# To be trained, as far as the files tell.
PENDING = {State.WAITING, State.OUTDATED, State.STOPPED}
# Nothing will change unless somebody starts it again.
OVER = {State.FAILED, State.DIVERGED, State.DONE}


@dataclasses.dataclass(frozen=True)
class Status:
    """A job and how far it is.

    Attributes:
        job: the job.
        state: what it does.
        progress: epochs done, with the part of the present one; of a stopped or outdated job, those
            that will not be done again.
        epochs: epochs in all, None if unknown.
        risk: training risk of the last finished epoch, None if there is none.
        test_error: the same of the test error.
        images_per_second: training pictures a second in that epoch.
        left: estimated seconds until a running job ends, None if unknown.
        seconds: seconds of training of a job that is done.
        note: what else there is to say.
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
    """Reads files, again only when they have changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], Any]] = {}

    def read(self, path: Path, parse: Callable[[TextIO], Any]) -> tuple[Any, float | None]:
        """Return what ``parse`` makes of an open file and when it was written; None if it is not.

        A file that ``parse`` finds damaged counts as one that is not there.
        """
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                facts = os.fstat(stream.fileno())
                version = (facts.st_mtime_ns, facts.st_size)
                if path not in self._known or self._known[path][0] != version:
                    self._known[path] = (version, parse(stream))
        except (OSError, ValueError, LookupError, TypeError):
            return None, None
        return self._known[path][1], facts.st_mtime


def file_system_time(folder: Path) -> float:
    """Return the time now by the clock that stamps the files of a folder.

    Where no file can be written, it is this computer's time.
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
    """Return what a job does.

    Args:
        job: the job.
        files: what was read before.
        now: the time, see ``file_system_time``.
    """
    # Before the record: a process that is gone by now has written its record if it ever will.
    evidence = _Evidence.of(job, files, now)
    record, _ = files.read(job.folder / "run.json", json.load)
    if record is not None:
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
            # Nothing of what it has done counts.
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
    """What an unfinished job has left.

    Attributes:
        log: what its log says.
        log_age: seconds since the log was written, None if there is none.
        history_age: the same of the history, which the workflow deletes if the job fails.
        last: the last finished epoch, None before the first one.
        epoch_seconds: how long that took, 0 if unknown.
        checkpoint: the one to continue from, None if there is none.
        here: whether its process was on this computer.
        gone: whether its process was on this computer and is no more.
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
        """Collect it."""
        log, log_time = files.read(job.log, _log)
        log = log or Log.parse("")
        start: Start | None = log.start
        here = start is not None and start.host == socket.gethostname()
        row, history_time = files.read(job.folder / "history.csv", _last_row)
        checkpoint, _ = files.read(job.folder / "resume.safetensors", Checkpoint.read)
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
        """The first line of the log about training."""
        return self.log.start

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life."""
        ages = [age for age in (self.log_age, self.history_age) if age is not None]
        return min(ages, default=math.inf)

    def left(self) -> float | None:
        """Estimated seconds to the end of the training."""
        if self.log.left is None or self.log_age is None:
            return None
        return max(0.0, self.log.left - self.log_age)

    def verdict(self) -> tuple[State, str]:
        """Return the state of the job, and what else there is to say."""
        if self.log.error:
            return State.FAILED, self.log.error
        start = self.start
        # The workflow deletes what a job that failed has written, and leaves the log. Before the
        # first epoch ends, there may be no history yet.
        deleted = self.log.finished is not None and self.history_age is None
        # The same of a training that came to its end: somebody deleted the results.
        complete = deleted and start is not None and self.log.progress >= start.epochs
        if (self.silence == math.inf or complete) and not self.checkpoint:
            return State.WAITING, ""
        # Without the lines of a log, every epoch is a sign of life.
        limit = SILENCE if start else max(SILENCE, 3 * self.epoch_seconds)
        if not (deleted or self.gone or self.silence > limit):
            return self._active()
        silent = f"silent for {duration(self.silence)}" if self.silence < math.inf else ""
        if start and self.here and not self.gone and not deleted:
            return State.STALLED, f"process {start.process} {silent}"
        again = "continues" if self.checkpoint else "begins anew"
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
    """Return the status of a job that has written its record, and the last row of its history."""
    if job.plan and (
        record["code_digest"] != job.plan.code or RunSpec.from_dict(record["spec"]) != job.plan.spec
    ):
        return _outdated(job, job.plan)
    state = State.DIVERGED if record["status"] == "diverged" else State.DONE
    note = ""
    if state is State.DIVERGED:
        note = "epoch {epoch}, step {step}".format(**record["diverged_at"])
    elif len(record["sessions"]) > 1:
        note = f"in {len(record['sessions'])} parts"
    return Status(
        job,
        state,
        progress=record["epochs_done"],
        epochs=record["spec"]["recipe"]["epochs"],
        risk=last.risk if last else None,
        test_error=last.test_error if last else None,
        images_per_second=last.images_per_second if last else None,
        seconds=record["seconds"],
        note=note,
    )


def _outdated(job: Job, plan: Plan) -> Status:
    """Return the status of a job that has left something which its plan has no use for."""
    note = "of another specification or program: trained anew"
    return Status(job, State.OUTDATED, epochs=plan.spec.recipe.epochs, note=note)


def _log(stream: TextIO) -> Log:
    return Log.parse(stream.read())


def _last_row(stream: TextIO) -> tuple[Finished, float] | None:
    """Return the last row of a history and how many seconds it took, None before the first one."""
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
    """Whether a process of that number runs on this computer."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # One that was killed keeps its number until its parent has asked for it.
        facts = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return True
    return facts.rpartition(") ")[2][:1] not in ("Z", "X")
