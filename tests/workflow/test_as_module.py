"""Used by other workflows, from other folders, and from where catalogues expect the Snakefile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plans import read_plan
from projects import GIT, TINY, Project, fresh_project

# Another workflow with this one in it twice, by its own names and with a prefix.
OUTER = """
import yaml

configfile: "settings.yaml"

module resnoise:
    snakefile: {snakefile}
    config: config["resnoise"]

use rule * from resnoise

module again:
    snakefile: {snakefile}
    config: config["again"]

use rule * from again as rn_*

onstart:
    again.onstart()

rule both:
    default_target: True
    input: rules.all.input, rules.rn_all.input, rules.rn_runs.input, rules.rn_metrics.input
"""
RUNS = "runs: [{architecture: plain, initialisation: kwi, depths: [8], seeds: [1]}]"


def outer(folder: Path, snakefile: str) -> Project:
    """Write a workflow that uses this one, by an expression for its Snakefile."""
    folder.mkdir()
    (folder / "Snakefile").write_text(OUTER.format(snakefile=snakefile), "utf-8")
    settings = f"{TINY}{RUNS}".replace("\n", "\n  ")
    again = settings.replace("results/tiny", "results/again")
    (folder / "settings.yaml").write_text(f"resnoise:{settings}\nagain:{again}\n", "utf-8")
    return Project(folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return fresh_project(tmp_path_factory.mktemp("module") / "checkout")


@pytest.mark.thorough
def test_all_targets_of_a_module_with_and_without_prefix(checkout: Project, tmp_path: Path) -> None:
    project = outer(tmp_path / "outer", repr(str(checkout.root / "Snakefile")))
    jobs = read_plan(project.snakemake("--dry-run", "both", configfile=None))
    own = {job.name for job in jobs if not job.rule.startswith("rn_")}
    prefixed = {job.name for job in jobs if job.rule.startswith("rn_")}
    assert any(name.startswith("figure3 ") for name in own)
    further = {name for name in prefixed if "/runs.csv" in name or "/metrics/" in name}
    renamed = {name.replace("rn_", "", 1) for name in prefixed - further}
    assert further and {name.replace("results/again", "results/tiny") for name in renamed} == own
    # Scripts, captions and the paper's numbers are found beside the module's files.
    project.snakemake("rn_figure13", configfile=None)
    results = project.root / "results" / "again"
    assert (results / "figure13.pdf").exists() and (results / "configuration.yaml").exists()
    # Paths in the rules are not all that Snakemake would put a prefix before.
    project.replace(
        "Snakefile", "\nuse rule * from resnoise", '    prefix: "x"\n\nuse rule * from resnoise'
    )
    printed = project.snakemake("--dry-run", "both", configfile=None, fails=True)
    assert "set the keys results and downloads" in printed


def hosted(checkout: Project, folder: Path) -> dict[str, str]:
    """Make a repository of the checkout; return variables by which git takes it for GitHub's."""
    repository = folder / "hosted" / "owner" / "resnoise"
    checkout.copy_to(repository)
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "x"],
        ["tag", "v1.0.0"],
    ):
        subprocess.run(["git", *command], cwd=repository, env={**os.environ, **GIT}, check=True)
    return GIT | {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_1": f"url.{folder}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_1": "https://github.com/",
        # Where Snakemake keeps its copy of the repository.
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


@pytest.mark.thorough
def test_from_a_hosting_provider(checkout: Project, tmp_path: Path) -> None:
    environment = hosted(checkout, tmp_path)
    source = 'github("owner/resnoise", path="workflow/Snakefile", tag="v1.0.0")'
    project = outer(tmp_path / "outer", source)
    project.snakemake("rn_figure13", configfile=None, environment=environment)
    assert (project.root / "results/again/figure13.pdf").exists()


@pytest.mark.thorough
def test_deployed_by_snakedeploy(checkout: Project, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("snakedeploy")
    if not program.exists():
        pytest.skip("no snakedeploy (envs/requirements-test.txt)")
    environment = hosted(checkout, tmp_path)
    words = ["deploy-workflow", "https://github.com/owner/resnoise", "deployed", "--tag", "v1.0.0"]
    subprocess.run([program, *words], cwd=tmp_path, env={**os.environ, **environment}, check=True)
    project = Project(tmp_path / "deployed")
    project.snakemake("figure13", configfile="config/quick.yaml", environment=environment)
    assert (project.root / "results/quick/figure13.pdf").exists()


def test_from_another_folder(checkout: Project, tmp_path: Path) -> None:
    # The configuration beside the Snakefile counts, with and without a further file.
    checkout.replace("config/config.yaml", "results: results", "results: results/own")
    (tmp_path / "mine.yaml").write_text("figure8: {depths: [8], seeds: [1]}\n", "utf-8")
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        project = Project(tmp_path)
        place = ("--snakefile", str(checkout.root / snakefile))
        plan = project.snakemake(*place, "--dry-run", "figure8", configfile="mine.yaml")
        (figure,) = (job for job in read_plan(plan) if job.rule == "figure8")
        assert figure.outputs[0] == "results/own/figure8.pdf"
        assert any("/plain-8/kwi/seed1/" in file for file in figure.inputs)
