"""Weights and training dynamics through the workflow, on the tiny configuration."""

import pandas as pd
import pytest
from projects import CORE, Project

SECTIONS = """
weight_statistics: {depth: 8, seeds: [1]}
table4: {depths: [8], seeds: [1]}
figure8: {depths: [8], seeds: [1]}
figure9: {depths: [8], seeds: [1]}
"""
TARGETS = [f"results/tiny/figure{number}.pdf" for number in (7, 8, 9)]
TARGETS += [f"results/tiny/{name}.csv" for name in ("table3", "table4", "figure9_growth")]


def test_weights_are_measured_drawn_and_tabulated(project: Project) -> None:
    project.replace("config/tiny.yaml", "device: cpu", f"device: cpu{SECTIONS}")
    project.snakemake(*CORE, *TARGETS)
    results = project.results
    for number in (7, 8, 9):
        for kind in ("pdf", "png", "csv"):
            assert (results / f"figure{number}.{kind}").stat().st_size > 100

    # T(HMWI) starts as the equal of the residual network of its seed.
    risks = {
        run: pd.read_csv(results / f"runs/{run}/seed1/evaluation.csv").set_index("snapshot")["risk"]
        for run in ("plain-8/t-hmwi", "residual-8/hmwi", "plain-8/kwi")
    }
    before = risks["plain-8/t-hmwi"]["initial"]
    assert before == pytest.approx(risks["residual-8/hmwi"]["initial"], rel=1e-5)
    table4 = pd.read_csv(results / "table4.csv").set_index(["moment", "initialisation"])
    assert table4.loc[("before", "t-hmwi"), "risk_mean"] == before
    assert table4.loc[("after", "kwi"), "risk_mean"] == risks["plain-8/kwi"]["final"]
    table3 = pd.read_csv(results / "table3.csv").set_index(["group", "statistic"])
    mean = table3.loc[("id", "mean")]
    assert mean["before_transferred_mean"] == pytest.approx(1, abs=0.02)
    assert mean["before_p_mean"] == pytest.approx(0, abs=0.2)
    assert project.stale(*TARGETS) == {}
