"""Interlayer cushions of residual and plain networks: statistics over pictures and seeds.

The functions read the files of ``resnoise.metrics.interlayer_cushion`` and do not use torch.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnoise.metrics import states
from resnoise.storage import csvfile
from resnoise.summaries.runs import ANY_KIND, read_metrics, read_network

FILE = "interlayer_cushion.csv"

KINDS = ("residual", "plain")
# The kinds that a network trained elsewhere may have.
ALL_KINDS = (*KINDS, ANY_KIND)

FAMILIES = {"fully_fledged": "Fully-fledged networks", "simplified": "Simplified networks"}

NETWORK = ["family", "depth"]

# Architecture -> family and kind, for all values that interlayer_cushion.architectures may have.
ARCHITECTURES = {
    f"{prefix}{kind}": (family, kind)
    for prefix, family in (("full-", "fully_fledged"), ("", "simplified"))
    for kind in KINDS
}


def read(folders: Iterable[Path]) -> pd.DataFrame:
    """Read the cushions of all networks after training, with their family and kind.

    Cushions are NaN where a span is dead and infinite where it has exploded.

    Args:
        folders: run folders with ``run.json`` and ``interlayer_cushion.csv``; or one folder of a
            network trained elsewhere, with ``network.json`` instead, whose name is then the family.

    Returns:
        The rows; none if all runs diverged.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    places = list(folders)
    if (places[0] / "network.json").is_file():
        name, depth, kind = read_network(places[0] / "network.json")
        rows = csvfile.read(places[0] / FILE, "interlayer cushions")
        return _named(rows).assign(family=name, depth=depth, kind=kind, seed=0)
    rows = read_metrics(places, FILE)
    rows = rows[rows["snapshot"] == "final"]
    names = rows["architecture"]
    return _named(rows).assign(
        family=[ARCHITECTURES[name][0] for name in names],
        kind=[ARCHITECTURES[name][1] for name in names],
    )


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with cushions that say what became of a span without one."""
    return rows.assign(cushion=states.values(rows["cushion"], rows[states.COLUMN]))


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return statistics over pictures and seeds, with a row for every network and span of blocks.

    Columns: family, depth, kind; first and last (block of the span); runs (their number), pictures
    (number of cushions that are defined, over all runs); mean, standard_deviation (over the
    pictures of a run, mean over runs) and minimum of the cushion; standard_error (root mean square,
    over the pictures, of the error of estimation; 0 if computed exactly); probes (mean number of
    random vectors of the estimation); state ("dead" or "exploded" if there is no cushion on any
    picture).

    Args:
        rows: rows from ``read``.
    """
    squares = rows.assign(
        whole=rows["cushion"],
        cushion=states.numbers(rows["cushion"].to_numpy()),
        square=rows["standard_error"] ** 2,
    )
    # Of the pictures of one run: how runs differ is another matter.
    keys = [*NETWORK, "kind", "first", "last"]
    own = squares.groupby([*keys, "seed"])["cushion"]
    squares = squares.assign(deviation=own.transform("std"))
    groups = squares.groupby(keys, as_index=False)
    table = groups.agg(
        runs=("seed", "nunique"),
        pictures=("cushion", "count"),
        mean=("cushion", "mean"),
        standard_deviation=("deviation", "mean"),
        minimum=("cushion", "min"),
        standard_error=("square", "mean"),
        probes=("probes", "mean"),
        state=("whole", states.common),
    )
    table["standard_error"] **= 0.5
    return table
