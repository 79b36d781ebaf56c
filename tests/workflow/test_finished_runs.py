"""Runs of another results folder are measured, and not trained again."""

import numpy as np
import pandas as pd
from projects import CORE, PLAIN, RESIDUAL, Project

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
    # A seed of Table 1 must be trained, all runs of Figure 8 are there.
    plan = project.stale("finished")
    assert "train" not in plan and "table4" not in plan and {"figure4", "figure8"} <= plan.keys()
    # What would train them here does not count, but what made the weights before training does.
    project.replace(SCHEDULE, "epoch - 1 >=", "epoch >=")
    stale = project.stale()
    assert (stale["train"], stale["evaluate"]) == (2, 2) and "take" not in stale
    project.replace(KAIMING, "math.sqrt(2 /", "math.sqrt(3 /")
    assert project.stale()["take"] == 1

    project.replace(CONFIG, "finished_runs: published", "finished_runs: results/tiny")
    printed = project.snakemake("--dry-run", *CORE, fails=True)
    assert "finished_runs: 'results/tiny' given, allowed: another folder than results" in printed
