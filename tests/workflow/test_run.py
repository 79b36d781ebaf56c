"""Real runs of the workflow: results, failures, divergence."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from projects import CORE, PLAIN, RESIDUAL, Project, digests, fresh_project
from snakemake.utils import update_config

from resnoise.config import load as config
from resnoise.storage import tensorfile


def test_the_table_holds_what_the_evaluations_say(finished: Project) -> None:
    table = pd.read_csv(finished.results / "table1.csv")
    assert list(table["network"]) == ["plain", "residual"]
    for network, run in (("plain", PLAIN), ("residual", RESIDUAL)):
        evaluation = pd.read_csv(finished.results / run / "evaluation.csv").set_index("snapshot")
        row = table.set_index("network").loc[network]
        for measure in ("risk", "cost", "test_error"):
            assert row[f"{measure}_mean"] == evaluation.loc["final", measure]
        assert 0 < row["risk_mean"] < row["cost_mean"]


def test_every_result_is_there(finished: Project) -> None:
    for file in ("table1.md", "training_curves.pdf", "training_curves.png", "training_curves.csv"):
        assert (finished.results / file).stat().st_size > 100
    snapshots, _, _ = tensorfile.load(finished.results / RESIDUAL / "snapshots.safetensors")
    assert {name.split("/")[0] for name in snapshots} == {"initial", "iteration1"}
    history = pd.read_csv(finished.results / RESIDUAL / "history.csv")
    assert list(history["epoch"]) == [1, 2]
    assert not list(finished.results.rglob("resume.safetensors"))
    assert not [path for path in finished.results.rglob(".*") if path.is_file()]


def test_a_second_run_from_nothing_gives_the_same_bits(finished: Project, tmp_path: Path) -> None:
    """Also of the evaluations, which jobs of their own make where there is no store."""
    again = fresh_project(tmp_path / "again")
    again.replace("config/tiny.yaml", "device: cpu", "device: cpu\nstore: null")
    again.snakemake(*CORE)
    assert digests(again) == digests(finished)
    for project, taken in ((finished, True), (again, False)):
        for log in (project.results / "logs" / "evaluate").iterdir():
            assert ("taken from the store" in log.read_text("utf-8")) == taken


def test_another_configuration_has_results_of_its_own(project: Project) -> None:
    before = digests(project)
    project.snakemake(
        "results/study/table1.csv", "--config", "results=results/study", "table1={seeds: [2]}"
    )
    assert digests(project) == before
    assert (project.root / "results" / "study" / "table1.csv").exists()


def test_keys_of_the_command_line_lead_to_a_folder_of_their_own(project: Project) -> None:
    printed = project.snakemake(
        "--dry-run", "table1", "--config", "table1={seeds: [1, 2]}", "device=auto"
    )
    study = "results/tiny/studies/table1.seeds=1-2"
    assert f"Because of --config, results go to {study}; those in " in printed
    assert f"output: {study}/table1.csv" in printed and "output: results/tiny/t" not in printed
    assert re.search(r"^train +4$", printed, re.MULTILINE)
    # Values as they are, and keys that change no result, lead nowhere else.
    printed = project.snakemake(
        "--dry-run", *CORE, "--config", "table1={seeds: [1]}", "device=auto"
    )
    assert "Nothing to be done" in printed and "studies" not in printed


def test_the_configuration_is_beside_its_results(finished: Project) -> None:
    saved = yaml.safe_load((finished.results / "configuration.yaml").read_text("utf-8"))
    given = yaml.safe_load((finished.root / "config" / "tiny.yaml").read_text("utf-8"))
    paper = yaml.safe_load((finished.root / "config" / "config.yaml").read_text("utf-8"))
    update_config(paper, given)
    assert saved == config.load(paper)


def test_a_further_seed_keeps_what_is_there(project: Project) -> None:
    kept = {file: (project.results / file).stat().st_mtime_ns for file in (f"{PLAIN}/run.json",)}
    project.snakemake(*CORE, "--config", "results=results/tiny", "table1={seeds: [1, 2]}")
    assert {file: (project.results / file).stat().st_mtime_ns for file in kept} == kept
    table = pd.read_csv(project.results / "table1.csv")
    assert list(table["seeds"]) == [2, 2]
    assert (table["risk_std"] > 0).all()


def test_a_diverged_run_is_shown_and_stops_nothing(project: Project) -> None:
    project.replace("config/tiny.yaml", "learning_rate: 0.05", "learning_rate: 1.0e+30")
    printed = project.snakemake(*CORE)
    assert "diverged" in printed
    table = pd.read_csv(project.results / "table1.csv")
    assert list(table["diverged"]) == [1, 1]
    assert table["risk_mean"].isna().all()
    record = json.loads((project.results / PLAIN / "run.json").read_text("utf-8"))
    assert record["status"] == "diverged"
    assert record["diverged_at"]["epoch"] == 1
    assert record["diverged_at"]["step"] > 1


def test_a_damaged_data_set_fails_with_its_name(project: Project) -> None:
    data = project.results / "data.safetensors"
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    (project.results / PLAIN / "weights.safetensors").unlink()
    printed = project.snakemake(f"results/tiny/{PLAIN}/weights.safetensors", fails=True)
    assert "data.safetensors: content has SHA-256" in printed
    assert "Traceback" not in printed


BAD_CONFIGURATIONS = {
    "epochs": ("training={simplified: {epochs: 0}}", "training.simplified.epochs: 0 given"),
    "unknown key": ("tabel1={depths: [20]}", "did you mean 'table1'?"),
    "depth": ("table1={depths: [21]}", "the nearest are 20 and 26"),
    "source": ("data={source: pictures, path: nowhere}", "data.path: 'nowhere' given"),
}


@pytest.mark.parametrize("mistake", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_refused_before_any_job(project: Project, mistake: str) -> None:
    setting, message = BAD_CONFIGURATIONS[mistake]
    printed = project.snakemake("--dry-run", "--config", setting, fails=True)
    assert message in printed
    assert "Traceback" not in printed


def test_the_paper_s_own_configuration_makes_a_plan(project: Project) -> None:
    printed = project.snakemake("--dry-run", "results/table1.csv", configfile=None)
    assert re.search(r"^train +18$", printed, re.MULTILINE)
    assert re.search(r"^download_cifar10 +1$", printed, re.MULTILINE)


def test_the_slurm_profile_makes_a_plan_from_a_fresh_checkout(project: Project) -> None:
    printed = project.snakemake(
        "--dry-run", "--profile", "slurm", "results/table1.csv", configfile=None
    )
    assert re.search(r"^train +18$", printed, re.MULTILINE)
