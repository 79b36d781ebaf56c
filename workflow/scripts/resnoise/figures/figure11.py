"""Figure 11: f in the trivial case against each of five parameters."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.storage import csvfile

# Parameter -> symbol, scale of the axis.
PANELS = {
    "n": ("$n$", "log"),
    "layers": ("$K$", "linear"),
    "sigma_w": (r"$\sigma_w$", "log"),
    "sigma_g": (r"$\sigma_g$", "log"),
    "q": ("$q$", "linear"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Return the figure of the rows of ``resnoise.theory.trivial_case.sweep``."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.6), sharey=True, layout="constrained")
    for axis, (parameter, (symbol, scale)), letter in zip(
        axes.flat, PANELS.items(), "abcde", strict=False
    ):
        panel = table[table["parameter"] == parameter].sort_values("value")
        residual, plain = (panel[panel["network"] == name] for name in ("residual", "plain"))
        # A line between simulated points would hide that of the approximation.
        for name, curve, marks in (("residual", residual, "o"), ("plain", plain, "-s")):
            axis.errorbar(
                curve["value"],
                curve["f_mean"],
                curve["f_error"],
                fmt=marks,
                capsize=2,
                markersize=4 if name == "residual" else 3,
                # They meet at large weights.
                zorder=4 if name == "residual" else 3,
                color=style.COLOURS[name],
                label=f"{name}, simulated",
            )
        axis.plot(
            residual["value"],
            residual["f_first_order"],
            "--",
            color="black",
            lw=1.1,
            label="residual, first order",
            zorder=5,
        )
        axis.set_xscale(scale)
        if parameter == "n":
            axis.set_xticks(residual["value"], [f"{value:g}" for value in residual["value"]])
            axis.minorticks_off()
        axis.set_title(f"({letter})", loc="left")
        axis.set_xlabel(symbol)
    for axis in axes[:, 0]:
        axis.set_ylabel("$f$")
    axes[0, 0].set_ylim(0, 1.04)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[1, 2].axis("off")
    axes[1, 2].legend(handles, labels, loc="upper center", title=_base_values(table))
    return figure


def _base_values(table: pd.DataFrame) -> str:
    """Return what the parameters are where another one varies, on two lines."""
    values = [
        f"{symbol} = {table.loc[table['parameter'] != parameter, parameter].iloc[0]:g}"
        for parameter, (symbol, _) in PANELS.items()
    ]
    return f"fixed: {', '.join(values[:2])},\n{', '.join(values[2:])}"


def make(files: Sequence[Path]) -> style.Drawing:
    """Return the figure of ``trivial_case.csv``, and the numbers behind it."""
    (simulation,) = files
    table = csvfile.read(simulation, "the trivial case")
    return style.Drawing(draw(table), table)
