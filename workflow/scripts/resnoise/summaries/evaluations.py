"""Read risk, cost and error of finished runs (``resnoise.metrics.evaluation``), without torch."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from resnoise.storage import csvfile

TABLE1_MEASURES = ("risk", "cost", "test_error")
RUN_COLUMNS = ("architecture", "depth", "initialisation", "seed", "snapshot", "status")


def read_evaluations(files: Iterable[Path]) -> pd.DataFrame:
    """Read the rows of all evaluation files (see ``resnoise.metrics.evaluation``).

    Raises:
        ResnoiseError: a file is missing, damaged or lacks a column.
    """
    frames = []
    for file in files:
        frames.append(csvfile.read(file, "an evaluation", (*RUN_COLUMNS, *TABLE1_MEASURES)))
    return pd.concat(frames, ignore_index=True)
