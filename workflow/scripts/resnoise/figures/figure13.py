"""Figure 13 (appendix E): P(|X| > |Y|) of two normal variables and its logistic approximation."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from resnoise.figures import style
from resnoise.theory.gaussian_inequality import largest_difference, logistic, probability


def curves() -> pd.DataFrame:
    """Return F(s) and its approximation; columns s, exact, logistic and difference."""
    s = np.logspace(-3, 3, 601)
    exact, approximate = probability(s), logistic(s)
    return pd.DataFrame(
        {"s": s, "exact": exact, "logistic": approximate, "difference": approximate - exact}
    )


def draw(table: pd.DataFrame) -> Figure:
    """Draw the table from ``curves``: both functions above, their difference below."""
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(4.6, 4.2), sharex=True, height_ratios=(2.2, 1), layout="constrained"
    )
    exact = r"$F(s)=\frac{2}{\pi}\arctan s$"
    upper.plot(table["s"], table["exact"], color=style.COLOURS["plain"], lw=2.2, label=exact)
    upper.plot(
        table["s"],
        table["logistic"],
        "--",
        color=style.COLOURS["residual"],
        lw=1.2,
        label=r"$1/(1+s^{-4/\pi})$",
    )
    upper.set_xscale("log")
    upper.set_ylabel(r"$P(|X|>|Y|)$")
    upper.legend()
    place, size = largest_difference()
    lower.plot(table["s"], table["difference"], color="black", lw=1.2)
    for sign, x in ((1, place), (-1, 1 / place)):
        lower.plot(x, sign * size, "o", color=style.COLOURS["residual"], markersize=4)
    lower.annotate(
        f"largest: {size:.4f}\nat $s$ = {place:.2f} and 1/{place:.2f}",
        (place, size),
        xytext=(0.04, 0.62),
        textcoords="axes fraction",
        fontsize=8,
    )
    lower.set_ylabel("logistic $-$ $F$")
    lower.set_xlabel(r"$s=\sigma_X/\sigma_Y$")
    return figure


def make(_files: Sequence[Path]) -> style.Drawing:
    """Make the figure, with its numbers. It needs no files."""
    table = curves()
    return style.Drawing(draw(table), table)
