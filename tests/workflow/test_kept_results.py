"""Nothing that was computed is lost, computed twice, or used for something else."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
from projects import CORE, PLAIN, RESIDUAL, Project

from resnoise.plan.artefacts import ARTEFACTS
from resnoise.storage import tensorfile

pytestmark = pytest.mark.thorough

DATA = "data.safetensors"
FROM_THE_STORE = "taken from the store"


def weights(project: Project) -> dict[str, bytes]:
    return {run: (project.results / run / "weights.safetensors").read_bytes() for run in RUNS}


RUNS = (PLAIN, RESIDUAL)


def computed(project: Project, since: float) -> set[str]:
    """Return the logs of jobs after a time that computed something the store could have had."""
    logs = project.results / "logs"
    return {
        str(log.relative_to(logs).with_suffix(""))
        for kind in ("train", "evaluate", "twins")
        for log in logs.glob(f"{kind}/*.log")
        # A job that trains evaluates, too, and what it says of that comes later.
        if log.stat().st_mtime > since
        and FROM_THE_STORE not in log.read_text("utf-8").split("\n")[0]
    }


def now(project: Project) -> float:
    (project.root / "now").touch()
    return (project.root / "now").stat().st_mtime


def _replace(file: Path) -> None:
    """Put another data set there, a valid one."""
    arrays, facts, _ = tensorfile.load(file)
    arrays = {name: array.copy() for name, array in arrays.items()}
    tensorfile.save(file, arrays, {**facts, "spec": {**facts["spec"], "test_per_class": 4}})


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "flipped": (faults.flip, "damaged|content has SHA-256"),
    "cut": (faults.truncate, "damaged"),
    "replaced": (_replace, "other pictures than those asked for, with test_per_class 4 instead"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_data_cost_no_trained_network(project: Project, damage: str) -> None:
    before, good = weights(project), (project.results / DATA).read_bytes()
    change, message = DAMAGE[damage]
    change(project.results / DATA)
    printed = project.snakemake(*CORE, fails=True)
    assert re.search(rf"{DATA}: .*({message})", printed) and "Traceback" not in printed
    # Snakemake has deleted the networks, before the jobs could find the damage.
    assert not (project.results / PLAIN / "weights.safetensors").exists()
    # What the message says, or the good file put back: both bring them back.
    (project.results / DATA).unlink()
    if damage != "cut":
        (project.results / DATA).write_bytes(good)
    since = now(project)
    # Tables that are there do not need them, so they are asked for; the target `all` does so, too.
    files = [f"results/tiny/{run}/weights.safetensors" for run in RUNS]
    project.snakemake(*CORE, *files)
    assert (weights(project), computed(project, since)) == (before, set())
    assert project.stale() == {}


def test_going_to_other_data_and_back_computes_nothing_twice(project: Project) -> None:
    before = weights(project)
    project.replace("config/tiny.yaml", "test_per_class: 5", "test_per_class: 4")
    project.snakemake(*CORE)
    since = now(project)
    project.replace("config/tiny.yaml", "test_per_class: 4", "test_per_class: 5")
    project.snakemake(*CORE)
    assert (weights(project), computed(project, since)) == (before, set())


def test_another_version_of_the_code_and_back_computes_nothing_twice(project: Project) -> None:
    before = weights(project)
    seeds = "workflow/scripts/resnoise/seeds.py"
    text = (project.root / seeds).read_text("utf-8")
    (project.root / seeds).write_text(text + "\n\nEDITED = 1\n", "utf-8")
    since = now(project)
    project.snakemake(*CORE)
    # Training evaluates, too.
    assert computed(project, since) == {"train/plain-8-kwi-seed1", "train/residual-8-hmwi-seed1"}
    (project.root / seeds).write_text(text, "utf-8")
    since = now(project)
    project.snakemake(*CORE)
    assert (weights(project), computed(project, since)) == (before, set())


def test_a_study_computes_only_what_its_keys_change(everything: Project, tmp_path: Path) -> None:
    project = everything.copy_to(tmp_path / "project")
    since = now(project)
    change = "training={fully_fledged: {learning_rate: 0.05}}"
    # All that is measured, and fewer pages of it than the target all.
    tables = [artefact.name for artefact in ARTEFACTS if not artefact.is_figure]
    project.snakemake(*tables, "--config", change)
    (study,) = (project.results / "studies").iterdir()
    logs = {log for log in study.rglob("logs/*/*.log") if log.stat().st_mtime > since}
    taken = {log for log in logs if FROM_THE_STORE in log.read_text("utf-8")}
    own = {log for log in logs - taken if log.parent.name in ("train", "twins", "gradient_flow")}
    assert {f"{log.parent.name}/{log.stem}" for log in own} == {
        f"{kind}/full-{network}-8-kwi-seed1"
        for kind in ("train", "gradient_flow")
        for network in ("plain", "residual")
    }
    assert len(taken) > 15
    # Sharing files with the study made nothing stale here.
    assert project.stale() == {}


def copied(project: Project, root: Path, times: bool, leave_out: tuple[str, ...]) -> Project:
    """Copy a project to another folder, as one does between machines."""
    copy = shutil.copy2 if times else shutil.copyfile
    ignore = shutil.ignore_patterns(*leave_out)
    shutil.copytree(project.root, root, copy_function=copy, ignore=ignore)
    return Project(root)


@pytest.mark.parametrize("times", [True, False])
def test_copied_results_are_finished_elsewhere(
    everything: Project, tmp_path: Path, times: bool
) -> None:
    clone = copied(everything, tmp_path / "clone", times, (".snakemake", "store"))
    assert "Nothing to be done" in clone.snakemake("--dry-run", "all", "external", "runs")


def test_copied_results_without_records_are_computed_from_what_they_say_they_are(
    finished: Project, tmp_path: Path
) -> None:
    clone = copied(finished, tmp_path / "clone", False, (".snakemake", "store", "provenance"))
    # One run is of other settings, and one measurement was edited.
    record = clone.results / RESIDUAL / "run.json"
    record.write_text(record.read_text("utf-8").replace('"seed": 1', '"seed": 7'), "utf-8")
    faults.flip(clone.results / PLAIN / "evaluation.csv")
    since = now(clone)
    clone.snakemake(*CORE)
    assert computed(clone, since) == {
        "train/residual-8-hmwi-seed1",
        "evaluate/plain-8-kwi-seed1",
    }
    assert weights(clone) == weights(finished)


@pytest.mark.parametrize("loss", ["gone", "cut"])
def test_lost_records_come_back_from_the_results(project: Project, loss: str) -> None:
    metadata = project.root / ".snakemake" / "metadata"
    for record in [path for path in metadata.rglob("*") if path.is_file()]:
        if loss == "gone":
            record.unlink()
        else:
            faults.truncate(record)
    assert project.stale() == {}
    # They still decide: other settings are seen.
    project.replace("config/tiny.yaml", "epochs: 2", "epochs: 1")
    assert project.stale()["train"] == 2


def test_a_run_of_another_seed_in_its_place_is_refused(project: Project) -> None:
    """Its records say that it is up to date, because it is a copy of the whole folder."""
    project.replace("config/tiny.yaml", "seeds: [1]", "seeds: [1, 2]")
    project.snakemake(*CORE)
    for run in RUNS:
        second = project.results / run.replace("seed1", "seed2")
        shutil.rmtree(second)
        shutil.copytree(project.results / run, second)
    printed = project.snakemake(CORE[0], "--forcerun", "table1", fails=True)
    assert re.search(r"error: results/tiny/runs/.*/seed2/\S+: .*seed 1", printed)
    # As the message says.
    for run in RUNS:
        shutil.rmtree(project.results / run.replace("seed1", "seed2"))
    since = now(project)
    project.snakemake(*CORE)
    assert computed(project, since) == set()
    table = (project.results / "table1.csv").read_text("utf-8")
    assert table.count(",2,") == 2


def test_code_that_changed_after_the_start_ends_a_job(project: Project) -> None:
    """And code that changed back afterwards leaves no result of it."""
    source = project.root / "workflow/scripts/resnoise/tables/table1.py"
    text = source.read_text("utf-8")
    log = project.results / "logs" / "evaluate" / "plain-8-kwi-seed1.log"
    log.unlink()
    process = subprocess.Popen(
        project.command(*CORE, "--forcerun", "evaluate"),
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not log.exists():
        assert process.poll() is None
    # Table 1 waits for the evaluation that is running.
    source.write_text(text + "\n\nEDITED = 1\n", "utf-8")
    printed = process.communicate()[0]
    source.write_text(text, "utf-8")
    assert process.returncode == 1
    assert "error: the code of table.py, of a module that it imports" in printed
    assert "Traceback" not in printed
    assert project.stale()["table1"] == 1
    project.snakemake(*CORE)


def script(project: Project, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, f"workflow/scripts/{words[0]}", *words[1:]],
        cwd=project.root,
        capture_output=True,
        text=True,
    )


def test_everything_that_a_run_writes_can_be_verified(everything: Project, tmp_path: Path) -> None:
    project = everything.copy_to(tmp_path / "project")
    done = script(project, "verify.py", "results/tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"0 damaged, 0 foreign, 0 stale, 0 unchecked, \d{3} sound\n", done.stdout)
    # The report says when, and nothing else is made again.
    printed = project.snakemake("all", "--printshellcmds")
    assert re.findall(r"^rule (\w+):|^localrule (\w+):", printed, re.MULTILINE)
    assert "All files were last checked on 20" in (project.results / "report.html").read_text()
    faults.flip(project.results / "figure3.pdf")
    done = script(project, "verify.py", "results/tiny")
    assert done.returncode == 1
    assert "damaged   results/tiny/figure3.pdf: content has SHA-256" in done.stdout
    assert done.stdout.endswith("rm results/tiny/figure3.pdf\n")


def test_the_store_is_listed_and_cleaned(project: Project) -> None:
    project.replace("config/tiny.yaml", "epochs: 2", "epochs: 1")
    project.snakemake(*CORE)
    done = script(project, "store.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split("MB  ")[1] for line in lines if line.startswith("not asked for")] == [
        "measurement evaluation",
        "measurement evaluation",
        "run plain-8 kwi seed 1, 2 epochs",
        "run residual-8 hmwi seed 1, 2 epochs",
    ]
    # A folder without results asks for nothing, and may be a typing mistake.
    done = script(project, "store.py", "--delete", "--results", "resutls")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --results: resutls given, where no results folder is")
    script(project, "store.py", "--delete")
    assert "not asked for" not in script(project, "store.py").stdout
    shutil.rmtree(project.results / "runs")
    # What Snakemake has deleted, to make it anew, is still asked for.
    assert "not asked for" not in script(project, "store.py").stdout
    (project.results / "data.safetensors").rename(project.root / "aside")
    assert "not asked for" not in script(project, "store.py").stdout
    (project.root / "aside").rename(project.results / "data.safetensors")
    since = now(project)
    project.snakemake(*CORE)
    assert computed(project, since) == set()
