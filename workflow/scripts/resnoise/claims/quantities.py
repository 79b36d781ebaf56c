"""Measure the quantities of claims: selections from result files, and what is computed from them.

A quantity is measured once with every run and once with each bootstrap draw of the runs' seeds; see
``resnoise.claims.operations.Value``. Selections over the same seeds share the draws, because runs
with the same seed see the same mini-batches.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnoise.claims.definition import Operation, Quantity, Selection, matches
from resnoise.claims.files import ResultFile
from resnoise.claims.operations import OPERATIONS, Array, NotMeasured, Value, count
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile


class Results:
    """Result files by source, each read once, and the bootstrap draws of seeds."""

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, Sequence[ResultFile]],
        *,
        replicates: int,
        seed: int,
    ) -> None:
        """Remember the files; none is read yet.

        Args:
            folder: the results folder.
            files: name of a source -> its files.
            replicates: of the bootstrap.
            seed: of the bootstrap.
        """
        self._folder = folder
        self._files = files
        self._replicates = replicates
        self._seed = seed
        self._frames: dict[Path, pd.DataFrame] = {}

    def ones(self) -> Array:
        """Return 1 for the measurement and for every replicate."""
        return np.ones(1 + self._replicates)

    def draws(self, seeds: tuple[int, ...]) -> NDArray[np.int64]:
        """Return which seeds each replicate takes, by position, [1 + replicates, seeds].

        The first row takes each once. The same seeds give the same draws.
        """
        state = np.random.default_rng((self._seed, *seeds))
        count = len(seeds)
        drawn = state.integers(count, size=(self._replicates, count))
        return np.concatenate([np.arange(count)[None], drawn])

    def rows(self, selection: Selection) -> dict[int | None, pd.DataFrame]:
        """Return the rows of a selection by seed (None where there are no runs).

        Raises:
            NotMeasured: the configuration makes no such file or no such row.
            ResnoiseError: a file is not readable or lacks a column.
        """
        source = selection.source
        if source.name not in self._files:
            raise NotMeasured(f"this configuration makes no {source.about}")
        files = [
            file for file in self._files[source.name] if not file.run or selection.takes(file.run)
        ]
        if not files:
            raise NotMeasured(f"this configuration has {_absent(selection)}")
        found: dict[int | None, list[pd.DataFrame]] = {}
        for file in files:
            frame = self._read(self._folder / file.path)
            frame = frame.assign(**{k: v for k, v in file.run.items() if k not in frame.columns})
            needed = {*selection.where, selection.column, *(selection.interval or ())}
            needed |= {name for name in (selection.by, *selection.runs) if name}
            if missing := needed - {*frame.columns}:
                raise ResnoiseError(
                    f"{file.path}: no column {', '.join(sorted(missing))}; its columns are "
                    f"{', '.join(frame.columns)}"
                )
            keep = pd.Series(True, index=frame.index)
            for column, condition in selection.where.items():
                keep &= _held(frame[column], condition)
            if keep.any():
                found.setdefault(file.run.get("seed"), []).append(frame[keep])
        if not found:
            raise NotMeasured(f"{source.file} has no row with {_conditions(selection)}")
        return {seed: pd.concat(frames) for seed, frames in found.items()}

    def _read(self, path: Path) -> pd.DataFrame:
        """Return a file's rows."""
        if path not in self._frames:
            self._frames[path] = csvfile.read(path, "a result")
        return self._frames[path]


def _held(column: "pd.Series[Any]", condition: Any) -> "pd.Series[bool]":
    """Return which values of a column fulfil a condition."""
    # Each different value is asked once: columns are long and hold few.
    fulfilling = [value for value in column.unique() if matches(value, condition)]
    return column.isin(fulfilling)


def _absent(selection: Selection) -> str:
    """Return which runs a selection needs and does not find, for people."""
    network = selection.where.get("architecture", "such")
    depth = f" of depth {selection.where['depth']}" if "depth" in selection.where else ""
    return f"no {network} networks{depth} among its {selection.source.about}"


def _conditions(selection: Selection) -> str:
    """Return the conditions of a selection, for people."""
    return ", ".join(f"{key} {_condition(value)}" for key, value in selection.where.items())


