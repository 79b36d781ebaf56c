"""What the tests of staleness share: the finished project, what its jobs used, and edits."""

import contextlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from plans import Job, depending, whole_plan
from projects import Project

CONFIG = "config/tiny.yaml"
LIBRARY = "workflow/scripts/resnoise/"


class Finished(NamedTuple):
    """The finished project, all its jobs by name, and the files of the project that each used."""

    project: Project
    jobs: dict[str, Job]
    used: dict[str, set[str]]

    def depending(self, names: set[str]) -> set[str]:
        """Return jobs and all that depend on their outputs."""
        return depending(self.jobs, names)

    def matching(self, *patterns: str) -> set[str]:
        """Return the jobs whose names match one of some patterns, each of which matches one."""
        found = [{name for name in self.jobs if re.match(pattern, name)} for pattern in patterns]
        assert all(found), patterns
        return set().union(*found)


def editable(everything: Project, folder: Path) -> Finished:
    """Return a copy of the finished project, which tests may edit if they take the edit back."""
    project = everything.copy_to(folder)
    # The same network in another place.
    shutil.copy(project.root / "mine.pt", project.root / "other.pt")
    (project.root / "net.py").write_text("def make():\n    pass\n", "utf-8")
    jobs = whole_plan(project)
    makers = {output: name for name, job in jobs.items() for output in job.outputs}
    used: dict[str, set[str]] = {name: set() for name in jobs}
    records = [*(project.root / ".processes").glob("*.json")]
    for file in records:
        record = json.loads(file.read_text("utf-8"))
        words = {word for word in record["command"] if word in makers}
        # The others are inputs.
        (name,) = {
            maker
            for maker in (makers[word] for word in words)
            if words.difference(jobs[maker].outputs) <= {*jobs[maker].inputs}
        }
        used[name].update(record["used"])
    assert all(used.values())
    return Finished(project, jobs, used)


@contextlib.contextmanager
def edited(project: Project, edits: Mapping[str, str]) -> Iterator[None]:
    """Give files other texts, and take that back, times included."""
    before = {}
    for name, text in edits.items():
        path = project.root / name
        before[path] = (path.read_bytes(), path.stat())
        path.write_text(text, "utf-8")
    try:
        yield
    finally:
        for path, (content, status) in before.items():
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def names(jobs: list[Job]) -> set[str]:
    return {job.name for job in jobs}


def counts(jobs: list[Job]) -> dict[str, int]:
    return dict(Counter(job.rule for job in jobs))
