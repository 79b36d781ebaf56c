"""Wall time and CPU seconds of the quick configuration, from nothing to its report, by rule.

    PYTHONPATH=tests/workflow:workflow/scripts python tests/benchmarks/quick_run.py

Runs `snakemake --configfile config/quick.yaml` in a copy of the project in a temporary folder, or
in the folder --keep, whose results stay. The CPU seconds of a job are those of Snakemake,
which looks at a job from time to time and misses what follows its last look; so the sum over all
jobs is a little less than what the system counts. The rest is Snakemake itself.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd
from projects import Project, fresh_project

CONFIGURATION = "config/quick.yaml"


def main() -> None:
    """Run the workflow and print a table with one line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="new folder for the copy and its results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = fresh_project(arguments.keep or Path(folder) / "project")
        wall, processor = run(project, arguments.cores)
        table = by_rule(project.root / "results" / "quick" / "benchmarks")
    print(table.to_string(float_format="{:.1f}".format))
    print(f"{'jobs':<24}{table['jobs'].sum():>6}, {table['CPU s'].sum():.0f} CPU seconds")
    print(f"all, Snakemake included: {processor:.0f} CPU seconds, {wall:.0f} s of wall time")


def run(project: Project, cores: int) -> tuple[float, float]:
    """Run everything; return seconds of wall time and of all processes' CPU time.

    Raises:
        SystemExit: the workflow failed; what it printed says why.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
    before, started = _children(), time.perf_counter()
    done = subprocess.run(
        [*command, "--configfile", CONFIGURATION],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wall = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout)
    return wall, _children() - before


def _children() -> float:
    """Return the CPU seconds of all processes that this one started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def by_rule(folder: Path) -> pd.DataFrame:
    """Return number, CPU and wall seconds of the jobs of each rule, the dearest rule first.

    Args:
        folder: Snakemake's benchmark files, in a folder of the rule's name or called like it.
    """
    jobs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for file in sorted(folder.rglob("*.tsv")):
        rule = file.relative_to(folder).parts[0].removesuffix(".tsv")
        row = pd.read_csv(file, sep="\t", na_values="NA").iloc[0]
        jobs[rule].append((row["cpu_time"], row["s"]))
    table = pd.DataFrame(
        {
            "jobs": {rule: len(rows) for rule, rows in jobs.items()},
            "CPU s": {rule: sum(cpu for cpu, _ in rows) for rule, rows in jobs.items()},
            "wall s": {rule: sum(wall for _, wall in rows) for rule, rows in jobs.items()},
        }
    )
    return table.sort_values("CPU s", ascending=False)


if __name__ == "__main__":
    main()
