"""Bounds and other measures of a run, worked out by hand for a network of two layers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.summaries import bounds
from resnoise.tables import bounds as page

# A convolution of width 3 and stride 2 into four channels, and a linear layer of two outputs. The
# first has an identity connection: its norm is 3 without and 6 with the ones of the ID entries.
LAYERS = {
    "layer": [1, 2],
    "name": ["conv1", "fc"],
    "pictures": [100, 100],
    "kernel": [3, 1],
    "stride": [2, 1],
    "outputs": [4, 2],
    "weight_norm": [3.0, 2.0],
    "transferred_norm": [6.0, 2.0],
    "distance": [3.0, 4.0],
    "spectral_norm": [2.0, 5.0],
    "frobenius_norm": [10.0, 5.0],
    "row_distance": [2.0, 40.0],
    "path_norm": [1.0, 8.0],
    "logit_cushion": [0.25, np.nan],
    "jacobian_spread": [2.0, np.nan],
    "largest_output": [7.0, 6.0],
}
MARGIN = 0.5
LAYER_CUSHIONS = {1: (0.8, 0.5), 2: (0.4, 0.9)}
CONTRACTION = 1.5
# Of spans from the output of layer 1.
SPANS = (0.3, 0.45)
EVALUATION = {"parameters": 100, "risk": 0.05, "train_error": 0.01, "test_error": 0.07}


def write(
    folder: Path,
    *,
    depth: int = 2,
    status: str = "ok",
    margin: float = MARGIN,
    cushions: Any = None,
    layers: Any = None,
    run: Any = None,
) -> Path:
    """Write the measurements of a run."""
    names = {"architecture": "residual", "initialisation": "hmwi", "seed": 1, **(run or {})}
    network = {"architecture": names["architecture"], "depth": depth}
    write_json(folder / "run.json", {"spec": {"network": network, **names}})
    final: dict[str, Any] = {"snapshot": "final"}
    keys = {**names, "depth": depth, "status": status, "cost": 0}
    measured = EVALUATION if status == "ok" else dict.fromkeys(EVALUATION)
    evaluation = [{**keys, **measured, "snapshot": name} for name in ("initial", "final")]
    rows: list[dict[str, Any]] = []
    for layer, values in (cushions or LAYER_CUSHIONS).items():
        rows += [{**final, "layer": layer, "cushion": value, "state": ""} for value in values]
        # Before training all is different, and counts for nothing.
        rows.append({"snapshot": "initial", "layer": layer, "cushion": 1e-9, "state": ""})
    spans = [{**final, "first": 1, "last": 1, "cushion": value, "state": ""} for value in SPANS]
    noise = [
        {**final, "quantity": "activation_contraction", "layer": 1, "maximum": CONTRACTION},
        {**final, "quantity": "inverse_smoothness", "size": 0.1, "layer": 1, "maximum": 0.25},
    ]
    for size, change in ((0.1, 0.02), (0.3, 5.0)):
        for layer, factor in ((1, 1.0), (2, 3.0)):
            where = {"quantity": "equal_weight_noise", "size": size, "layer": layer}
            noise.append({**final, **where, "at_layer": 2, "mean": factor * change})
            noise.append({**final, **where, "at_layer": 1, "mean": 1e9})
    margins = [{**final, "part": part, "q05": margin} for part in ("train",)]
    margins.append({**final, "part": "test", "q05": -9.0})
    tables = {
        "evaluation.csv": pd.DataFrame(evaluation),
        "layer_cushion.csv": pd.DataFrame(rows),
        "interlayer_cushion.csv": pd.DataFrame(spans),
        "noise_stability.csv": pd.DataFrame(noise),
        "metrics/margin.csv": pd.DataFrame(margins),
        "metrics/bounds.csv": pd.DataFrame({**LAYERS, **(layers or {})}).assign(**final),
    }
    for name, table in tables.items():
        csvfile.write(folder / name, table)
    return folder


def read(*folders: Path) -> dict[str, Any]:
    (row,) = bounds.read(folders, "id-entries").to_dict("records")
    return row


def test_the_theorem_by_hand(tmp_path: Path) -> None:
    row = read(write(tmp_path))
    # mu: 0.5 and 0.4 with the identity free, 0.5 * 3 / 6 in the plain twin. mu->: 0.25, the span to
    # the logits, is below 0.3 and 1 / sqrt(4); and 1 / sqrt(2). ceil(kappa / s): 2 and 1.
    twin = 2**2 / (0.25 * 0.25) ** 2 + 1 / (0.4 / math.sqrt(2)) ** 2
    free = 2**2 / (0.5 * 0.25) ** 2 + 1 / (0.4 / math.sqrt(2)) ** 2
    # c = 1.5, d = 2, beta = 2, max ||f|| = 6, gamma = 0.5.
    factor = 1.5**2 * 2**2 * 2**2 * 6**2 / 0.5**2
    assert row["bound"] == pytest.approx(math.log10(factor * twin))
    assert row["bound_identity_free"] == pytest.approx(math.log10(factor * free))
    assert row["bound_value"] == pytest.approx(0.05 + math.sqrt(factor * twin / 100))
    assert row["bound_identity_free_value"] == pytest.approx(0.05 + math.sqrt(factor * free / 100))
    assert row["layer_cushions"] == pytest.approx(math.log10(1 / 0.25**2 + 1 / 0.4**2))
    assert row["layer_cushions_identity_free"] == pytest.approx(math.log10(1 / 0.5**2 + 1 / 0.4**2))
    assert row["interlayer_cushions"] == pytest.approx(math.log10(1 / 0.25**2 + 2))
    assert row["smoothness"] == 4 and row["smoothness_needed"] == 6


def test_norms_by_hand(tmp_path: Path) -> None:
    row = read(write(tmp_path))
    margin = 1 / MARGIN**2
    assert row["margin"] == pytest.approx(math.log10(margin))
    assert row["spectral"] == pytest.approx(math.log10((2 * 5) ** 2 * margin))
    # (2 / 2)^(2/3) + (40 / 5)^(2/3) = 1 + 4, to the power of 3.
    assert row["spectral_distance"] == pytest.approx(math.log10(10**2 * 5**3 * margin))
    assert row["frobenius"] == pytest.approx(math.log10(50**2 * margin))
    assert row["path"] == pytest.approx(math.log10(8**2 * margin))
    assert row["distance"] == pytest.approx(math.log10(5))
    assert row["parameters"] == 2 and row["training_risk"] == pytest.approx(math.log10(0.05))
    # The mean of 0.02 and 0.06, at the smallest size and at the logits.
    assert row["noise"] == pytest.approx(math.log10(0.04))
    assert row["gap"] == pytest.approx(0.06)


def test_what_the_margin_does_not_bound_is_infinite(tmp_path: Path) -> None:
    row = read(write(tmp_path, margin=-0.1))
    for name in ("bound", "spectral", "spectral_distance", "frobenius", "path", "margin"):
        assert row[name] == math.inf, name
    assert math.isfinite(row["layer_cushions"]) and row["bound_value"] == math.inf


def test_a_dead_layer_leaves_no_bound(tmp_path: Path) -> None:
    row = read(write(tmp_path, cushions={1: (0.5, 0.8), 2: (np.nan, np.nan)}))
    for name in ("bound", "bound_identity_free", "layer_cushions"):
        assert math.isnan(row[name]), name
    assert math.isfinite(row["spectral"])


@pytest.mark.parametrize(
    "changed",
    [{"depth": 3}, {"layers": {"path_norm": [np.nan, np.nan]}}],
    ids=["layers of other kinds", "blocks of two layers"],
)
def test_other_networks_have_errors_and_no_measures(tmp_path: Path, changed: Any) -> None:
    row = read(write(tmp_path, **changed))
    assert row["gap"] == pytest.approx(0.06)
    assert all(pd.isna(row[name]) for name in bounds.MEASURES)


def test_a_run_that_diverged_has_no_measures(tmp_path: Path) -> None:
    row = read(write(tmp_path, status="diverged"))
    assert row["status"] == "diverged"
    assert all(pd.isna(row[name]) for name in (*bounds.MEASURES, "risk", "gap"))


def test_only_doses_of_plain_networks_lack_identity(tmp_path: Path) -> None:
    starts = [
        ("plain", "id-entries_alpha=0.25"),
        ("residual", "id-entries_alpha=0.25"),
        ("plain", "id-entries_alpha=1_noise=2"),
        ("plain", "kwi"),
    ]
    folders = [
        write(
            tmp_path / str(number),
            run=dict(zip(("architecture", "initialisation"), start, strict=True)),
        )
        for number, start in enumerate(starts)
    ]
    table = bounds.read(folders, "id-entries")
    assert table["missing_identity"].fillna(-1).tolist() == [0.75, -1, -1, -1]


def test_the_page_names_what_became_of_each_run(tmp_path: Path) -> None:
    folders = [write(tmp_path / "a"), write(tmp_path / "b", status="diverged")]
    made = page.make([folder / "run.json" for folder in folders], initialisation="id-entries")
    lines = [line for line in made.text.splitlines() if line.startswith("| residual-2")]
    assert "4 (6)" in lines[0] and "diverged" in lines[1]
    csvfile.write(tmp_path / "bounds.csv", made.tables[0])
    pd.testing.assert_frame_equal(
        bounds.read_table(tmp_path / "bounds.csv")[["bound", "gap"]],
        made.tables[0][["bound", "gap"]],
    )
