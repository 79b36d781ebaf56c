"""Layer cushions and noise stability through the workflow, on the tiny configuration."""

import pandas as pd
from projects import Project

SECTIONS = """
layer_cushion: {depths: [8], seeds: [1], samples: 40, every_snapshot: true}
noise_stability: {depths: [8], seeds: [1], samples: 10, repeats: 2, sizes: [0.1, 0.3]}
"""
FIGURES = ("figure3", "figure3_snapshots", "noise_stability")
TARGETS = ["layer_cushion.md", *(f"{name}.pdf" for name in FIGURES)]
RUNS = ("runs/plain-8/kwi/seed1", "runs/residual-8/hmwi/seed1")


def test_cushions_and_noise_are_measured_and_drawn(project: Project) -> None:
    project.replace("config/tiny.yaml", "device: cpu", f"device: cpu{SECTIONS}")
    targets = [f"results/tiny/{name}" for name in TARGETS]
    project.snakemake(*targets)
    results = project.results
    for run in RUNS:
        cushions = pd.read_csv(results / run / "layer_cushion.csv")
        # Three snapshots: before training, after one iteration, at the end.
        assert len(cushions) == 3 * 8 * 40
        assert (cushions["cushion"] > 0).all()
        noise = pd.read_csv(results / run / "noise_stability.csv")
        assert set(noise["size"].dropna()) == {0.1, 0.3}
        assert (noise["samples"] == 10).all()
    for name in FIGURES:
        for kind in ("pdf", "png", "csv"):
            assert (results / f"{name}.{kind}").stat().st_size > 100
    (counts,) = pd.read_csv(results / "layer_cushion_counts.csv").to_dict("records")
    layers = pd.read_csv(results / "layer_cushion.csv")
    assert counts["larger"] == (layers["residual_share"] > 0.5).sum()
    assert counts["layers"] == len(layers) == 8
    assert (
        list(layers["residual_minimum"] > layers["plain_minimum"]).count(True)
        == (counts["larger_by_minimum"])
    )
    assert not list(results.rglob("*_resume.safetensors"))
    assert project.stale(*targets) == {}
