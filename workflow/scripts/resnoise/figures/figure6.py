"""Figure 6 (section 4.1): how rounding errors make twins drift apart."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from resnoise.errors import ResnoiseError
from resnoise.figures import style
from resnoise.storage import csvfile

PANELS = {
    "risk_difference": "difference of mini-batch risks",
    "weight_difference": r"largest weight difference $\max|T(r) - p|$",
}
# Zeros are drawn at this height, below the smallest nonzero difference of float64 numbers near 1.
FLOOR = 1e-17
MARKERS = (".", "x", "+", "1")


def read(files: Iterable[Path]) -> pd.DataFrame:
    """Read the drift of all twins, with the columns depth and seed from the folders' names.

    Args:
        files: ``drift.csv`` files in folders depth{depth}/seed{seed}.

    Raises:
        ResnoiseError: a file is missing or damaged, or its folder has another name.
    """
    frames = []
    for file in files:
        columns = ["epoch", "step", *PANELS, "mask_layer", "mask_differences"]
        what = "the drift of twins"
        frame = csvfile.read(file, what, columns, float_precision="round_trip")[columns]
        try:
            depth = int(file.parent.parent.name.removeprefix("depth"))
            seed = int(file.parent.name.removeprefix("seed"))
        except ValueError as error:
            raise ResnoiseError(f"{file}: not in a folder such as depth20/seed1") from error
        frame.insert(0, "depth", depth)
        frame.insert(1, "seed", seed)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def draw(drifts: pd.DataFrame) -> Figure:
    """Draw the table from ``read``: a panel for the risks and one for the weights.

    A circle marks the first step at which a ReLU mask of the two networks differs. A line names the
    height at which differences of exactly zero are drawn, if there are any.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained")
    depths = sorted(drifts["depth"].unique())
    for axis, (column, label) in zip(axes, PANELS.items(), strict=True):
        for (depth, seed), rows in drifts.groupby(["depth", "seed"]):
            rank = depths.index(depth)
            colour = str(0.5 * rank / max(1, len(depths) - 1))
            axis.plot(
                rows["step"],
                rows[column].clip(lower=FLOOR),
                color=colour,
                # Points without lines: by rounding, neighbouring steps vary and often are zero.
                linestyle="none",
                marker=MARKERS[rank % len(MARKERS)],
                markersize=3,
                label=f"depth {depth}" if seed == drifts["seed"].iloc[0] else None,
            )
            differing = rows[rows["mask_layer"] > 0].head(1)
            axis.plot(
                differing["step"],
                differing[column].clip(lower=FLOOR),
                "o",
                color=style.COLOURS["residual"],
                fillstyle="none",
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        if (drifts[column] == 0).any():
            axis.axhline(FLOOR, color="0.6", linewidth=0.8, zorder=0)
            axis.annotate(
                "exactly zero",
                (1, FLOOR),
                xycoords=axis.get_yaxis_transform(),
                xytext=(0, -3),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=7.5,
                color="0.3",
            )
            axis.set_ylim(bottom=FLOOR / 50)
        axis.set_xlabel("training step")
        axis.set_ylabel(label)
    axes[0].legend(loc="upper left")
    return figure


def make(files: Sequence[Path]) -> style.Drawing:
    """Make the figure from the ``drift.csv`` of twins, with its numbers."""
    drifts = read(files)
    return style.Drawing(draw(drifts), drifts)
