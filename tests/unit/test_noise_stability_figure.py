"""The figure of noise stability: means over seeds, counts of layers, files."""

import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from resnoise.figures import noise_stability, style

SIZES = (0.03, 0.1, 0.3)
QUANTITIES = [name for name in noise_stability.PANELS if name != "fading"]


def stability(seeds: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    """Return rows of networks with three layers whose numbers are easy to tell."""
    rows = []
    for architecture, factor in (("plain", 2.0), ("residual", 1.0)):
        for seed in seeds:
            for snapshot in ("initial", "final"):
                keys = {"architecture": architecture, "depth": 8, "initialisation": "kwi"}
                keys |= {"seed": seed, "snapshot": snapshot}
                for layer in (1, 2, 3):
                    # In the last layer the plain network is the more stable one.
                    base = (factor if layer < 3 else 1 / factor) * seed
                    for size in SIZES:
                        for at in range(layer, 4):
                            for quantity in QUANTITIES:
                                if quantity == "inverse_smoothness" and at == layer:
                                    continue
                                entry = {"quantity": quantity, "size": size, "at_layer": at}
                                rows.append({**keys, **entry, "layer": layer, "mean": base * size})
                    contraction = {"quantity": "activation_contraction", "size": math.nan}
                    rows.append(
                        {**keys, **contraction, "layer": layer, "at_layer": layer, "mean": 1.5}
                    )
    frame = pd.DataFrame(rows)
    return frame.assign(
        name="l" + frame["layer"].astype(str),
        standard_error=0.25,
        maximum=2 * frame["mean"],
        state="",
    )


def test_means_and_errors_over_seeds() -> None:
    summary = noise_stability.summarise(stability())
    rows = summary[(summary["quantity"] == "weight_noise") & (summary["layer"] == 1)]
    row = rows[(rows["architecture"] == "plain") & (rows["size"] == 0.1) & (rows["at_layer"] == 3)]
    assert row["mean"].item() == pytest.approx(0.3)
    assert row["seeds"].item() == 2
    assert row["standard_error"].item() == pytest.approx(np.std([0.2, 0.4], ddof=1) / math.sqrt(2))
    assert row["maximum"].item() == pytest.approx(0.8)
    assert len(summary[summary["quantity"] == "activation_contraction"]) == 6


def test_one_seed_keeps_its_own_error() -> None:
    summary = noise_stability.summarise(stability((1,)))
    assert (summary["standard_error"] == 0.25).all()


def test_panels_count_layers_and_divide_by_the_size() -> None:
    figure = noise_stability.draw(noise_stability.summarise(stability((1,))))
    weights, *_, fading, smoothness = figure.axes
    plt.close(figure)
    assert weights.get_title() == "depth 8\nresidual smaller in 2 of 3 layers"
    assert smoothness.get_title() == "residual smaller in 2 of 2 layers"
    for line in weights.get_lines():
        factors = [2, 2, 0.5] if line.get_color() == style.COLOURS["plain"] else [1, 1, 1]
        np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), factors)
    assert len(weights.get_lines()) == 6
    assert {line.get_linestyle() for line in weights.get_lines()} == {"-", "--", ":"}
    assert len(fading.get_lines()) > 0
    assert all(axis.get_yscale() == "log" for axis in figure.axes)


def test_dead_layers_are_marked_and_not_counted() -> None:
    rows = stability((1,))
    dead = rows["layer"] == 2
    rows.loc[dead & (rows["architecture"] == "plain"), ["mean", "state"]] = [np.nan, "dead"]
    summary = noise_stability.summarise(rows)
    assert set(summary.loc[summary["mean"].isna(), "state"]) == {"dead"}
    figure = noise_stability.draw(summary)
    assert figure.axes[0].get_title().endswith("smaller in 1 of 2 layers\n(1 dead or exploded)")
    (marked,) = (line for line in figure.axes[0].lines if line.get_linestyle() == "None")
    assert list(np.asarray(marked.get_xdata())) == [2]
    plt.close(figure)


def test_the_figure_is_drawn_if_everything_is_dead(tmp_path: Path) -> None:
    rows = stability().assign(mean=np.nan, standard_error=np.nan, maximum=np.nan, state="dead")
    drawing = noise_stability.drawing(rows)
    assert "0 of 0 layers\n(3 dead or exploded)" in drawing.figure.axes[0].get_title()
    drawing.save(*(tmp_path / f"noise.{kind}" for kind in ("pdf", "png", "csv")))


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        files = {kind: tmp_path / name / f"noise.{kind}" for kind in ("pdf", "png", "csv")}
        noise_stability.drawing(stability()).save(*files.values())
        written.append({kind: file.read_bytes() for kind, file in files.items()})
    assert written[0] == written[1]
    assert written[0]["pdf"].startswith(b"%PDF")


def test_the_figure_is_drawn_even_if_every_run_diverged(tmp_path: Path) -> None:
    files = {kind: tmp_path / f"noise.{kind}" for kind in ("pdf", "png", "csv")}
    noise_stability.drawing(stability().iloc[:0]).save(*files.values())
    assert files["png"].stat().st_size > 100
