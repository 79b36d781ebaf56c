"""Interlayer cushions and a network trained elsewhere through the workflow, tiny configuration."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from projects import Project

from resnoise.storage import tensorfile

SECTIONS = """
interlayer_cushion:
  architectures: [residual, plain]
  depths: [8]
  seeds: [1]
  samples: 6
  relative_error: 0.05
gradient_flow: {samples: 4}
external:
  - {name: mine, path: mine.pt}
"""
TARGETS = ("interlayer_blocks.csv", "interlayer_cushion.pdf")
EXTERNAL_TARGETS = ("interlayer_blocks.md", "interlayer_heatmap.pdf", "layer_cushion.pdf")
RESIDUAL = "runs/residual-8/hmwi/seed1"


def test_cushions_are_measured_of_runs_and_of_the_same_weights_from_elsewhere(
    project: Project,
) -> None:
    results = project.results
    weights, _, _ = tensorfile.load(results / RESIDUAL / "weights.safetensors")
    state = {f"module.{name}": torch.from_numpy(np.array(a)) for name, a in weights.items()}
    torch.save({"state_dict": state}, project.root / "mine.pt")
    project.replace("config/tiny.yaml", "device: cpu", f"device: cpu{SECTIONS}")
    targets = [f"results/tiny/{name}" for name in TARGETS]
    targets += [f"results/tiny/external/mine/{name}" for name in EXTERNAL_TARGETS]
    targets.append("results/tiny/external/gradient_flows.pdf")
    project.snakemake(*targets)

    rows = pd.read_csv(results / RESIDUAL / "interlayer_cushion.csv")
    assert len(rows) == 6 * 21
    table = pd.read_csv(results / "interlayer_blocks.csv")
    assert list(table["block"]) == [1, 2, 3, 4, 5, 6]
    single = rows[(rows["first"] == 2) & (rows["last"] == 2)]
    mean = table.set_index("block").loc[2, "residual_mean"]
    assert mean == pytest.approx(single["cushion"].mean(), rel=1e-12)
    # The weights and the standardisation are the run's, so all else is too.
    folder = results / "external" / "mine"
    pd.testing.assert_frame_equal(pd.read_csv(folder / "interlayer_cushion.csv"), rows)
    assert len(pd.read_csv(folder / "layer_cushion.csv")) == 8 * 100
    record = json.loads((folder / "network.json").read_text("utf-8"))
    evaluation = pd.read_csv(results / RESIDUAL / "evaluation.csv").set_index("snapshot")
    assert record["test_error"] == evaluation.loc["final", "test_error"]
    assert len(pd.read_csv(folder / "layer_cushion_summary.csv")) == 8
    # By three readings; the last convolution has no flow.
    assert len(pd.read_csv(folder / "gradient_flow.csv")) == 3 * 6
    assert len(pd.read_csv(folder.parent / "gradient_flows.csv")) == 6
    for name in ("interlayer_heatmap.png", "interlayer_heatmap.csv", "layer_cushion.png"):
        assert (folder / name).stat().st_size > 100
    assert not list(results.rglob("*_resume.safetensors"))
    assert project.stale(*targets) == {}

    project.replace("config/tiny.yaml", "name: mine, path", "name: mine, mean: [0, 0, 0], path")
    printed = project.snakemake("--dry-run", *targets, fails=True)
    assert "external[0].std: null given, allowed: a list if mean is one" in printed
