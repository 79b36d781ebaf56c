"""Layer cushions of plain and residual networks: distributions, and which network's are larger.

The functions read the files of ``resnoise.metrics.layer_cushion`` and do not use torch.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnoise.errors import ResnoiseError, quoted
from resnoise.metrics import states
from resnoise.summaries.runs import read_metrics

FILE = "layer_cushion.csv"
QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}
KINDS = ("plain", "residual")
CLEARLY = 0.95
# A layer is counted if the residual cushion is larger on more than this share of the pictures.
COUNTS = {"larger": 0.5, "clearly_larger": CLEARLY}
# Bootstrap replicates that are computed together.
_CHUNK = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Cushions:
    """Layer cushions per picture of one run at one snapshot.

    Attributes:
        architecture: name of the network.
        depth: its number of layers.
        seed: seed of the run.
        names: names of its layers, in order.
        samples: int64 [N], indices of the pictures.
        values: cushions, float64 [N, layers]; NaN where the layer is dead, infinity where it has
            exploded (``resnoise.metrics.states``).
    """

    architecture: str
    depth: int
    seed: int
    names: tuple[str, ...]
    samples: NDArray[np.int64]
    values: NDArray[np.float64]


def read_cushions(folder: Path) -> dict[str, Cushions]:
    """Read a run's cushions: snapshot -> cushions. Empty if the run has no usable weights.

    Args:
        folder: run folder with ``run.json`` and ``layer_cushion.csv``.

    Raises:
        ResnoiseError: a file is missing or damaged.
    """
    frame = read_metrics([folder], FILE)
    found = {}
    try:
        for snapshot, rows in frame.groupby("snapshot", sort=False, observed=True):
            whole = rows.assign(cushion=states.values(rows["cushion"], rows[states.COLUMN]))
            table = whole.pivot(index="sample", columns="layer", values="cushion")
            first = rows.iloc[0]
            found[str(snapshot)] = Cushions(
                str(first["architecture"]),
                int(first["depth"]),
                int(first["seed"]),
                tuple(rows.drop_duplicates("layer")["name"]),
                table.index.to_numpy(dtype=np.int64),
                table.to_numpy(dtype=np.float64),
            )
    except (KeyError, ValueError, TypeError) as error:
        raise ResnoiseError(
            f"{folder / FILE}: not readable as layer cushions ({quoted(error)})"
        ) from error
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Layer cushions of plain and residual networks of the same depth at the same snapshot.

    Attributes:
        depth: their depth.
        names: names of their layers.
        plain: the plain runs.
        residual: the residual runs.
    """

    depth: int
    names: tuple[str, ...]
    plain: tuple[Cushions, ...]
    residual: tuple[Cushions, ...]

    def runs(self, kind: str) -> tuple[Cushions, ...]:
        """Return the runs of one kind, "plain" or "residual"."""
        return self.plain if kind == "plain" else self.residual

    def values(self, kind: str) -> NDArray[np.float64]:
        """Return the cushions of all runs of one kind, concatenated to [runs * N, layers]."""
        return np.concatenate([run.values for run in self.runs(kind)])


def compare(runs: Iterable[Cushions]) -> list[Comparison]:
    """Return a comparison for each depth that has runs of both kinds, in the order of depths.

    Raises:
        ResnoiseError: runs of the same depth were measured on different pictures, or have different
            layers because some are simplified and some fully-fledged networks.
    """
    by_depth: dict[int, list[Cushions]] = {}
    for run in runs:
        by_depth.setdefault(run.depth, []).append(run)
    found = []
    for depth, members in sorted(by_depth.items()):
        if any(not np.array_equal(members[0].samples, run.samples) for run in members):
            raise ResnoiseError(
                f"depth {depth}: layer cushions of different pictures, measure them again"
            )
        if any(members[0].names != run.names for run in members):
            raise ResnoiseError(f"depth {depth}: layer cushions of networks with different layers")
        plain, residual = (
            tuple(run for run in members if run.architecture.endswith(kind)) for kind in KINDS
        )
        if plain and residual:
            found.append(Comparison(depth, members[0].names, plain, residual))
    return found


