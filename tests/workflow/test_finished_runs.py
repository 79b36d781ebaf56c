"""Runs of another results folder are measured, and not trained again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from projects import CORE, PLAIN, RESIDUAL, Project

from resnoise.plan.artefacts import ARTEFACTS
from resnoise.publication import publish
from resnoise.storage import tensorfile
from resnoise.storage.digests import read_json

CONFIG = "config/tiny.yaml"
KAIMING = "workflow/scripts/resnoise/initialisations/kaiming.py"
SCHEDULE = "workflow/scripts/resnoise/training/schedule.py"


def test_finished_runs_are_taken_and_measured_on_other_pictures(project: Project) -> None:
    elsewhere = project.root / "elsewhere"
    project.results.rename(elsewhere)
    publish(elsewhere, project.root / "published", None)
    project.replace(CONFIG, "test_per_class: 5}", "test_per_class: 6}\nfinished_runs: published")
    project.replace(CONFIG, "seeds: [1]}", "seeds: [1, 2]}\nfigure8: {depths: [8], seeds: [1]}")
    project.snakemake(*CORE)
    for run in (PLAIN, RESIDUAL):
        weights, before = (
            tensorfile.load(folder / run / "weights.safetensors")[0]
            for folder in (project.results, elsewhere)
        )
        # The weights before training were not published.
        snapshots, kept = (
            tensorfile.load(folder / run / "snapshots.safetensors")[0]
            for folder in (project.results, elsewhere)
        )
        weights |= {name: array for name, array in snapshots.items() if "initial" in name}
        before |= {name: array for name, array in kept.items() if "initial" in name}
        for name, array in before.items():
            np.testing.assert_array_equal(weights[name], array)
        record = read_json(project.results / run / "run.json")
        assert record["trained_on"] != record["data_digest"]
        assert "trained_on" not in read_json(project.results / run.replace("1", "2") / "run.json")
    table = pd.read_csv(project.results / "table1.csv")
    assert list(table["seeds"]) == [2, 2]
    assert project.stale() == {}
    # What would train them here does not count, but what made the weights before training does.
    project.replace(SCHEDULE, "epoch - 1 >=", "epoch >=")
    stale = project.stale()
    assert (stale["train"], stale["evaluate"]) == (2, 2) and "take" not in stale
    project.replace(KAIMING, "math.sqrt(2 /", "math.sqrt(3 /")
    assert project.stale()["take"] == 1

    # Other runs in the same place are taken anew.
    record = project.root / "published" / RESIDUAL / "run.json"
    record.write_text(f"{record.read_text('utf-8')}\n", "utf-8")
    assert project.stale()["take"] == 2

    project.replace(CONFIG, "finished_runs: published", "finished_runs: results/tiny")
    printed = project.snakemake("--dry-run", *CORE, fails=True)
    assert "finished_runs: 'results/tiny' given, allowed: another folder than results" in printed


@pytest.mark.thorough
def test_with_only_finished_runs_nothing_is_trained(everything: Project, tmp_path: Path) -> None:
    theirs = tmp_path / "published"
    names = [run.removeprefix("runs/") for run in (PLAIN, RESIDUAL)]
    publish(everything.results, theirs, names)
    project = everything.copy_to(tmp_path / "project")
    config = f"\nresults: results/theirs\nstore: null\nfinished_runs: {theirs}\nonly_finished: true"
    project.replace(CONFIG, "\nresults: results/tiny", config)
    printed = project.snakemake("all")
    results = project.root / "results/theirs"
    made = {one.name for one in ARTEFACTS if (results / one.file).exists()}
    others = {one.name for one in ARTEFACTS} - made
    # The weights after the first iteration of training, which Figure 12 needs, are there too; those
    # of fully-fledged networks, of T(HMWI) and of dominant paths are not.
    assert others == {
        *("table2", "figure6", "table4", "figure9", "figure9_growth", "table5"),
        *("figure10", "figure12", "figure12_ratios", "figure12_readings"),
    }
    named = printed.partition("not in finished_runs: ")[2].partition("\n")[0]
    assert {*named.split(", ")} == others
    claims = pd.read_csv(results / "claims.csv").set_index("id")
    before = pd.read_csv(everything.results / "claims.csv").set_index("id")
    measured = claims["measured"].notna()
    assert 0 < measured.sum() < before["measured"].notna().sum()
    assert (claims["measured"] == before["measured"])[measured].all()
    assert "this configuration makes no networks of Table 5" in {*claims["reason"]}
    # Nothing more to do, and what is left out cannot be asked for.
    assert "Nothing to be done" in project.snakemake("all", "--dry-run")
    missing = f"{theirs}/runs/plain-8/t-hmwi/seed1/weights.safetensors"
    assert missing in project.snakemake("table4", fails=True)
