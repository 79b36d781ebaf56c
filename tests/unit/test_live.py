"""The live view: states from files, when all is done, and the text."""

import dataclasses
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import patient
import pytest

from resnoise.config import load as configuration
from resnoise.live import jobs, states, view
from resnoise.live.jobs import Job
from resnoise.live.schedule import LEFT_OUT, seconds_left
from resnoise.live.states import Files, State, Status
from resnoise.plan import estimates
from resnoise.provenance import SCRIPTS
from resnoise.training import checkpoint, history, log_lines
from resnoise.training.history import Row
from resnoise.training.log_lines import Start

NOW = 1_000_000.0
HERE = socket.gethostname()
EPOCHS = 20


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return configuration.load(
        {
            "training": {"simplified": {"epochs": EPOCHS}},
            "table1": {"depths": [8, 14], "seeds": [1, 2]},
            "twins": {"depths": [8], "seeds": [1]},
        }
    )


@pytest.fixture
def job(config: dict[str, Any], tmp_path: Path) -> Job:
    """A run that has left nothing yet."""
    return jobs.configured(config, tmp_path, ["table1"])[0]


@pytest.fixture
def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def row(epoch: int, **values: Any) -> Row:
    return Row(
        **{
            "epoch": epoch,
            "lr": 0.1,
            "risk": 1 / epoch,
            "cost": 1.0,
            "train_error": 0.5,
            "test_loss": 1.0,
            "test_error": 0.0,
            "seconds": 60.0,
            "images_per_second": 500.0,
            **values,
        }
    )


def stamp(path: Path, age: float) -> None:
    os.utime(path, (NOW - age, NOW - age))


def write_history(job: Job, epochs: int, age: float = 1.0) -> None:
    history.write(job.folder / "history.csv", [row(epoch + 1) for epoch in range(epochs)])
    stamp(job.folder / "history.csv", age)


def write_log(job: Job, *lines: object, age: float = 1.0) -> None:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    job.log.write_text("".join(f"2026-01-01 12:00:00,000 {line}\n" for line in lines), "utf-8")
    stamp(job.log, age)


def write_checkpoint(job: Job, epoch: int, **identity: str) -> None:
    """Write one as ``resnoise.training.loop`` does."""
    assert job.plan
    weights = {"conv1.weight": np.zeros((4, 4), np.float32)}
    rows = [row(epoch + 1) for epoch in range(epoch)]
    state = checkpoint.State(epoch, weights, weights, {"initial": weights}, rows, [{}])
    own = {"spec": job.plan.spec.to_json(), "data": "data", "code": job.plan.code}
    checkpoint.save(job.folder / "resume.safetensors", [state], [{**own, **identity}], [])


def write_record(job: Job, **values: Any) -> None:
    assert job.plan
    record = {
        "status": "done",
        "spec": dataclasses.asdict(job.plan.spec),
        "code_digest": job.plan.code,
        "epochs_done": EPOCHS,
        "seconds": 1200.0,
        "sessions": [{}],
        **values,
    }
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / "run.json").write_text(json.dumps(record), "utf-8")


def start(host: str = "elsewhere", process: int = 1, first: int = 1) -> Start:
    return Start(host, process, first, EPOCHS, 100)


def look(job: Job) -> Status:
    return states.status(job, Files(), NOW)


def test_nothing_is_there(job: Job) -> None:
    status = look(job)
    assert (status.state, status.progress, status.epochs) == (State.WAITING, 0, EPOCHS)


def test_a_job_has_begun_and_not_yet_come_to_training(job: Job) -> None:
    write_log(job)
    assert (look(job).state, look(job).note) == (State.RUNNING, "starting")


def test_a_running_job(job: Job) -> None:
    write_log(job, start(), log_lines.step(1, EPOCHS, 25, 100, 100.0), age=10.0)
    write_history(job, 0, age=20.0)
    status = look(job)
    assert (status.state, status.progress, status.left) == (State.RUNNING, 0.25, 90.0)
    assert (status.risk, status.note) == (None, "on elsewhere")
    write_log(job, start(HERE, os.getpid()), log_lines.epoch(row(4), EPOCHS, 1000.0))
    write_history(job, 4)
    status = look(job)
    assert (status.state, status.progress, status.epochs) == (State.RUNNING, 4, EPOCHS)
    assert (status.risk, status.test_error, status.images_per_second) == (0.25, 0.0, 500.0)
    assert (status.left, status.note) == (999.0, "")


