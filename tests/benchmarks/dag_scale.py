"""Time and memory of Snakemake's plans for large grids, beside a workflow without its own Python.

    PYTHONPATH=tests/workflow:workflow/scripts python tests/benchmarks/dag_scale.py

Two grids: everything of the paper's configuration with ten seeds, and Table 1 with 10,000 runs.
Each is planned (snakemake --dry-run) in two copies of the project: as it is, and bare, which has
the same rules, files and wildcards but neither parameters, resources nor environments: what
Snakemake itself needs for jobs of that number. The first grid also when all of it is finished,
by commands that only make the files. The copies alternate.
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from projects import Project, fresh_project

from resnoise.config import load as configuration

# Sections of a rule that cost Snakemake or this project time for each job.
COSTLY = ("params", "resources", "threads", "conda")

# Runs a command and prints its seconds and kilobytes. In a process of its own, because Linux
# counts the memory of a process that starts another as the other's.
MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
status = subprocess.call(sys.argv[1:])
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.exit(status)
"""


def main() -> None:
    """Print a table for each grid."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="of the paper's grid")
    parser.add_argument("--runs", type=int, default=10_000, help="of the large grid; 0 for none")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, bare = copies(Path(folder))
        for project in (whole, bare):
            write_grid(project, "everything", dict.fromkeys(seeded(), arguments.seeds))
            write_grid(project, "large", {"table1": -(-arguments.runs // 6)})
        repetitions = arguments.repetitions
        print(f"{arguments.seeds} seeds of everything")
        compare("plan", whole, bare, "everything", "all", repetitions)
        for project in (whole, bare):
            finish(project)
        compare("nothing to be done", whole, bare, "everything", "all", repetitions)
        if arguments.runs:
            print(f"{arguments.runs} runs of Table 1")
            compare("plan", whole, bare, "large", "results/large/table1.csv", repetitions)


def seeded() -> list[str]:
    """Return the sections of the configuration that have seeds."""
    return [
        name
        for name, section in configuration.load({}).items()
        if isinstance(section, dict) and "seeds" in section
    ]


def write_grid(project: Project, name: str, seeds: dict[str, int]) -> None:
    """Write a configuration file with so many seeds in sections."""
    grid: dict[str, Any] = {
        section: {"seeds": list(range(1, count + 1))} for section, count in seeds.items()
    }
    # A file of the user's instead of a download.
    archive = project.root / "archive.tar.gz"
    archive.touch()
    grid["results"] = f"results/{name}"
    grid["data"] = {"source": "archive", "path": str(archive)}
    (project.root / f"config/{name}.yaml").write_text(yaml.safe_dump(grid), "utf-8")


def copies(folder: Path) -> tuple[Project, Project]:
    """Return a copy of the project that makes empty files, and one without costly parts."""
    projects = fresh_project(folder / "whole"), fresh_project(folder / "bare")
    for project, dropped in zip(projects, ((), COSTLY), strict=True):
        for file in (project.root / "rules").glob("*.smk"):
            head, *rules = re.split(r"^(?=rule )", file.read_text("utf-8"), flags=re.MULTILINE)
            kept = [command_replaced(rule, dropped) for rule in rules]
            file.write_text("".join([head, *kept]), "utf-8")
    return projects


def command_replaced(rule: str, dropped: tuple[str, ...]) -> str:
    """Return the text of a rule with another command and without some sections."""
    name, *sections = re.split(r"^(?=    \w+:)", rule, flags=re.MULTILINE)
    kept = [text for text in sections if text.strip().partition(":")[0] not in (*dropped, "shell")]
    return f'{name}{"".join(kept).rstrip()}\n    shell:\n        "touch {{output:q}}"\n\n\n'


def finish(project: Project) -> None:
    """Make all files of the paper's grid."""
    shutil.rmtree(project.root / "results", ignore_errors=True)
    grid = "config/everything.yaml"
    command = project.command("--quiet=all", "--cores=8", "all", configfile=grid)
    subprocess.run(command, cwd=project.root, check=True, stdout=subprocess.DEVNULL)


def compare(
    what: str, whole: Project, bare: Project, grid: str, target: str, repetitions: int
) -> None:
    """Print medians of the time and memory of both copies, and their ratio."""
    found: dict[str, list[tuple[float, float]]] = {"this workflow": [], "bare": []}
    jobs = 0
    for _ in range(repetitions):
        for name, project in zip(found, (whole, bare), strict=True):
            seconds, megabytes, jobs = plan(project, f"config/{grid}.yaml", target)
            found[name].append((seconds, megabytes))
    medians = {
        name: [statistics.median(v) for v in zip(*m, strict=True)] for name, m in found.items()
    }
    print(f"  {what}, {jobs} jobs")
    for name, (seconds, megabytes) in medians.items():
        print(f"    {name:14} {seconds:7.1f} s {megabytes:7.0f} MB")
    ratios = [a / b for a, b in zip(*medians.values(), strict=True)]
    print(f"    ratio          {ratios[0]:7.2f}   {ratios[1]:7.2f}", flush=True)


def plan(project: Project, grid: str, target: str) -> tuple[float, float, int]:
    """Return seconds, megabytes at most and jobs of one plan."""
    command = project.command("--dry-run", "--quiet=rules", target, configfile=grid)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout)
    text, _, measured = done.stdout.rstrip().rpartition("\n")
    seconds, kilobytes = map(float, measured.split())
    jobs = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    assert jobs or "Nothing to be done" in text, text
    return seconds, kilobytes / 1024, int(jobs[1]) if jobs else 0


if __name__ == "__main__":
    main()
