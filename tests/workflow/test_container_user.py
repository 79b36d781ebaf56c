"""What ``docker run --user`` leaves a workflow: no name, no home folder, the image's variables."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import PLAIN, ROOT, fresh_project

pytestmark = pytest.mark.thorough

# A user whom the system does not know.
AS_USER = ("unshare", "--user", "--map-user=54321", "--map-group=54321")


def test_the_workflow_runs_for_a_user_without_name_and_home(tmp_path: Path) -> None:
    if not shutil.which("unshare") or subprocess.run([*AS_USER, "true"]).returncode:
        pytest.skip("no user namespaces here (unshare --user)")
    text = (ROOT / "envs" / "Dockerfile").read_text("utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("ENV "))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    variables = [word.replace("=/tmp", f"={temporary}") for word in line.split()[1:]]
    path = f"PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    project = fresh_project(tmp_path / "project")
    # Training with this width compiles code, a figure makes matplotlib's cache.
    project.replace("config/tiny.yaml", "width: 4", "width: 8")
    targets = (f"results/tiny/{PLAIN}/weights.safetensors", "results/tiny/figure4.pdf")
    printed = project.snakemake(*targets, prefix=(*AS_USER, "env", "-i", path, *variables))
    assert all((project.root / target).exists() for target in targets), printed
    assert [*temporary.rglob("*.so")], "nothing was compiled below the image's cache folder"
