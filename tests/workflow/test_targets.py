"""Targets: all, tables, figures, quick, and one for each table and figure of the list."""

import pytest
import rule_files
from projects import Project, fresh_project

from resnoise.plan.artefacts import ARTEFACTS, CONJECTURE


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a checkout without results."""
    return fresh_project(tmp_path_factory.mktemp("targets") / "project")


def rules_there(project: Project) -> list[str]:
    """Return the tables and figures of the list that there are rules for."""
    there = rule_files.read(project.root)
    return [artefact.name for artefact in ARTEFACTS if artefact.name in there]


def planned(printed: str) -> set[str]:
    """Return the rules of which Snakemake would run jobs."""
    table = printed[printed.index("Job stats:") :].partition("total")[0]
    return {line.split()[0] for line in table.splitlines()[3:] if line.strip()}


def test_quick_makes_everything_in_the_quick_configuration(project: Project) -> None:
    printed = project.snakemake("--dry-run", "quick", configfile=None)
    assert "output: results/quick/table1.csv" in printed and "output: results/table1" not in printed
    assert {*rules_there(project), "claims", "report_page"} <= planned(printed)
    # What tests the conjecture is beyond the paper.
    apart = {artefact.name for artefact in CONJECTURE}
    assert not apart & planned(printed)
    assert apart <= planned(project.snakemake("--dry-run", "conjecture"))


def test_tables_and_figures_are_those_of_the_list(project: Project) -> None:
    tables = {a.name for a in ARTEFACTS if not a.is_figure} & set(rules_there(project))
    figures = {a.name for a in ARTEFACTS if a.is_figure} & set(rules_there(project))
    assert tables <= planned(project.snakemake("--dry-run", "tables"))
    drawn = planned(project.snakemake("--dry-run", "figures"))
    assert figures <= drawn and not tables & drawn


def test_each_table_and_figure_is_a_target(project: Project) -> None:
    names = rules_there(project)
    assert set(names) <= planned(project.snakemake("--dry-run", *names))


def test_a_template_of_rules_is_no_target(project: Project) -> None:
    for name in ("figure", "table", "judgement"):
        printed = project.snakemake("--dry-run", name, fails=True)
        assert printed.splitlines()[-1].endswith("name one, such as figure3 or table1")
        assert "Traceback" not in printed
    # As for every rule of a run, such as train, Snakemake asks for a file.
    printed = project.snakemake("--dry-run", "measurement", fails=True)
    assert "Target rules may not contain wildcards" in printed


@pytest.mark.parametrize(
    "file",
    [
        "runs/foo-8/kwi/seed1/weights.safetensors",
        "runs/foo-8/kwi/seed1/layer_cushion.csv",
        "runs/plain-8/kwii/seed1/evaluation.csv",
        "runs/plain-8/kwi/seed1/metrics/margn.csv",
        # This metric has no figure.
        "metrics/bounds_figure.pdf",
    ],
)
def test_no_rule_makes_a_file_of_what_does_not_exist(project: Project, file: str) -> None:
    path = f"{project.results.relative_to(project.root)}/{file}"
    printed = project.snakemake("--dry-run", path, fails=True)
    assert f"No rule to produce {path}" in printed


def test_a_target_for_networks_of_ones_own_needs_some(project: Project) -> None:
    printed = project.snakemake("--dry-run", "external", fails=True)
    assert printed.splitlines()[-1].startswith("external has no networks: give it some")


@pytest.mark.parametrize(
    "file", ["runs/plain-21/kwi/seed1/weights.safetensors", "twins/depth21/seed1/drift.csv"]
)
def test_a_depth_that_no_network_has_is_found_before_any_job(project: Project, file: str) -> None:
    path = f"{project.results.relative_to(project.root)}/{file}"
    printed = project.snakemake("--dry-run", path, fails=True)
    expected = "depth: 21 given, allowed: an integer 6n + 2 with n >= 1; the nearest are 20 and 26"
    assert printed.splitlines()[-1] == expected
    assert "Traceback" not in printed
