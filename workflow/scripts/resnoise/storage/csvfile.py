"""Tables as CSV files with a digest, written and read in the same way by all rules."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resnoise.errors import ResnoiseError, quoted
from resnoise.storage import identity
from resnoise.storage.digests import check_csv, csv_path


def write(path: Path, table: pd.DataFrame, **options: Any) -> None:
    """Write a table as CSV atomically, without its index; ``options`` go to ``to_csv``."""
    with csv_path(path) as temporary:
        table.to_csv(temporary, index=False, **options)


def write_parts(
    path: Path, parts: Iterable[pd.DataFrame], columns: Sequence[str], **options: Any
) -> None:
    """Write a table like ``write``, part by part, so that the text of one only is in memory.

    Args:
        path: the CSV file.
        parts: its rows; all with the same columns.
        columns: these columns.
        options: go to ``to_csv``.
    """
    with csv_path(path) as temporary:
        pd.DataFrame(columns=[*columns]).to_csv(temporary, index=False)
        for part in parts:
            part[[*columns]].to_csv(temporary, mode="a", header=False, index=False, **options)


def read(path: Path, what: str, columns: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """Read a table, and compare it with its digest and with the record of the run beside it.

    Args:
        path: CSV file.
        what: name of such a table for error messages, such as "an evaluation".
        columns: columns that the table must have; it may have others.
        options: options for ``pandas.read_csv``.

    Raises:
        ResnoiseError: the file is missing, was changed or damaged, is of another run than the
            record beside it, or lacks a column.
    """
    check_csv(path)
    identity.check_beside(path)
    try:
        table: pd.DataFrame = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:
        raise ResnoiseError(f"{path}: not readable as {what} ({quoted(error)})") from error
    if missing := {*columns} - {*table.columns}:
        raise ResnoiseError(f"{path}: no column {', '.join(sorted(missing))}, needed in {what}")
    return table
