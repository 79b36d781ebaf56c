"""Rules in a container, with a stand-in for Apptainer that has another Python instead."""

import os
import shutil
from pathlib import Path

import pytest
import stand_in_conda
from projects import RESIDUAL, ROOT, Project, fresh_project

pytestmark = pytest.mark.thorough

# Apptainer exec, its options, the image, a shell, -c and the command.
STAND_IN = """\
#!/bin/bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.6"; exit; fi
echo "$@" >> '{folder}/asked'
while [ "$3" != -c ]; do shift; done
[ -e "$1" ] || {{ echo "no image $1"; exit 1; }}
PATH='{folder}/inside/bin':/usr/bin:/bin exec "$2" -c "$4"
"""


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets a line for each command that ran in the container."""
    lines = (ROOT / "envs" / "requirements.txt").read_text("utf-8").splitlines()
    packages = [line for line in lines if "==" in line and not line.startswith("snakemake")]
    stand_in_conda.create(packages, tmp_path / "inside")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "apptainer"
    program.write_text(STAND_IN.format(folder=tmp_path), "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "asked"


def test_rules_run_in_the_container_to_the_same_bits(
    finished: Project, apptainer: Path, tmp_path: Path
) -> None:
    project = fresh_project(tmp_path / "project")
    (project.root / "my.sif").touch()
    target = f"results/tiny/{RESIDUAL}/evaluation.csv"
    printed = project.snakemake(
        target, "--sdm", "apptainer", "--config", "container=my.sif", ordinary=True
    )
    assert "3 of 3 jobs" in printed
    assert len(apptainer.read_text("utf-8").splitlines()) == 3
    for name in ("weights.safetensors", "evaluation.csv"):
        ours, theirs = (p.results / RESIDUAL / name for p in (project, finished))
        assert ours.read_bytes() == theirs.read_bytes()
    # Where they ran is no reason to run them again.
    assert "Nothing to be done" in project.snakemake("--dry-run", target)


def test_a_missing_image_is_said_before_any_job(apptainer: Path, tmp_path: Path) -> None:
    project = fresh_project(tmp_path / "project")
    printed = project.snakemake("results/tiny/data.safetensors", "--sdm", "apptainer", fails=True)
    assert "container: 'resnoise.sif' given, but there is no such file; `cd " in printed
    assert (
        f"apptainer build {project.root / 'resnoise.sif'} envs/apptainer.def` builds it" in printed
    )
    assert "Traceback" not in printed
    assert not apptainer.exists() and not project.results.exists()


def test_a_missing_apptainer_is_said_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    programs = ("apptainer", "singularity")
    without = [f for f in folders if not any(Path(f, name).exists() for name in programs)]
    monkeypatch.setenv("PATH", os.pathsep.join(without))
    assert shutil.which("apptainer") is None
    project = fresh_project(tmp_path / "project")
    (project.root / "resnoise.sif").touch()
    printed = project.snakemake("results/tiny/data.safetensors", "--sdm", "apptainer", fails=True)
    assert "apptainer or singularity command has to be available" in printed
    assert "Traceback" not in printed
    assert not project.results.exists()
