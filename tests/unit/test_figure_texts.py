"""What is written in figures: no text lies on another one, and nothing is left unsaid."""

import itertools
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_dynamics import evaluations, figure9_runs, history

from resnoise.figures import (
    external_layer_cushion,
    figure3,
    figure6,
    figure8,
    figure9,
    interlayer_cushion,
)
from resnoise.summaries.dynamics import equal_risk

REFERENCE = Path(__file__).resolve().parents[2] / "reference"


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts of a figure that lie on each other."""
    figure.draw_without_rendering()
    # Ticks outside of the limits of an axis are there, but not drawn.
    away = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        away |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in away]
    shown = [text for text in texts if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in shown]
    return [
        (one, other)
        for (one, first), (other, second) in itertools.combinations(boxes, 2)
        if first.overlaps(second)
    ]


def early(depths: tuple[int, ...]) -> pd.DataFrame:
    """Return runs of two epochs, as after the start of a training or at tiny scale."""
    return pd.concat(
        history(architecture, name, depth, 1, [2.3 - 0.0001 * depth, last - 0.0001 * depth])
        for depth in depths
        for architecture, name, last in (("plain", "kwi", 2.29), ("residual", "hmwi", 2.28))
    )


def peaks_at_the_start(depths: tuple[int, ...]) -> pd.DataFrame:
    """Return runs whose difference is largest after the first epoch, at every depth."""
    return pd.concat(
        history("plain", name, depth, 1, [first, 2.2])
        for depth in depths
        for name, first in (("kwi", 2.31), ("t-hmwi", 2.30))
    )


@pytest.mark.parametrize("depths", [(8,), (20, 32), (20, 32, 44)])
@pytest.mark.parametrize(
    "drawn",
    [
        lambda depths: figure8.drawing(early(depths)).figure,
        lambda depths: (
            figure9.drawing(figure9_runs(depths), evaluations(figure9_runs(depths))).figure
        ),
        lambda depths: (
            figure9.drawing(
                peaks_at_the_start(depths), evaluations(peaks_at_the_start(depths))
            ).figure
        ),
    ],
    ids=["figure8", "figure9", "figure9 at the start"],
)
def test_no_text_lies_on_another(
    drawn: Callable[[tuple[int, ...]], Figure], depths: tuple[int, ...]
) -> None:
    figure = drawn(depths)
    assert overlapping(figure) == []
    plt.close(figure)


@pytest.mark.parametrize("depths", [(20,), (20, 32)])
def test_the_legend_of_figure3_lies_inside_the_figure(depths: tuple[int, ...]) -> None:
    # No layer is dead there, so that the column is empty.
    bars = pd.read_csv(REFERENCE / "figure3.csv").assign(state="")
    figure = figure3.draw(pd.concat(bars.assign(depth=depth) for depth in depths))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    plt.close(figure)


def test_figure8_names_the_test_error_at_the_end_of_each_line() -> None:
    runs = early((20, 32))
    figure = figure8.drawing(runs).figure
    table = equal_risk(runs)
    ends = table.loc[table.groupby(["architecture", "depth"])["risk"].idxmin()]
    wanted = {f"{row.test_error_mean:#.3g} at risk {row.risk:#.3g}" for row in ends.itertuples()}
    assert {text.get_text() for text in figure.axes[1].get_legend().get_texts()} == wanted
    plt.close(figure)


@pytest.mark.parametrize("zeros", [True, False])
def test_figure6_says_where_zeros_are(zeros: bool) -> None:
    drifts = pd.DataFrame(
        {
            "depth": 8,
            "seed": 1,
            "step": [1, 10, 100],
            "risk_difference": [0.0 if zeros else 1e-16, 1e-15, 1e-9],
            "weight_difference": [1e-16, 1e-14, 1e-8],
            "mask_layer": 0,
        }
    )
    figure = figure6.draw(drifts)
    found = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert found == [["exactly zero"] if zeros else [], []]
    plt.close(figure)


def test_an_axis_of_less_than_a_decade_has_more_than_two_numbers() -> None:
    table = pd.DataFrame(
        {"layer": [1, 2], "name": ["a", "b"], "minimum": [0.23, 0.3], "state": ["", ""]}
    ).assign(q05=[0.3, 0.4], median=[0.4, 0.5], q95=[0.5, 0.95])
    figure = external_layer_cushion.draw(table, "mine", "plain")
    figure.draw_without_rendering()
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    assert sum(low <= place <= high for place in axis.get_xticks()) >= 3
    plt.close(figure)


def test_ratios_below_1_are_marked_where_there_are_no_numbers() -> None:
    rows = [
        {"family": "simplified", "depth": 68, "kind": kind, "first": first, "last": last}
        | {"mean": 0.5 if kind == "residual" and first == last else 1.0, "state": ""}
        for kind in ("residual", "plain")
        for first in range(1, 12)
        for last in range(first, 12)
    ]
    figure = interlayer_cushion.draw(pd.DataFrame(rows))
    (ratio,) = (axis for axis in figure.axes if axis.get_title().startswith("ratio"))
    assert "below 1" in ratio.get_title()
    marks = next(line for line in ratio.lines if line.get_marker() == "_")
    blocks = np.arange(1, 12)
    assert [*marks.get_xdata()] == [*marks.get_ydata()] == [*blocks]
    plt.close(figure)
