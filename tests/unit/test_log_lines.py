"""The log of a training: what is written is what is read back, and errors are found."""

import logging
import os
import re
import socket
from itertools import count

import pytest

from resnoise.training import log_lines
from resnoise.training import progress as progress_module
from resnoise.training.history import Row
from resnoise.training.log_lines import Finished, Log, Start
from resnoise.training.progress import Progress

STAMP = "2026-01-01 12:00:00,000 "


def row(epoch: int) -> Row:
    return Row(epoch, 1e-05, 0.25, 0.3, 0.5, 0.75, 0.125, 60.0, 1234.4)


def text(*lines: object) -> str:
    return "".join(f"{STAMP}{line}\n" for line in lines)


def test_an_empty_log_says_nothing() -> None:
    assert Log.parse("") == Log(None, None, None, 0.0, None, "")


@pytest.mark.parametrize("left", [0.0, 59.0, 3601.0, 86_399.0, 86_400.0, 300_000.0])
def test_what_is_written_is_read_back(left: float) -> None:
    start = Start("node-7.cluster", 4711, 3, 20, 391)
    lines = [start, log_lines.epoch(row(4), 20, 1.0), log_lines.step(5, 20, 100, 400, left)]
    log = Log.parse(text("continuing after epoch 2 of 20", *lines))
    assert log == Log(start, 20, Finished(4, 0.25, 0.125, 1234.0), 4.25, left, "")
    log = Log.parse(text(start, lines[2], log_lines.epoch(row(5), 20, left)))
    assert (log.progress, log.left) == (5.0, left)


def test_a_continued_run_has_the_epochs_before_it() -> None:
    assert Log.parse(text(Start("host", 1, 6, 20, 10))).progress == 5


@pytest.mark.parametrize(
    "error",
    [
        "error: results/data.safetensors: no such file",
        "MemoryError",
        "torch.OutOfMemoryError: CUDA out of memory",
        "resnoise.errors.ResnoiseError: wrong",
    ],
)
def test_the_error_that_ended_a_run_is_found(error: str) -> None:
    start = Start("host", 1, 1, 20, 10)
    traceback = 'Traceback (most recent call last):\n  File "train.py", line 1\n    main()\n'
    assert Log.parse(f"{text(start)}{traceback}{error}\n").error == error


def test_warnings_and_steps_are_no_errors() -> None:
    lines = text("diverged: epoch 1, loss not finite at step 3", "ValueError: is part of a message")
    assert Log.parse(lines).error == ""


def test_a_log_tells_what_is_going_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each look at the clock comes a second after the last one; a line is due every four."""
    seconds = count()
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(log_lines, "INTERVAL", 4.0)
    with caplog.at_level(logging.INFO), Progress(epochs=3, steps=10, done=1) as progress:
        for _ in range(10):
            progress.on_step_end([], [])
        progress.on_epoch_end([], [row(2)])
        for _ in range(5):
            progress.on_step_end([], [])
    found = [record.getMessage() for record in caplog.records]
    start = Start(socket.gethostname(), os.getpid(), 2, 3, 10)
    assert found[0] == str(start)
    assert [re.sub("  (ETA|lr).*", "", line) for line in found[1:]] == [
        "epoch 2/3  step 4/10",
        "epoch 2/3  step 8/10",
        "epoch 2/3",
        "epoch 3/3  step 4/10",
    ]
    # Four of twenty steps in four seconds.
    assert found[1].endswith("ETA 0:00:16")
    log = Log.parse(text(*found))
    assert (log.start, log.progress) == (start, 2.4)


def test_a_finished_training_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Progress(epochs=3, steps=10, done=3):
        pass
    assert not caplog.records