def test_twins_have_no_history_before_their_first_epoch_ends(job: Job) -> None:
    write_log(job, start(HERE, os.getpid(), first=3), log_lines.step(3, EPOCHS, 50, 100, 9.0))
    assert (look(job).state, look(job).progress) == (State.RESUMED, 2.5)


def test_a_continued_job(job: Job) -> None:
    write_log(job, "continuing after epoch 5 of 20", start(first=6))
    write_history(job, 5)
    status = look(job)
    assert (status.state, status.progress) == (State.RESUMED, 5)
    assert status.note == "since epoch 6, on elsewhere"


def test_a_killed_process_is_known_at_once_on_this_computer(job: Job, ended: int) -> None:
    write_log(job, start(HERE, ended), log_lines.step(2, EPOCHS, 50, 100, 9.0), age=0.0)
    write_history(job, 1, age=0.0)
    write_checkpoint(job, 1)
    status = look(job)
    # The half of the second epoch will be done again.
    assert (status.state, status.progress) == (State.STOPPED, 1)
    assert status.note == "silent for 0 s, continues when started again"


def test_a_stopped_job_without_a_checkpoint_begins_anew(job: Job, ended: int) -> None:
    write_log(job, start(HERE, ended), log_lines.step(1, EPOCHS, 50, 100, 9.0))
    write_history(job, 3)
    file = job.folder / "resume.safetensors"
    write_checkpoint(job, 3)
    whole = file.read_bytes()
    for content in (
        None,
        b"",
        b"state",
        b"\xff" * 99,
        whole[:99],
        whole.replace(b"resnoise", b"other  "),
    ):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        status = look(job)
        found = (status.state, status.progress, status.epochs, status.risk)
        assert found == (State.STOPPED, 0, EPOCHS, None), content
        assert status.note == "silent for 1 s, starts over when started again"


def test_a_checkpoint_of_other_code_or_another_specification_is_of_no_use(
    job: Job, ended: int
) -> None:
    assert job.plan
    write_log(job, start(HERE, ended), log_lines.epoch(row(4), EPOCHS, 60.0))
    write_history(job, 4)
    other = dataclasses.replace(job.plan.spec, seed=7).to_json()
    for identity in ({"code": "other"}, {"spec": other}):
        write_checkpoint(job, 4, **identity)
        status = look(job)
        assert (status.state, status.progress, status.epochs) == (State.OUTDATED, 0, EPOCHS)
        assert status.note == "made with other settings or code: will be trained again"
        # Nobody knows without a configuration.
        alone = look(dataclasses.replace(job, plan=None))
        assert (alone.state, alone.progress) == (State.STOPPED, 4)
    # It says nothing of a process that trains anew and has not come to its own one.
    write_log(job, start(HERE, os.getpid()))
    write_history(job, 0)
    assert (look(job).state, look(job).progress) == (State.RUNNING, 0)
    # It alone is left.
    job.log.unlink()
    (job.folder / "history.csv").unlink()
    assert look(job).state is State.OUTDATED
    write_checkpoint(job, 5)
    assert (look(job).state, look(job).progress) == (State.STOPPED, 5)


def test_epochs_that_will_be_done_again_are_left(job: Job, ended: int) -> None:
    write_log(job, start(HERE, ended), log_lines.epoch(row(10), EPOCHS, 60.0))
    running = Status(job, State.RUNNING, progress=10.0, epochs=EPOCHS, left=100.0)
    for identity, expected in (({}, 200.0), ({"code": "other"}, 300.0)):
        write_checkpoint(job, 10, **identity)
        assert seconds_left([running, look(job)]) == pytest.approx(expected)
    (job.folder / "resume.safetensors").unlink()
    assert look(job).state is State.STOPPED
    assert seconds_left([running, look(job)]) == pytest.approx(300.0)


