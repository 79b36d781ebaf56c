"""Figure 10 (appendix D.4.1): entries of dR/da of a residual network, with a fitted normal.

dR/da is the gradient of the risk with respect to the pooled outputs a of the last group.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from resnoise.figures import style
from resnoise.storage import csvfile

NAMES = {"iteration1": "first iteration", "final": "last iteration"}
_FITTED = ("depth", "snapshot", "seeds", "entries", "mean", "standard_deviation")
_SHAPES = ("skewness", "excess_kurtosis", "kolmogorov_smirnov")
_BINS = 81


def read(files: Iterable[Path]) -> pd.DataFrame:
    """Read the entries of all files (see ``resnoise.metrics.gradient_flow``).

    Raises:
        ResnoiseError: a file is missing, damaged or lacks a column.
    """
    frames = []
    for file in files:
        columns = ["depth", "seed", "snapshot", "value"]
        frames.append(csvfile.read(file, "entries of dR/da", columns)[columns])
    return pd.concat(frames, ignore_index=True)


def fits(entries: pd.DataFrame) -> pd.DataFrame:
    """Return the fitted normal distribution of each snapshot, and measures of the misfit.

    Columns: depth, snapshot, seeds and entries (their numbers), mean, standard_deviation, skewness,
    excess_kurtosis, kolmogorov_smirnov (largest distance of the two distribution functions); the
    last three are empty if all entries are equal. A snapshot without entries has no row.

    Args:
        entries: rows from ``read``.
    """
    rows = []
    for snapshot in NAMES:
        of_snapshot = entries[entries["snapshot"] == snapshot]
        if of_snapshot.empty:
            continue
        values = of_snapshot["value"].to_numpy()
        mean, deviation = values.mean(), values.std()
        row = {
            "depth": of_snapshot["depth"].iloc[0],
            "snapshot": snapshot,
            "seeds": of_snapshot["seed"].nunique(),
            "entries": len(values),
            "mean": mean,
            "standard_deviation": deviation,
        }
        # Equal entries, such as those of a network whose last layer is 0, have no shape.
        shapes = [np.nan, np.nan, np.nan]
        if deviation > 0:
            distance = stats.kstest(values, "norm", (mean, deviation)).statistic
            shapes = [stats.skew(values), stats.kurtosis(values), distance]
        rows.append(row | dict(zip(_SHAPES, shapes, strict=True)))
    return pd.DataFrame(rows, columns=[*_FITTED, *_SHAPES])


def draw(entries: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw the figure: a histogram and a Q-Q plot for each snapshot.

    Args:
        entries: rows from ``read``.
        table: rows from ``fits``.
    """
    rows = max(len(table), 1)
    figure, axes = plt.subplots(
        rows, 2, figsize=(7.0, 2.7 * rows), squeeze=False, layout="constrained"
    )
    for row, fit, letter in zip(axes, table.to_dict("records"), "ab", strict=False):
        values = entries.loc[entries["snapshot"] == fit["snapshot"], "value"].to_numpy()
        row[0].set_title(f"({letter}) residual-{fit['depth']}, {NAMES[fit['snapshot']]}")
        if fit["standard_deviation"] == 0:
            row[1].set_title(f"all entries are {fit['mean']:.2g}", fontsize=9)
            continue
        _histogram(row[0], values, fit["mean"], fit["standard_deviation"])
        _quantiles(row[1], values, fit["mean"], fit["standard_deviation"])
        row[1].set_title(
            f"skewness {fit['skewness']:.2f}, excess kurtosis {fit['excess_kurtosis']:.2f}",
            fontsize=9,
        )
    return figure


def _histogram(axis: Axes, values: np.ndarray, mean: float, deviation: float) -> None:
    """Draw the densities of entries and fitted normal, up to five standard deviations away."""
    grid = np.linspace(mean - 5 * deviation, mean + 5 * deviation, _BINS)
    # Normalised by the number of all entries, including those outside of the panel.
    counts, _ = np.histogram(values, grid)
    axis.stairs(
        counts / (len(values) * np.diff(grid)),
        grid,
        fill=True,
        color=style.COLOURS["residual"],
        alpha=0.6,
        label="entries",
    )
    fine = np.linspace(grid[0], grid[-1], 401)
    axis.plot(
        fine,
        stats.norm.pdf(fine, mean, deviation),
        color="black",
        lw=1.2,
        label=f"normal, mean {mean:.2g},\ndeviation {deviation:.2g}",
    )
    axis.set_xlabel(r"entry of $\partial R/\partial a$")
    axis.set_ylabel("density")
    axis.margins(y=0.35)
    axis.legend(fontsize=7, loc="upper right")


def _quantiles(axis: Axes, values: np.ndarray, mean: float, deviation: float) -> None:
    """Draw the quantiles of the standardised entries against those of the standard normal."""
    ordered = (np.sort(values) - mean) / deviation
    expected = stats.norm.ppf((np.arange(len(values)) + 0.5) / len(values))
    axis.plot(expected, expected, color="black", lw=0.8)
    axis.plot(
        expected, ordered, ".", color=style.COLOURS["residual"], markersize=2, rasterized=True
    )
    axis.set_xlabel("quantile of the normal")
    axis.set_ylabel("quantile of the entries\n(standardised)")


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``feature_gradients.csv`` of runs, with the fitted distributions."""
    return drawing(read(files))


def drawing(entries: pd.DataFrame) -> style.Drawing:
    """Make the figure from the rows of ``read``, with the fitted distributions."""
    table = fits(entries)
    return style.Drawing(draw(entries, table), table)
