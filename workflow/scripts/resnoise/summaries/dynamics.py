"""Training dynamics (appendix D): which network reaches which risk when, and with what test error.

Works on histories (``read_histories`` of ``resnoise.summaries.runs``), without torch. The risk is
that of the augmented mini-batches of an epoch.
"""

import numpy as np
import pandas as pd

NETWORK = ["architecture", "initialisation", "depth"]

# Risks at which test errors are compared.
RISKS = 60

NAMES = {"kwi": "KWI", "t-hmwi": "T(HMWI)"}


def risk_curves(histories: pd.DataFrame) -> pd.DataFrame:
    """Return mean, smallest and largest training risk over seeds for every network and epoch.

    Columns: architecture, initialisation, depth, epoch, seeds, risk_mean, risk_min, risk_max.
    Epochs in which a run diverged do not count.
    """
    groups = finished(histories).groupby([*NETWORK, "epoch"], as_index=False)
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
    for _, own in finished(histories).groupby("depth", sort=True):
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
    ended = finished(histories)
    kwi, transferred = (
        ended[ended["initialisation"] == name][[*keys, "risk"]] for name in ("kwi", "t-hmwi")
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


def finished(histories: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs at whose end the run had not diverged."""
    return histories[histories["status"] == "ok"]


def _descent(run: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs of one run whose risk is smaller than that of all epochs before."""
    ordered = run.sort_values("epoch")
    before = ordered["risk"].cummin().shift(fill_value=np.inf)
    return ordered[ordered["risk"] < before]
