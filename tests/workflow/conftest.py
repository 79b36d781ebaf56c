"""Fixtures: projects in which the tiny configuration has run."""

from pathlib import Path

import pytest
from projects import CORE, Project, fresh_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which ``CORE`` has run; tests must not change it."""
    project = fresh_project(tmp_path_factory.mktemp("finished") / "project")
    project.snakemake(*CORE)
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to change at will."""
    return finished.copy_to(tmp_path / "project")


@pytest.fixture(scope="session")
def finished_everything(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which every rule of the target ``all`` has run; tests must not change it."""
    project = finished.copy_to(tmp_path_factory.mktemp("everything") / "project")
    project.configure_everything()
    project.snakemake("all")
    return project
