"""Gradient flow, Table 5 and the simulation through the workflow, on the tiny configuration."""

import pandas as pd
import pytest
from projects import CORE, Project

SECTIONS = """
gradient_flow: {depth: 8, seeds: [1], epochs: [1, 5], samples: 12}
table5: {depths: [8], seeds: [1], lower_full: {depths: [8]}}
trivial_case: {repetitions: 3, n: 8, n_values: [4, 8], layer_values: [18, 19]}
"""
FULL = """  fully_fledged: {epochs: 1, batch_size: 20}
table1:"""
FIGURES = ("figure10", "figure11", "figure12", "figure13")
TARGETS = [*(f"results/tiny/{name}.pdf" for name in FIGURES)]
TARGETS += [f"results/tiny/{name}.csv" for name in ("figure12_ratios", "figure12_readings")]
TARGETS += ["results/tiny/table5.csv"]


def test_flow_is_measured_drawn_and_tabulated(project: Project) -> None:
    project.replace("config/tiny.yaml", "device: cpu", f"device: cpu{SECTIONS}")
    project.replace("config/tiny.yaml", "table1:", FULL)
    project.snakemake(*CORE, *TARGETS)
    results = project.results
    for name in FIGURES:
        for kind in ("pdf", "png", "csv"):
            assert (results / f"{name}.{kind}").stat().st_size > 100

    flow = pd.read_csv(results / "runs/residual-8/hmwi/seed1/gradient_flow.csv")
    # Epoch 5 is beyond the training's end.
    assert list(flow["snapshot"].unique()) == ["initial", "iteration1", "epoch1", "final"]
    assert len(flow) == 4 * 3 * 6
    assert flow["f_mean"].between(0, 1).all()
    assert (flow["pictures"] == 12).all()
    full = pd.read_csv(results / "runs/full-plain-8/kwi/seed1/gradient_flow.csv")
    assert list(full["snapshot"].unique()) == ["initial", "iteration1", "final"]
    features = pd.read_csv(results / "runs/residual-8/hmwi/seed1/feature_gradients.csv")
    assert features.groupby("snapshot").size().to_dict() == {
        "iteration1": 12 * 16,
        "final": 12 * 16,
    }
    ratios = pd.read_csv(results / "figure12_ratios.csv").set_index(["family", "layers", "stage"])
    row = ratios.loc[("simplified", "deep", "final")]
    final = flow[(flow["snapshot"] == "final") & (flow["reading"] == "single")]
    final = final[final["layer"] > 4]
    assert row["f_mean_residual"] == pytest.approx(final["f_mean"].mean())

    table = pd.read_csv(results / "table5.csv").set_index("network")
    starts = dict.fromkeys(("residual", "plain", "dominant-path"), "hmwi")
    starts |= {"plain": "t-hmwi", "dominant-path-lower-full": "hmwi"}
    assert list(table.index) == [*starts]
    for name, start in starts.items():
        evaluation = pd.read_csv(results / f"runs/{name}-8/{start}/seed1/evaluation.csv")
        assert table.loc[name, "risk_mean"] == evaluation.set_index("snapshot").loc["final", "risk"]
    assert project.stale(*TARGETS) == {}
