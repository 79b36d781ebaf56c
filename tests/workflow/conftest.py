"""Fixtures: projects in which the tiny configuration has run."""

from pathlib import Path

import pytest
from projects import CORE, EVERYTHING_TARGETS, Project, fresh_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which ``CORE`` has run; tests must not change it."""
    project = fresh_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake(*CORE)
    return project


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which every rule has run, with a record of each process (see recorder)."""
    project = fresh_project(tmp_path_factory.mktemp("everything") / "project")
    project.configure_everything()
    project.configure_external()
    recorder = Path(__file__).with_name("recorder")
    environment = {"PYTHONPATH": str(recorder), "RECORDED_CHECKOUT": str(project.root)}
    project.snakemake(*EVERYTHING_TARGETS, environment=environment)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to change at will."""
    return finished.copy_to(tmp_path / "project")
