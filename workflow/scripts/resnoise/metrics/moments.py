"""Means and their standard errors over pictures and repeats, gathered a batch at a time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Summary(NamedTuple):
    """What is known of each entry, float64 of the entries' shape.

    Attributes:
        mean: over all pictures and repeats.
        standard_error: of the mean over new draws of both pictures and noise; NaN with one picture
            or one repeat.
        standard_deviation: of single values, over pictures and repeats.
        minimum: smallest value.
        maximum: largest value.
    """

    mean: Array
    standard_error: Array
    standard_deviation: Array
    minimum: Array
    maximum: Array


class Moments:
    """Sums over pictures of values that were measured ``repeats`` times, each with new noise.

    The noise of a repeat can be the same for all pictures (noise on weights), so that values of one
    repeat are not independent. The standard error therefore adds the variance of the means of the
    repeats, divided by their number, to the variance of the means of the pictures, divided by
    theirs. It counts the variance of a single value twice, which makes it a little too large.

    Attributes:
        arrays: the state, by name; memory does not grow with the number of pictures.
    """

    def __init__(self, shape: tuple[int, ...], repeats: int, random: bool = True) -> None:
        """Start with no pictures.

        Args:
            shape: shape of the entries.
            repeats: values for each picture and entry.
            random: whether repeats differ in their noise; without noise there is one repeat.
        """
        self.repeats = repeats
        self.random = random
        self.arrays: dict[str, Array] = {
            "repeat_sums": np.zeros((repeats, *shape)),
            "picture_squares": np.zeros(shape),
            "squares": np.zeros(shape),
            "smallest": np.full(shape, np.inf),
            "largest": np.full(shape, -np.inf),
        }

    def add(self, index: tuple[int | slice, ...], values: Array) -> None:
        """Add a batch to the entries ``[index]``.

        Args:
            index: leading part of the entries' index.
            values: [B, repeats, ...], one value for each entry below ``index``.
        """
        arrays = self.arrays
        arrays["repeat_sums"][(slice(None), *index)] += values.sum(0)
        arrays["picture_squares"][index] += np.square(values.mean(1)).sum(0)
        arrays["squares"][index] += np.square(values).sum((0, 1))
        arrays["smallest"][index] = np.minimum(arrays["smallest"][index], values.min((0, 1)))
        arrays["largest"][index] = np.maximum(arrays["largest"][index], values.max((0, 1)))

    def summary(self, pictures: int) -> Summary:
        """Return the statistics of all entries after ``pictures`` pictures."""
        arrays, repeats = self.arrays, self.repeats
        # Infinite values (contraction of a layer that is dead) have no deviation.
        with np.errstate(invalid="ignore", divide="ignore"):
            repeat_means = arrays["repeat_sums"] / pictures
            mean = repeat_means.mean(0)
            variance = _unbiased(arrays["squares"], mean, pictures * repeats)
            error = _unbiased(arrays["picture_squares"], mean, pictures) / pictures
            if self.random:
                # From deviations, not from sums of squares, which could cancel: repeats are few.
                spread = np.square(repeat_means - mean).sum(0)
                error = error + spread / (np.float64(repeats - 1) * repeats)
        return Summary(
            mean, np.sqrt(error), np.sqrt(variance), arrays["smallest"], arrays["largest"]
        )


def _unbiased(squares: Array, mean: Array, count: int) -> Array:
    """Return the sample variance of ``count`` values from the sum of their squares."""
    rounded = squares - count * np.square(mean)
    variance: Array = np.maximum(rounded, 0) / np.float64(count - 1)
    return variance
