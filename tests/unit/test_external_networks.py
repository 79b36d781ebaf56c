"""The table of all networks that were trained elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from resnoise.errors import ResnoiseError
from resnoise.figures import external_gradient_flows
from resnoise.storage import csvfile
from resnoise.storage.digests import write_json
from resnoise.tables import external_networks

NAMES = (
    *("layer_cushion.csv", "interlayer_cushion.csv", "noise_stability.csv", "margin.csv"),
    "gradient_flow.csv",
)
FLOW_KEYS = {"reading": "single", "layers": "block-outputs"}
Rows = Sequence[tuple[Any, ...]]

# Two layers on three pictures, the second of which is dead on one.
LAYERS = [(1, "a", 0.1), (1, "a", 0.2), (1, "a", 0.6), (2, "b", 0.3), (2, "b", 0.5), (2, "b", None)]
# Two blocks and the span of both, on two pictures.
SPANS = [(1, 1, 0.2), (1, 1, 0.4), (2, 2, 0.7), (2, 2, 0.9), (1, 2, 0.01), (1, 2, 0.01)]
NOISE = [
    ("weight_noise", 0.1, 1, 2, 0.05),
    ("weight_noise", 0.1, 2, 2, 0.09),
    # Not at the logits, not of the middle size, not of a quantity of the table.
    ("weight_noise", 0.1, 1, 1, 9.0),
    ("weight_noise", 0.01, 1, 2, 9.0),
    ("weight_noise", 1.0, 1, 2, 9.0),
    ("equal_weight_noise", 0.1, 1, 2, 9.0),
    ("input_noise", 0.1, 1, 2, 0.03),
    ("input_noise", 0.1, 2, 2, 0.05),
    ("activation_contraction", None, 2, 2, 9.0),
]
FLOWS = [
    ("single", 1, "block output", 0.25),
    ("single", 2, "block output", 0.75),
    # Not of the layers and of the reading that count.
    ("single", 3, "inside block", 0.9),
    ("set", 1, "block output", 0.9),
]


def network(folder: Path, name: str, state: str = "", error: float | None = 0.25) -> list[Path]:
    """Write the measurements of a network, all of whose layers have a state; return the files."""
    own = folder / name
    own.mkdir()
    facts = {"name": name, "test_error": error, "parameters": 12345, "depth": 20, "residual": True}
    write_json(own / "network.json", facts)

    def lost(rows: Rows, *columns: str) -> pd.DataFrame:
        table = pd.DataFrame(rows, columns=[*columns]).astype({columns[-1]: float})
        if state:
            table[columns[-1]] = np.nan
        missing = np.where(table[columns[-1]].isna(), state or "dead", "")
        return table.assign(snapshot="final", sample=range(len(table)), state=missing)

    spans = lost(SPANS, "first", "last", "cushion").assign(standard_error=0.0, probes=0)
    margins = [("train", 8.0, 0.8), ("test", 2.0, 0.125)]
    tables = (
        lost(LAYERS, "layer", "name", "cushion"),
        spans,
        lost(NOISE, "quantity", "size", "layer", "at_layer", "mean"),
        lost(margins, "part", "median", "relative_median").assign(
            median=[np.nan if state else row[1] for row in margins]
        ),
        lost(FLOWS, "reading", "layer", "place", "f_mean").assign(layers=4, f_mean_error=0.1),
    )
    for file, table in zip(NAMES, tables, strict=True):
        csvfile.write(own / file, table)
    return [own / file for file in NAMES]


def lines(text: str) -> list[list[str]]:
    """Return the cells of the rows of a Markdown table."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_a_network_has_its_numbers_in_a_row(tmp_path: Path) -> None:
    made = external_networks.make(network(tmp_path, "mine"), None, **FLOW_KEYS)
    (table,) = made.tables
    (row,) = table.to_dict("records")
    assert row == pytest.approx(
        {
            "name": "mine",
            "test_error": 0.25,
            "parameters": 12345,
            "depth": 20,
            "layer_cushion_smallest": 0.2,
            "layer_cushion_median": 0.3,
            "lost_layers": 0,
            "interlayer_cushion_mean": 0.55,
            "interlayer_cushion_smallest": 0.3,
            "weight_noise": 0.7,
            "input_noise": 0.4,
            "noise_size": 0.1,
            "gradient_flow": 0.5,
            "gradient_flow_missing": "",
            "margin_median": 2.0,
            "margin_relative_median": 0.125,
        }
    )
    header, cells = lines(made.text)
    assert dict(zip(header, cells, strict=True)) == {
        "network": "mine",
        "test error": "0.2500",
        "parameters": "12,345",
        "layers": "20",
        "layer cushion: smallest": "0.200",
        "layer cushion: median": "0.300",
        "interlayer cushion: mean": "0.550",
        "interlayer cushion: smallest": "0.300",
        "noise on weights": "0.700",
        "noise on inputs": "0.400",
        "gradient flow": "0.500",
        "margin": "2.00",
        "relative margin": "0.125",
    }
    assert "size of the noise (0.1)" in made.text


