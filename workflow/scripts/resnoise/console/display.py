"""Snakemake's progress in one line, and errors with the end of the job's log.

A display takes the place of Snakemake's own output on the terminal, which is a page for every few
jobs; Snakemake's complete log stays in ``.snakemake/log``. It is a handler of Python's ``logging``
that understands the events that Snakemake attaches to its messages. Standard library only, because
the Snakefile imports this module.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, Protocol, TextIO

from resnoise.durations import duration

# What Snakemake calls the handler that writes to the terminal.
SNAKEMAKES_OWN = "DefaultStreamHandler"
# How much of a failed job's log is shown.
LOG_LINES = 20
_LOG_BYTES = 16 * 1024
_BAR = 20
# How many failed jobs are listed at the end.
_LISTED = 10
# Messages without an event that tell a user nothing; everything else is shown.
_CHATTER = (
    "Assuming unrestricted shared filesystem usage",
    "Building DAG of jobs",
    "Complete log",
    "Conda environments: ignored",
    "Config file ",
    "Elapsed time",
    "Group jobs: inactive",
    "Processed ",
    "Removing output files of failed job",
    "Select jobs to execute",
    "Singularity containers: ignored",
    "Using shell:",
)
# Said of all failed jobs at the end; ``Display.failed`` says it with their names.
_FAILED = "Exiting because a job execution failed"
_RESTART = re.compile(r"Trying to restart job (\w+)\.")
_EXIT = re.compile(r"returned non-zero (exit status \d+)|died with <Signals\.(\w+)")
# How a job ends that got the Ctrl-C of its user.
_INTERRUPTED = ("SIGINT", "exit status 130")


class OutputSettings(Protocol):
    """What of Snakemake's options of output matters here."""

    dryrun: bool
    printshellcmds: bool
    quiet: Any
    debug_dag: bool
    verbose: bool


def install(logger: logging.Logger, settings: OutputSettings) -> "Display | None":
    """Put a display in the place of Snakemake's own output on the terminal and return it.

    Nothing changes, and None is returned, for plans (``--dry-run``), where the command line asks
    for Snakemake's own log (``--printshellcmds``, ``--verbose``, ``--debug-dag``) or for less of it
    (``--quiet``), and where a logger plugin writes to the terminal.
    """
    own = (settings.printshellcmds, settings.verbose, settings.debug_dag, settings.quiet)
    if settings.dryrun or any(own):
        return None
    for handler in logger.handlers:
        if handler.name == SNAKEMAKES_OWN and isinstance(handler, logging.StreamHandler):
            display = Display(handler.stream)
            logger.removeHandler(handler)
            logger.addHandler(display)
            return display
    return None


