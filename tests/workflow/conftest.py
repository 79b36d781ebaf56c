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


class Maker:
    """Makes a project once for all processes of this test session.

    With RESNOISE_TEST_PROJECTS they are in that folder, so that sessions that test the same
    checkout, one after the other, make the finished projects once.

    Args:
        session: a folder that the processes of this session share.
    """

    def __init__(self, session: Path) -> None:
        self._session = session
        self._folder = Path(os.environ.get("RESNOISE_TEST_PROJECTS") or session)

    def project(self, name: str, run: Callable[[Project], None]) -> Project:
        """Return a project for which one process has called ``run``; fail where that failed."""
        folder, failed = self._folder / name, self._session / f"{name}-failed"
        project, done = Project(folder / "project"), folder / "done"
        with exclusive(folder):
            # What takes one process minutes is not tried again by all others.
            assert not failed.exists(), failed.read_text("utf-8")
            if not done.exists():
                # An earlier session may have been stopped at it.
                shutil.rmtree(project.root, ignore_errors=True)
                try:
                    run(fresh_project(project.root))
                except Exception as error:
                    text = f"another process could not make this project: {error}"
                    failed.write_text(text, "utf-8")
                    raise
                done.touch()
        return project


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    own = tmp_path_factory.getbasetemp()
    return Maker(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="session")
def finished(maker: Maker) -> Project:
    """A project in which ``CORE`` has run; tests must not change it, or run Snakemake in it."""

    def run(project: Project) -> None:
        project.snakemake(*CORE)

    return maker.project("finished", run)


@pytest.fixture(scope="session")
def everything(maker: Maker) -> Project:
    """A project in which every rule has run, with a record of each process (see recorder)."""

    def run(project: Project) -> None:
        project.configure_everything()
        project.configure_external()
        recorder = Path(__file__).with_name("recorder")
        environment = {"PYTHONPATH": str(recorder), "RECORDED_CHECKOUT": str(project.root)}
        # A hundred jobs, beside the tests of other processes.
        project.snakemake(*EVERYTHING_TARGETS, environment=environment, seconds=3600)

    return maker.project("everything", run)


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
