"""The figure of layer cushions of a network that was trained elsewhere."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from resnoise.errors import ResnoiseError
from resnoise.figures import external_layer_cushion
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json


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
    table, name, kind = external_layer_cushion.read(*files)
    assert (name, kind) == ("mine", "plain")
    assert list(table["name"]) == ["conv1", "fc"]
    assert list(table["pictures"]) == [101, 100]
    assert list(table["minimum"]) == pytest.approx([0.1, 0.2])
    assert list(table["q05"]) == pytest.approx([0.15, 0.21])
    assert list(table["median"]) == pytest.approx([0.6, 0.3])
    assert list(table["q95"]) == pytest.approx([1.05, 0.39])


def test_the_figure_shows_every_layer(files: tuple[Path, Path], tmp_path: Path) -> None:
    figure = external_layer_cushion.draw(*external_layer_cushion.read(*files))
    (axis,) = figure.axes
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
    table, *network = external_layer_cushion.read(*files)
    assert list(table["state"]) == ["exploded", "dead"]
    assert table["minimum"].isna().all()
    figure = external_layer_cushion.draw(table, *network)
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == ["plain: exploded", "plain: dead"]
    plt.close(figure)


def test_damaged_files_are_an_error(files: tuple[Path, Path]) -> None:
    files[1].write_text("{", "utf-8")
    with pytest.raises(ResnoiseError, match=r"network\.json: damaged"):
        external_layer_cushion.read(*files)
