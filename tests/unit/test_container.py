"""The container definitions: the same base, steps and packages as everywhere else."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"


def docker_steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile and what follows each."""
    lines = (ENVS / "Dockerfile").read_text("utf-8").splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(instruction, rest) for instruction, rest in steps]


def apptainer_parts() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the header and the sections of the definition for Apptainer."""
    text = re.sub(r"^#.*\n", "", (ENVS / "apptainer.def").read_text("utf-8"), flags=re.MULTILINE)
    header, *parts = re.split(r"^%", text, flags=re.MULTILINE)
    pairs = [line.split(": ", 1) for line in header.split("\n") if line]
    sections = {name: lines for name, *lines in (part.split("\n") for part in parts)}
    return dict(pairs), {n: [line.strip() for line in s if line] for n, s in sections.items()}


def test_both_definitions_do_the_same() -> None:
    docker = docker_steps()
    assert [instruction for instruction, _ in docker] == ["FROM", "ARG", "COPY", "RUN", "ENV"]
    values = dict(docker)
    header, sections = apptainer_parts()
    assert header == {"Bootstrap": "docker", "From": values["FROM"]}
    *sources, folder = values["COPY"].split()
    copied = [f"{source} {folder}{Path(source).name}" for source in sources]
    assert sections["files"] == copied
    assert values["ARG"] == 'PIP_EXTRA_INDEX_URL=""'
    assert sections["arguments"] == ["index="]
    (step,) = sections["post"]
    assert step == values["RUN"].replace("$PIP_EXTRA_INDEX_URL", "{{ index }}")
    assert all((ROOT / source).is_file() for source in sources)


def test_the_base_has_the_python_of_the_environments() -> None:
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", dict(docker_steps())["FROM"])
    assert version
    for file in ENVS.glob("*.yaml"):
        assert f"python={version[1]}" in yaml.safe_load(file.read_text("utf-8"))["dependencies"]


@pytest.mark.parametrize("failing", ["", "apt-get", "pip"])
def test_the_script_installs_the_requirements_and_stops_at_errors(
    failing: str, tmp_path: Path
) -> None:
    for program in ("apt-get", "pip", "rm"):
        stand_in = tmp_path / program
        code = int(program == failing)
        stand_in.write_text(f'#!/bin/sh\necho {program} "$@"; exit {code}\n', "utf-8")
        stand_in.chmod(0o755)
    done = subprocess.run(
        ["sh", ENVS / "container.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == bool(failing)
    last = shlex.split(done.stdout.splitlines()[-1])
    assert last[0] == (failing or "pip")
    if failing != "apt-get":
        assert Path(last[-1]).samefile(ENVS / "requirements.txt")
