"""Figure 11 (appendix D.4.1): f in the trivial case against each of its five parameters."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.storage import csvfile

# Parameter -> symbol and scale of the axis.
PANELS = {
    "n": ("$n$", "log"),
    "layer": ("$l$", "linear"),
    "sigma_w": (r"$\sigma_w$", "log"),
    "sigma_g": (r"$\sigma_g$", "log"),
    "q": ("$q$", "linear"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from the rows of ``resnoise.theory.trivial_case.sweep``."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.6), sharey=True, layout="constrained")
    for axis, (parameter, (symbol, scale)), letter in zip(
        axes.flat, PANELS.items(), "abcde", strict=False
    ):
        panel = table[table["parameter"] == parameter].sort_values("value")
        residual, plain = (panel[panel["network"] == name] for name in ("residual", "plain"))
        # The residual points have no line, which would hide the line of the approximation.
        for name, curve, marks in (("residual", residual, "o"), ("plain", plain, "-s")):
            axis.errorbar(
                curve["value"],
                curve["f_mean"],
                curve["f_error"],
                fmt=marks,
                capsize=2,
                markersize=4 if name == "residual" else 3,
                # Residual points are drawn on top where both coincide, at large weights.
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
    """Return two lines of text with the value of each parameter while another one is varied."""
    last = table["layer"].iloc[0] + table["steps"].iloc[0]
    values = [f"$L$ = {last}"]
    values += [
        f"{symbol} = {table.loc[table['parameter'] != parameter, parameter].iloc[0]:g}"
        for parameter, (symbol, _) in PANELS.items()
    ]
    return f"fixed: {', '.join(values[:3])},\n{', '.join(values[3:])}"


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from ``trivial_case.csv``, with its numbers."""
    (simulation,) = files
    table = csvfile.read(simulation, "the trivial case")
    return style.Drawing(draw(table), table)
