"""Several jobs on one card of a Slurm cluster: what the settings of docs/clusters.md ask for.

A stand-in for sbatch writes down what it is asked, and refuses.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT, Project, fresh_project

pytestmark = pytest.mark.thorough

SBATCH = """\
#!/bin/sh
echo "$*" >> '{calls}'
exit 1
"""
# The profile's other settings are for jobs that run.
QUICK = ("--retries=0", "--latency-wait=1", "--slurm-init-seconds-before-status-checks=1")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with data and four trainings to do, and a Slurm that refuses all jobs."""
    project = fresh_project(tmp_path / "project")
    project.snakemake("results/tiny/data.safetensors")
    project.replace("config/tiny.yaml", "device: cpu", "device: auto")
    project.replace("config/tiny.yaml", "depths: [8]", "depths: [8, 14]")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(SBATCH.format(calls=tmp_path / "calls"))
    for name in ("sacct", "squeue", "scontrol", "sinfo", "scancel"):
        (programs / name).write_text("#!/bin/sh\n")
    for file in programs.iterdir():
        file.chmod(0o755)
    return project


def submissions(project: Project, settings: dict[str, Any]) -> list[str]:
    """Start all trainings with further settings of the profile; return what sbatch was asked."""
    file = project.root / "slurm/config.yaml"
    profile = yaml.safe_load(file.read_text("utf-8"))
    file.write_text(yaml.safe_dump({**profile, **settings}), "utf-8")
    path = f"{project.root.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    project.snakemake(
        # Cores of this host, which would limit those of a group.
        *("results/tiny/table1.csv", "--cores", "8", "--profile", "slurm", *QUICK),
        fails=True,
        environment={"PATH": path},
    )
    calls = (project.root.parent / "calls").read_text().splitlines()
    assert all("--target-jobs" in call for call in calls)
    return [call.partition("--wrap")[0] for call in calls]


def documented() -> dict[str, Any]:
    """Return the settings for a shared card as docs/clusters.md has them."""
    text = (ROOT / "docs/clusters.md").read_text("utf-8")
    section = text.partition("### Several jobs on one card")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    settings: dict[str, Any] = yaml.safe_load("\n".join(lines))
    return settings


def test_usually_each_training_asks_for_a_card(project: Project) -> None:
    calls = submissions(project, {})
    assert len(calls) == 4
    assert all("--gpus=1 " in call for call in calls)


def test_a_group_of_trainings_asks_for_one_card(project: Project) -> None:
    (call,) = submissions(project, documented())
    assert "--gres=gpu:1 " in call
    assert "--gpus" not in call
    assert "--cpus-per-task=4 " in call
    memory = re.search(r"--mem (\d+)", call)
    assert memory and int(memory[1]) == 4 * 3000


@pytest.mark.parametrize("part", ["shard:1", "mps:25"])
def test_a_training_can_ask_for_a_part_of_a_card(project: Project, part: str) -> None:
    assert f'`gres: "{part}"`' in (ROOT / "docs/clusters.md").read_text("utf-8")
    calls = submissions(project, {"set-resources": {"train": {"gpu": 0, "gres": part}}})
    assert len(calls) == 4
    assert all(f"--gres={part} " in call and "--gpus" not in call for call in calls)
