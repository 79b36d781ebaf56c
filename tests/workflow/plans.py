"""Many plans of Snakemake (--dry-run) from one process that has imported it once.

A plan takes seconds, most of them for imports. Here each is made by a fork of a process that has
imported Snakemake, by Snakemake's own command line.
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from projects import EVERYTHING_TARGETS, Project

SERVER = Path(__file__).with_name("plan_server.py")


class Job(NamedTuple):
    """A job of a plan: rule, outputs, inputs, and the reason that Snakemake prints."""

    rule: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    reason: str

    @property
    def name(self) -> str:
        """Return what identifies it: rule and first output."""
        return f"{self.rule} {self.outputs[0]}"


class Planner:
    """A process that plans again and again; a context manager.

    Args:
        checkout: a project whose library and digests are read once, for plans of this checkout
            while its code stays as it is; None: both are read anew for each plan.
    """

    def __init__(self, checkout: Path | None = None) -> None:
        self._arguments = [str(checkout)] if checkout else []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Compiled modules would be newer than the source that an edit is taken back to.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            # To be ended with the plan that it is waiting for.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def jobs(
        self, project: Project, *arguments: str, targets: tuple[str, ...] = EVERYTHING_TARGETS
    ) -> list[Job]:
        """Return the jobs that Snakemake would run, those without outputs left out."""
        return read_plan(self._plan(project, *arguments, *targets)[0])

    def changed_parameters(self, project: Project) -> dict[str, tuple[list[str], list[str]]]:
        """Return for every job, be it to be run or not, its parameters before and now, if changed.

        By first output; Snakemake's own comparison with what it recorded when the job ran.
        """
        changes = self._plan(project, *EVERYTHING_TARGETS)[1]
        return {output: (before, now) for output, before, now in changes}

    def _plan(self, project: Project, *arguments: str) -> tuple[str, list[Any]]:
        """Return what a plan printed, and the changed parameters of all jobs."""
        assert self._process.stdin and self._process.stdout
        with (
            tempfile.NamedTemporaryFile("r", encoding="utf-8") as printed,
            tempfile.NamedTemporaryFile("r", encoding="utf-8") as changes,
        ):
            command = project.command("--dry-run", *arguments)
            request = {
                "folder": str(project.root),
                "arguments": command[command.index("snakemake") + 1 :],
                "printed": printed.name,
                "changes": changes.name,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], 600)[0]:
                os.killpg(self._process.pid, signal.SIGKILL)
            status = self._process.stdout.readline()
            text = printed.read()
            assert status == "0\n", text
            return text, json.load(changes)


def whole_plan(project: Project, *targets: str) -> dict[str, Job]:
    """Return by name all jobs that make targets, whether they have run or not."""
    jobs = read_plan(project.snakemake("--dry-run", "--forceall", *targets or EVERYTHING_TARGETS))
    return {job.name: job for job in jobs}


def depending(jobs: Mapping[str, Job], names: set[str]) -> set[str]:
    """Return the names of some of ``jobs`` and of all that depend on their outputs."""
    found: set[str] = set()
    while names:
        found |= names
        outputs = {output for name in names for output in jobs[name].outputs}
        names = {name for name, job in jobs.items() if not outputs.isdisjoint(job.inputs)} - found
    return found


def run_again(
    project: Project, plan: Mapping[str, Job], jobs: Iterable[Job], *arguments: str
) -> str:
    """Run some jobs of a finished project again, and no others; return all that was printed.

    Snakemake runs what lies between two jobs that it runs, so those that depend on another one come
    after it, in a Snakemake of their own.
    """
    # From which the outputs would come back without being computed.
    shutil.rmtree(project.root / "results" / "store")
    printed, waiting = "", {job.name for job in jobs}
    while waiting:
        ready = {name for name in waiting if name not in depending(plan, waiting - {name})}
        outputs = [output for name in sorted(ready) for output in plan[name].outputs]
        for output in outputs:
            (project.root / output).unlink()
        printed += project.snakemake(*outputs, *arguments)
        waiting -= ready
    return printed


def read_plan(printed: str) -> list[Job]:
    """Return the jobs of a plan that Snakemake printed, those without outputs left out."""
    _, *parts = re.split(r"^(?:local)?rule (\w+):\n", printed, flags=re.MULTILINE)
    found = []
    for rule, text in zip(parts[::2], parts[1::2], strict=True):
        fields = dict(re.findall(r"^    (\w+): (.*)$", text, re.MULTILINE))
        if "output" in fields:
            inputs = tuple(fields["input"].split(", ")) if "input" in fields else ()
            found.append(Job(rule, tuple(fields["output"].split(", ")), inputs, fields["reason"]))
    return found
