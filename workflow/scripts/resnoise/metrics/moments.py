"""Means and their standard errors over pictures and repeats, gathered a batch at a time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resnoise.metrics.states import DEAD, EXPLODED

Array = NDArray[np.float64]


class Summary(NamedTuple):
    """What is known of each entry, float64 of the entries' shape.

    Attributes:
        mean: over all pictures and repeats that count.
        standard_error: of the mean over new draws of both pictures and noise; NaN with one picture
            or one repeat.
        standard_deviation: of single values, over pictures and repeats.
        minimum: smallest value.
        maximum: largest value.
        samples: number of pictures that count.
        state: "dead" or "exploded" (``resnoise.metrics.states``) if the entry was measured and no
            picture counts, otherwise "".
    """

    mean: Array
    standard_error: Array
    standard_deviation: Array
    minimum: Array
    maximum: Array
    samples: Array
    state: NDArray[np.str_]


class Moments:
    """Sums over pictures of values that were measured ``repeats`` times, each with new noise.

    A picture counts for an entry if all its repeats are finite numbers. Otherwise the layer is dead
    on it (a repeat is NaN) or has exploded (a repeat is infinite; ``resnoise.metrics.states``).

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
            "pictures": np.zeros(shape),
            DEAD: np.zeros(shape),
            EXPLODED: np.zeros(shape),
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
        counts = np.isfinite(values).all(1, keepdims=True)
        arrays["pictures"][index] += counts.sum((0, 1))
        exploded = np.isinf(values).any(1, keepdims=True)
        arrays[EXPLODED][index] += exploded.sum((0, 1))
        arrays[DEAD][index] += (~counts & ~exploded).sum((0, 1))
        some = np.where(counts, values, 0)
        arrays["repeat_sums"][(slice(None), *index)] += some.sum(0)
        arrays["picture_squares"][index] += np.square(some.mean(1)).sum(0)
        arrays["squares"][index] += np.square(some).sum((0, 1))
        low, high = (np.where(counts, values, bound) for bound in (np.inf, -np.inf))
        arrays["smallest"][index] = np.minimum(arrays["smallest"][index], low.min((0, 1)))
        arrays["largest"][index] = np.maximum(arrays["largest"][index], high.max((0, 1)))

    def summary(self) -> Summary:
        """Return the statistics of all entries."""
        arrays, repeats = self.arrays, self.repeats
        pictures = arrays["pictures"]
        # Entries without pictures have no mean, those with one no deviation.
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
            mean,
            np.sqrt(error),
            np.sqrt(variance),
            np.where(pictures > 0, arrays["smallest"], np.nan),
            np.where(pictures > 0, arrays["largest"], np.nan),
            pictures,
            np.select(
                [pictures > 0, arrays[EXPLODED] > 0, arrays[DEAD] > 0], ["", EXPLODED, DEAD], ""
            ),
        )


def _unbiased(squares: Array, mean: Array, count: Array) -> Array:
    """Return the sample variance of ``count`` values from the sum of their squares."""
    rounded = squares - count * np.square(mean)
    # Two values or more; of one there is no variance, whatever the rounding.
    variance: Array = np.where(count > 1, np.maximum(rounded, 0) / (count - 1), np.nan)
    return variance