def _condition(condition: Any) -> str:
    """Return a condition on a column, for people."""
    if isinstance(condition, Mapping):
        return " ".join(f"{end} {value}" for end, value in condition.items())
    if isinstance(condition, list | tuple):
        return " or ".join(map(str, condition))
    return str(condition)


def measure(quantity: Quantity, results: Results) -> Value:
    """Return a measured quantity.

    Raises:
        NotMeasured: the results do not hold what it needs.
        ResnoiseError: a result file or the quantity has a mistake.
    """
    if isinstance(quantity, Selection):
        return _select(quantity, results)
    if isinstance(quantity, Operation):
        arguments = [measure(argument, results) for argument in quantity.arguments]
        counts = [argument.runs for argument in arguments if argument.runs is not None]
        runs = min(counts) if counts else None
        if quantity.condition is not None:
            value = count(quantity.name, quantity.condition, arguments[0])
        else:
            value = OPERATIONS[quantity.name](*arguments)
        # If one part has a single seed, the spread of the other parts is not a valid interval.
        drawn = bool(counts) and all(
            argument.drawn for argument in arguments if argument.runs is not None
        )
        return dataclasses.replace(value, runs=runs, drawn=drawn, interval=None)
    return Value(quantity * results.ones())


# How the rows of one run become one number.
_REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda groups: groups.mean(),
    "median": lambda groups: groups.median(),
    "standard_deviation": lambda groups: groups.std(),
    "smallest": lambda groups: groups.min(),
    "largest": lambda groups: groups.max(),
    "sum": lambda groups: groups.sum(),
}


def _select(selection: Selection, results: Results) -> Value:
    """Return the mean over seeds of what a selection takes from each run."""
    by_seed = {seed: _reduce(rows, selection) for seed, rows in results.rows(selection).items()}
    table = pd.DataFrame(by_seed).sort_index()
    # Entries that one of the runs lacks cannot be compared.
    table = table.dropna() if selection.by else table
    values = table.to_numpy(dtype=np.float64).T
    if values.size == 0 or np.isnan(values).any():
        raise NotMeasured(
            f"{selection.source.file} has no number in the rows with {_conditions(selection)}"
        )
    seeds = [seed for seed in table.columns if seed is not None]
    if seeds:
        drawn = values[results.draws(tuple(int(seed) for seed in seeds))].mean(axis=1)
    else:
        drawn = np.repeat(values, len(results.ones()), axis=0)
    index = table.index.to_numpy(dtype=np.float64) if selection.by else None
    return Value(
        drawn if selection.by else drawn[:, 0],
        index,
        len(seeds) or _own_runs(selection, results),
        len(seeds) > 1,
        _own_interval(selection, results),
    )


def _reduce(rows: pd.DataFrame, selection: Selection) -> pd.Series:
    """Return one number for each entry of a run's series; a series of one for a single number."""
    keys = rows[selection.by] if selection.by else pd.Series(0, index=rows.index)
    groups = rows[selection.column].groupby(keys)
    if selection.reduce != "only":
        reduced: pd.Series = _REDUCTIONS[selection.reduce](groups)
        return reduced
    if (groups.size() > 1).any():
        raise ResnoiseError(
            f"{selection.source.file}: {int(groups.size().max())} rows have "
            f"{_conditions(selection)}, but the claim needs exactly one; set reduce (mean, "
            "largest, ...) to combine them"
        )
    return groups.first()


def _own_runs(selection: Selection, results: Results) -> int | None:
    """Return the smallest number of runs that a file holds itself, if the selection names it."""
    if not selection.runs:
        return None
    ((_, rows),) = results.rows(selection).items()
    return int(rows[list(selection.runs)].to_numpy().min())


def _own_interval(selection: Selection, results: Results) -> tuple[float, float] | None:
    """Return the interval that a file holds itself, if the selection names its columns."""
    if selection.interval is None:
        return None
    ((_, rows),) = results.rows(selection).items()
    low, high = (float(rows[column].iloc[0]) for column in selection.interval)
    return low, high
