"""A stand-in for conda that makes real environments of the packages installed here.

It answers what Snakemake asks of conda. Each environment that it makes is a virtual one with a
Python of its own, which sees the packages of the environment's file, what these require, and
nothing else: not the packages beside them, and not Snakemake.
"""

import itertools
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

ACTIVATE = """\
echo "$1" >> '{folder}/activated'
export PATH="$1/bin:$PATH"
"""


def install(folder: Path) -> Path:
    """Make a ``conda`` in ``folder``; return the folder to put into PATH."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    conda = programs / "conda"
    conda.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n', "utf-8")
    conda.chmod(0o755)
    (programs / "activate").write_text(ACTIVATE.format(folder=folder), "utf-8")
    return programs


def required(names: list[str]) -> set[str]:
    """Return distributions and what they require, in turn."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def create(packages: list[str], prefix: Path) -> None:
    """Make an environment with ``packages``, lines such as "numpy==2.0", at ``prefix``."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    subprocess.run([base, "-m", "venv", "--without-pip", prefix], check=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    for name in required([package.partition("==")[0] for package in packages]):
        place = Path(str(distribution(name).locate_file("")))
        for top in {path.parts[0] for path in distribution(name).files or []} - {".."}:
            if not (site / top).exists():
                (site / top).symlink_to(place / top)


def main(arguments: list[str]) -> None:
    """Answer one command line of conda."""
    programs = shutil.which("conda")
    assert programs
    if arguments == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(Path(programs).parents[1]), "platform": "linux-64"}))
    elif arguments == ["--version"]:
        print("conda 25.1.0")
    elif arguments == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:2] == ["env", "create"]:
        # Not above, because each job asks conda several things and makes no environment.
        import yaml

        values = dict(itertools.pairwise(arguments))
        dependencies = yaml.safe_load(Path(values["--file"]).read_text("utf-8"))["dependencies"]
        (packages,) = [item["pip"] for item in dependencies if isinstance(item, dict)]
        create(packages, Path(values["--prefix"]))
    elif arguments[:1] != ["clean"]:
        raise SystemExit(f"the stand-in for conda does not know {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
