"""What summaries over seeds share: which runs count, and the range of what they reached."""

from collections.abc import Iterable

import pandas as pd


def finished(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of runs, or of moments of runs, that have not diverged.

    Args:
        rows: with a column status, "ok" or "diverged".
    """
    return rows[rows["status"] == "ok"]


def ranges(measures: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the aggregations of pandas for ``_mean``, ``_min`` and ``_max`` of each measure."""
    kinds = ("mean", "min", "max")
    return {f"{measure}_{kind}": (measure, kind) for measure in measures for kind in kinds}
