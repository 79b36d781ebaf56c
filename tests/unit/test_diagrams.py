"""Figures 4 and 5: they show the layers of the table, and nothing else."""

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch

from resnoise.data import dataset
from resnoise.data.samples import Samples
from resnoise.errors import ResnoiseError
from resnoise.figures import diagrams, figure4, figure5
from resnoise.provenance import SCRIPTS
from resnoise.storage import csvfile

ARCHITECTURES = ("plain", "residual", "full-plain", "full-residual")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of networks of depth 8 for pictures of 16 x 16 pixels in three classes."""
    folder = tmp_path_factory.mktemp("layers")
    images = np.arange(6 * 16 * 16 * 3).reshape(6, 16, 16, 3).astype(np.uint8)
    labels = np.arange(6) % 3
    samples = Samples(images, labels, images, labels, ("a", "b", "c"))
    dataset.save(folder / "data.safetensors", samples, "0" * 64)
    words = [sys.executable, SCRIPTS / "network_layers.py", "--architectures", *ARCHITECTURES]
    words += ["--depth", "8", "--width", "4", "--data", folder / "data.safetensors"]
    subprocess.run([*words, "--output", folder / "layers.csv"], check=True)
    return folder / "layers.csv"


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def identities(figure: Figure) -> list[bool]:
    """Return for each identity connection whether it is dashed."""
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]
    return [patch.get_linestyle() not in ("-", "solid") for patch in patches]


def test_the_table_is_of_the_networks_and_of_the_data(file: Path) -> None:
    table = pd.read_csv(file)
    assert list(table["architecture"].unique()) == [*ARCHITECTURES]
    first, last = table.iloc[0], table.iloc[-1]
    assert (first["in_channels"], first["in_height"]) == (3, 16)
    assert (last["kind"], last["out_channels"]) == ("Linear", 3)


def test_figure_4_has_a_box_a_layer_and_an_arch_an_identity(file: Path) -> None:
    figure = figure4.draw(diagrams.read(file, [*figure4.PANELS]))
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    # Input, seven convolutions, pooling and linear layer of both, and one in the legend.
    assert len(boxes) == 2 * 10 + 1
    # Six identities, the first ones of groups 2 and 3 dashed, and one of each in the legend.
    assert identities(figure) == [False, False, True, False, True, False, False, True]
    written = texts(figure)
    assert any("stacked twice" in text for text in written)
    assert "$L = 6n + 2 = 8$, $n = 1$" in written
    assert sum("16 channels of 4$" in text for text in written) == 2
    plt.close(figure)


def test_figure_4_leaves_the_middle_of_long_groups_out(file: Path) -> None:
    rows = diagrams.read(file, ["plain"])
    group = rows[rows["block"].str.startswith("layer1")]
    block = rows[rows["block"] == "layer1.1"]
    more = [block.assign(block=f"layer1.{2 + i}") for i in range(8)]
    found = figure4.places(pd.concat([rows.iloc[:2], group, *more], ignore_index=True))
    assert [place.text for place in found] == ["3", "4", *"444", "···", *"44"]
    assert [bool(place.group) for place in found] == [False, False, *[True] * 6]


def test_figure_5_shows_each_block(file: Path) -> None:
    table = diagrams.read(file, [*ARCHITECTURES])
    figure = figure5.draw(table)
    assert identities(figure) == [False, True, False, True]
    written = texts(figure)
    assert written.count("batch norm") == 6
    assert sum("id: every other pixel" in text for text in written) == 2
    assert sum("F(x; p)" in text for text in written) == 2
    plt.close(figure)


@pytest.mark.parametrize("number", [4, 5])
def test_a_figure_goes_where_it_is_told_with_its_data(
    number: int, file: Path, tmp_path: Path
) -> None:
    outputs = {kind: tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "csv")}
    command = [sys.executable, SCRIPTS / "figure.py", f"figure{number}", "--files", file]
    subprocess.run([*command, "--output", *outputs.values()], check=True)
    assert all(path.stat().st_size > 1000 for path in outputs.values())
    data = pd.read_csv(outputs["csv"])
    wanted = ["name", "kind", "kernel", "stride", "in_channels", "out_channels", "identity"]
    assert {*wanted, "in_height", "out_height", "parameters"} <= {*data.columns}


def test_a_network_of_no_identities_is_drawn_without_any(file: Path, tmp_path: Path) -> None:
    table = pd.read_csv(file)
    plain = table[table["architecture"] == "plain"]
    both = pd.concat([plain, plain.assign(architecture="residual")])
    csvfile.write(tmp_path / "layers.csv", both)
    figure = figure4.draw(diagrams.read(tmp_path / "layers.csv", [*figure4.PANELS]))
    # Those of the legend.
    assert len(identities(figure)) == 2
    plt.close(figure)


def test_what_is_wrong_with_a_table_is_said(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ResnoiseError, match=r"layers\.csv: no layers of other"):
        diagrams.read(file, ["plain", "other"])
    with pytest.raises(ResnoiseError, match=r"missing\.csv: cannot be read"):
        diagrams.read(tmp_path / "missing.csv", ["plain"])
    csvfile.write(tmp_path / "wrong.csv", pd.DataFrame({"a": [1]}))
    with pytest.raises(ResnoiseError, match=r"wrong\.csv: no column"):
        diagrams.read(tmp_path / "wrong.csv", ["plain"])
