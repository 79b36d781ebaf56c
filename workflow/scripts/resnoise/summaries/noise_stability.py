"""The size of the noise that stands for all sizes, in tables and figures of noise stability."""

import math
from collections.abc import Sequence


def middle(sizes: Sequence[float]) -> float:
    """Return the middle one of the sorted sizes, NaN if there are none."""
    return sizes[len(sizes) // 2] if len(sizes) else math.nan
