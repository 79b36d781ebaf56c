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


def test_the_measures_of_all_runs_lead_to_a_verdict(everything: Project) -> None:
    folder = everything.results / "conjecture"
    bounds = pd.read_csv(folder / "bounds.csv")
    assert len(bounds) == 4 and bounds["path"].notna().all()
    correlations = pd.read_csv(folder / "prediction.csv")
    everywhere = correlations[correlations["comparison"] == "all runs"]
    assert everywhere["runs"].max() == 4 and everywhere["tau"].notna().any()
    assert (folder / "prediction_figure.png").stat().st_size > 1000
    # After two epochs no run has a small risk, so that nothing is known at equal risk.
    assert {*pd.read_csv(folder / "verdict.csv")["verdict"]} == {"undecided"}
    assert "The conjecture is undecided on this data" in (folder / "verdict.md").read_text("utf-8")