def test_a_killed_process_that_nobody_has_asked_for_is_gone(job: Job) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_log(job, start(HERE, process.pid))
    write_history(job, 1)
    assert look(job).state is State.RUNNING
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert look(job).state is State.STOPPED
    process.communicate()


def test_a_killed_process_is_known_by_its_silence_elsewhere(job: Job, ended: int) -> None:
    for age, state in ((states.SILENCE - 1, State.RUNNING), (states.SILENCE + 1, State.STOPPED)):
        write_log(job, start("elsewhere", ended), age=age)
        write_history(job, 1, age=age)
        assert look(job).state is state
    # A sign of life in either file will do.
    write_history(job, 2, age=1.0)
    assert look(job).state is State.RUNNING


def test_a_silent_process_that_exists_is_stalled(job: Job) -> None:
    write_log(job, start(HERE, os.getpid()), age=3600.0)
    write_history(job, 1, age=3600.0)
    status = look(job)
    assert status.state is State.STALLED
    assert status.note == f"process {os.getpid()} silent for 1 h 00 min"


def test_a_job_whose_outputs_the_workflow_deleted_is_stopped(job: Job) -> None:
    write_log(job, start(), log_lines.epoch(row(4), EPOCHS, 60.0))
    write_checkpoint(job, 4)
    status = look(job)
    assert (status.state, status.progress, status.risk) == (State.STOPPED, 4, 0.25)


def test_a_failed_job_says_why(job: Job) -> None:
    write_log(job, start())
    with job.log.open("a") as stream:
        stream.write("Traceback (most recent call last):\n  ...\nerror: no such device\n")
    status = look(job)
    assert (status.state, status.note) == (State.FAILED, "error: no such device")


def test_a_job_whose_results_were_deleted_waits(job: Job) -> None:
    write_log(job, start(), log_lines.epoch(row(EPOCHS), EPOCHS, 0.0), age=1e6)
    assert look(job).state is State.WAITING


def test_a_run_by_hand_has_no_log(job: Job) -> None:
    write_history(job, 3, age=170.0)
    status = look(job)
    assert (status.state, status.progress, status.epochs) == (State.RUNNING, 3, EPOCHS)
    # Three epochs without a word are too long.
    write_history(job, 3, age=190.0)
    assert look(job).state is State.STOPPED


def test_a_done_job(job: Job) -> None:
    write_log(job, start(HERE, 1), age=1e6)
    write_history(job, EPOCHS, age=1e6)
    write_record(job, sessions=[{}, {}])
    status = look(job)
    assert (status.state, status.progress, status.seconds) == (State.DONE, EPOCHS, 1200.0)
    assert (status.risk, status.note) == (1 / EPOCHS, "in 2 parts")


def test_a_diverged_job(job: Job) -> None:
    write_record(job, status="diverged", epochs_done=3, diverged_at={"epoch": 3, "step": 7})
    status = look(job)
    assert (status.state, status.progress, status.note) == (State.DIVERGED, 3, "epoch 3, step 7")


def test_a_taken_run_may_be_of_other_code_where_runs_are_taken(job: Job) -> None:
    assert job.plan
    write_record(job, code_digest="other", trained_on="pictures")
    assert look(job).state is State.OUTDATED
    taken = dataclasses.replace(job, plan=dataclasses.replace(job.plan, taken=True))
    status = look(taken)
    assert (status.state, status.note) == (State.DONE, "trained elsewhere")
    write_record(job, code_digest="other")
    assert look(taken).state is State.OUTDATED


def test_a_result_of_other_code_or_another_specification_is_outdated(job: Job) -> None:
    assert job.plan
    write_record(job, code_digest="other")
    status = look(job)
    assert (status.state, status.progress, status.seconds) == (State.OUTDATED, 0, None)
    write_record(job, spec={**dataclasses.asdict(job.plan.spec), "seed": 7})
    assert look(job).state is State.OUTDATED
    # Nobody knows without a configuration.
    assert look(dataclasses.replace(job, plan=None)).state is State.DONE


