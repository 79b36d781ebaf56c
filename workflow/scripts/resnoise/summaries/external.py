"""Networks that were trained elsewhere: the layers of one, and one line for each of them.

The functions read the files of the folder ``external/<name>`` and do not use torch.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from resnoise.errors import ResnoiseError
from resnoise.metrics import states
from resnoise.storage import csvfile
from resnoise.storage.digests import read_json
from resnoise.summaries import interlayer_cushion
from resnoise.summaries.gradient_flow import of_layers
from resnoise.summaries.layer_cushion import FILE, QUANTILES
from resnoise.summaries.noise_stability import middle
from resnoise.summaries.runs import read_network

RECORD = "network.json"
FLOW = "gradient_flow.csv"


def read_layers(folder: Path) -> pd.DataFrame:
    """Return the layer cushions of a network, with a row for every layer.

    Columns: layer, name, pictures (number of those on which there is a cushion), minimum (the layer
    cushion), q05, median, q95, and state ("dead" or "exploded" if there is a cushion on none).

    Args:
        folder: the network's folder, with ``layer_cushion.csv``.

    Raises:
        ResnoiseError: the file is missing or damaged.
    """
    rows = csvfile.read(folder / FILE, "layer cushions", ("layer", "name", "cushion", "state"))
    whole = rows.assign(values=states.values(rows["cushion"], rows[states.COLUMN]))
    layers = rows.groupby(["layer", "name"])["cushion"]
    table = layers.agg(pictures="count", minimum="min")
    for label, level in QUANTILES.items():
        table[label] = layers.quantile(level)
    named = whole.groupby(["layer", "name"])["values"]
    table[states.COLUMN] = named.agg(states.common)
    return table.reset_index()


def layers_of_all(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the layer cushions of several networks below each other.

    Columns: network (its name), place (number of the layer / number of layers), and those of
    ``read_layers``.

    Args:
        folders: the networks' folders, with ``layer_cushion.csv`` and ``network.json``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    tables = []
    for folder in folders:
        table = read_layers(folder)
        table.insert(0, "network", read_network(folder / RECORD)[0])
        table.insert(1, "place", table["layer"] / len(table))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def flows_of_all(folders: Iterable[Path], layers: str, reading: str) -> pd.DataFrame:
    """Return the dominant gradient flow of several networks below each other.

    Only layers that count have rows, and networks without a flow have none.

    Columns: network (its name), place (number of the layer / number of layers), and those of
    ``resnoise.metrics.call_flow``, whose place is called within.

    Args:
        folders: the networks' folders, with ``gradient_flow.csv`` and ``network.json``.
        layers: which layers count, a key of ``resnoise.specs.flow.PLACES``.
        reading: how the flow is read.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    tables = []
    for folder in folders:
        rows = _flow(folder, layers, reading)[0].rename(columns={"place": "within"})
        rows.insert(0, "network", read_network(folder / RECORD)[0])
        rows.insert(1, "place", rows["layer"] / rows["layers"])
        tables.append(rows)
    return pd.concat(tables, ignore_index=True)


def _flow(folder: Path, layers: str, reading: str) -> tuple[pd.DataFrame, str]:
    """Return the flow of the layers that count, and "" or why the network has none."""
    columns = ("reading", "layer", "layers", "place", "f_mean", "f_mean_error", states.COLUMN)
    rows = csvfile.read(folder / FLOW, "a gradient flow", columns)
    # An empty cell is no state.
    rows[states.COLUMN] = rows[states.COLUMN].astype(object).fillna("")
    if rows["layer"].isna().any():
        return rows.iloc[:0], rows[states.COLUMN].iloc[0]
    return of_layers(rows, layers, reading), ""


