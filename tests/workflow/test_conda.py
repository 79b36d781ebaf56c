"""Rules in environments of their own, made by a stand-in for conda from the packages here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import stand_in_conda
import yaml
from projects import CORE, EVERYTHING_TARGETS, ROOT, Project, digests, fresh_project

pytestmark = pytest.mark.thorough


def test_every_rule_runs_where_there_is_no_snakemake(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = stand_in_conda.install(tmp_path / "conda")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    project = fresh_project(tmp_path / "project")
    project.configure_everything()
    project.configure_external()
    project.replace("config/tiny.yaml", "samples: 10}", "samples: 10, every_snapshot: true}")
    # No more snapshots than the finished project has.
    project.replace("config/tiny.yaml", "epochs: [1], samples: 4", "epochs: [], samples: 4")
    project.snakemake("--use-conda", *EVERYTHING_TARGETS)
    assert digests(project) == digests(finished)
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
