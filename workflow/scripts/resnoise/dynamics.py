"""Training dynamics (appendix D): which network reaches which risk when, and with what test error.

Works on histories (see ``resnoise.runs.read_histories``), without torch. The risk is that of the
augmented mini-batches of an epoch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resnoise import csvfile
from resnoise.tables import (
    PENDING,
    PUBLISHED_AS,
    markdown_table,
    measured,
    number,
    printed,
    read_paper,
    seeds_cell,
)

NETWORK = ["architecture", "initialisation", "depth"]
# Risks at which test errors are compared.
RISKS = 60
NAMES = {"kwi": "KWI", "t-hmwi": "T(HMWI)"}


def risk_curves(histories: pd.DataFrame) -> pd.DataFrame:
    """Return mean, smallest and largest training risk over seeds for every network and epoch.

    Columns: architecture, initialisation, depth, epoch, seeds, risk_mean, risk_min, risk_max.
    Epochs in which a run diverged do not count.
    """
    groups = _finished(histories).groupby([*NETWORK, "epoch"], as_index=False)
    return groups.agg(
        seeds=("seed", "nunique"),
        risk_mean=("risk", "mean"),
        risk_min=("risk", "min"),
        risk_max=("risk", "max"),
    )


def equal_risk(histories: pd.DataFrame) -> pd.DataFrame:
    """Return test errors and epochs at equal training risk, for every network (Figure 8 (b)).

    A run reaches a risk at the first epoch whose risk is as small; its test error there is
    interpolated in the logarithm of the risk between that epoch and the best one before it. The
    risks are equally spaced in the logarithm, over the range that all runs of a depth go through.

    Columns: architecture, initialisation, depth, risk, seeds, test_error_mean, test_error_min,
    test_error_max, epoch_mean (interpolated likewise). No rows for a depth whose runs have no risk
    in common. Epochs in which a run diverged do not count.
    """
    rows = []
    for _, own in _finished(histories).groupby("depth", sort=True):
        runs = {key: _descent(run) for key, run in own.groupby([*NETWORK, "seed"])}
        highest = min(run["risk"].max() for run in runs.values())
        lowest = max(run["risk"].min() for run in runs.values())
        if not 0 < lowest < highest:
            continue
        risks = np.geomspace(highest, lowest, RISKS)
        for (*network, seed), run in runs.items():
            # Increasing, as interpolation needs it.
            levels = np.log(run["risk"].to_numpy()[::-1])
            rows += [
                dict(zip([*NETWORK, "seed"], [*network, seed], strict=True))
                | {"risk": risk, "test_error": error, "epoch": epoch}
                for risk, error, epoch in zip(
                    risks,
                    np.interp(np.log(risks), levels, run["test_error"].to_numpy()[::-1]),
                    np.interp(np.log(risks), levels, run["epoch"].to_numpy()[::-1]),
                    strict=True,
                )
            ]
    frame = pd.DataFrame(rows, columns=[*NETWORK, "seed", "risk", "test_error", "epoch"])
    return frame.groupby([*NETWORK, "risk"], as_index=False).agg(
        seeds=("seed", "nunique"),
        test_error_mean=("test_error", "mean"),
        test_error_min=("test_error", "min"),
        test_error_max=("test_error", "max"),
        epoch_mean=("epoch", "mean"),
    )


def risk_differences(histories: pd.DataFrame) -> pd.DataFrame:
    """Return by how much the risk from KWI is larger than that from T(HMWI) (Figure 9 (b)).

    Runs with the same seed are compared, which see the same mini-batches. Columns: depth, epoch,
    seeds, difference_mean, difference_min, difference_max. Epochs in which one of the two runs
    diverged do not count.
    """
    keys = ["depth", "seed", "epoch"]
    finished = _finished(histories)
    kwi, transferred = (
        finished[finished["initialisation"] == name][[*keys, "risk"]] for name in ("kwi", "t-hmwi")
    )
    both = kwi.merge(transferred, on=keys, suffixes=("_kwi", "_transferred"))
    both["difference"] = both["risk_kwi"] - both["risk_transferred"]
    return both.groupby(["depth", "epoch"], as_index=False).agg(
        seeds=("seed", "nunique"),
        difference_mean=("difference", "mean"),
        difference_min=("difference", "min"),
        difference_max=("difference", "max"),
    )


def peak_epochs(differences: pd.DataFrame) -> dict[int, int]:
    """Return for each depth the epoch at which the mean of ``risk_differences`` is largest."""
    return {
        int(str(depth)): int(own["epoch"].iloc[int(own["difference_mean"].argmax())])
        for depth, own in differences.groupby("depth")
    }


def growth_table(histories: pd.DataFrame, paper: Mapping[str, Any]) -> pd.DataFrame:
    """Return risks after training, how they grow with depth, and where their difference peaks.

    Columns: depth, initialisation, seeds, diverged; risk_mean, risk_std (over seeds), risk_paper;
    growth and growth_paper (relative to the smallest depth); peak_epoch (see ``peak_epochs``) and
    peak_epoch_paper. Runs that diverged count in no mean.

    Args:
        histories: rows of ``resnoise.runs.read_histories``.
        paper: section ``figure9`` of the paper's numbers.
    """
    peaks = peak_epochs(risk_differences(histories))
    last = histories.sort_values("epoch").groupby([*NETWORK, "seed"]).tail(1)
    rows = []
    for (depth, initialisation), own in last.groupby(["depth", "initialisation"]):
        finished = _finished(own)
        published = paper["risk"].get(int(str(depth)), {})
        rows.append(
            {
                "depth": depth,
                "initialisation": initialisation,
                "seeds": len(own),
                "diverged": len(own) - len(finished),
                "risk_mean": finished["risk"].mean(),
                "risk_std": finished["risk"].std(),
                "risk_paper": published.get(PUBLISHED_AS.get(str(initialisation)), np.nan),
                "peak_epoch": peaks.get(int(str(depth)), pd.NA),
                "peak_epoch_paper": paper["peak_epoch"],
            }
        )
    table = pd.DataFrame(rows)
    smallest = table[table["depth"] == table["depth"].min()].set_index("initialisation")
    place = [*table.columns].index("peak_epoch")
    for column, name in (("risk_paper", "growth_paper"), ("risk_mean", "growth")):
        growth = table[column] / table["initialisation"].map(smallest[column])
        table.insert(place, name, growth)
    return table


def growth_markdown(table: pd.DataFrame) -> str:
    """Return ``growth_table`` as Markdown, the paper's numbers in brackets."""
    header = ["depth", "init", "seeds", "training risk", "growth", "difference peaks at epoch"]
    rows = []
    for row in table.to_dict("records"):
        peak = PENDING if pd.isna(row["peak_epoch"]) else f"{row['peak_epoch']}"
        rows.append(
            [
                f"{row['depth']}",
                NAMES.get(row["initialisation"], row["initialisation"]),
                seeds_cell(row),
                f"{measured(row['risk_mean'], row['risk_std'])}{printed(row['risk_paper'], 2)}",
                f"{number(row['growth'], 3)}{printed(row['growth_paper'], 3)}",
                f"{peak} ({row['peak_epoch_paper']})",
            ]
        )
    note = (
        "Measured (paper: CIFAR-10, ten runs of 200 epochs). Means +- standard deviations over "
        "seeds of the risk of the last epoch's mini-batches; growth: relative to the smallest "
        "depth (of the paper's printed numbers). Runs that diverged count in no mean."
    )
    return f"# Figure 9: risk and depth\n\n{markdown_table(header, rows)}\n\n{note}\n"


def write_growth(histories: pd.DataFrame, paper: Path, csv: Path, markdown: Path) -> str:
    """Write ``growth_table`` as CSV and Markdown; return the Markdown.

    Args:
        histories: rows of ``resnoise.runs.read_histories``.
        paper: the paper's numbers (YAML).
        csv: CSV to write.
        markdown: Markdown to write.
    """
    table = growth_table(histories, read_paper(paper)["figure9"])
    text = growth_markdown(table)
    return csvfile.write_with_markdown(table, csv, text, markdown)


def _finished(histories: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs at whose end the run had not diverged."""
    return histories[histories["status"] == "ok"]


def _descent(run: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs of one run whose risk is smaller than that of all epochs before."""
    ordered = run.sort_values("epoch")
    before = ordered["risk"].cummin().shift(fill_value=np.inf)
    return ordered[ordered["risk"] < before]