def overview(files: Iterable[Path], layers: str, reading: str) -> pd.DataFrame:
    """Return a row for every network, with columns for the kinds of files that are given.

    Columns: name, test_error, parameters, depth (number of its layers with weights, without those
    in shortcuts);

    - from ``layer_cushion.csv``: layer_cushion_smallest and layer_cushion_median (over layers, of
      the medians over pictures), lost_layers (number of those that are dead or have exploded);
    - from ``interlayer_cushion.csv``: interlayer_cushion_mean and interlayer_cushion_smallest (over
      single blocks, of the means over pictures);
    - from ``noise_stability.csv``: weight_noise and input_noise (median over layers of the relative
      change of the logits / noise_size), noise_size (the middle one of the sizes of the noise);
    - from ``gradient_flow.csv``: gradient_flow (mean of f_l over the layers that count) and
      gradient_flow_missing ("" or why it is not defined);
    - from ``margin.csv``: margin_median and margin_relative_median (that of margin / norm of the
      logits) of the test pictures.

    What a network does not have, as where all its layers are dead, is NaN.

    Args:
        files: measurements of networks, in the order of the rows, each with ``network.json`` beside
            it.
        layers: layers that count in the flow, a key of ``resnoise.specs.flow.PLACES``.
        reading: how the flow is read.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    rows: dict[Path, dict[str, object]] = {}
    for file in files:
        folder = file.parent
        row = rows.setdefault(folder, {})
        if not row:
            row |= _facts(folder / RECORD)
        if file.name == FLOW:
            flow, reason = _flow(folder, layers, reading)
            row |= {"gradient_flow": flow["f_mean"].mean(), "gradient_flow_missing": reason}
        else:
            row |= _MEASURED[file.name](folder)
    return pd.DataFrame([*rows.values()])


def _facts(record: Path) -> dict[str, object]:
    facts = read_json(record)
    try:
        error = facts["test_error"]
        return {
            "name": facts["name"],
            "test_error": np.nan if error is None else error,
            "parameters": facts["parameters"],
            "depth": facts["depth"],
        }
    except KeyError as error:
        raise ResnoiseError(f"{record}: no {error}, delete it and rerun") from error


def _layer_cushion(folder: Path) -> dict[str, object]:
    layers = read_layers(folder)
    return {
        "layer_cushion_smallest": layers["median"].min(),
        "layer_cushion_median": layers["median"].median(),
        "lost_layers": int((layers[states.COLUMN] != "").sum()),
    }


def _interlayer_cushion(folder: Path) -> dict[str, object]:
    spans = interlayer_cushion.summarise(interlayer_cushion.read([folder]))
    blocks = spans.loc[spans["first"] == spans["last"], "mean"]
    return {
        "interlayer_cushion_mean": blocks.mean(),
        "interlayer_cushion_smallest": blocks.min(),
    }


def _noise_stability(folder: Path) -> dict[str, object]:
    columns = ("quantity", "size", "at_layer", "mean")
    rows = csvfile.read(folder / "noise_stability.csv", "noise stability", columns)
    kinds = ("weight_noise", "input_noise")
    noise = rows[rows["quantity"].isin(kinds)]
    size = middle(sorted(noise["size"].unique()))
    # The last layer's response are the logits.
    noise = noise[(noise["size"] == size) & (noise["at_layer"] == noise["at_layer"].max())]
    changes = noise.groupby("quantity")["mean"].median() / size
    return {**{kind: changes.get(kind, np.nan) for kind in kinds}, "noise_size": size}


def _margin(folder: Path) -> dict[str, object]:
    columns = ("part", "median", "relative_median")
    rows = csvfile.read(folder / "margin.csv", "margins", columns)
    test = rows[rows["part"] == "test"].iloc[0]
    return {"margin_median": test["median"], "margin_relative_median": test["relative_median"]}


_MEASURED: Mapping[str, Callable[[Path], dict[str, object]]] = {
    FILE: _layer_cushion,
    interlayer_cushion.FILE: _interlayer_cushion,
    "noise_stability.csv": _noise_stability,
    "margin.csv": _margin,
}
