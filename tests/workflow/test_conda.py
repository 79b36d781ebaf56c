"""Rules in environments of their own, made by a stand-in for conda from the packages here."""

import os
import shutil
import subprocess
from pathlib import Path

import faults
import pytest
import rule_files
import stand_in_conda
import yaml
from plans import run_again, whole_plan
from projects import CORE, ROOT, Project, fresh_project

pytestmark = pytest.mark.thorough


def test_scripts_run_in_their_environments_where_there_is_no_snakemake(
    everything: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of each script in each of its environments, to the bits that it has without conda.

    That environments hold what the other rules import, too, is tested without running them.
    """
    project = everything.copy_to(tmp_path / "project")
    plan = whole_plan(project)
    rules = rule_files.making()
    jobs = {(rules[job.rule].script, rules[job.rule].environment): job for job in plan.values()}
    programs = stand_in_conda.install(tmp_path / "conda")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    run_again(project, plan, jobs.values(), "--use-conda")
    assert faults.results(project) == faults.results(everything)
    environments = [*(project.root / ".snakemake" / "conda").glob("*/bin/python")]
    activated = (tmp_path / "conda" / "activated").read_text("utf-8").split()
    assert {Path(line) for line in activated} == {file.parents[1] for file in environments}
    assert len(environments) == len([*(ROOT / "envs").glob("*.yaml")])
    for python in environments:
        command = [python, "-c", "import snakemake"]
        assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1
        description = yaml.safe_load(Path(f"{python.parents[1]}.yaml").read_text("utf-8"))
        assert description["channels"] == ["conda-forge", "nodefaults"]


def test_a_missing_conda_is_said_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    without = [folder for folder in folders if not Path(folder, "conda").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(without))
    assert shutil.which("conda") is None
    project = fresh_project(tmp_path / "project")
    printed = project.snakemake("--use-conda", *CORE, fails=True)
    assert "Is conda installed and accessible?" in printed
    assert "Traceback" not in printed
    assert not project.results.exists()
