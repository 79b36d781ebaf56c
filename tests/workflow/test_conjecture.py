"""The target conjecture on the tiny configuration, in the project in which every rule has run."""

import pandas as pd
import pytest
from projects import Project

pytestmark = pytest.mark.thorough


def test_doses_and_causes_are_trained_measured_and_drawn(everything: Project) -> None:
    folder = everything.results / "conjecture"
    for name in ("dose", "cushion", "flow"):
        for kind in ("pdf", "png", "csv"):
            assert (folder / f"{name}.{kind}").stat().st_size > 100
    runs = pd.read_csv(folder / "runs.csv").set_index(["architecture", "initialisation"])
    doses = [("plain", "kwi"), ("plain", "id-entries_alpha=0.5"), ("residual", "hmwi")]
    assert list(runs.index) == [*doses, ("plain", "dirac")]
    for (architecture, initialisation), row in runs.iterrows():
        run = everything.results / f"runs/{architecture}-8/{initialisation}/seed1"
        evaluation = pd.read_csv(run / "evaluation.csv").set_index("snapshot")
        assert row["risk_mean"] == evaluation.loc["final", "risk"]
    risks = pd.read_csv(folder / "dose.csv").set_index("initialisation")["risk_mean"]
    assert {*risks.index} == {name for _, name in doses}
    assert risks["id-entries_alpha=0.5"] == runs.loc[doses[1], "risk_mean"]
    # Runs of no other section keep the weights of no epoch, and are measured all the same.
    flow = pd.read_csv(
        everything.results / "runs/plain-8/id-entries_alpha=0.5/seed1/gradient_flow.csv"
    )
    assert list(flow["snapshot"].unique()) == ["initial", "iteration1", "final"]
