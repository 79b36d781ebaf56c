"""The library as an installed package: built from a clone, used from another folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from projects import GIT, ROOT

USE = """
import resnoise, torch
from torch import nn
assert "site" in resnoise.__file__, resnoise.__file__
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
table = resnoise.layer_cushions(net, torch.randn(3, 3, 8, 8))
print(len(table), *table["name"].unique())
"""


@pytest.mark.thorough
def test_the_wheel_works_in_any_folder(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    clone = tmp_path / "clone"
    environment = {**os.environ, **GIT}
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    # Without a network: nothing is downloaded.
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, clone], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("resnoise-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
        archive.extractall(tmp_path / "site")
    modules = (clone / "workflow" / "scripts").rglob("resnoise/**/*")
    missing = {
        name
        for file in modules
        if file.is_file() and "__pycache__" not in file.parts
        if (name := file.relative_to(clone / "workflow" / "scripts").as_posix()) not in names
    }
    assert missing == set()
    used = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert used.stdout == "6 0 3\n", used.stderr