def test_damaged_files_count_as_none(job: Job) -> None:
    job.folder.mkdir(parents=True)
    for name in ("run.json", "history.csv"):
        (job.folder / name).write_bytes(b"epoch,risk\n1\xff,")
    assert look(job).state is State.WAITING


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(job: Job) -> None:
    job.folder.mkdir(parents=True)
    job.log.parent.mkdir(parents=True)
    names = ("run.json", "history.csv", "resume.safetensors")
    for path in (job.log, *(job.folder / name for name in names)):
        os.mkfifo(path)
    assert look(job).state is State.WAITING


CRAFTED = {
    "a division by 0": f"{start()}\nepoch 1/20  step 1/0  ETA 0:00:10",
    "a time without end": f"{start()}\nepoch 1/20  step 1/9  ETA {'9' * 308} days, 0:00:10",
    "a number of 5000 digits": f"{start()}\nepoch {'9' * 5000}/20  step 1/9  ETA 0:00:10",
    "a process that cannot be": str(start(host=HERE, process=10**30)),
    "a risk that is no number": (
        f"{start()}\nepoch 1/20  lr 1  risk x  train error 0  test error 0  5 images/s  ETA 0:00:10"
    ),
    "colours": "error: \x1b[31mred\x1b[2J",
}


@pytest.mark.parametrize("kind", CRAFTED)
def test_crafted_logs_are_shown_without_harm(kind: str, job: Job) -> None:
    write_log(job, "nothing")
    job.log.write_text(CRAFTED[kind], "utf-8")
    stamp(job.log, 1.0)
    text = view.text([look(job)], columns=100, rows=10)
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "values",
    [
        {"epochs_done": "many"},
        {"seconds": None},
        {"spec": 1},
        {"spec": []},
        {"sessions": 3},
        {"status": "diverged", "diverged_at": 3},
        {"code_digest": []},
    ],
)
def test_a_record_of_something_else_says_nothing(values: dict[str, Any], job: Job) -> None:
    write_record(job, **values)
    for one in (job, dataclasses.replace(job, plan=None)):
        assert view.text([look(one)])
    (job.folder / "run.json").write_text("[" * 100_000, "utf-8")
    assert look(job).state is State.WAITING


def test_files_are_read_again_when_they_change(job: Job) -> None:
    files = Files()
    write_log(job, start())
    write_history(job, 1)
    assert states.status(job, files, NOW).progress == 1
    write_history(job, 2, age=0.5)
    assert states.status(job, files, NOW).progress == 2


def test_time_is_that_of_the_file_system(tmp_path: Path) -> None:
    before = states.file_system_time(tmp_path)
    (tmp_path / "file").touch()
    after = states.file_system_time(tmp_path)
    # Time stamps have the grain of the kernel's clock.
    assert before - 0.1 <= (tmp_path / "file").stat().st_mtime <= after + 0.1
    assert not [path for path in tmp_path.iterdir() if path.name != "file"]
    assert abs(states.file_system_time(tmp_path / "missing") - after) < 3600


def test_jobs_of_a_configuration_are_those_of_its_sections(
    config: dict[str, Any], tmp_path: Path
) -> None:
    names = [(job.name, job.seed) for job in jobs.configured(config, tmp_path, ["table1"])]
    assert names == [
        *(("plain-8", 1), ("plain-8", 2), ("plain-14", 1), ("plain-14", 2)),
        *(("residual-8", 1), ("residual-8", 2), ("residual-14", 1), ("residual-14", 2)),
    ]
    (twins,) = jobs.configured(config, tmp_path, ["twins"])
    assert twins.plan and twins.plan.spec.recipe.precision == "float64"
    assert twins.plan.drift == "2 16"
    both = jobs.configured(config, tmp_path)
    assert {job.folder for job in both} >= {twins.folder}
    # Waiting for runs that nobody asked for would never end.
    doses = jobs.configured(config, tmp_path, ["conjecture"])
    assert "id-entries_alpha=0.5" in {job.initialisation for job in doses}
    assert "id-entries_alpha=0.5" not in {job.initialisation for job in both}
    assert len({job.folder for job in both}) == len({job.log for job in both}) == len(both)


