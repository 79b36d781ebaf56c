"""What is there when every rule has run, and that tables and figures agree with their runs."""

import pandas as pd
import pytest
from projects import PLAIN, RESIDUAL, Project

from resnoise.plan.artefacts import ARTEFACTS

pytestmark = pytest.mark.thorough


def evaluation(project: Project, run: str) -> pd.DataFrame:
    """Return the evaluation of a run, by snapshot."""
    return pd.read_csv(project.results / run / "evaluation.csv").set_index("snapshot")


def test_every_figure_is_there_in_all_formats(everything: Project) -> None:
    figures = [artefact.file for artefact in ARTEFACTS if artefact.is_figure]
    assert len(figures) > 10
    for name in (*figures, "figure3_snapshots.png"):
        file = everything.results / name
        for suffix in (".pdf", ".png", ".csv"):
            assert file.with_suffix(suffix).stat().st_size > 100, name
    assert not list(everything.results.rglob("*_resume.safetensors"))


def test_twins_are_equal_to_rounding(everything: Project) -> None:
    table = pd.read_csv(everything.results / "table2.csv")
    assert list(table["initialisation"]) == ["t-hmwi", "hmwi"]
    assert table["risk_mean"].iloc[0] == pytest.approx(table["risk_mean"].iloc[1], rel=1e-9)
    drift = pd.read_csv(everything.results / "figure6.csv")
    # 100 pictures in batches of 20, every step of two epochs.
    assert list(drift["step"]) == [*range(1, 11)]
    assert 0 < drift["weight_difference"].max() < 1e-12


def test_cushions_and_noise_are_counted_and_compared(everything: Project) -> None:
    results = everything.results
    for run in (PLAIN, RESIDUAL):
        cushions = pd.read_csv(results / run / "layer_cushion.csv")
        assert len(cushions) == 8 * 10
        assert (cushions["cushion"] > 0).all()
        noise = pd.read_csv(results / run / "noise_stability.csv")
        assert set(noise["size"].dropna()) == {0.1}
        assert (noise["samples"] == 4).all()
    (counts,) = pd.read_csv(results / "layer_cushion_counts.csv").to_dict("records")
    layers = pd.read_csv(results / "layer_cushion.csv")
    assert counts["larger"] == (layers["residual_share"] > 0.5).sum()
    assert counts["layers"] == len(layers) == 8
    smallest = layers["residual_minimum"] > layers["plain_minimum"]
    assert smallest.sum() == counts["larger_by_minimum"]


def test_weights_and_risks_stand_in_their_tables(everything: Project) -> None:
    # T(HMWI) starts as the equal of the residual network of its seed.
    before = evaluation(everything, "runs/plain-8/t-hmwi/seed1").loc["initial", "risk"]
    assert before == pytest.approx(
        evaluation(everything, RESIDUAL).loc["initial", "risk"], rel=1e-5
    )
    table4 = pd.read_csv(everything.results / "table4.csv")
    table4 = table4.set_index(["moment", "initialisation"])
    assert table4.loc[("before", "t-hmwi"), "risk_mean"] == before
    after = evaluation(everything, PLAIN).loc["final", "risk"]
    assert table4.loc[("after", "kwi"), "risk_mean"] == after
    table3 = pd.read_csv(everything.results / "table3.csv").set_index(["group", "statistic"])
    mean = table3.loc[("id", "mean")]
    assert mean["before_transferred_mean"] == pytest.approx(1, abs=0.02)
    assert mean["before_p_mean"] == pytest.approx(0, abs=0.2)


def test_gradient_flow_is_that_of_its_runs(everything: Project) -> None:
    results = everything.results
    flow = pd.read_csv(results / RESIDUAL / "gradient_flow.csv")
    assert list(flow["snapshot"].unique()) == ["initial", "iteration1", "epoch1", "final"]
    # By three readings, in six layers.
    assert len(flow) == 4 * 3 * 6
    assert flow["f_mean"].between(0, 1).all()
    assert (flow["pictures"] == 4).all()
    full = pd.read_csv(results / "runs/full-plain-8/kwi/seed1/gradient_flow.csv")
    # Its only epoch is its last one.
    assert list(full["snapshot"].unique()) == ["initial", "iteration1", "final"]
    features = pd.read_csv(results / RESIDUAL / "feature_gradients.csv")
    sizes = features.groupby("snapshot").size().to_dict()
    assert sizes == {"iteration1": 4 * 16, "final": 4 * 16}
    ratios = pd.read_csv(results / "figure12_ratios.csv").set_index(["family", "layers", "stage"])
    final = flow[(flow["snapshot"] == "final") & (flow["reading"] == "single")]
    deep = final[final["layer"] > 4]["f_mean"].mean()
    row = ratios.loc[("simplified", "deep", "final")]
    assert row["f_mean_residual"] == pytest.approx(deep)


def test_table_5_has_the_risks_of_its_runs(everything: Project) -> None:
    table = pd.read_csv(everything.results / "table5.csv").set_index("network")
    starts = dict.fromkeys(("residual", "plain", "dominant-path"), "hmwi")
    starts |= {"plain": "t-hmwi", "dominant-path-lower-full": "hmwi"}
    assert list(table.index) == [*starts]
    for name, start in starts.items():
        risk = evaluation(everything, f"runs/{name}-8/{start}/seed1").loc["final", "risk"]
        assert table.loc[name, "risk_mean"] == risk
