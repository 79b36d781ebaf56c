"""The figures of layer cushions of networks that were trained elsewhere."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from test_figure_texts import overlapping

from resnoise.errors import ResnoiseError
from resnoise.figures import external_layer_cushion, external_layer_cushions
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.summaries.external import layers_of_all, read_layers


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Cushions of two layers on 101 pictures, of which one has none in the second layer."""
    values = np.concatenate([np.linspace(0.1, 1.1, 101), [np.nan], np.linspace(0.2, 0.4, 100)])
    rows = pd.DataFrame(
        {
            "snapshot": "final",
            "layer": np.repeat([1, 2], 101),
            "name": np.repeat(["conv1", "fc"], 101),
            "sample": np.tile(np.arange(101), 2),
            "cushion": values,
            "state": np.where(np.isnan(values), "dead", ""),
        }
    )
    cushions, record = tmp_path / "layer_cushion.csv", tmp_path / "network.json"
    csvfile.write(cushions, rows)
    write_json(record, {"name": "mine", "depth": 20, "residual": False})
    return cushions, record


def test_the_table_has_minimum_and_quantiles_of_every_layer(files: tuple[Path, Path]) -> None:
    table = read_layers(files[0].parent)
    assert list(table["name"]) == ["conv1", "fc"]
    assert list(table["pictures"]) == [101, 100]
    assert list(table["minimum"]) == pytest.approx([0.1, 0.2])
    assert list(table["q05"]) == pytest.approx([0.15, 0.21])
    assert list(table["median"]) == pytest.approx([0.6, 0.3])
    assert list(table["q95"]) == pytest.approx([1.05, 0.39])


def test_the_figure_shows_every_layer(files: tuple[Path, Path], tmp_path: Path) -> None:
    figure = external_layer_cushion.make(files[:1]).figure
    (axis,) = figure.axes
    assert axis.get_title() == "mine (plain)"
    assert [label.get_text() for label in axis.get_yticklabels()] == ["conv1", "fc"]
    median, minimum = axis.lines
    assert list(median.get_xdata()) == pytest.approx([0.6, 0.3])
    assert list(minimum.get_xdata()) == pytest.approx([0.1, 0.2])
    outputs = [tmp_path / name for name in ("f.pdf", "f.png", "f.csv")]
    external_layer_cushion.make(files[:1]).save(*outputs)
    assert len(pd.read_csv(outputs[2])) == 2
    assert all(path.stat().st_size > 1000 for path in outputs[:2])


def test_dead_and_exploded_layers_are_named(files: tuple[Path, Path]) -> None:
    rows = pd.read_csv(files[0])
    for layer, state in ((1, "exploded"), (2, "dead")):
        rows.loc[rows["layer"] == layer, ["cushion", "state"]] = [np.nan, state]
    csvfile.write(files[0], rows)
    table = read_layers(files[0].parent)
    assert list(table["state"]) == ["exploded", "dead"]
    assert table["minimum"].isna().all()
    figure = external_layer_cushion.draw(table, "mine", "plain")
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == ["plain: exploded", "plain: dead"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("residual", "title"), [(True, "mine (residual)"), (False, "mine (plain)"), (None, "mine")]
)
def test_the_title_says_what_is_known(
    files: tuple[Path, Path], residual: bool | None, title: str
) -> None:
    write_json(files[1], {"name": "mine", "depth": 20, "residual": residual})
    figure = external_layer_cushion.make(files[:1]).figure
    assert figure.axes[0].get_title() == title
    plt.close(figure)


def test_damaged_files_are_an_error(files: tuple[Path, Path]) -> None:
    files[1].write_text("{", "utf-8")
    with pytest.raises(ResnoiseError, match=r"network\.json: damaged"):
        external_layer_cushion.make(files[:1])


def several(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write the cushions of networks with 2, 3, ... layers; return their files."""
    files = []
    for layers, name in enumerate(names, start=2):
        own = folder / name
        own.mkdir()
        rows = pd.DataFrame({"layer": np.repeat(np.arange(1, layers + 1), 3), "state": ""})
        rows["name"] = "conv" + rows["layer"].astype(str)
        rows["cushion"] = 0.1 * rows["layer"] + np.tile([-0.05, 0, 0.05], layers)
        csvfile.write(own / "layer_cushion.csv", rows)
        write_json(own / "network.json", {"name": name, "depth": layers, "residual": True})
        files.append(own / "layer_cushion.csv")
    return files


def looks(line: Line2D) -> tuple[str, str]:
    """Return what tells a line apart without colour."""
    return str(line.get_linestyle()), str(line.get_marker())


@pytest.mark.parametrize("count", [1, 2, 10])
def test_all_networks_are_in_one_figure(tmp_path: Path, count: int) -> None:
    names = [f"{chr(ord('a') + n)}-network" for n in range(count)]
    drawing = external_layer_cushions.make(several(tmp_path, names))
    (table,) = drawing.tables
    assert list(table["network"].unique()) == names
    first = table[table["network"] == names[0]]
    assert list(first["place"]) == [0.5, 1] and list(first["median"]) == pytest.approx([0.1, 0.2])
    (axis,) = drawing.figure.axes
    assert len({looks(line) for line in axis.lines}) == count
    greys = [np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) for line in axis.lines]
    assert greys == sorted(greys) and greys[-1] < 0.75
    assert list(axis.lines[0].get_ydata()) == pytest.approx([0.1, 0.2])
    (legend,) = drawing.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    assert overlapping(drawing.figure) == []
    outputs = [tmp_path / name for name in ("f.pdf", "f.png", "f.csv")]
    drawing.save(*outputs)
    assert len(pd.read_csv(outputs[2])) == sum(range(2, count + 2))


def test_long_names_fit_beside_the_legend(tmp_path: Path) -> None:
    names = [letter * 100 for letter in "abc"]
    figure = external_layer_cushions.make(several(tmp_path, names)).figure
    figure.draw_without_rendering()
    assert overlapping(figure) == []
    plt.close(figure)


def test_lost_layers_of_several_networks_are_marked(tmp_path: Path) -> None:
    files = several(tmp_path, ["sound", "lost", "dead"])
    for file, layer in ((files[1], 3), (files[2], None)):
        rows = pd.read_csv(file)
        chosen = rows["layer"] == layer if layer else rows["layer"] > 0
        rows["state"] = np.where(chosen, "exploded" if layer else "dead", "")
        csvfile.write(file, rows.assign(cushion=rows["cushion"].mask(chosen)))
    figure = external_layer_cushions.draw(layers_of_all(file.parent for file in files))
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    marked = {str(line.get_label()): list(line.get_xdata()) for line in crosses}
    assert marked == {
        "lost: dead or exploded": [1],
        "dead: dead or exploded": pytest.approx([0.25, 0.5, 0.75, 1]),
    }
    assert len({line.get_ydata()[0] for line in crosses}) == 2
    (legend,) = figure.legends
    assert legend.get_texts()[-1].get_text() == "dead or exploded"
    figure.draw_without_rendering()
    plt.close(figure)