def test_jobs_of_a_folder_are_those_of_the_configuration(
    config: dict[str, Any], tmp_path: Path
) -> None:
    planned = jobs.configured(config, tmp_path)
    for job in planned:
        job.folder.mkdir(parents=True)
    (tmp_path / "runs" / "something-else" / "kwi" / "seed1").mkdir(parents=True)
    (tmp_path / "runs" / "plain-8" / "kwi" / "seedling").mkdir()
    assert jobs.found(tmp_path) == [dataclasses.replace(job, plan=None) for job in planned]


def statuses(job: Job, *values: dict[str, Any]) -> list[Status]:
    return [Status(job, **{"epochs": EPOCHS, **each}) for each in values]


def test_when_all_is_done(job: Job) -> None:
    running = {"state": State.RUNNING, "progress": 10.0, "left": 100.0}
    waiting: dict[str, Any] = {"state": State.WAITING}
    half = {"state": State.STOPPED, "progress": 10.0}
    # An epoch takes ten seconds; a job has twenty.
    for values, expected in (
        ([running], 100.0),
        ([running, waiting], 300.0),
        ([running, running, waiting], 300.0),
        ([running, running, waiting, waiting, waiting], 500.0),
        ([running, half], 200.0),
        ([running, {"state": State.FAILED}, {"state": State.DONE, "seconds": 200.0}], 100.0),
        # It gives no place free, nor takes one.
        ([running, {"state": State.STALLED}, waiting], 300.0),
        ([{"state": State.STALLED}, waiting], None),
        ([waiting], None),
        ([], None),
        ([{"state": State.RUNNING}, waiting], None),
    ):
        found = [
            {"progress": float(EPOCHS), **each} if each["state"] is State.DONE else each
            for each in values
        ]
        assert seconds_left(statuses(job, *found)) == pytest.approx(expected), values


def test_the_summary_says_when_which_jobs_are_done(job: Job) -> None:
    assert {*State} - LEFT_OUT == states.ACTIVE | states.PENDING | {State.DIVERGED, State.DONE}
    running = {"state": State.RUNNING, "left": 60.0}
    stalled, failed = {"state": State.STALLED}, {"state": State.FAILED}
    diverged = {"state": State.DIVERGED}
    for values, expected in (
        ([running, diverged], "ETA of all 1 min 00 s"),
        ([running, failed], "ETA of all but the failed 1 min 00 s"),
        ([failed, running, stalled, stalled], "ETA of all but the stalled and failed 1 min 00 s"),
    ):
        found = statuses(job, *values)
        assert view.summary(found).partition("; ")[2] == expected
        unknown = [dataclasses.replace(s, job=dataclasses.replace(job, plan=None)) for s in found]
        assert view.summary(unknown).partition("; ")[2] == "ETA 1 min 00 s"


def test_jobs_of_other_networks_count_by_their_work(config: dict[str, Any], tmp_path: Path) -> None:
    small, *_, large = jobs.configured(config, tmp_path, ["table1"])
    assert small.plan and large.plan
    ratio = estimates.train_work(large.plan.spec) / estimates.train_work(small.plan.spec)
    assert ratio == pytest.approx(14 / 8)
    running = Status(small, State.RUNNING, progress=0.0, epochs=EPOCHS, left=100.0)
    waiting = Status(large, State.WAITING, epochs=EPOCHS)
    assert seconds_left([running, waiting]) == pytest.approx(100 + 100 * ratio)


