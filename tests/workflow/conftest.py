"""Fixtures: projects in which the tiny configuration has run."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import staleness
from plans import Planner
from projects import CORE, EVERYTHING_TARGETS, Project, fresh_project

from resnoise.storage.files import exclusive

# With a process for each file, one that began late would go on alone.
LONGEST = ("test_results.py", "test_slurm.py", "test_staleness_keys.py", "test_staleness.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest begin first."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test session share.

    With RESNOISE_TEST_PROJECTS it is that folder, so that sessions that test the same checkout, one
    after the other, make the finished projects once.
    """
    if folder := os.environ.get("RESNOISE_TEST_PROJECTS"):
        return Path(folder)
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def finished(session_folder: Path) -> Project:
    """A project in which ``CORE`` has run; tests must not change it."""

    def run(project: Project) -> None:
        project.snakemake(*CORE)

    return made_once(session_folder / "finished", run)


@pytest.fixture(scope="session")
def everything(session_folder: Path) -> Project:
    """A project in which every rule has run, with a record of each process (see recorder)."""

    def run(project: Project) -> None:
        project.configure_everything()
        project.configure_external()
        recorder = Path(__file__).with_name("recorder")
        environment = {"PYTHONPATH": str(recorder), "RECORDED_CHECKOUT": str(project.root)}
        project.snakemake(*EVERYTHING_TARGETS, environment=environment)

    return made_once(session_folder / "everything", run)


def made_once(folder: Path, run: Callable[[Project], None]) -> Project:
    """Return the project in ``folder``, where one process of the session has called ``run``."""
    project, done = Project(folder / "project"), folder / "done"
    with exclusive(folder):
        if not done.exists():
            # Another process may have failed at it.
            shutil.rmtree(project.root, ignore_errors=True)
            run(fresh_project(project.root))
            done.touch()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to change at will."""
    return finished.copy_to(tmp_path / "project")


@pytest.fixture(scope="module")
def done(everything: Project, tmp_path_factory: pytest.TempPathFactory) -> staleness.Finished:
    """A copy of the project with every rule, which tests may edit if they take the edit back."""
    return staleness.editable(everything, tmp_path_factory.mktemp("edited") / "project")


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    """Plans of edited code."""
    with Planner() as found:
        yield found


@pytest.fixture(scope="module")
def config_planner(done: staleness.Finished) -> Iterator[Planner]:
    """Plans of the finished project with other configurations."""
    with Planner(done.project.root) as found:
        yield found
