"""The display of progress and errors, fed with messages as Snakemake sends them."""

import contextlib
import fcntl
import io
import logging
import os
import pty
import re
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import patient
import pytest

from resnoise.console import display as module
from resnoise.console.display import LOG_LINES, SNAKEMAKES_OWN, Display, install


class Shown:
    """A display that writes to a text, with a clock that stands still, and its logger."""

    def __init__(self, stream: Any = None) -> None:
        self.stream = io.StringIO() if stream is None else stream
        self.time = 0.0
        self.display = Display(self.stream, clock=lambda: self.time)
        self.logger = logging.Logger("snakemake", logging.INFO)
        self.logger.addHandler(self.display)

    @property
    def text(self) -> str:
        return str(self.stream.getvalue())

    def total(self, count: int) -> None:
        self.logger.info("Job stats:", extra={"event": "run_info", "stats": {"total": count}})

    def start(self, job: int, name: str, output: tuple[str, ...] = ("file",)) -> None:
        file = f"r/benchmarks/{name}.tsv"
        facts = {"jobid": job, "rule_name": name.partition("/")[0], "log": [], "benchmark": file}
        self.logger.info("job", extra={"event": "job_info", "output": output, **facts})

    def finish(self, job: int) -> None:
        self.logger.info("Finished", extra={"event": "job_finished", "job_id": job})

    def fail(self, job: int, logs: list[str], **facts: Any) -> None:
        known = {"rule_name": "train", "rule_msg": None, "aux": {}, "shellcmd": "python train.py"}
        self.logger.error(
            "Error", extra={"event": "job_error", "jobid": job, "log": logs, **known, **facts}
        )


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_a_finished_job_is_a_line_where_there_is_no_terminal(shown: Shown) -> None:
    shown.total(3)
    shown.start(7, "train/plain-8-kwi-seed1")
    shown.start(2, "table1")
    assert shown.text == ""
    shown.time = 94
    shown.finish(7)
    shown.finish(2)
    # A target without files of its own is done, but no news.
    shown.start(0, "all", output=())
    shown.finish(0)
    shown.display.succeeded()
    assert shown.text.splitlines() == [
        "1 of 3 jobs, 1 min 34 s: train/plain-8-kwi-seed1",
        "2 of 3 jobs, 1 min 34 s: table1",
        "3 jobs done in 1 min 34 s",
    ]


def test_the_number_of_jobs_may_change_while_they_run(shown: Shown) -> None:
    shown.total(3)
    shown.logger.info(None, extra={"event": "progress", "done": 0, "total": 5})
    shown.start(1, "table1")
    shown.finish(1)
    assert shown.text == "1 of 5 jobs, 0 s: table1\n"


def test_a_job_without_a_log_is_called_by_its_rule(shown: Shown) -> None:
    shown.total(1)
    facts = {"jobid": 1, "rule_name": "mine", "log": [], "output": ["file"]}
    shown.logger.info("job", extra={"event": "job_info", **facts})
    shown.finish(1)
    assert shown.text == "1 of 1 jobs, 0 s: mine\n"


def test_chatter_is_left_out_and_all_else_is_shown(shown: Shown) -> None:
    for text in (
        "Building DAG of jobs...",
        "Select jobs to execute...",
        "Elapsed time: 0:01",
        None,
    ):
        shown.logger.info(text)
    shown.logger.info("Provided cores: 2", extra={"event": "resources_info", "cores": 2})
    shown.logger.info("Shell command", extra={"event": "shellcmd", "shellcmd": "python"})
    shown.logger.error("Exiting because a job execution failed. Look above for error messages")
    assert shown.text == ""
    shown.logger.info("SLURM run ID: 1")
    shown.logger.warning("Elapsed time is strange")
    shown.logger.error("WorkflowError:\nno", extra={"event": "error"})
    assert shown.text == "SLURM run ID: 1\nElapsed time is strange\nWorkflowError:\nno\n"