class Display(logging.Handler):
    """Shows the messages of one Snakemake.

    On a terminal one line renews itself: a bar, how many jobs are done, and which run. Elsewhere
    each finished job leaves a line. Errors, warnings and whatever is not known to be chatter are
    shown above it.

    Args:
        stream: where to write.
        clock: seconds of a clock that only goes forward.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._clock = clock
        self._start = clock()
        self._total = 0
        self._done = 0
        self._labels: dict[Any, str] = {}
        self._running: dict[Any, str] = {}
        self._failed: dict[Any, str] = {}
        self._interrupted: set[Any] = set()
        # Snakemake's messages of commands that failed, which come before the error of the job.
        self._exits: list[str] = []
        self._drawn = False
        self._ended = threading.Event()
        if self._live:
            threading.Thread(target=self._tick, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message of Snakemake, or what it says about the progress."""
        try:
            self._clear()
            self._take(record)
            self._draw()
        except BrokenPipeError:
            # Nobody reads any more; Snakemake ends then.
            raise
        except Exception:
            # As all handlers do: a message that cannot be shown must not end the run.
            self.handleError(record)

    def close(self) -> None:
        """Take the line away and show no more."""
        with self._own_lock():
            self._ended.set()
            self._clear()
        super().close()

    def succeeded(self) -> None:
        """Say that all jobs are done and how long they took; the line is over."""
        with self._own_lock():
            self._ended.set()
            self._clear()
            self._print(f"{self._done} jobs done in {self._elapsed()}")

    def failed(self, complete_log: Iterable[str]) -> None:
        """Say which jobs failed and what to do; the line is over.

        Args:
            complete_log: Snakemake's own log files of this run.
        """
        with self._own_lock():
            self._ended.set()
            self._clear()
            counts = {
                "failed": len(self._failed),
                "interrupted": len(self._interrupted),
                "done": self._done,
            }
            parts = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            self._print(f"Of {self._total} jobs: {parts} ({self._elapsed()})")
            names = [*self._failed.values()]
            for name in names[:_LISTED]:
                self._print(f"  {name}")
            if len(names) > _LISTED:
                self._print(f"  and {len(names) - _LISTED} more")
            if names:
                self._print("Their errors are above.")
            self._print("Start the same command again to go on; what is done stays.")
            for file in complete_log:
                self._print(f"Complete log: {file}")

    def _own_lock(self) -> Any:
        """Return the lock that ``emit`` runs under."""
        assert self.lock is not None
        return self.lock

    def _take(self, record: logging.LogRecord) -> None:
        """Show a message, or remember what it says about the progress."""
        event = getattr(record, "event", None)
        facts = record.__dict__
        if event is None:
            self._show_text(record)
        elif event == "run_info":
            self._total = facts["stats"]["total"]
        elif event == "progress":
            self._total = facts["total"]
        elif event == "job_info":
            label = _label(facts)
            self._labels[facts["jobid"]] = label
            # Targets such as `all` are jobs without files, over as soon as they start.
            if facts["output"]:
                self._running[facts["jobid"]] = label
        elif event == "job_finished":
            self._finish(facts["job_id"])
        elif event == "job_error":
            self._show_error(facts)
        elif event == "group_error":
            self._print(f"Error in group {facts['groupid']}")
            self._show_logs(facts["aux_logs"])
        elif event == "error":
            text = record.getMessage()
            if "CalledProcessError" in text and _EXIT.search(text):
                self._exits.append(text)
            else:
                self._print(text)
        # Other events say what cores there are, which command runs, and the like.

    def _show_text(self, record: logging.LogRecord) -> None:
        """Show a message without an event, unless it is chatter."""
        if record.msg is None:
            return
        text = record.getMessage()
        chatter = record.levelno < logging.WARNING and text.startswith(_CHATTER)
        if chatter or text.startswith(_FAILED):
            return
        if restart := _RESTART.match(text):
            text = f"Trying again: {self._labels.get(_number(restart[1]), f'job {restart[1]}')}"
        self._print(text)

    def _finish(self, job: Any) -> None:
        """Count a job that ended well."""
        self._done += 1
        # It may have failed before, and been tried again.
        self._failed.pop(job, None)
        self._interrupted.discard(job)
        label = self._running.pop(job, None)
        if label is not None and not self._live:
            self._print(f"{self._progress()}: {label}")

    def _show_error(self, facts: Mapping[str, Any]) -> None:
        """Show which job failed, why, and the end of its log."""
        job, command = facts["jobid"], facts["shellcmd"] or ""
        label = self._labels.get(job) or _label(facts)
        self._running.pop(job, None)
        status = self._exit(command)
        if status in _INTERRUPTED:
            self._interrupted.add(job)
            self._print(f"Interrupted: {label}")
            return
        self._failed[job] = label
        self._print(f"Error in {label}" + (f" ({status})" if status else ""))
        if facts["rule_msg"]:
            self._print(f"  {facts['rule_msg']}")
        for name, value in facts["aux"].items():
            self._print(f"  {name}: {value}")
        if not self._show_logs(facts["log"]) and command:
            self._print(f"  The command was {command}")

    def _exit(self, command: str) -> str:
        """Return how a command that failed ended, such as "exit status 1"; empty if not known."""
        for text in self._exits:
            if command and command in text and (found := _EXIT.search(text)):
                self._exits.remove(text)
                return found[1] or found[2]
        return ""

    def _show_logs(self, files: Iterable[str]) -> bool:
        """Show the end of log files; return whether there was anything in one."""
        found = False
        for file in files:
            lines = _last_lines(file)
            if lines:
                found = True
                self._print(f"  The end of {file}:")
                self._print("\n".join(f"    {line}" for line in lines))
            else:
                self._print(f"  {file} is empty or not there.")
        return found

    def _elapsed(self) -> str:
        return duration(self._clock() - self._start)

    def _progress(self) -> str:
        return f"{self._done} of {self._total} jobs, {self._elapsed()}"

    def _print(self, text: str) -> None:
        """Write lines that stay."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def _tick(self) -> None:
        """Renew the line once a second, so that it is seen that something goes on."""
        while not self._ended.wait(1):
            with self._own_lock():
                if not self._ended.is_set():
                    self._draw()

    def _draw(self) -> None:
        """Draw the line, on a terminal and while jobs run."""
        if not self._live or self._ended.is_set() or not self._running:
            return
        full = _BAR * self._done // max(self._total, 1)
        names = ", ".join(self._running.values())
        line = f"[{'#' * full}{'-' * (_BAR - full)}] {self._progress()}: {names}"
        # A line that fills the last column would break. Some terminals do not know their width.
        width = (os.get_terminal_size(self._stream.fileno()).columns or 80) - 1
        if len(line) > width:
            line = line[: max(width - 3, 0)] + "..."
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()
        self._drawn = True

    def _clear(self) -> None:
        """Take the line away, if there is one."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False


def _label(facts: Mapping[str, Any]) -> str:
    """Return a short name of a job: that of its benchmark, such as "train/plain-20-kwi-seed1".

    Not that of its log: a run that is taken has it in the place of one that is trained.
    """
    _, folder, name = str(facts.get("benchmark")).rpartition("/benchmarks/")
    return str(PurePath(name).with_suffix("")) if folder else str(facts["rule_name"])


def _number(text: str) -> Any:
    """Return the number of a job as Snakemake has it: an integer, or text for a group."""
    return int(text) if text.isdigit() else text


def _last_lines(file: str) -> list[str]:
    """Return the last lines of a text file; none if it is empty or cannot be read."""
    try:
        with open(file, "rb") as stream:  # noqa: PTH123 - as Snakemake gives it
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - _LOG_BYTES, 0))
            content = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    return content.rstrip().splitlines()[-LOG_LINES:]