@pytest.mark.parametrize("state", ["dead", "exploded"])
def test_a_dead_network_has_dashes(tmp_path: Path, state: str) -> None:
    files = network(tmp_path, "lost", state, error=None) + network(tmp_path, "sound")
    header, lost, sound = lines(external_networks.make(files, None, **FLOW_KEYS).text)
    numbers = dict(zip(header, lost, strict=True))
    assert numbers.pop("network") == "lost" and numbers.pop("dead or exploded") == "2"
    assert numbers.pop("parameters") == "12,345" and numbers.pop("layers") == "20"
    assert {*numbers.values()} == {"-"}
    assert sound[0] == "sound" and "-" not in sound


def test_only_files_that_are_there_have_columns(tmp_path: Path) -> None:
    one, other = network(tmp_path, "one"), network(tmp_path, "other")
    made = external_networks.make([one[0], other[0], other[3]], None, **FLOW_KEYS)
    header, first, second = lines(made.text)
    kinds = ("layer cushion: smallest", "layer cushion: median", "margin", "relative margin")
    assert header == ["network", "test error", "parameters", "layers", *kinds]
    assert first[-2:] == ["-", "-"] and second[-2:] == ["2.00", "0.125"]
    assert "size of the noise;" in made.text


def test_a_network_without_spans_has_dashes(tmp_path: Path) -> None:
    files = network(tmp_path, "whole")
    csvfile.write(files[1], pd.read_csv(files[1]).iloc[:0])
    header, cells = lines(external_networks.make(files, None, **FLOW_KEYS).text)
    found = dict(zip(header, cells, strict=True))
    assert found["interlayer cushion: mean"] == found["interlayer cushion: smallest"] == "-"


def undefined(folder: Path) -> None:
    """Write the file of a network for which the flow is not defined."""
    rows = [{"state": "shortcuts run around all activations"}]
    columns = ["reading", "layer", "layers", "place", "state", "f_mean", "f_mean_error"]
    csvfile.write(folder / "gradient_flow.csv", pd.DataFrame(rows, columns=columns))


def test_a_network_without_a_flow_says_why(tmp_path: Path) -> None:
    files = network(tmp_path, "whole") + network(tmp_path, "other")
    undefined(tmp_path / "other")
    made = external_networks.make(files, None, **FLOW_KEYS)
    header, whole, other = lines(made.text)
    assert (whole[header.index("gradient flow")], other[header.index("gradient flow")]) == (
        "0.500",
        "-",
    )
    reason = "is not defined for other (shortcuts run around all activations)."
    assert reason in made.text


def test_flows_of_all_networks_are_in_one_figure(tmp_path: Path) -> None:
    files = [network(tmp_path, name)[-1] for name in ("one", "two", "none")]
    undefined(tmp_path / "none")
    drawing = external_gradient_flows.make(files, **FLOW_KEYS)
    (table,) = drawing.tables
    assert list(table["network"]) == ["one", "one", "two", "two"]
    assert list(table["place"]) == [0.25, 0.5] * 2
    line, other = drawing.figure.axes[0].lines
    assert list(line.get_ydata()) == list(other.get_ydata()) == [0.25, 0.75]
    drawing.save(*(tmp_path / f"f.{kind}" for kind in ("pdf", "png", "csv")))
    dead = external_gradient_flows.make(network(tmp_path, "dead", "dead")[-1:], **FLOW_KEYS)
    crosses = dead.figure.axes[0].lines[-1]
    assert (crosses.get_marker(), list(crosses.get_xdata())) == ("x", [0.25, 0.5])
    plt.close(dead.figure)
    empty = external_gradient_flows.make(files[2:], **FLOW_KEYS)
    assert "not defined" in empty.figure.axes[0].texts[0].get_text()
    empty.save(*(tmp_path / f"e.{kind}" for kind in ("pdf", "png", "csv")))
    assert pd.read_csv(tmp_path / "e.csv").empty


def test_it_is_written_for_people_and_programs(tmp_path: Path) -> None:
    outputs = [tmp_path / "networks.md", tmp_path / "networks.csv"]
    external_networks.make(network(tmp_path, "mine"), None, **FLOW_KEYS).save(*outputs)
    assert "mine" in (tmp_path / "networks.html").read_text("utf-8")
    assert pd.read_csv(outputs[1])["name"].tolist() == ["mine"]


def test_an_older_record_is_named(tmp_path: Path) -> None:
    files = network(tmp_path, "mine")
    write_json(tmp_path / "mine" / "network.json", {"name": "mine"})
    with pytest.raises(ResnoiseError, match=r"network\.json: no 'test_error', delete it and rerun"):
        external_networks.make(files, None, **FLOW_KEYS)
