"""The workflow on a real Slurm of one node: jobs come back by themselves, to the same bits."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import slurm
from projects import CORE, Project, digests, fresh_project

from resnoise import tensorfile

reason = slurm.missing()
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

T = TypeVar("T")

# Long enough to be hit, and asking for a graphics card, which the node claims to have.
EDITS = {"epochs: 2,": "epochs: 400,", "device: cpu": "device: auto"}
# What a test cannot wait for, and how to ask a Slurm without accounting.
QUICK = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=2",
    "--seconds-between-status-checks=2",
    "--latency-wait=10",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    with slurm.one_node(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def small_project(folder: Path) -> Project:
    project = fresh_project(folder)
    for old, new in EDITS.items():
        project.replace("config/tiny.yaml", old, new)
    return project


def wait_for(look: Callable[[], T | None], process: subprocess.Popen[str]) -> T:
    """Return the first thing that ``look`` finds while Snakemake runs."""
    deadline = time.monotonic() + 300
    while not (found := look()):
        assert process.poll() is None, "Snakemake ended before that"
        assert time.monotonic() < deadline, "nothing in five minutes"
        time.sleep(0.2)
    return found


def training_process(project: Project, architecture: str, session: int) -> int | None:
    """Return the process that trains a network once its checkpoint counts so many processes."""
    found = [*project.results.glob(f"runs/{architecture}-8/*/seed1/resume.safetensors")]
    if not found or len(tensorfile.load(found[0])[1]["runs"]["run"]["sessions"]) != session:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            here = (folder / "cwd").resolve()
        except OSError:
            continue
        if here == project.root and words[0].startswith("python") and "--spec" in words:
            spec = words[words.index("--spec") + 1]
            if "network" in spec and json.loads(spec)["network"]["architecture"] == architecture:
                return int(folder.name)
    return None


def sessions(project: Project, run: str) -> int:
    record = json.loads((project.results / run / "run.json").read_text("utf-8"))
    return len(record["sessions"])


def test_cancelled_killed_preempted_and_starved_jobs_come_back_to_the_same_bits(
    cluster: slurm.Slurm, tmp_path: Path
) -> None:
    local = small_project(tmp_path / "local")
    local.snakemake(*CORE)
    project = small_project(tmp_path / "slurm")
    # Less memory than the first attempt needs; the third gets three times as much.
    project.replace("rules/data.smk", "mem_mb=rising(3000)", "mem_mb=rising(150)")
    printed = tmp_path / "printed"
    with printed.open("w") as stream:
        process = subprocess.Popen(
            project.command("--profile", "slurm", *QUICK, *CORE),
            cwd=project.root,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            plain = wait_for(lambda: training_process(project, "plain", 1), process)
            os.kill(plain, signal.SIGKILL)
            wait_for(lambda: training_process(project, "residual", 1), process)
            residual = wait_for(lambda: cluster.running("train_wildcards_residual"), process)
            assert "gres:gpu:1" in cluster.details(residual.number)
            subprocess.run(["scontrol", "requeue", residual.number], check=True)
            wait_for(lambda: training_process(project, "residual", 2), process)
            assert "Restarts=1" in cluster.details(residual.number)
            subprocess.run(["scancel", residual.number], check=True)
            assert process.wait(500) == 0, printed.read_text("utf-8")
        finally:
            process.terminate()
            process.wait(60)
    text = printed.read_text("utf-8")
    assert "Traceback" not in text
    assert digests(project) == digests(local)
    assert sessions(project, "runs/plain-8/kwi/seed1") == 2
    assert sessions(project, "runs/residual-8/hmwi/seed1") == 3
    attempts = [job for job in cluster.jobs() if "prepare_data" in job.rule]
    assert [job.state for job in attempts].count("COMPLETED") == 1 < len(attempts)
    # Tables and figures are made on the submitting host.
    assert not [job for job in cluster.jobs() if re.search("table1|training_curves", job.rule)]
    assert project.stale() == {}
