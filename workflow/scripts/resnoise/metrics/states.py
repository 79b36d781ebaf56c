"""What became of a layer or block that has no number: dead or exploded.

On a picture, a layer is *dead* if nothing of the picture reaches it, because the activations before
it are 0 or because its weights are 0, and *exploded* if its numbers overflow. Both are findings:
such a layer is named in tables and figures, and counted in no comparison and in no mean. Arrays of
measurements hold NaN where a layer is dead and infinity where it has exploded; files hold an empty
cell, and DEAD or EXPLODED in a column beside it.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DEAD, EXPLODED = "dead", "exploded"
COLUMN = "state"


def texts(values: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return "" for each finite value, DEAD for NaN and EXPLODED for an infinite one."""
    return np.where(np.isfinite(values), "", np.where(np.isnan(values), DEAD, EXPLODED))


def numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``values`` with NaN, which a file shows as an empty cell, for all without a number."""
    return np.where(np.isfinite(values), values, np.nan)


def values(numbers: "pd.Series[float]", states: "pd.Series[str]") -> NDArray[np.float64]:
    """Return the array behind the columns that ``numbers`` and ``texts`` made."""
    return np.where(states == EXPLODED, np.inf, numbers.to_numpy(dtype=np.float64))


def common(values: "NDArray[np.float64] | pd.Series[float]") -> str:
    """Return the state of a layer on all pictures.

    Args:
        values: its measurements, float64 of any shape.

    Returns:
        "" if it has a number on some picture; otherwise EXPLODED if its numbers overflow on some,
        and DEAD if they do on none. Without pictures "".
    """
    if values.size == 0 or np.isfinite(values).any():
        return ""
    return EXPLODED if np.isinf(values).any() else DEAD
