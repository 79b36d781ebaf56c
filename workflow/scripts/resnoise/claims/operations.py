"""Values of quantities, and the operations of claims on them, such as ratios, shares and trends.

A value is an array [1 + replicates], or [1 + replicates, entries] for a series. Its first row is
the measurement, the others are the bootstrap.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnoise.errors import ResnoiseError

Array = NDArray[np.float64]


class NotMeasured(Exception):  # noqa: N818 - an outcome, not a mistake
    """The results hold no such quantity; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A measured quantity.

    Attributes:
        values: float64 [1 + replicates] or, for a series, [1 + replicates, entries].
        index: what numbers the entries of a series, float64 [entries]; None for a single number.
        runs: number of runs behind it, the smallest one of its parts; None if it does not come from
            runs.
        drawn: whether the replicates come from draws of at least two seeds of every part.
        interval: ends of the interval that a file itself holds, if it does.
    """

    values: Array
    index: Array | None = None
    runs: int | None = None
    drawn: bool = False
    interval: tuple[float, float] | None = None


def _series(value: Value, name: str) -> tuple[Array, Array]:
    """Return values and index of a series."""
    if value.index is None:
        raise ResnoiseError(f"{name} needs a series (a selection with by), not a single number")
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


def _centred_ranks(values: Array) -> Array:
    """Return the rank of each entry in its row, minus the mean rank; ties share a rank.

    Where an entry is not a number, none of its row is.
    """
    ranks = pd.DataFrame(values.T).rank().to_numpy().T
    centred: Array = ranks - ranks.mean(axis=1, keepdims=True)
    return centred


def _rank_correlation(first: Array, second: Array) -> Array:
    """Return Spearman's rank correlation row by row; 0 where one is constant."""
    one, two = _centred_ranks(first), _centred_ranks(second)
    spread = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    correlation: Array = np.divide(
        (one * two).sum(axis=1), spread, out=np.zeros(len(first)), where=spread != 0
    )
    return correlation


def _trend(values: Array, index: Array) -> Array:
    """Return Spearman's rank correlation with the index; 0 for a constant series."""
    if len(index) < 2:
        raise NotMeasured("a series of one entry has no trend")
    return _rank_correlation(values, np.broadcast_to(index, values.shape))


def _correlation(first: Value, second: Value) -> Value:
    """Return Spearman's rank correlation of two series; 0 if one is constant."""
    return Value(_rank_correlation(*_aligned(first, second, "correlation")))


def _decrease(value: Value) -> Value:
    """Return by how much a series falls up to each entry since the one before, by unit of index."""
    values, index = _series(value, "decrease")
    if len(index) < 2:
        raise NotMeasured("a series of one entry does not decrease")
    return Value(-np.diff(values, axis=1) / np.diff(index), index[1:])


def count(name: str, condition: tuple[str, float], value: Value) -> Value:
    """Return how many entries of a series fulfil a condition, or what share of them.

    Args:
        name: "count" or "share".
        condition: "greater" or "less", and the bound.
        value: the series.
    """
    values, _ = _series(value, name)
    relation, bound = condition
    held = values > bound if relation == "greater" else values < bound
    counted = held.mean(axis=1) if name == "share" else held.sum(axis=1)
    return Value(counted.astype(np.float64))


def _aligned(first: Value, second: Value, name: str) -> tuple[Array, Array]:
    """Return the values of two series at the entries that both have, at least two."""
    one, two = _series(first, name), _series(second, name)
    index, ours, theirs = np.intersect1d(one[1], two[1], return_indices=True)
    if len(index) < 2:
        raise NotMeasured("the two curves have fewer than two entries in common")
    return one[0][:, ours], two[0][:, theirs]


def _shares(draws: Iterable[tuple[Array, ...]], share: Callable[..., float]) -> Value:
    """Return a share of each draw; of draws after the first, NaN where it cannot be measured.

    Raises:
        NotMeasured: that of the first draw, the measured one, cannot be.
    """
    shares: list[float] = []
    for curves in draws:
        try:
            shares.append(share(*curves))
        except NotMeasured:
            if not shares:
                raise
            shares.append(np.nan)
    return Value(np.array(shares))


def _sooner(first: Value, second: Value) -> Value:
    """Return the share of 100 levels that falling series ``first`` reaches before ``second``.

    The levels lie evenly in the logarithm between the highest that both have and the lowest that
    one of them has, which the other may never reach. A series reaches a level where its running
    minimum, interpolated between entries, comes down to it. A level that both reach at the same
    place counts a half.

    Raises:
        NotMeasured: a value is not above 0, or the levels are nearly one.
    """

    def share(*curves: Array) -> float:
        falling = [np.minimum.accumulate(curve) for curve in curves]
        high = min(curve[0] for curve in falling)
        low = min(curve[-1] for curve in falling)
        levels = _levels(high, low)
        ours, theirs = (_reached(curve, levels) for curve in falling)
        return float(((ours < theirs) + 0.5 * (ours == theirs)).mean())

    return _shares(zip(*_aligned(first, second, "sooner"), strict=True), share)


def _levels(start: float, end: float) -> Array:
    """Return 100 levels between two, evenly in the logarithm, as risks are compared in Figure 8.

    Raises:
        NotMeasured: one is not above 0, or they are nearly one level.
    """
    low, high = sorted((start, end))
    if not low > 0:
        raise NotMeasured("the two curves are not above 0")
    # The plateau on which a network stays that learns nothing is narrower than this.
    if not high / low > 1.1:
        raise NotMeasured(
            "the levels at which the two curves are compared differ by less than a tenth"
        )
    return np.geomspace(start, end, 100)


def _reached(curve: Array, levels: Array) -> Array:
    """Return at which entry, with fractions, a falling curve comes down to each level, if ever."""
    after = np.searchsorted(-curve, -levels, side="left")
    after = np.clip(after, 0, len(curve) - 1)
    before = np.maximum(after - 1, 0)
    drop = curve[before] - curve[after]
    share = np.divide(curve[before] - levels, drop, out=np.ones(len(levels)), where=drop > 0)
    when = np.where(after > 0, before + share, 0.0)
    return np.where(levels < curve[-1], np.inf, when)


def _lower_at_equal(x1: Value, y1: Value, x2: Value, y2: Value) -> Value:
    """Return the share of common levels of x at which the first curve has the lower y.

    Curves are interpolated in the logarithm of x, at 100 levels of it that both have.

    Raises:
        NotMeasured: an x is not above 0, or the curves have no level in common, or nearly one.
    """

    def share(*curves: Array) -> float:
        ordered = [(x[np.argsort(x)], y[np.argsort(x)]) for x, y in (curves[:2], curves[2:])]
        low = max(x[0] for x, _ in ordered)
        high = min(x[-1] for x, _ in ordered)
        if low >= high:
            raise NotMeasured("the two curves have no level in common")
        levels = np.log(_levels(low, high))
        first, second = (np.interp(levels, np.log(x), y) for x, y in ordered)
        return float((first < second).mean())

    aligned = (*_aligned(x1, y1, "lower_at_equal"), *_aligned(x2, y2, "lower_at_equal"))
    return _shares(zip(*aligned, strict=True), share)


OPERATIONS: dict[str, Callable[..., Value]] = {
    "ratio": _elementwise(_quotient),
    "difference": _elementwise(np.subtract),
    "sum": _elementwise(np.add),
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
    "correlation": _correlation,
    "decrease": _decrease,
    "sooner": _sooner,
    "lower_at_equal": _lower_at_equal,
}
