"""The profile for hosts reached by SSH, with a stand-in for SSH that stays on this one."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import CORE, ROOT, Project, digests, fresh_project

pytestmark = pytest.mark.thorough

# SSH joins what follows the host and hands it to a shell that starts in the home folder.
STAND_IN = """\
#!/bin/sh
while :; do
  case "$1" in -n) shift ;; -o) shift 2 ;; *) break ;; esac
done
echo "$1" >> "$HOSTS_ASKED"
[ "$1" = down ] && exit 255
shift
cd / && exec sh -c "$*"
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets a line for each use of SSH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(STAND_IN, "utf-8")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOSTS_ASKED", str(tmp_path / "asked"))
    return tmp_path / "asked"


@pytest.fixture
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Path) -> Path:
    """Two slots, and a working folder whose name needs quoting."""
    monkeypatch.setenv("SLOTS", str(tmp_path / "slots"))
    (tmp_path / "slots").write_text("# comment\nnode1 7\n\nnode2\n", "utf-8")
    (tmp_path / "it's here").mkdir()
    monkeypatch.chdir(tmp_path / "it's here")
    return tmp_path / "slots"


def ssh(command: str, *arguments: str) -> str:
    done = subprocess.run([ROOT / "ssh" / command, *arguments], capture_output=True, text=True)
    return f"{done.stdout}{done.stderr}".strip()


def wait_for(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline, "nothing in a minute"
        time.sleep(0.1)


def job_script(text: str) -> str:
    script = Path("it's a job.sh")
    script.write_text(f"{text}\n", "utf-8")
    return str(script)


@pytest.mark.parametrize(("text", "status"), [("true", "success"), ("exit 3", "failed")])
def test_a_job_ends_as_its_script_does(slots: Path, text: str, status: str) -> None:
    job = ssh("submit", job_script(f"echo $CUDA_VISIBLE_DEVICES; {text}"))
    wait_for(lambda: ssh("status", job) != "running")
    assert ssh("status", job) == status
    host, folder = job.split(":")
    assert host == "node1"
    assert (Path(folder) / "log").read_text("utf-8") == "7\n"


def test_slots_are_taken_once_and_free_again_after_a_job_is_cancelled(slots: Path) -> None:
    script = job_script("sleep 300")
    jobs = [ssh("submit", script) for _ in range(2)]
    try:
        assert [job.partition(":")[0] for job in jobs] == ["node1", "node2"]
        assert [ssh("status", job) for job in jobs] == ["running", "running"]
        assert "has 2 lines and all are taken" in ssh("submit", script)
        ssh("cancel", jobs[1])
        wait_for(lambda: ssh("status", jobs[1]) == "failed")
        jobs.append(ssh("submit", script))
        assert jobs[2].startswith("node2:")
    finally:
        ssh("cancel", *jobs)


def test_a_job_goes_to_a_host_that_answers(slots: Path) -> None:
    slots.write_text("down 0\nnode2\n", "utf-8")
    script = job_script("sleep 300")
    job = ssh("submit", script)
    try:
        assert job.startswith("node2:")
        assert "of 2 lines, 1 have a host that starts no job" in ssh("submit", script)
        folders = [*Path(job.partition(":")[2]).parent.glob("job-*")]
        assert [str(folder) for folder in folders] == [job.partition(":")[2]]
    finally:
        ssh("cancel", job)


def test_a_host_that_does_not_answer_keeps_no_other_job_alive(slots: Path) -> None:
    job = ssh("submit", job_script("sleep 300"))
    ssh("cancel", job.replace("node1", "down"), job)
    wait_for(lambda: ssh("status", job) == "failed")


def test_a_host_that_does_not_answer_is_waited_for(slots: Path) -> None:
    job = ssh("submit", job_script("sleep 300"))
    assert ssh("status", job.replace("node1", "down")) == "running"
    ssh("cancel", job)


def test_a_job_that_nobody_has_waited_for_is_over(slots: Path) -> None:
    job = slots.with_name("job")
    job.mkdir()
    with subprocess.Popen("true") as process:
        (job / "pid").write_text(f"{process.pid}\n", "utf-8")
        # It stays as a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert ssh("status", f"node1:{job}") == "failed"


def test_the_workflow_runs_on_slots_and_a_killed_job_comes_back(
    finished: Project, asked: Path, tmp_path: Path
) -> None:
    project = fresh_project(tmp_path / "project")
    command = project.command("--profile", "ssh", "--seconds-between-status-checks=1", *CORE)
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        jobs = project.root / ".snakemake" / "ssh"
        wait_for(lambda: [*jobs.glob("job-*/pid")])
        (first,) = jobs.glob("job-*/pid")
        wait_for(lambda: first.read_text("utf-8"))
        os.killpg(int(first.read_text("utf-8")), signal.SIGKILL)
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, printed
    assert "Trying again: " in printed
    assert digests(project) == digests(finished)
    assert set(asked.read_text("utf-8").split()) == {"node1"}
