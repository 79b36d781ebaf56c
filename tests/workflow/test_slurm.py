"""The workflow on a real Slurm of one node: jobs come back by themselves, to the same bits."""

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import faults
import pytest
import rule_files
import slurm
import yaml
from plans import run_again, whole_plan
from projects import (
    CORE,
    PLAIN,
    RESIDUAL,
    ROOT,
    Project,
    digests,
    fresh_project,
)

from resnoise.errors import ResnoiseError
from resnoise.storage import tensorfile

pytestmark = pytest.mark.thorough

needs_slurm = pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing()))

T = TypeVar("T")

PROFILE = "slurm/config.yaml"
# Long enough to be hit, also if one of two jobs starts seconds after the other, and asking for a
# graphics card, which the node claims to have. Jobs must not look for it.
EDITS = {"epochs: 2,": "epochs: 600,", "device: cpu": "device: auto"}
WITHOUT_CARD = ("--set-resources", "train:device=cpu", "evaluate:device=cpu")
# What a test cannot wait for, and how to ask a Slurm without accounting.
QUICK = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--seconds-between-status-checks=1",
    "--latency-wait=10",
)


# Scripts whose jobs take seconds: tables, figures and pages.
SHORT = {
    *("table.py", "figure.py", "network_layers.py", "readings.py", "claims.py", "conjecture.py"),
    "report_page.py",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Slurm]:
    with slurm.one_node(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def small_project(folder: Path) -> Project:
    project = fresh_project(folder)
    for old, new in EDITS.items():
        project.replace("config/tiny.yaml", old, new)
    return project


def switch_on(project: Project, without: tuple[str, ...]) -> None:
    """Switch on every setting of the profile that is commented out, except some."""
    file = project.root / PROFILE
    kept = [line for line in file.read_text("utf-8").splitlines() if not re.match("# ", line)]
    lines = [line.replace("#", "", 1) for line in kept if not any(word in line for word in without)]
    file.write_text("\n".join(lines), "utf-8")


def start(project: Project, printed: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with printed.open("w") as stream:
        return subprocess.Popen(
            project.command(*arguments), cwd=project.root, stdout=stream, stderr=subprocess.STDOUT
        )


def wait_for(look: Callable[[], T | None], process: subprocess.Popen[bytes]) -> T:
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
    try:
        if not found or len(tensorfile.load(found[0])[1]["runs"][0]["sessions"]) != session:
            return None
    except ResnoiseError:
        # Replaced by that of the next epoch while it was read.
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


def job_of(process: int) -> str:
    """Return the Slurm job that a process belongs to, an array's with the number of the task."""
    words = Path(f"/proc/{process}/environ").read_text("utf-8").split("\0")
    values = dict(word.partition("=")[::2] for word in words)
    if array := values.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{values['SLURM_ARRAY_TASK_ID']}"
    return values["SLURM_JOB_ID"]


def sessions(project: Project, run: str) -> int:
    record = json.loads((project.results / run / "run.json").read_text("utf-8"))
    return len(record["sessions"])


def test_every_setting_that_the_profile_offers_can_be_switched_on(tmp_path: Path) -> None:
    project = fresh_project(tmp_path / "project")
    switch_on(project, ())
    profile = yaml.safe_load((project.root / PROFILE).read_text("utf-8"))
    as_shipped = yaml.safe_load((ROOT / PROFILE).read_text("utf-8"))
    assert profile.keys() > as_shipped.keys()
    assert profile["set-resources"]["train"]["slurm_partition"] == "gpu"
    assert profile["default-resources"].items() > as_shipped["default-resources"].items()
    printed = project.snakemake(
        "--dry-run", "--verbose", "--profile", "slurm", *CORE, "--executor=dryrun"
    )
    assert "slurm_partition=gpu, slurm_account=my_account" in printed


@needs_slurm
def test_cancelled_killed_preempted_and_starved_jobs_come_back_to_the_same_bits(
    cluster: slurm.Slurm, tmp_path: Path
) -> None:
    local = small_project(tmp_path / "local")
    project = small_project(tmp_path / "slurm")
    switch_on(project, ("slurm_account", "slurm_partition", "runtime: attempt", "mem_mb: attempt"))
    project.replace(PROFILE, "set-resources:\n  train:\n", "")
    # Less memory than Python alone needs, for the first attempt; the second one gets enough.
    too_little = "lambda wildcards, attempt: 10 if attempt == 1 else 3000"
    project.replace("rules/data.smk", "mem_mb=rising(3000)", f"mem_mb={too_little}")
    printed = tmp_path / "printed"
    process = start(project, printed, "--profile", "slurm", *QUICK, *CORE, *WITHOUT_CARD)
    alone = start(local, tmp_path / "local-printed", *CORE)
    try:
        for name in ("plain", "residual"):
            wait_for(lambda name=name: training_process(project, name, 1), process)
        cluster.preempt()
        plain = wait_for(lambda: training_process(project, "plain", 2), process)
        os.kill(plain, signal.SIGKILL)
        residual = wait_for(lambda: training_process(project, "residual", 2), process)
        number = job_of(residual)
        details = cluster.details(number)
        subprocess.run(["scancel", number], check=True)
        assert "Restarts=1" in details
        assert "gres:gpu:1" in details
        assert "Partition=short" in details
        assert process.wait(500) == 0, printed.read_text("utf-8")
        assert alone.wait(500) == 0
    finally:
        for started in (process, alone):
            started.terminate()
            started.wait(60)
    text = printed.read_text("utf-8")
    assert "Traceback" not in text
    # Each failed attempt is told, with what Slurm says of it, and so is each finished job.
    assert re.search(r"^Error in train/plain-8-kwi-seed1.*\n  SLURM-job", text, re.MULTILINE)
    assert "\nTrying again: train/plain-8-kwi-seed1\n" in text
    assert len(re.findall(r"^\d+ of \d+ jobs, .*: train/", text, re.MULTILINE)) == 2
    assert digests(project) == digests(local)
    assert [sessions(project, run) for run in (PLAIN, RESIDUAL)] == [3, 3]
    attempts = [job for job in cluster.jobs() if "prepare_data" in job.rule]
    assert [job.state for job in attempts].count("COMPLETED") == 1 < len(attempts)
    # Both networks in one array, both evaluations in one job, tables and figures on this host.
    assert "Submitted array job" in text
    evaluations = [job for job in cluster.jobs() if "evaluat" in job.rule]
    assert [job.state for job in evaluations] == ["COMPLETED"]
    details = cluster.details(evaluations[0].number)
    assert "gres:gpu:1" in details
    assert "Partition=short" in details
    assert not [job for job in cluster.jobs() if re.search("table1|training_curves", job.rule)]
    assert project.stale() == {}


@needs_slurm
@pytest.mark.usefixtures("cluster")
def test_a_job_of_every_rule_gives_the_bits_of_a_local_run(
    everything: Project, tmp_path: Path
) -> None:
    project = everything.copy_to(tmp_path / "project")
    plan = whole_plan(project)
    scripts = {name: rule.script for name, rule in rule_files.making().items()}
    here = {"table1", "report_page"}
    elsewhere = {job.rule for job in plan.values() if scripts[job.rule] not in SHORT}
    jobs = {job.rule: job for job in plan.values() if job.rule in elsewhere | here}
    # With Snakemake's own log, which tells what ran on this host.
    options = ("--profile", "slurm", "--printshellcmds", *QUICK)
    printed = run_again(project, plan, jobs.values(), *options)
    assert "Traceback" not in printed
    assert faults.results(project) == faults.results(everything)
    rules, local = (
        Counter(re.findall(rf"^{kind} (\w+):", printed, re.MULTILINE))
        for kind in ("rule", "localrule")
    )
    # Each job once. What is short computes on this host.
    submitted = re.findall(r"^Job \d+ has been submitted with SLURM jobid", printed, re.MULTILINE)
    assert len(submitted) == rules.total()
    assert rules.keys() == elsewhere
    assert here <= local.keys() and not local.keys() & elsewhere
