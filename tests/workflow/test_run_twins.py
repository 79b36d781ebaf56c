"""Twins in a real run of the workflow: Table 2 and Figure 6."""

import pandas as pd
import pytest
from projects import Project

TARGETS = ("results/tiny/table2.csv", "results/tiny/figure6.pdf")
SETTING = ("--config", "results=results/tiny", "twins={depths: [8], every_step_epochs: 1}")


def test_twins_make_table_2_and_figure_6(project: Project) -> None:
    project.snakemake(*TARGETS, *SETTING)
    table = pd.read_csv(project.results / "table2.csv")
    assert list(table["initialisation"]) == ["t-hmwi", "hmwi"]
    assert table["risk_mean"].iloc[0] == pytest.approx(table["risk_mean"].iloc[1], rel=1e-9)
    drift = pd.read_csv(project.results / "figure6.csv")
    # 100 pictures in batches of 20: every step of the first epoch, the last of the second.
    assert list(drift["step"]) == [1, 2, 3, 4, 5, 10]
    assert 0 < drift["weight_difference"].max() < 1e-12
    for suffix in ("pdf", "png"):
        assert (project.results / f"figure6.{suffix}").stat().st_size > 1000
    assert "Nothing to be done" in project.snakemake("--dry-run", *TARGETS, *SETTING)
