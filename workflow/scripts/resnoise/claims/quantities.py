"""Measure the quantities of claims: selections from result files, and what is computed from them.

A quantity is measured once with every run and once with each bootstrap draw of the runs' seeds:
its values are an array [1 + replicates], or [1 + replicates, entries] for a series, whose first row
is the measurement and whose others are the bootstrap. Selections over the same seeds share the
draws, because runs with the same seed see the same mini-batches.
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
from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile

Array = NDArray[np.float64]


class NotMeasured(Exception):  # noqa: N818 - an outcome, not a mistake
    """The results hold no such quantity; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A measured quantity.

    Attributes:
        values: float64 [1 + replicates] or, for a series, [1 + replicates, entries].
        index: what numbers the entries of a series, float64 [entries]; None for a single number.
        runs: number of runs behind it, the smallest one of its parts; None: it is not about runs.
        drawn: whether the replicates come from draws of at least two seeds of every part.
        interval: ends of the interval that a file itself holds, if it does.
    """

    values: Array
    index: Array | None = None
    runs: int | None = None
    drawn: bool = False
    interval: tuple[float, float] | None = None


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
            needed |= {name for name in (selection.by, selection.runs) if name}
            if missing := needed - {*frame.columns}:
                raise ResnoiseError(
                    f"{file.path}: no column {', '.join(sorted(missing))}; there are "
                    f"{', '.join(frame.columns)}"
                )
            keep = pd.Series(True, index=frame.index)
            for column, condition in selection.where.items():
                keep &= _held(frame[column], condition)
            if keep.any():
                found.setdefault(file.run.get("seed"), []).append(frame[keep])
        if not found:
            raise NotMeasured(f"no row of {source.file} has {_conditions(selection)}")
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
    """Return which runs a selection wants that are not there, for people."""
    network = selection.where.get("architecture", "such")
    depth = f" of depth {selection.where['depth']}" if "depth" in selection.where else ""
    return f"no {network} networks{depth} among its {selection.source.about}"


def _conditions(selection: Selection) -> str:
    """Return the conditions of a selection, for people."""
    return ", ".join(f"{key} {value}" for key, value in selection.where.items())


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
            value = _count(quantity, arguments[0])
        else:
            value = _OPERATIONS[quantity.name](*arguments)
        # Next to a single seed the others' spread is no interval of the whole.
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
        raise NotMeasured(f"{selection.source.file} holds no number for {_conditions(selection)}")
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
            f"{_conditions(selection)}, where a claim wants one; say with reduce what to do of them"
        )
    return groups.first()


def _own_runs(selection: Selection, results: Results) -> int | None:
    """Return the smallest number of runs that a file holds itself, if the selection names it."""
    if selection.runs is None:
        return None
    ((_, rows),) = results.rows(selection).items()
    return int(rows[selection.runs].min())


def _own_interval(selection: Selection, results: Results) -> tuple[float, float] | None:
    """Return the interval that a file holds itself, if the selection names its columns."""
    if selection.interval is None:
        return None
    ((_, rows),) = results.rows(selection).items()
    low, high = (float(rows[column].iloc[0]) for column in selection.interval)
    return low, high


def _series(value: Value, name: str) -> tuple[Array, Array]:
    """Return values and index of a series."""
    if value.index is None:
        raise ResnoiseError(f"{name} wants a series (a selection with by), not a single number")
    return value.values, value.index


def _elementwise(function: Callable[[Array, Array], Array]) -> Callable[[Value, Value], Value]:
    """Return an operation on two numbers, or on the common entries of two series."""

    def operation(first: Value, second: Value) -> Value:
        if first.index is not None and second.index is not None:
            index, one, two = np.intersect1d(first.index, second.index, return_indices=True)
            if not len(index):
                raise NotMeasured("the two series have no entry in common")
            return Value(function(first.values[:, one], second.values[:, two]), index)
        a, b = first.values, second.values
        if first.index is not None:
            return Value(function(a, b[:, None]), first.index)
        if second.index is not None:
            return Value(function(a[:, None], b), second.index)
        return Value(function(a, b))

    return operation


def _along(name: str, function: Callable[[Array, Array], Array]) -> Callable[[Value], Value]:
    """Return an operation that makes one number of a series."""

    def operation(value: Value) -> Value:
        return Value(function(*_series(value, name)))

    return operation


def _quotient(first: Array, second: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Array = first / second
    return quotient


def _average(values: Array, index: Array) -> Array:
    """Return the mean over the index by the trapezoidal rule."""
    if len(index) < 2:
        return values[:, 0]
    mean: Array = np.trapezoid(values, index, axis=1) / (index[-1] - index[0])
    return mean


def _trend(values: Array, index: Array) -> Array:
    """Return Spearman's rank correlation with the index; 0 for a constant series."""
    if len(index) < 2:
        raise NotMeasured("a series of one entry has no trend")
    ranks = pd.DataFrame(values.T).rank().to_numpy().T
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    places = np.arange(len(index)) - (len(index) - 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=1) * (places**2).sum())
    correlation: Array = np.divide(
        ranks @ places, spread, out=np.zeros(len(values)), where=spread > 0
    )
    return correlation


