"""Training dynamics (Figures 8 and 9) on curves whose answers are known."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnoise.config.schema import SCHEMA_PATH
from resnoise.figures import curves, figure8, figure9
from resnoise.summaries.dynamics import (
    equal_risk,
    peak_epochs,
    risk_curves,
    risk_differences,
    risks_after_training,
)
from resnoise.summaries.published import read_paper
from resnoise.tables.growth import growth_markdown, growth_table

PAPER = SCHEMA_PATH.with_name("paper.yaml")


def history(
    architecture: str, initialisation: str, depth: int, seed: int, risks: list[float]
) -> pd.DataFrame:
    """Return the history of a run; its test error is a tenth of its risk, and more if plain."""
    epochs = np.arange(1, len(risks) + 1)
    risk = np.array(risks)
    return pd.DataFrame(
        {
            "architecture": architecture,
            "depth": depth,
            "initialisation": initialisation,
            "seed": seed,
            "epoch": epochs,
            "risk": risk,
            "test_error": 0.1 * np.log(risk * 100) + (0.05 if architecture == "plain" else 0),
            "status": np.where(np.isfinite(risk), "ok", "diverged"),
        }
    )


def plain_and_residual() -> pd.DataFrame:
    """Return runs in which the residual network is twice as fast."""
    plain = [2.0 * 0.8**epoch for epoch in range(20)]
    residual = [2.0 * 0.8 ** (2 * epoch) for epoch in range(10)]
    return pd.concat(
        [
            history("plain", "kwi", 32, 1, plain),
            history("plain", "kwi", 32, 2, [1.1 * risk for risk in plain]),
            history("residual", "hmwi", 32, 1, residual),
        ],
        ignore_index=True,
    )


def test_curves_are_means_with_ranges_over_seeds() -> None:
    found = risk_curves(plain_and_residual()).set_index(["architecture", "epoch"])
    row = found.loc[("plain", 3)]
    risk = 2 * 0.8**2
    assert row["risk_mean"] == pytest.approx(1.05 * risk)
    assert (row["risk_min"], row["risk_max"]) == (pytest.approx(risk), pytest.approx(1.1 * risk))
    assert row["seeds"] == 2


def test_at_equal_risk_errors_and_epochs_are_interpolated_exactly() -> None:
    found = equal_risk(plain_and_residual())
    # The test error is linear in the logarithm of the risk, so interpolation is exact.
    residual = found[found["architecture"] == "residual"]
    plain = found[found["architecture"] == "plain"]
    assert np.allclose(residual["test_error_mean"], 0.1 * np.log(100 * residual["risk"]))
    assert np.allclose(plain["test_error_mean"], 0.05 + 0.1 * np.log(100 * plain["risk"]))
    expected = 1 + np.log(residual["risk"] / 2) / np.log(0.64)
    assert np.allclose(residual["epoch_mean"], expected)
    # Over the risks that all runs go through, and no others.
    assert found["risk"].max() == pytest.approx(2.0)
    assert found["risk"].min() == pytest.approx(2 * 0.64**9)


def test_a_curve_that_rises_again_counts_when_it_first_gets_there() -> None:
    runs = [
        history("plain", "kwi", 8, 1, [2.0, 1.0, 1.8, 0.5]),
        history("residual", "hmwi", 8, 1, [2.0, 1.5, 1.0, 0.5]),
    ]
    found = equal_risk(pd.concat(runs))
    plain = found[found["architecture"] == "plain"]
    near = plain.iloc[(plain["risk"] - 1.0).abs().argmin()]
    assert near["epoch_mean"] == pytest.approx(2, abs=0.1)


def test_without_a_common_risk_there_are_no_rows() -> None:
    runs = [
        history("plain", "kwi", 8, 1, [2.0, 1.9]),
        history("residual", "hmwi", 8, 1, [1.0, 0.9]),
    ]
    found = equal_risk(pd.concat(runs))
    assert found.empty and "test_error_mean" in found.columns


def figure9_runs(depths: tuple[int, ...] = (32, 44)) -> pd.DataFrame:
    """Return runs whose difference is largest at epoch 4, and a diverged one."""
    runs = []
    for depth in depths:
        for seed in (1, 2):
            bump = [0.0, 0.1, 0.2, 0.5, 0.3, 0.1]
            base = [2.0, 1.5, 1.0, 0.5, 0.2, 0.1]
            kwi = [risk + seed * extra for risk, extra in zip(base, bump, strict=True)]
            runs.append(history("plain", "kwi", depth, seed, [depth / 32 * risk for risk in kwi]))
            runs.append(history("plain", "t-hmwi", depth, seed, base))
    runs.append(history("plain", "kwi", depths[-1], 3, [2.0, math.nan]))
    runs.append(history("plain", "t-hmwi", depths[-1], 3, [2.0, 1.5, 1.0, 0.5, 0.2, 0.1]))
    return pd.concat(runs, ignore_index=True)


def evaluations(histories: pd.DataFrame, factor: float = 0.5) -> pd.DataFrame:
    """Return evaluations whose risk after training is ``factor`` times that of the last epoch."""
    last = histories.groupby(["architecture", "initialisation", "depth", "seed"]).tail(1)
    final = last.assign(snapshot="final", risk=factor * last["risk"])
    return pd.concat([final.assign(snapshot="initial", status="ok", risk=2.3), final])


def test_differences_compare_runs_of_one_seed() -> None:
    found = risk_differences(figure9_runs()).set_index(["depth", "epoch"])
    assert found.loc[(32, 4), "difference_mean"] == pytest.approx(0.75)
    assert found.loc[(32, 4), "difference_max"] == pytest.approx(1.0)
    # The third seed diverged in epoch 2.
    assert found.loc[(44, 1), "seeds"] == 3 and found.loc[(44, 2), "seeds"] == 2
    assert peak_epochs(found.reset_index())[32] == 4


def test_growth_stands_beside_the_papers(tmp_path: Path) -> None:
    runs = figure9_runs()
    table = growth_table(evaluations(runs), runs, read_paper(PAPER)["figure9"])
    table = table.set_index(["depth", "initialisation"])
    kwi = table.loc[(44, "kwi")]
    assert kwi["growth"] == pytest.approx(44 / 32)
    # Of the evaluation and not of the last epoch, whose mean is 44 / 32 * 0.25.
    assert kwi["risk_mean"] == pytest.approx(0.5 * 44 / 32 * 0.25)
    assert kwi["growth_paper"] == pytest.approx(3.54, abs=0.01)
    assert table.loc[(44, "t-hmwi"), "growth_paper"] == pytest.approx(1.51, abs=0.01)
    assert kwi["seeds"] == 3 and kwi["diverged"] == 1
    assert table.loc[(32, "kwi"), "risk_paper"] == 0.13 and kwi["peak_epoch_paper"] == 15
    text = growth_markdown(table.reset_index())
    assert "3 (1 diverged)" in text and "(3.54)" in text and "4 (15)" in text


def test_figures_show_their_last_values_and_save_their_numbers(tmp_path: Path) -> None:
    runs = plain_and_residual()
    files = [tmp_path / f"figure8{end}" for end in (".pdf", ".png", ".csv", "_equal.csv")]
    figure8.drawing(runs).save(*files)
    assert all(file.stat().st_size > 100 for file in files)
    pd.testing.assert_frame_equal(
        pd.read_csv(files[2]), risk_curves(runs).reset_index(drop=True), check_dtype=False
    )
    figure = figure8.draw(risk_curves(runs), equal_risk(runs))
    written = {text.get_text() for text in figure.axes[0].texts}
    assert written == {f"{2.1 * 0.8**19:#.3g}", f"{2 * 0.64**9:#.3g}"}
    low, high = figure.axes[1].get_xlim()
    assert low > high
    plt.close(figure)

    runs = figure9_runs()
    ends = risks_after_training(evaluations(runs))
    figure = figure9.draw(risk_curves(runs), risk_differences(runs), ends)
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert legend == [f"depth {depth}, largest at epoch 4" for depth in (32, 44)]
    written = {text.get_text() for text in figure.axes[0].texts}
    # Two curves from T(HMWI) end at the same risk.
    assert written == {f"{0.5 * value:#.3g}" for value in (0.25, 44 / 32 * 0.25, 0.1)}
    assert len(figure.axes[0].texts) == 4
    plt.close(figure)
    files = [tmp_path / f"figure9{end}" for end in (".pdf", ".png", ".csv", "_difference.csv")]
    figure9.drawing(runs, evaluations(runs)).save(*files)
    assert all(file.stat().st_size > 100 for file in files)


def test_a_single_epoch_and_a_diverged_run_are_drawn(tmp_path: Path) -> None:
    runs = pd.concat(
        [
            history("plain", "kwi", 8, 1, [math.nan]),
            history("residual", "hmwi", 8, 1, [1.0]),
        ]
    )
    files = [tmp_path / f"figure8{end}" for end in (".pdf", ".png", ".csv", "_equal.csv")]
    figure8.drawing(runs).save(*files)
    assert len(pd.read_csv(files[2])) == 1


@given(st.lists(st.floats(0, 200), min_size=1, max_size=8), st.floats(1, 20))
def test_labels_are_moved_apart_and_no_further(heights: list[float], gap: float) -> None:
    placed = curves.spread(heights, gap)
    order = np.argsort(heights, kind="stable")
    steps = np.diff(np.array(placed)[order])
    assert (steps >= gap - 1e-6).all()
    # The moves of a least-squares solution cancel, and labels far enough apart do not move.
    assert sum(placed) == pytest.approx(sum(heights), abs=1e-6)
    if (np.diff(np.sort(heights)) >= gap).all():
        assert placed == pytest.approx(heights)
    raised = np.array(curves.spread(heights, gap, 100))
    assert (raised >= 100).all() and (np.diff(raised[order]) >= gap - 1e-6).all()
