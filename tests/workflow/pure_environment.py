"""An environment with what ``pip install -r envs/requirements.txt`` brings, and nothing else.

Tests run in an environment with more packages, so that they cannot see when a command of the
documentation needs one of those. Here links to the installed packages that the requirements lead to
make an environment of its own in a second, without a download.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path) -> Path:
    """Make the environment in ``folder`` and return its folder of programs, for PATH."""
    venv.create(folder, symlinks=True)
    programs = folder / "bin"
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    for package in packages_of(ROOT / "envs" / "requirements.txt"):
        # The places of a package's files, without what lies deeper and outside.
        parts = {Path(file).parts[0] for file in package.files or ()} - {"..", "__pycache__"}
        for part in parts:
            link = packages / part
            if not link.exists():
                link.symlink_to(Path(str(package.locate_file(part))).resolve())
        for entry in package.entry_points.select(group="console_scripts"):
            program = programs / entry.name
            program.write_text(
                f"#!{programs}/python\nimport sys\nfrom {entry.module} import {entry.attr}\n"
                f"sys.exit({entry.attr}())\n",
                "utf-8",
            )
            program.chmod(0o755)
    return programs


def packages_of(requirements: Path) -> list[Distribution]:
    """Return the installed packages that a file of requirements leads to."""
    lines = requirements.read_text("utf-8").splitlines()
    waiting = [(Requirement(line), "") for line in lines if re.match(r"\w", line)]
    found: dict[str, Distribution] = {}
    seen = set()
    while waiting:
        asked, extra = waiting.pop()
        if asked.marker is not None and not asked.marker.evaluate({"extra": extra}):
            continue
        package = distribution(asked.name)
        found[package.name] = package
        for wanted in ("", *asked.extras):
            if (package.name, wanted) not in seen:
                seen.add((package.name, wanted))
                waiting += [(Requirement(line), wanted) for line in package.requires or ()]
    return [*found.values()]


def run(programs: Path, command: str, folder: Path) -> str:
    """Run a command of the shell, as typed, in the environment; return what it printed."""
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    # Packages of the user or of the tests' own environment would hide what is missing.
    environment |= {"PYTHONNOUSERSITE": "1", "VIRTUAL_ENV": str(programs.parent)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [shutil.which("bash") or "sh", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