def residual_shares(
    comparison: Comparison, replicates: int = 0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each layer on what share of the pictures the residual cushion is the larger one.

    The share is taken over pictures and over all pairs of a plain and a residual run. A picture is
    left out where one of the two cushions is undefined. The bootstrap draws pictures (the same for
    all layers and runs), plain runs and residual runs with replacement; if there is only one run of
    each kind, it does not show the spread over seeds.

    Args:
        comparison: the runs to compare.
        replicates: number of bootstrap replicates.
        seed: seed of the bootstrap.

    Returns:
        The shares, float64 [layers], and the shares in each replicate, [replicates, layers].
    """
    pairs = [
        (first, second, _larger(run.values, other.values))
        for first, run in enumerate(comparison.plain)
        for second, other in enumerate(comparison.residual)
    ]
    pictures = len(comparison.plain[0].samples)
    counts = [len(comparison.plain), len(comparison.residual)]
    generator = np.random.default_rng([seed, comparison.depth])

    def shares(weights: NDArray[Any], of_runs: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        won = np.zeros((len(weights), len(comparison.names)))
        valid = np.zeros_like(won)
        for first, second, (larger, defined) in pairs:
            pair = (of_runs[0][:, first] * of_runs[1][:, second])[:, None]
            won += pair * (weights @ larger)
            valid += pair * (weights @ defined)
        with np.errstate(invalid="ignore"):
            return won / valid

    ones = [np.ones((1, count)) for count in (pictures, *counts)]
    found = shares(ones[0], ones[1:])[0]
    chunks = [np.empty((0, len(comparison.names)))]
    for start in range(0, replicates, _CHUNK):
        size = min(_CHUNK, replicates - start)
        drawn = [
            generator.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float32)
            for count in (pictures, *counts)
        ]
        chunks.append(shares(drawn[0], drawn[1:]))
    return found, np.concatenate(chunks)


def _larger(
    plain: NDArray[np.float64], residual: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where the residual cushion is larger, and where both cushions are defined.

    Both arrays are float32 with 1 for yes and 0 for no, and one half where the cushions are equal.
    Sums of up to 2^24 pictures are exact in float32.
    """
    defined = np.isfinite(plain) & np.isfinite(residual)
    larger = np.where(plain == residual, 0.5, residual > plain) * defined
    return larger.astype(np.float32), defined.astype(np.float32)


def layer_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Return the distributions of the cushions, with a row for every depth and layer.

    Columns: depth, layer, name; for each kind ``_minimum`` (the layer cushion), ``_q05``,
    ``_median`` and ``_q95`` over the pictures of all runs, ``_measured`` (share of these pictures
    on which there is a cushion) and ``_state`` ("dead" or "exploded" if there is none on any);
    residual_share (see ``residual_shares``; empty if no picture has both cushions).
    """
    rows = []
    for comparison in comparisons:
        shares, _ = residual_shares(comparison)
        values = {kind: comparison.values(kind) for kind in KINDS}
        for column, name in enumerate(comparison.names):
            row: dict[str, Any] = {"depth": comparison.depth, "layer": column + 1, "name": name}
            for kind in KINDS:
                own = values[kind][:, column]
                defined = own[np.isfinite(own)]
                some = len(defined) > 0
                row[f"{kind}_minimum"] = defined.min() if some else np.nan
                for label, level in QUANTILES.items():
                    row[f"{kind}_{label}"] = np.quantile(defined, level) if some else np.nan
                row[f"{kind}_measured"] = len(defined) / len(own)
                row[f"{kind}_state"] = states.common(own)
            row["residual_share"] = shares[column]
            rows.append(row)
    labels = ("minimum", *QUANTILES, "measured", "state")
    kinds = [f"{kind}_{label}" for kind in KINDS for label in labels]
    return pd.DataFrame(rows, columns=["depth", "layer", "name", *kinds, "residual_share"])


def count_table(
    comparisons: Iterable[Comparison],
    layers: pd.DataFrame,
    paper: dict[int, int],
    *,
    replicates: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Count the layers in which the residual cushion is the larger one, with a row for every depth.

    In a layer the residual cushion counts as larger if it is larger on more than half of the
    pictures, and as clearly larger if it is on more than the share ``CLEARLY`` of them. A layer
    that is dead or has exploded on all pictures, in the runs of one kind, is counted nowhere.
    Columns: depth, layers (those that are counted), plain_runs, residual_runs, pictures; ``larger``
    and ``clearly_larger``, each with ``_low`` and ``_high`` (bootstrap interval); larger_paper;
    larger_by_median and larger_by_minimum (layers in which the median or the minimum is larger);
    exceptions (names of the layers in which the residual cushion is not clearly larger);
    uncompared and not_compared (number and names of the layers that are not counted). Without any
    layer to count, the counts are empty.

    Args:
        comparisons: the runs to compare.
        layers: ``layer_table`` of the comparisons.
        paper: depth -> number of layers that the paper excepts.
        replicates: number of bootstrap replicates.
        confidence: confidence level of the interval, such as 0.95.
        seed: seed of the bootstrap.
    """
    rows = []
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    for comparison in comparisons:
        shares, drawn = residual_shares(comparison, replicates, seed)
        compared = ~np.isnan(shares)
        own = layers[layers["depth"] == comparison.depth]
        counted: dict[str, Any] = {}
        for name, limit in COUNTS.items():
            # In a replicate without pictures of a layer, its cushion is not larger.
            low, high = np.quantile((drawn > limit).sum(1), tails, method="inverted_cdf")
            counted[name] = int((shares > limit).sum())
            counted |= {f"{name}_low": int(low), f"{name}_high": int(high)}
        for label in ("median", "minimum"):
            larger = (own[f"residual_{label}"] > own[f"plain_{label}"]).to_numpy()
            counted[f"larger_by_{label}"] = int((larger & compared).sum())
        if not compared.any():
            counted = dict.fromkeys(counted, pd.NA)
        exceptions = paper.get(comparison.depth)
        names = np.array(comparison.names)
        rows.append(
            {
                "depth": comparison.depth,
                "layers": int(compared.sum()),
                "plain_runs": len(comparison.plain),
                "residual_runs": len(comparison.residual),
                "pictures": len(comparison.plain[0].samples),
                **counted,
                "larger_paper": pd.NA if exceptions is None else len(names) - exceptions,
                "exceptions": " ".join(names[compared & ~(shares > CLEARLY)]),
                "uncompared": int((~compared).sum()),
                "not_compared": " ".join(names[~compared]),
            }
        )
    columns = ["depth", "layers", "plain_runs", "residual_runs", "pictures"]
    columns += [f"{name}{end}" for name in COUNTS for end in ("", "_low", "_high")]
    columns += ["larger_paper", "larger_by_median", "larger_by_minimum", "exceptions"]
    columns += ["uncompared", "not_compared"]
    return pd.DataFrame(rows, columns=columns)


def read_final(folders: Iterable[Path]) -> list[Comparison]:
    """Read the cushions after training from run folders; return a comparison for each depth."""
    found = (read_cushions(folder) for folder in folders)
    return compare(run["final"] for run in found if "final" in run)
