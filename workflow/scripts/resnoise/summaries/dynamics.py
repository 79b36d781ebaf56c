"""Training dynamics (appendix D): training risk by epoch, and test error at equal training risk.

The functions take histories (see ``resnoise.summaries.runs.read_histories``) and do not use torch.
The risk in histories is the mean over the augmented mini-batches of an epoch, or over the training
set after it (the recipe's key ``epoch_risk``).
"""

import numpy as np
import pandas as pd

from resnoise.summaries.seeds import finished, ranges

NETWORK = ["architecture", "initialisation", "depth"]

# Number of risks at which test errors are compared.
RISKS = 60


def risk_curves(histories: pd.DataFrame) -> pd.DataFrame:
    """Return mean, smallest and largest training risk over seeds for every network and epoch.

    Columns: architecture, initialisation, depth, epoch, seeds (their number), risk_mean, risk_min,
    risk_max. Epochs in which a run has diverged are left out.
    """
    groups = finished(histories).groupby([*NETWORK, "epoch"], as_index=False)
    return groups.agg(seeds=("seed", "nunique"), **ranges(["risk"]))


def equal_risk(histories: pd.DataFrame) -> pd.DataFrame:
    """Return test errors and epochs at equal training risk, for every network (Figure 8 (b)).

    A run reaches a given risk at its first epoch with a risk that is not larger. Its test error at
    exactly this risk is interpolated linearly in the logarithm of the risk, between that epoch and
    the epoch with the smallest risk before. Within a depth, the risks are equally spaced in the
    logarithm, over the range that all runs of the depth pass through.

    Columns: architecture, initialisation, depth, risk, seeds (their number), test_error_mean,
    test_error_min, test_error_max, epoch_mean (interpolated in the same way). A depth has no rows
    if its runs have no risk in common. Epochs in which a run has diverged are left out.
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
            # Reversed, because np.interp needs increasing values.
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
        seeds=("seed", "nunique"), **ranges(["test_error"]), epoch_mean=("epoch", "mean")
    )


def risk_differences(histories: pd.DataFrame) -> pd.DataFrame:
    """Return the risk from KWI minus that from T(HMWI), for every depth and epoch (Figure 9 (b)).

    Runs with the same seed are compared, because they see the same mini-batches. Columns: depth,
    epoch, seeds (their number), difference_mean, difference_min, difference_max. Epochs in which
    one of the two runs has diverged are left out.
    """
    keys = ["depth", "seed", "epoch"]
    ended = finished(histories)
    kwi, transferred = (
        ended[ended["initialisation"] == name][[*keys, "risk"]] for name in ("kwi", "t-hmwi")
    )
    both = kwi.merge(transferred, on=keys, suffixes=("_kwi", "_transferred"))
    both["difference"] = both["risk_kwi"] - both["risk_transferred"]
    return both.groupby(["depth", "epoch"], as_index=False).agg(
        seeds=("seed", "nunique"), **ranges(["difference"])
    )


def risks_after_training(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Return the mean risk on the training set after training, over seeds, for every network.

    Columns: architecture, initialisation, depth, risk_mean. Runs that diverged are left out.

    Args:
        evaluations: rows from ``resnoise.summaries.evaluations.read_evaluations``.
    """
    final = finished(evaluations[evaluations["snapshot"] == "final"])
    return final.groupby(NETWORK, as_index=False).agg(risk_mean=("risk", "mean"))


def peak_epochs(differences: pd.DataFrame) -> dict[int, int]:
    """Return depth -> epoch with the largest mean difference in ``risk_differences``."""
    return {
        int(str(depth)): int(own["epoch"].iloc[int(own["difference_mean"].argmax())])
        for depth, own in differences.groupby("depth")
    }


def _descent(run: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs of one run with a smaller risk than in all epochs before."""
    ordered = run.sort_values("epoch")
    before = ordered["risk"].cummin().shift(fill_value=np.inf)
    return ordered[ordered["risk"] < before]