def test_an_error_shows_the_end_of_the_log(shown: Shown, tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [f"line {number}" for number in range(10_000)]
    log.write_text("\n".join([*lines, "error: broken", ""]), "utf-8")
    shown.total(2)
    shown.start(1, "train/plain-8-kwi-seed1")
    command = "RuleException:\nCalledProcessError in file f, line 1:\nCommand 'set -e; {}' {}."
    for words in (
        ("python other.py", "died with <Signals.SIGKILL: 9>"),
        ("python train.py", "returned non-zero exit status 1"),
    ):
        shown.logger.error(command.format(*words), extra={"event": "error"})
    assert shown.text == ""
    shown.fail(1, [str(log)])
    expected = [f"    {line}" for line in [*lines[-LOG_LINES + 1 :], "error: broken"]]
    assert shown.text.splitlines() == [
        "Error in train/plain-8-kwi-seed1 (exit status 1)",
        f"  The end of {log}:",
        *expected,
    ]
    shown.fail(2, [], shellcmd="python other.py")
    assert "Error in train (SIGKILL)\n  The command was python other.py\n" in shown.text


def test_an_error_without_a_log_shows_what_else_is_known(shown: Shown, tmp_path: Path) -> None:
    shown.start(1, "train/plain-8-kwi-seed1")
    shown.fail(
        1, [str(tmp_path / "none")], rule_msg="SLURM-job '5' failed", aux={"external_jobid": "5"}
    )
    assert shown.text.splitlines() == [
        "Error in train/plain-8-kwi-seed1",
        "  SLURM-job '5' failed",
        "  external_jobid: 5",
        f"  {tmp_path / 'none'} is empty or not there.",
        "  The command was python train.py",
    ]


def test_a_log_that_is_no_text_is_shown_as_far_as_it_can_be(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\xfe broken\r\n")
    shown.fail(1, [str(tmp_path / "log")])
    assert " broken\n" in shown.text


def test_the_log_of_a_group_is_shown(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "slurm.log").write_text("oom\n", "utf-8")
    facts = {"groupid": "evaluations", "aux_logs": [str(tmp_path / "slurm.log")]}
    shown.logger.error("Error in group", extra={"event": "group_error", **facts})
    assert shown.text.startswith("Error in group evaluations\n") and "    oom\n" in shown.text


def test_failed_jobs_are_named_at_the_end_and_recovered_ones_are_not(shown: Shown) -> None:
    shown.total(20)
    for job in range(15):
        shown.start(job, f"train/{job}")
        shown.fail(job, [])
    shown.logger.info("Trying to restart job 3.")
    shown.start(3, "train/3")
    shown.finish(3)
    before = shown.text
    assert "Trying again: train/3\n" in before
    shown.display.failed([".snakemake/log/x.log"])
    assert shown.text.removeprefix(before).splitlines() == [
        "Of 20 jobs: 14 failed, 1 done (0 s)",
        *(f"  train/{job}" for job in (0, 1, 2, 4, 5, 6, 7, 8, 9, 10)),
        "  and 4 more",
        "Their errors are above.",
        "Start the same command again to go on; what is done stays.",
        "Complete log: .snakemake/log/x.log",
    ]


@pytest.mark.parametrize(
    "end", ["died with <Signals.SIGINT: 2>", "returned non-zero exit status 130"]
)
def test_an_interrupted_job_is_no_error(shown: Shown, tmp_path: Path, end: str) -> None:
    (tmp_path / "log").write_text("KeyboardInterrupt", "utf-8")
    shown.total(3)
    shown.start(1, "train/plain-8-kwi-seed1")
    text = (
        f"RuleException:\nCalledProcessError in file f, line 1:\nCommand 'python train.py' {end}."
    )
    shown.logger.error(text, extra={"event": "error"})
    shown.fail(1, [str(tmp_path / "log")])
    shown.display.failed([])
    assert shown.text.splitlines() == [
        "Interrupted: train/plain-8-kwi-seed1",
        "Of 3 jobs: 1 interrupted (0 s)",
        "Start the same command again to go on; what is done stays.",
    ]


def test_a_message_that_cannot_be_shown_ends_nothing(
    shown: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    shown.logger.info("no stats", extra={"event": "run_info"})
    assert "KeyError: 'stats'" in capsys.readouterr().err
    shown.logger.info("next")
    assert shown.text == "next\n"


class Terminal:
    """A pseudo-terminal: ``stream`` is the program's side.

    Args:
        columns: its width; 0 for one that does not know.
    """

    def __init__(self, columns: int) -> None:
        self._screen, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(program, "w")
        self._text = ""

    def wait(self, text: str) -> None:
        """Wait until the program writes a text."""
        while text not in self._text:
            self._text += patient.read(self._screen).decode()

    def everything(self) -> str:
        """Return all that was written; the program can write no more.

        A line that was drawn several times in a row is there once: it renews itself once a second.
        """
        self.stream.close()
        with contextlib.suppress(OSError):
            # The end of what was written is an error of a pseudo-terminal.
            while part := patient.read(self._screen).decode():
                self._text += part
        os.close(self._screen)
        return re.sub(r"(\r\x1b\[K[^\r\n]+)\1+(?=\r)", r"\1", self._text)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """Return a function that opens a terminal of so many columns."""
    monkeypatch.setenv("TERM", "xterm")
    return Terminal


@pytest.mark.parametrize("columns", [100, 0])
def test_on_a_terminal_one_line_renews_itself(
    terminal: Callable[[int], Terminal], columns: int
) -> None:
    screen = terminal(columns)
    shown = Shown(screen.stream)
    shown.total(4)
    shown.start(1, "prepare_data")
    shown.finish(1)
    shown.start(2, "train/plain-8-kwi-seed1")
    shown.start(3, "table1")
    # It goes on without news of Snakemake, so that it is seen to live.
    shown.time = 5
    screen.wait("1 of 4 jobs, 5 s: ")
    shown.logger.warning("attention")
    shown.display.succeeded()
    shown.display.close()
    text = screen.everything()
    bar = "\r\x1b[K[#####---------------] 1 of 4 jobs"
    names = "train/plain-8-kwi-seed1, table1"
    assert text.startswith("\r\x1b[K[--------------------] 0 of 4 jobs, 0 s: prepare_data\r\x1b[K")
    assert f"{bar}, 0 s: {names}" in text
    assert text.endswith(f"\r\x1b[Kattention\r\n{bar}, 5 s: {names}\r\x1b[K1 jobs done in 5 s\r\n")
    assert text.count("\n") == 2


def test_the_line_is_cut_to_the_width_of_the_terminal(
    terminal: Callable[[int], Terminal],
) -> None:
    screen = terminal(60)
    shown = Shown(screen.stream)
    shown.total(1)
    shown.start(1, "train/plain-8-kwi-seed1-and-a-name-that-is-far-too-long")
    shown.display.close()
    _, line, rest = screen.everything().split("\r\x1b[K")
    assert len(line) == 59 and line.endswith("...") and rest == ""


def test_a_dumb_terminal_gets_lines(
    terminal: Callable[[int], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = terminal(60)
    shown = Shown(screen.stream)
    shown.total(1)
    shown.start(1, "table1")
    shown.finish(1)
    assert screen.everything() == "1 of 1 jobs, 0 s: table1\r\n"


OUTPUT = {
    "dryrun": False,
    "printshellcmds": False,
    "quiet": None,
    "debug_dag": False,
    "verbose": False,
}


def logger_of_snakemake(stream: Any) -> logging.Logger:
    logger = logging.Logger("snakemake")
    for name in (SNAKEMAKES_OWN, "DefaultLogFileHandler"):
        handler = logging.StreamHandler(stream)
        handler.name = name
        logger.addHandler(handler)
    return logger


def test_it_takes_the_place_of_snakemakes_output_and_of_no_other() -> None:
    stream = io.StringIO()
    logger = logger_of_snakemake(stream)
    display = install(logger, SimpleNamespace(**OUTPUT))
    assert display in logger.handlers
    assert [handler.name for handler in logger.handlers] == ["DefaultLogFileHandler", None]
    logger.warning("seen")
    assert stream.getvalue() == "seen\nseen\n"


@pytest.mark.parametrize(
    "option",
    [
        *({name: True} for name in ("dryrun", "printshellcmds", "debug_dag", "verbose")),
        {"quiet": {"rules"}},
    ],
    ids=str,
)
def test_who_asks_for_snakemakes_log_gets_it(option: dict[str, Any]) -> None:
    logger = logger_of_snakemake(io.StringIO())
    before = [*logger.handlers]
    assert install(logger, SimpleNamespace(**{**OUTPUT, **option})) is None
    assert logger.handlers == before


def test_a_logger_plugin_stays() -> None:
    logger = logging.Logger("snakemake")
    plugin = logging.NullHandler()
    logger.addHandler(plugin)
    assert install(logger, SimpleNamespace(**OUTPUT)) is None
    assert logger.handlers == [plugin]


def test_snakemake_calls_its_handler_so() -> None:
    from snakemake import logging as snakemake_logging

    source = Path(snakemake_logging.__file__).read_text("utf-8")
    assert f'name = "{module.SNAKEMAKES_OWN}"' in source
