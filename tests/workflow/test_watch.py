"""The live view of a workflow that runs, is killed and goes on."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import faults
import pytest
import yaml
from projects import CORE, Project

from resnoise.config import load as configuration
from resnoise.live import jobs, states
from resnoise.live.schedule import seconds_left
from resnoise.live.states import Files, State, Status

pytestmark = pytest.mark.thorough
# So many that no training ends while the test looks, however busy the machine.
EPOCHS = 240


@contextmanager
def running(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    """Start the workflow, one job at a time; end it and its jobs without warning."""
    process = faults.start(project, *CORE, "--cores", "1")
    try:
        yield process
    finally:
        faults.kill_session(process)


def test_a_workflow_that_runs_is_killed_and_goes_on(project: Project) -> None:
    project.replace("config/tiny.yaml", "epochs: 2", f"epochs: {EPOCHS}")
    config = configuration.load(yaml.safe_load((project.root / "config/tiny.yaml").read_text()))
    found = jobs.configured(config, project.results, ["table1"])
    files = Files()

    def look() -> list[Status]:
        now = states.file_system_time(project.results)
        return [states.status(job, files, now) for job in found]

    def look_until(
        wanted: Callable[[Status], object], process: subprocess.Popen[bytes]
    ) -> tuple[Status, list[Status]]:
        """Return the job that is as wanted, and all that was seen with it."""
        while process.poll() is None:
            seen = look()
            for status in filter(wanted, seen):
                return status, seen
            time.sleep(0.01)
        raise AssertionError(f"never seen: {look()}")

    assert [status.state for status in look()] == [State.OUTDATED] * 2
    with running(project) as process:
        # Where a look comes long after the last line of the log, no time is left.
        first, seen = look_until(
            lambda s: s.state is State.RUNNING and s.progress >= 3 and s.left, process
        )
        assert first.epochs == EPOCHS and first.risk and first.images_per_second and first.left
        assert [status.state for status in seen if status.job != first.job] == [State.OUTDATED]
        assert (seconds_left(seen) or 0) > first.left
    # A killed process is gone a moment later.
    deadline = time.monotonic() + 60
    while (stopped := next(s for s in look() if s.job == first.job)).state is State.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # Short epochs are not saved one by one.
    assert stopped.state is State.STOPPED and stopped.progress >= 1
    assert stopped.note.endswith("continues when started again")
    assert seconds_left(look()) is None
    project.snakemake("--unlock")
    with running(project) as process:
        resumed, _ = look_until(lambda s: s.state is State.RESUMED, process)
        assert resumed.job == first.job and resumed.progress >= stopped.progress
        assert process.wait() == 0
    assert [status.state for status in look()] == [State.DONE] * 2
    assert [status.note for status in look() if status.job == first.job] == ["in 2 parts"]
    # What the folder alone tells is the same.
    now = states.file_system_time(project.results)
    alone = [states.status(job, files, now) for job in jobs.found(project.results)]
    assert [status.state for status in alone] == [State.DONE] * 2