def _count(operation: Operation, value: Value) -> Value:
    """Return how many entries fulfil a condition, or what share of them."""
    values, _ = _series(value, operation.name)
    assert operation.condition is not None
    relation, bound = operation.condition
    held = values > bound if relation == "greater" else values < bound
    counted = held.mean(axis=1) if operation.name == "share" else held.sum(axis=1)
    return Value(counted.astype(np.float64))


def _aligned(first: Value, second: Value, name: str) -> tuple[Array, Array]:
    """Return the values of two series at the entries that both have, at least two."""
    one, two = _series(first, name), _series(second, name)
    index, ours, theirs = np.intersect1d(one[1], two[1], return_indices=True)
    if len(index) < 2:
        raise NotMeasured("the two curves have fewer than two entries in common")
    return one[0][:, ours], two[0][:, theirs]


def _sooner(first: Value, second: Value) -> Value:
    """Return the share of 100 levels that falling series ``first`` reaches before ``second``.

    The levels lie evenly in the logarithm between the highest and the lowest that both have. A
    series reaches a level where its running minimum, interpolated between entries, comes down to
    it. A level that both reach at the same place counts a half.

    Raises:
        NotMeasured: a value is not above 0.
    """
    ours, theirs = _aligned(first, second, "sooner")
    shares = []
    for curves in zip(ours, theirs, strict=True):
        falling = [np.minimum.accumulate(curve) for curve in curves]
        high = min(curve[0] for curve in falling)
        low = max(curve[-1] for curve in falling)
        if low >= high:
            # One is below the other from its first entry to the other's last.
            shares.append(float(falling[0][0] < falling[1][0]))
            continue
        levels = _levels(high, low)
        when = [_reached(curve, levels) for curve in falling]
        shares.append(((when[0] < when[1]) + 0.5 * (when[0] == when[1])).mean())
    return Value(np.array(shares))


def _levels(start: float, end: float) -> Array:
    """Return 100 levels between two, evenly in the logarithm, as risks are compared in Figure 8."""
    if not min(start, end) > 0:
        raise NotMeasured("the two curves are not above 0")
    return np.geomspace(start, end, 100)


def _reached(curve: Array, levels: Array) -> Array:
    """Return at which entry, with fractions, a falling curve comes down to each level."""
    after = np.searchsorted(-curve, -levels, side="left")
    after = np.clip(after, 0, len(curve) - 1)
    before = np.maximum(after - 1, 0)
    drop = curve[before] - curve[after]
    share = np.divide(curve[before] - levels, drop, out=np.ones(len(levels)), where=drop > 0)
    return np.where(after > 0, before + share, 0.0)


def _lower_at_equal(x1: Value, y1: Value, x2: Value, y2: Value) -> Value:
    """Return the share of common levels of x at which the first curve has the lower y.

    Curves are interpolated in the logarithm of x, at 100 levels of it that both have.

    Raises:
        NotMeasured: an x is not above 0, or the curves have no level in common.
    """
    aligned = [_aligned(x, y, "lower_at_equal") for x, y in ((x1, y1), (x2, y2))]
    shares = []
    for row in range(len(x1.values)):
        curves = []
        for x, y in aligned:
            order = np.argsort(x[row])
            curves.append((x[row][order], y[row][order]))
        low = max(curve[0][0] for curve in curves)
        high = min(curve[0][-1] for curve in curves)
        if low >= high:
            if row == 0:
                raise NotMeasured("the two curves have no level in common")
            shares.append(np.nan)
            continue
        levels = np.log(_levels(low, high))
        first, second = (np.interp(levels, np.log(x), y) for x, y in curves)
        shares.append(float((first < second).mean()))
    return Value(np.array(shares))


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "ratio": _elementwise(_quotient),
    "difference": _elementwise(np.subtract),
    "product": _elementwise(np.multiply),
    "absolute": lambda value: dataclasses.replace(value, values=np.abs(value.values)),
    "mean": _along("mean", lambda values, index: values.mean(axis=1)),
    "average": _along("average", _average),
    "smallest": _along("smallest", lambda values, index: values.min(axis=1)),
    "largest": _along("largest", lambda values, index: values.max(axis=1)),
    "first": _along("first", lambda values, index: values[:, 0]),
    "last": _along("last", lambda values, index: values[:, -1]),
    "place_of_largest": _along(
        "place_of_largest", lambda values, index: index[values.argmax(axis=1)]
    ),
    "trend": _along("trend", _trend),
    "sooner": _sooner,
    "lower_at_equal": _lower_at_equal,
}