def test_the_text_of_the_view(job: Job) -> None:
    found = statuses(
        job,
        {"state": State.DONE, "progress": 20, "risk": 0.12345, "test_error": 0.0, "seconds": 9.0},
        {"state": State.WAITING},
        {"state": State.RUNNING, "progress": 2.25, "images_per_second": 512.3, "left": 60.0},
        {"state": State.DIVERGED, "progress": 3, "risk": float("nan"), "note": "epoch 3, step 7"},
    )
    head, empty, header, *lines = view.text(found).splitlines()
    assert head.startswith("4 runs: 1 done, 1 running, 1 waiting, 1 diverged; ETA of all ")
    assert empty == "" and header.split()[:5] == ["run", "init", "seed", "state", "epoch"]
    assert [line.split()[3:] for line in lines] == [
        ["running", "2.2/20", "512", "1", "min", "00", "s"],
        ["waiting", "0/20"],
        ["diverged", "3/20", "epoch", "3,", "step", "7"],
        ["done", "20/20", "0.1235", "0.0000"],
    ]
    for line in lines:
        assert line.index("/20") == lines[0].index("/20")


def test_the_view_fits_the_terminal(job: Job) -> None:
    running, waiting = {"state": State.RUNNING, "left": 1.0}, {"state": State.WAITING}
    found = statuses(job, *[running] * 3, *[waiting] * 9)
    text = view.text(found, columns=50, rows=8)
    assert len(text.splitlines()) == 8 and max(map(len, text.splitlines())) <= 50
    assert text.splitlines()[-1] == "... and 8 waiting"
    assert view.text(found, rows=15) == view.text(found)
    assert view.text(found, rows=14).splitlines()[-1] == "... and 2 waiting"
    painted = view.text(found, colour=True)
    assert "\x1b[32mrunning\x1b[0m" in painted
    assert re.sub(r"\x1b\[\d+m", "", painted) == view.text(found)


def watch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "watch.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_without_a_terminal(tmp_path: Path) -> None:
    found = watch(tmp_path, "--only", "table1", "--configfile", SCRIPTS / "../../config/quick.yaml")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("12 runs: 12 waiting\n") and "\x1b" not in found.stdout
    assert watch(tmp_path).stdout.startswith("no runs\n")


def test_the_command_takes_the_configuration_that_lies_in_the_folder(tmp_path: Path) -> None:
    quick = SCRIPTS.parents[1] / "config" / "quick.yaml"
    (tmp_path / configuration.SAVED).write_text(quick.read_text("utf-8"), "utf-8")
    assert watch(tmp_path, "--only", "table1", "twins").stdout.startswith("14 runs: 14 waiting\n")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    assert (
        "missing given, allowed: a results folder that exists" in watch(tmp_path / "missing").stderr
    )
    assert "none.yaml: cannot be read" in watch("--configfile", tmp_path / "none.yaml").stderr
    assert "give --configfile" in watch(tmp_path, "--only", "table1").stderr
    assert "--interval" in watch(tmp_path, "--interval", "0").stderr
    (tmp_path / "wrong.yaml").write_text("tabel1: {}", "utf-8")
    error = watch("--configfile", tmp_path / "wrong.yaml").stderr
    assert "did you mean 'table1'" in error and "Traceback" not in error


def test_the_command_redraws_on_a_terminal_and_gives_it_back(job: Job, tmp_path: Path) -> None:
    job.folder.mkdir(parents=True)
    write_log(job, start(HERE, os.getpid()))
    write_history(job, 1)
    os.utime(job.log)
    terminal, inner = pty.openpty()
    command = [sys.executable, str(SCRIPTS / "watch.py"), str(tmp_path), "--interval", "0.05"]
    process = subprocess.Popen(
        command,
        stdout=inner,
        stderr=inner,
        # Children of a background job of a shell are born deaf to it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(inner)
    shown = b""
    while shown.count(b"\x1b[H") < 3:
        shown += patient.read(terminal)
    process.send_signal(signal.SIGINT)
    try:
        while more := patient.read(terminal):
            shown += more
    except OSError:
        # What Linux says when the other end is closed.
        pass
    assert process.wait() == 0
    text = shown.decode()
    assert text.startswith("\x1b[?1049h") and "running" in text
    assert text.rfind("\x1b[?25l") < text.rfind("\x1b[?25h") < text.rfind("\x1b[?1049l")
    # The last view stays on the usual screen.
    after = text.partition("\x1b[?1049l")[2]
    assert after.startswith("1 runs: 1 running") and "\x1b" not in after
